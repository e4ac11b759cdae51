"""What the tests beside it share: pickles and archives made by hand."""

from __future__ import annotations

import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from models.checkpoints.convert import read_ckpt
from models.config import ModelConfig
from models.errors import CheckpointError
from tests.shared import shared_path

FIXTURE = ("fixtures", "asset-tiny-A")
Shapes = dict[str, tuple[int, ...]]


def fixture_tensors() -> dict[str, torch.Tensor]:
    tensors = safetensors.torch.load_file(shared_path(*FIXTURE, "model.safetensors"))
    del tensors["cond_stage_model.colorize"]
    return {key: tensor.float() for key, tensor in tensors.items()}


def fixture_shapes(_: ModelConfig) -> Shapes:
    return {key: tuple(tensor.shape) for key, tensor in fixture_tensors().items()}


# ---- pickles and archives made by hand


def short(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def call(name: str, *arguments: bytes) -> bytes:
    """GLOBAL name, the arguments as a tuple, REDUCE."""
    return b"c" + name.replace(" ", "\n").encode() + b"\n(" + b"".join(arguments) + b"tR"


def tensor(
    key: str = "0",
    kind: str = "torch FloatStorage",
    count: int = 4,
    offset: int = 0,
    size: tuple[int, ...] = (2, 2),
    stride: tuple[int, ...] = (2, 1),
) -> bytes:
    storage = b"(" + text("storage") + b"c" + kind.replace(" ", "\n").encode() + b"\n" + text(key) + text("cpu")
    storage += short(count) + b"tQ"
    numbers = [b"(" + b"".join(map(short, values)) + b"t" for values in (size, stride)]
    return call("torch._utils _rebuild_tensor_v2", storage, short(offset), *numbers, b"\x89", b"}")


def archive(path: Path, pickled: bytes, storages: dict[str, bytes] | None = None, order: bytes = b"little") -> Path:
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("top/data.pkl", pickled)
        out.writestr("top/byteorder", order)
        four = np.arange(4, dtype="<f4" if order == b"little" else ">f4").tobytes()
        for key, content in ({"0": four} if storages is None else storages).items():
            out.writestr(f"top/data/{key}", content)
    return path


def with_extra(extra: bytes) -> bytes:
    """{'state_dict': {'w': a tensor}, 'extra': whatever `extra` builds}"""
    return b"\x80\x02}" + text("state_dict") + b"}" + text("w") + tensor() + b"ss" + text("extra") + extra + b"s."


def refusal(path: Path) -> str:
    begin = time.process_time()
    with pytest.raises(CheckpointError) as caught:
        read_ckpt(path)
    assert time.process_time() - begin <= 1.0
    message = str(caught.value)
    assert message.isprintable()
    assert "; " in message
    assert str(path) in message
    return message
