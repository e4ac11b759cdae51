"""A safetensors file, strictly: an 8-byte little-endian header length, a JSON header, raw values."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch

from ..errors import CheckpointError

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}
STORED = {**DTYPES, "I8": torch.int8}  # whole numbers go with a tensor of the same name and SCALE
SCALE = ":scale"
MAX_JSON_BYTES = 4_000_000  # the published models' headers need 0.3 MB
_MAX_TENSORS = 20_000  # the published models have about a thousand


class Entry(NamedTuple):
    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int  # byte offsets in the file, header included
    end: int


def read_header(path: Path) -> dict[str, Entry]:
    """The names, dtypes, shapes and byte ranges in a safetensors file, checked against the file's size."""
    if not path.is_file():
        fail(path, "is listed in the card but missing", "copy the whole folder again")
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            fail(path, f"is truncated: {size} bytes cannot hold its header", "copy or download it again")
        if length > MAX_JSON_BYTES:
            fail(path, f"declares a header of {length} bytes", "this is no weight file; download it again")
        data = json_object(path, stream.read(length))
    data.pop("__metadata__", None)
    if len(data) > _MAX_TENSORS:
        fail(path, f"names {len(data)} tensors, more than any model has", "this is no weight file; download it again")
    header = {key: _entry(path, key, value, 8 + length) for key, value in data.items()}
    position = 8 + length
    for key, entry in sorted(header.items(), key=lambda item: item[1].begin):
        if entry.end > size:
            fail(path, f"is truncated: {quoted(key)} ends beyond its {size} bytes", "copy or download it again")
        if entry.begin != position:
            fail(path, f"{quoted(key)} overlaps another tensor or leaves a gap", "download it again")
        position = entry.end
    if position != size:
        fail(path, f"has {size - position} bytes that belong to no tensor", "download it again")
    return header


def _entry(path: Path, key: str, value: Any, start: int) -> Entry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        fail(path, f"the header entry of {quoted(key)} is malformed", "download it again")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in STORED:
        fail(path, f"{quoted(key)} has dtype {quoted(str(dtype))}", f"only {', '.join(STORED)} can be loaded")
    for numbers, most in ((shape, 8), (offsets, 2)):
        plain = isinstance(numbers, list) and all(type(number) is int and 0 <= number < 2**48 for number in numbers)
        if not plain or len(numbers) > most:
            fail(path, f"{quoted(key)} has an impossible shape or byte range", "download it again")
    if len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * STORED[dtype].itemsize:
        fail(path, f"the byte range of {quoted(key)} does not fit its shape {shape}", "download it again")
    return Entry(STORED[dtype], tuple(shape), start + offsets[0], start + offsets[1])


def shapes_in(path: Path, header: Mapping[str, Entry]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors of a file, scales left out; each must belong to the whole numbers beside it."""
    scaled = {key for key, entry in header.items() if entry.dtype == torch.int8}
    scales = {key for key in header if key.endswith(SCALE)}
    for key in sorted(scaled ^ {key.removesuffix(SCALE) for key in scales}):
        fail(path, f"{quoted(key)} and {quoted(key + SCALE)} do not go together", "download it again")
    for key in sorted(scaled):
        scale = header[key + SCALE]
        if scale.dtype == torch.int8 or len(scale.shape) != 1 or scale.shape != header[key].shape[:1]:
            fail(path, f"{quoted(key + SCALE)} is no number for each row", "download it again")
    return {key: entry.shape for key, entry in header.items() if key not in scales}


def read_tensors(path: Path, header: Mapping[str, Entry], digest: str) -> dict[str, torch.Tensor]:
    """The tensors of a file as float32, whole numbers times the scales of their rows."""
    # Hashed and parsed from one copy in memory, so that a change on disk in between cannot slip in.
    content = bytearray(path.read_bytes())
    if hashlib.sha256(content).hexdigest() != digest:
        fail(path, "does not have the SHA-256 that the card says: damaged or changed", "copy or download it again")
    stored = {}
    for key, entry in header.items():
        count = math.prod(entry.shape)
        flat = torch.empty(0)  # `frombuffer` refuses empty ranges
        if count:
            flat = torch.frombuffer(content, dtype=entry.dtype, count=count, offset=entry.begin)
        stored[key] = flat.reshape(entry.shape).to(torch.float32, copy=True)
    tensors = {}
    for key in shapes_in(path, header):
        scale = stored.get(key + SCALE)
        tensors[key] = stored[key] if scale is None else by_rows(stored[key], scale)
        if not torch.isfinite(tensors[key]).all():
            fail(path, f"{quoted(key)} holds values that are not finite", "take an earlier checkpoint")
    return tensors


def by_rows(values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Each row of `values` (R, …) times its number of `scale` (R,)."""
    return values * scale.view(-1, *[1] * (values.ndim - 1))


def json_object(path: Path, content: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in pairs:
            if key in result:
                raise ValueError(f"duplicate key {quoted(key)}")
            result[key] = value
        return result

    def constant(text: str) -> NoReturn:
        raise ValueError(f"{text} is no JSON number")

    try:
        data = json.loads(content.decode("utf-8"), object_pairs_hook=unique, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        fail(path, f"is damaged or not a Scenebrush file ({error})", "copy or download it again")
    if not isinstance(data, dict):
        fail(path, f"holds a JSON {type(data).__name__} instead of an object", "copy or download it again")
    return data


def fail(where: str | Path, problem: str, advice: str) -> NoReturn:
    text = f"{where}: {problem if len(problem) <= 300 else problem[:299] + '…'}; {advice}"
    raise CheckpointError("".join(char if char.isprintable() else "?" for char in text)) from None


def quoted(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:99] + "…")
