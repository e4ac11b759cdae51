"""Checkpoints on disk: a folder with `card.json` and safetensors files, read and written strictly.

The card says what the weights are (`config`, `label_set`, `training`) and lists every weight file with its
SHA-256. Nothing in a checkpoint can run code: the card is JSON that only fills frozen dataclasses, the
weights are the safetensors format (an 8-byte little-endian header length, a JSON header, raw values).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from safetensors.torch import save as safetensors_bytes

from ..config import LabelSet, ModelConfig, label_set_from_json
from ..errors import CheckpointError

CARD_NAME = "card.json"
CARD_FORMAT = 1
DEFAULT_CHECKPOINT = Path(__file__).resolve().parents[2] / "checkpoints" / "default"

Shapes = Mapping[str, tuple[int, ...]]

_CARD_FIELDS = ("format", "name", "config", "label_set", "training", "files")
_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}
_MAX_JSON_BYTES = 4_000_000  # the published models' headers need 0.3 MB
_MAX_TENSORS = 20_000  # the published models have about a thousand
_MAX_TOTAL_BYTES = 16 * 2**30  # the published COCO model in float32 takes 3.4 GB
_MAX_INTEGER, _MAX_LAYERS, _MAX_LIST = 2**20, 128, 256
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.safetensors")
_OWN_FILE = re.compile(r"weights-\d{2,}-[0-9a-f]{12}\.safetensors(\.part)?")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint in memory.

    tensors: published parameter name -> float32 CPU tensor, none sharing memory with another.
    training: the card's free facts. sha256: hex digest over the sorted digests of the weight files and the
    canonical JSON of the config, so it does not depend on file names or on the card's layout.
    """

    folder: Path
    name: str
    config: ModelConfig
    label_set: LabelSet
    training: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    sha256: str


class _Card(NamedTuple):
    name: str
    config: ModelConfig
    label_set: LabelSet
    training: dict[str, Any]
    files: dict[str, str]


class _Entry(NamedTuple):
    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int  # byte offsets in the file, header included
    end: int


def default_checkpoint_folder() -> Path:
    """The folder of the checkpoint that ships with a source checkout (it may be absent)."""
    return DEFAULT_CHECKPOINT


def read_label_set(folder: str | Path) -> LabelSet:
    """The label set of a checkpoint folder, without reading its weights; raises CheckpointError."""
    return _read_card(Path(folder)).label_set


def load_checkpoint(folder: str | Path, expected_shapes: Callable[[ModelConfig], Shapes] | None = None) -> Checkpoint:
    """Read a checkpoint folder, values as float32 on the CPU.

    expected_shapes: gives the names and shapes that the networks of a config have; with it, every tensor must be
    there, none more, each with its shape. All headers are checked before any values are read.
    Raises CheckpointError (one line: file, what is wrong, what to do) and changes nothing on disk.
    """
    folder = Path(folder)
    try:
        card = _read_card(folder)
        headers = {name: _read_header(folder / name) for name in card.files}
        shapes: dict[str, tuple[int, ...]] = {}
        for name, header in headers.items():
            twice = [key for key in header if key in shapes]
            if twice:
                _fail(folder / name, f"{_some(twice)} already stored in another file", "download the folder again")
            shapes.update((key, entry.shape) for key, entry in header.items())
        if sum(entry.end - entry.begin for header in headers.values() for entry in header.values()) > _MAX_TOTAL_BYTES:
            _fail(folder, "holds more than 16 GiB of weights", "this is no Scenebrush checkpoint")
        if expected_shapes is not None:
            check_shapes(folder, shapes, _expected(folder, card.config, expected_shapes))
        tensors: dict[str, torch.Tensor] = {}
        for name, digest in card.files.items():
            tensors.update(_read_tensors(folder / name, headers[name], digest))
    except OSError as error:
        _fail(error.filename or folder, f"cannot be read ({error.strerror})", "check the path and its permissions")
    digest = _digest(card.files, card.config)
    return Checkpoint(folder, card.name, card.config, card.label_set, card.training, tensors, digest)


def save_checkpoint(
    folder: str | Path,
    *,
    name: str,
    config: ModelConfig,
    label_set: LabelSet,
    training: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    dtype: torch.dtype = torch.float16,
    max_file_bytes: int = 16_000_000,
) -> None:
    """Write a checkpoint folder, replacing an older one in it.

    tensors: floating point, any device, shape and strides; they are copied, so shared storage is fine.
    dtype: how they are stored (float16, bfloat16 or float32). A file stays under `max_file_bytes` unless one
    tensor alone is larger. Weight files carry their digest in their name and the card is replaced last, so an
    interrupted save leaves the older checkpoint whole.
    Raises CheckpointError: no tensors, values that are not finite in `dtype`, facts that are not JSON, disk errors.
    """
    folder = Path(folder)
    if dtype not in _DTYPES.values():
        _fail(folder, f"cannot store {dtype}", "choose torch.float16, torch.bfloat16 or torch.float32")
    card: dict[str, Any] = {"format": CARD_FORMAT, "name": name, "config": config.to_json()}
    card |= {"label_set": dataclasses.asdict(label_set), "training": dict(training), "files": {}}
    try:
        _parse_card(folder / CARD_NAME, _card_bytes(card))
        groups = _groups(tensors, dtype.itemsize, max_file_bytes)
    except (TypeError, ValueError, RecursionError) as error:
        _fail(folder / CARD_NAME, f"cannot be written ({error})", "give names and training facts that fit JSON")
    if not groups:
        _fail(folder, "there are no tensors to save", "pass the networks' state")
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        kept = set(folder.iterdir())
        for number, keys in enumerate(groups, start=1):
            content = safetensors_bytes({key: _stored(folder, key, tensors[key], dtype) for key in keys})
            digest = hashlib.sha256(content).hexdigest()
            path = folder / f"weights-{number:02d}-{digest[:12]}.safetensors"
            written += [] if path in kept else [path]
            _write_atomically(path, content)
            card["files"][path.name] = digest
        stale = _stale_files(folder, set(card["files"]))
        _write_atomically(folder / CARD_NAME, _card_bytes(card))
    except (OSError, CheckpointError) as error:
        for path in written:
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            _fail(error.filename or folder, f"cannot be written ({error.strerror})", "free space or choose a folder")
        raise
    for path in stale:
        path.unlink(missing_ok=True)


def check_shapes(where: str | Path, found: Shapes, expected: Shapes) -> None:
    """Raise CheckpointError unless `found` has exactly the names of `expected`, each with its shape."""
    missing = sorted(set(expected) - set(found))
    if missing:
        _fail(where, f"{_some(missing)} missing", "these weights do not fit the config; take the matching ones")
    unknown = sorted(set(found) - set(expected))
    if unknown:
        _fail(where, f"{_some(unknown)} unknown to this config", "take matching weights or a newer Scenebrush")
    for key, shape in expected.items():
        if tuple(found[key]) != tuple(shape):
            problem = f"{_quoted(key)} has shape {list(found[key])} where the config needs {list(shape)}"
            _fail(where, problem, "these weights do not fit the config; take the matching ones")


def _read_card(folder: Path) -> _Card:
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "no such checkpoint folder"
        _fail(folder, problem, f"give the folder that holds {CARD_NAME}, or make one with 'main.py convert'")
    path = folder / CARD_NAME
    if not path.is_file():
        _fail(path, "the card is missing", "give a folder saved by Scenebrush, or copy the whole folder again")
    if path.stat().st_size > _MAX_JSON_BYTES:
        _fail(path, f"is larger than {_MAX_JSON_BYTES} bytes", "this is no card; copy the whole folder again")
    card = _parse_card(path, path.read_bytes())
    if not card.files:
        _fail(path, "lists no weight files", "copy the whole folder again")
    return card


def _parse_card(path: Path, content: bytes) -> _Card:
    data = _json_object(path, content)
    number = data.get("format")
    if type(number) is int and number > CARD_FORMAT:
        _fail(path, f"has card format {number}, this is made for {CARD_FORMAT}", "a newer Scenebrush is needed")
    if type(number) is not int or number != CARD_FORMAT:
        _fail(path, f"its card format is not {CARD_FORMAT}", "this is no Scenebrush checkpoint; choose another folder")
    odd = sorted(set(data) ^ set(_CARD_FIELDS))
    if odd:
        state = "unknown" if odd[0] in data else "missing"
        _fail(path, f"field {_quoted(odd[0])} is {state}", "copy the whole folder again or use a newer Scenebrush")
    name, training, files = data["name"], data["training"], data["files"]
    if not isinstance(name, str) or not name.strip() or not isinstance(training, dict):
        _fail(path, "'name' must be a text and 'training' an object", "correct the card or copy it again")
    if not isinstance(files, dict):
        _fail(path, "'files' must map file names to SHA-256", "correct the card or copy it again")
    for file, digest in files.items():
        if not _FILE_NAME.fullmatch(file) or ".." in file:
            _fail(path, f"file name {_quoted(file)} is refused", "only plain *.safetensors names in the folder work")
        if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
            _fail(path, f"the SHA-256 of {file} is not 64 hex digits", "correct the card or copy it again")
    try:
        _check_plausible(data["config"], "config")
        config = ModelConfig.from_json(data["config"])
        label_set = label_set_from_json(data["label_set"])
    except CheckpointError as error:
        _fail(path, str(error), "correct the card or copy it again")
    except (TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as error:
        _fail(path, f"config or label set has an impossible value ({error})", "correct the card or copy it again")
    return _Card(name, config, label_set, training, files)


def _check_plausible(value: Any, where: str) -> None:
    """Refuse sizes that would make building the networks' names and shapes take ages."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_plausible(item, f"{where}.{key}")
    elif isinstance(value, list):
        if len(value) > _MAX_LIST:
            raise CheckpointError(f"{where}: {len(value)} entries are too many")
        for item in value:
            _check_plausible(item, where)
    elif isinstance(value, int | float):
        limit = _MAX_LAYERS if where.endswith(("_layers", ".res_blocks")) else _MAX_INTEGER
        if not 0 <= value <= limit:
            raise CheckpointError(f"{where}: {value} is not within 0 to {limit}")


def _expected(folder: Path, config: ModelConfig, expected_shapes: Callable[[ModelConfig], Shapes]) -> Shapes:
    try:
        return expected_shapes(config)
    except (ValueError, ArithmeticError, RuntimeError) as error:
        _fail(folder / CARD_NAME, f"no network can be built from its config ({error})", "correct the card")


def _read_header(path: Path) -> dict[str, _Entry]:
    """The names, dtypes, shapes and byte ranges in a safetensors file, checked against the file's size."""
    if not path.is_file():
        _fail(path, "is listed in the card but missing", "copy the whole folder again")
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            _fail(path, f"is truncated: {size} bytes cannot hold its header", "copy or download it again")
        if length > _MAX_JSON_BYTES:
            _fail(path, f"declares a header of {length} bytes", "this is no weight file; download it again")
        data = _json_object(path, stream.read(length))
    data.pop("__metadata__", None)
    if len(data) > _MAX_TENSORS:
        _fail(path, f"names {len(data)} tensors, more than any model has", "this is no weight file; download it again")
    header = {key: _entry(path, key, value, 8 + length) for key, value in data.items()}
    position = 8 + length
    for key, entry in sorted(header.items(), key=lambda item: item[1].begin):
        if entry.end > size:
            _fail(path, f"is truncated: {_quoted(key)} ends beyond its {size} bytes", "copy or download it again")
        if entry.begin != position:
            _fail(path, f"{_quoted(key)} overlaps another tensor or leaves a gap", "download it again")
        position = entry.end
    if position != size:
        _fail(path, f"has {size - position} bytes that belong to no tensor", "download it again")
    return header


def _entry(path: Path, key: str, value: Any, start: int) -> _Entry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        _fail(path, f"the header entry of {_quoted(key)} is malformed", "download it again")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        _fail(path, f"{_quoted(key)} has dtype {_quoted(str(dtype))}", f"only {', '.join(_DTYPES)} can be loaded")
    for numbers, most in ((shape, 8), (offsets, 2)):
        plain = isinstance(numbers, list) and all(type(number) is int and 0 <= number < 2**48 for number in numbers)
        if not plain or len(numbers) > most:
            _fail(path, f"{_quoted(key)} has an impossible shape or byte range", "download it again")
    if len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * _DTYPES[dtype].itemsize:
        _fail(path, f"the byte range of {_quoted(key)} does not fit its shape {shape}", "download it again")
    return _Entry(_DTYPES[dtype], tuple(shape), start + offsets[0], start + offsets[1])


def _read_tensors(path: Path, header: Mapping[str, _Entry], digest: str) -> dict[str, torch.Tensor]:
    # Hashed and parsed from one copy in memory, so that a change on disk in between cannot slip in.
    content = bytearray(path.read_bytes())
    if hashlib.sha256(content).hexdigest() != digest:
        _fail(path, "does not have the SHA-256 that the card says: damaged or changed", "copy or download it again")
    tensors = {}
    for key, entry in header.items():
        count = math.prod(entry.shape)
        flat = torch.empty(0)  # `frombuffer` refuses empty ranges
        if count:
            flat = torch.frombuffer(content, dtype=entry.dtype, count=count, offset=entry.begin)
        tensors[key] = flat.reshape(entry.shape).to(torch.float32, copy=True)
        if not torch.isfinite(tensors[key]).all():
            _fail(path, f"{_quoted(key)} holds values that are not finite", "take an earlier checkpoint")
    return tensors


def _json_object(path: Path, content: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in pairs:
            if key in result:
                raise ValueError(f"duplicate key {_quoted(key)}")
            result[key] = value
        return result

    def constant(text: str) -> NoReturn:
        raise ValueError(f"{text} is no JSON number")

    try:
        data = json.loads(content.decode("utf-8"), object_pairs_hook=unique, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        _fail(path, f"is damaged or not a Scenebrush file ({error})", "copy or download it again")
    if not isinstance(data, dict):
        _fail(path, f"holds a JSON {type(data).__name__} instead of an object", "copy or download it again")
    return data


def _groups(tensors: Mapping[str, torch.Tensor], itemsize: int, max_file_bytes: int) -> list[list[str]]:
    """Names in order, cut into files; each entry's header text takes under 160 bytes besides its name."""
    groups: list[list[str]] = []
    room = 0
    for key in sorted(tensors):
        need = tensors[key].numel() * itemsize + len(json.dumps(key)) + 160
        if not groups or need > room:
            groups.append([])
            room = max_file_bytes - 64
        groups[-1].append(key)
        room -= need
    return groups


def _stored(folder: Path, key: str, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    if not tensor.is_floating_point():
        _fail(folder, f"{_quoted(key)} is {tensor.dtype}", "only floating point tensors can be saved")
    stored = tensor.detach().to("cpu", dtype, copy=True, memory_format=torch.contiguous_format)
    if not torch.isfinite(stored).all():
        _fail(folder, f"{_quoted(key)} is not finite as {dtype}", "save as torch.float32 or stop training earlier")
    return stored


def _stale_files(folder: Path, current: set[str]) -> list[Path]:
    """Files of an older save: those its card lists and those with the names that saves give; never others."""
    try:
        listed = set(_read_card(folder).files)
    except (CheckpointError, OSError):
        listed = set()
    old = [path for path in folder.iterdir() if path.name in listed or _OWN_FILE.fullmatch(path.name)]
    return [path for path in old if path.name not in current]


def _write_atomically(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    # Without this the new name may not survive a power cut; where folders cannot be synced, nothing more can be done.
    with contextlib.suppress(OSError):
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _card_bytes(card: Mapping[str, Any]) -> bytes:
    return (json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def _digest(files: Mapping[str, str], config: ModelConfig) -> str:
    canonical = json.dumps(config.to_json(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256("\n".join([*sorted(files.values()), canonical]).encode("utf-8")).hexdigest()


def _fail(where: str | Path, problem: str, advice: str) -> NoReturn:
    text = f"{where}: {problem if len(problem) <= 300 else problem[:299] + '…'}; {advice}"
    raise CheckpointError("".join(char if char.isprintable() else "?" for char in text)) from None


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:99] + "…")


def _some(keys: list[str]) -> str:
    shown = ", ".join(_quoted(key) for key in keys[:3])
    return f"{len(keys)} tensors, the first {shown}:" if len(keys) > 3 else f"tensor {shown}:"
