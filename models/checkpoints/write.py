"""Checkpoints on disk, written so that an interrupted save leaves the older one whole."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_bytes

from ..config import LabelSet, ModelConfig
from ..errors import CheckpointError
from .header import DTYPES, SCALE, by_rows, fail, quoted
from .read import CARD_FORMAT, CARD_NAME, parse_card, read_card

WORTH = 4096  # values, from which a tensor is worth a scale of its own
_OWN_FILE = re.compile(r"weights-\d{2,}-[0-9a-f]{12}\.safetensors(\.part)?")


def save_checkpoint(
    folder: str | Path,
    *,
    name: str,
    config: ModelConfig,
    label_set: LabelSet,
    training: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    dtype: torch.dtype = torch.float16,
    eight_bits: tuple[str, ...] = (),
    max_file_bytes: int = 16_000_000,
) -> None:
    """Write a checkpoint folder, replacing an older one in it.

    tensors: floating point, any device, shape and strides; they are copied, so shared storage is fine.
    dtype: how they are stored (float16, bfloat16 or float32). eight_bits: beginnings of the names of networks whose
    matrices and kernels are stored as whole numbers of eight bits with a scale for each row, half of float16.
    A file stays under `max_file_bytes` unless one tensor alone is larger. Weight files carry their digest in their name
    and the card is replaced last, so an interrupted save leaves the older checkpoint whole.
    Raises CheckpointError: no tensors, values that are not finite in `dtype`, facts that are not JSON, disk errors.
    """
    folder = Path(folder)
    if dtype not in DTYPES.values():
        fail(folder, f"cannot store {dtype}", "choose torch.float16, torch.bfloat16 or torch.float32")
    card: dict[str, Any] = {"format": CARD_FORMAT, "name": name, "config": config.to_json()}
    card |= {"label_set": dataclasses.asdict(label_set), "training": dict(training), "files": {}}
    try:
        parse_card(folder / CARD_NAME, _card_bytes(card))
        groups = _groups(tensors, dtype, eight_bits, max_file_bytes)
    except (TypeError, ValueError, RecursionError) as error:
        fail(folder / CARD_NAME, f"cannot be written ({error})", "give names and training facts that fit JSON")
    if not groups:
        fail(folder, "there are no tensors to save", "pass the networks' state")
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        kept = set(folder.iterdir())
        for number, keys in enumerate(groups, start=1):
            parts = (_stored(folder, key, tensors[key], dtype, _small(key, tensors[key], eight_bits)) for key in keys)
            content = safetensors_bytes(dict(part for each in parts for part in each))
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
            fail(error.filename or folder, f"cannot be written ({error.strerror})", "free space or choose a folder")
        raise
    for path in stale:
        path.unlink(missing_ok=True)


def _small(key: str, tensor: torch.Tensor, eight_bits: tuple[str, ...]) -> bool:
    """Whether a tensor is stored as whole numbers: those of some size, with rows of more than a few values."""
    return key.startswith(eight_bits) and tensor.ndim > 1 and tensor.numel() >= WORTH and tensor[0].numel() >= 16


def _groups(
    tensors: Mapping[str, torch.Tensor], dtype: torch.dtype, eight_bits: tuple[str, ...], max_file_bytes: int
) -> list[list[str]]:
    """Names in order, cut into files; each entry's header text takes under 160 bytes besides its name."""
    groups: list[list[str]] = []
    room = 0
    for key in sorted(tensors):
        tensor, text = tensors[key], len(json.dumps(key)) + 160
        need = tensor.numel() * dtype.itemsize + text
        if _small(key, tensor, eight_bits):
            need = tensor.numel() + len(tensor) * 4 + 2 * text
        if not groups or need > room:
            groups.append([])
            room = max_file_bytes - 64
        groups[-1].append(key)
        room -= need
    return groups


def _stored(
    folder: Path, key: str, tensor: torch.Tensor, dtype: torch.dtype, small: bool
) -> Iterator[tuple[str, torch.Tensor]]:
    if not tensor.is_floating_point():
        fail(folder, f"{quoted(key)} is {tensor.dtype}", "only floating point tensors can be saved")
    kind = torch.float32 if small else dtype
    stored = tensor.detach().to("cpu", kind, copy=True, memory_format=torch.contiguous_format)
    if not torch.isfinite(stored).all():
        fail(folder, f"{quoted(key)} is not finite as {dtype}", "save as torch.float32 or stop training earlier")
    if small:
        scale = (stored.flatten(1).abs().amax(1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
        yield key + SCALE, scale
        stored = by_rows(stored, 1 / scale).round().to(torch.int8)
    yield key, stored


def _stale_files(folder: Path, current: set[str]) -> list[Path]:
    """Files of an older save: those its card lists and those with the names that saves give; never others."""
    try:
        listed = set(read_card(folder).files)
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
