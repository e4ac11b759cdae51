"""Checkpoints on disk, read strictly: a folder with `card.json` and safetensors files.

The card says what the weights are (`config`, `label_set`, `training`) and lists every weight file with its
SHA-256. Nothing in a checkpoint can run code: the card is JSON that only fills frozen dataclasses.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..config import LabelSet, ModelConfig, label_set_from_json
from ..errors import CheckpointError
from .header import MAX_JSON_BYTES, fail, json_object, quoted, read_header, read_tensors, shapes_in

CARD_NAME = "card.json"
CARD_FORMAT = 2  # 1: without whole numbers
DEFAULT_CHECKPOINT = Path(__file__).resolve().parents[2] / "checkpoints" / "default"

Shapes = Mapping[str, tuple[int, ...]]

_CARD_FIELDS = ("format", "name", "config", "label_set", "training", "files")
_MAX_TOTAL_BYTES = 16 * 2**30  # the published COCO model in float32 takes 3.4 GB
_MAX_INTEGER, _MAX_LAYERS, _MAX_LIST = 2**20, 128, 256
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.safetensors")


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


def default_checkpoint_folder() -> Path:
    """The folder of the checkpoint that ships with a source checkout (it may be absent)."""
    return DEFAULT_CHECKPOINT


def read_label_set(folder: str | Path) -> LabelSet:
    """The label set of a checkpoint folder, without reading its weights; raises CheckpointError."""
    return read_card(Path(folder)).label_set


def load_checkpoint(folder: str | Path, expected_shapes: Callable[[ModelConfig], Shapes] | None = None) -> Checkpoint:
    """Read a checkpoint folder, values as float32 on the CPU.

    expected_shapes: gives the names and shapes that the networks of a config have; with it, every tensor must be
    there, none more, each with its shape. All headers are checked before any values are read.
    Raises CheckpointError (one line: file, what is wrong, what to do) and changes nothing on disk.
    """
    folder = Path(folder)
    try:
        card = read_card(folder)
        headers = {name: read_header(folder / name) for name in card.files}
        shapes: dict[str, tuple[int, ...]] = {}
        for name, header in headers.items():
            found = shapes_in(folder / name, header)
            twice = [key for key in found if key in shapes]
            if twice:
                fail(folder / name, f"{_some(twice)} already stored in another file", "download the folder again")
            shapes.update(found)
        if sum(entry.end - entry.begin for header in headers.values() for entry in header.values()) > _MAX_TOTAL_BYTES:
            fail(folder, "holds more than 16 GiB of weights", "this is no Scenebrush checkpoint")
        if expected_shapes is not None:
            check_shapes(folder, shapes, _expected(folder, card.config, expected_shapes))
        tensors: dict[str, torch.Tensor] = {}
        for name, digest in card.files.items():
            tensors.update(read_tensors(folder / name, headers[name], digest))
    except OSError as error:
        fail(error.filename or folder, f"cannot be read ({error.strerror})", "check the path and its permissions")
    digest = _digest(card.files, card.config)
    return Checkpoint(folder, card.name, card.config, card.label_set, card.training, tensors, digest)


def check_shapes(where: str | Path, found: Shapes, expected: Shapes) -> None:
    """Raise CheckpointError unless `found` has exactly the names of `expected`, each with its shape."""
    missing = sorted(set(expected) - set(found))
    if missing:
        fail(where, f"{_some(missing)} missing", "these weights do not fit the config; take the matching ones")
    unknown = sorted(set(found) - set(expected))
    if unknown:
        fail(where, f"{_some(unknown)} unknown to this config", "take matching weights or a newer Scenebrush")
    for key, shape in expected.items():
        if tuple(found[key]) != tuple(shape):
            problem = f"{quoted(key)} has shape {list(found[key])} where the config needs {list(shape)}"
            fail(where, problem, "these weights do not fit the config; take the matching ones")


def read_card(folder: Path) -> _Card:
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "no such checkpoint folder"
        fail(folder, problem, f"give the folder that holds {CARD_NAME}, or make one with 'main.py convert'")
    path = folder / CARD_NAME
    if not path.is_file():
        fail(path, "the card is missing", "give a folder saved by Scenebrush, or copy the whole folder again")
    if path.stat().st_size > MAX_JSON_BYTES:
        fail(path, f"is larger than {MAX_JSON_BYTES} bytes", "this is no card; copy the whole folder again")
    card = parse_card(path, path.read_bytes())
    if not card.files:
        fail(path, "lists no weight files", "copy the whole folder again")
    return card


def parse_card(path: Path, content: bytes) -> _Card:
    data = json_object(path, content)
    number = data.get("format")
    if type(number) is int and number > CARD_FORMAT:
        fail(path, f"has card format {number}, this is made for {CARD_FORMAT}", "a newer Scenebrush is needed")
    if type(number) is not int or number not in (1, CARD_FORMAT):
        fail(
            path,
            f"its card format is not 1 or {CARD_FORMAT}",
            "this is no Scenebrush checkpoint; choose another folder",
        )
    odd = sorted(set(data) ^ set(_CARD_FIELDS))
    if odd:
        state = "unknown" if odd[0] in data else "missing"
        fail(path, f"field {quoted(odd[0])} is {state}", "copy the whole folder again or use a newer Scenebrush")
    name, training, files = data["name"], data["training"], data["files"]
    if not isinstance(name, str) or not name.strip() or not isinstance(training, dict):
        fail(path, "'name' must be a text and 'training' an object", "correct the card or copy it again")
    if not isinstance(files, dict):
        fail(path, "'files' must map file names to SHA-256", "correct the card or copy it again")
    for file, digest in files.items():
        if not _FILE_NAME.fullmatch(file) or ".." in file:
            fail(path, f"file name {quoted(file)} is refused", "only plain *.safetensors names in the folder work")
        if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
            fail(path, f"the SHA-256 of {file} is not 64 hex digits", "correct the card or copy it again")
    try:
        _check_plausible(data["config"], "config")
        config = ModelConfig.from_json(data["config"])
        label_set = label_set_from_json(data["label_set"])
    except CheckpointError as error:
        fail(path, str(error), "correct the card or copy it again")
    except (TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as error:
        fail(path, f"config or label set has an impossible value ({error})", "correct the card or copy it again")
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
        fail(folder / CARD_NAME, f"no network can be built from its config ({error})", "correct the card")


def _digest(files: Mapping[str, str], config: ModelConfig) -> str:
    canonical = json.dumps(config.to_json(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256("\n".join([*sorted(files.values()), canonical]).encode("utf-8")).hexdigest()


def _some(keys: list[str]) -> str:
    shown = ", ".join(quoted(key) for key in keys[:3])
    return f"{len(keys)} tensors, the first {shown}:" if len(keys) > 3 else f"tensor {shown}:"
