"""Anything wrong with a weight file is a one-line CheckpointError within a second."""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from models.checkpoints import read
from models.checkpoints.read import default_checkpoint_folder, load_checkpoint
from models.config import ModelConfig
from models.errors import CheckpointError
from tests.models.checkpoints.saved import (
    SHAPES,
    edit_card,
    expected,
    refusal,
    use_weights,
    weights,
)


def test_that_changed_weights_fail_their_sha256(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "SHA-256" in refusal(folder)


def test_that_names_and_shapes_are_strict(folder: Path) -> None:
    few = {key: shape for key, shape in SHAPES.items() if key != "e.weight"}
    assert "'e.weight': unknown" in refusal(folder, lambda _: few)
    message = refusal(folder, lambda _: SHAPES | {f"z.{number}": (1,) for number in range(9)})
    assert "9 tensors, the first 'z.0', 'z.1', 'z.2': missing" in message
    message = refusal(folder, lambda _: SHAPES | {"a.weight": (4, 3)})
    assert "'a.weight' has shape [3, 4] where the config needs [4, 3]" in message


def test_that_a_config_without_network_is_refused(folder: Path) -> None:
    def impossible(_: ModelConfig) -> dict[str, tuple[int, ...]]:
        raise ValueError("nothing fits")

    assert "nothing fits" in refusal(folder, impossible)


def test_that_a_tensor_in_two_files_is_refused(folder: Path) -> None:
    content = safetensors.torch.save({"b.bias": torch.zeros(5)})
    (folder / "again.safetensors").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    edit_card(folder, lambda card: card["files"].update({"again.safetensors": digest}))
    assert "'b.bias': already stored in another file" in refusal(folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "truncated"),
        (b"\x01\x00", "truncated"),
        (struct.pack("<Q", 2**63) + b"{}", "truncated"),
        (struct.pack("<Q", 5_000_000) + b" " * 5_000_000, "declares a header"),
        (weights({}, b""), "tensors"),
        (weights({}, b"1234"), "belong to no tensor"),
        (struct.pack("<Q", 2) + b"[]", "instead of an object"),
        (struct.pack("<Q", 90_000) + b"[" * 90_000, "damaged"),
        (weights({"a": {"dtype": "F32", "shape": [1]}}, b"1234"), "malformed"),
        (weights({"a": 7}, b""), "malformed"),
        (weights({"a": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}, bytes(8)), "dtype 'I64'"),
        (weights({"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}, bytes(4)), "dtype"),
        (weights({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(4)), "truncated"),
        (weights({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)), "does not fit its shape"),
        (weights({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}, bytes(4)), "impossible"),
        (weights({"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, bytes(4)), "impossible"),
        (weights({"a": {"dtype": "F32", "shape": [10**400], "data_offsets": [0, 4]}}, bytes(4)), "impossible"),
        (weights({"a": {"dtype": "F32", "shape": [1] * 99, "data_offsets": [0, 4]}}, bytes(4)), "impossible"),
        (weights({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}, bytes(4)), "does not fit"),
        (
            weights(
                {
                    "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                    "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
                },
                bytes(12),
            ),
            "overlaps",
        ),
        (weights({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, bytes(8)), "gap"),
        (weights({"a": {"dtype": "I8", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)), "do not go together"),
        (weights({"a:scale": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)), "do not go together"),
        (
            weights(
                {
                    "a": {"dtype": "I8", "shape": [2, 2], "data_offsets": [0, 4]},
                    "a:scale": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
                },
                bytes(8),
            ),
            "no number for each row",
        ),
        (weights({"a\n\x1b" + "x" * 9000: 7}, b""), "malformed"),
        (weights({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, struct.pack("f", 1e999)), "not finite"),
    ],
)
def test_that_abused_weight_files_are_refused(folder: Path, content: bytes, words: str) -> None:
    use_weights(folder, content)
    shapes = None if "finite" in words else expected
    assert words in refusal(folder, shapes)


def test_that_a_header_with_many_names_is_refused_quickly(folder: Path) -> None:
    entries = {f"{number:06d}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(50_000)}
    use_weights(folder, weights(entries, b""))
    assert "50000 tensors" in refusal(folder)


def test_that_a_sparse_giant_is_refused_unread(folder: Path) -> None:
    entry = {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}
    use_weights(folder, weights({"a": entry}, b""))
    with (folder / "w.safetensors").open("r+b") as stream:
        stream.truncate(2**40 + stream.seek(0, os.SEEK_END))
    begin = time.process_time()
    with pytest.raises(CheckpointError, match="16 GiB"):
        load_checkpoint(folder)
    assert time.process_time() - begin <= 1.0


def test_that_unaligned_and_annotated_files_are_read(folder: Path) -> None:
    entries = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {"format": "pt"}}
    size = len(json.dumps(entries))
    use_weights(folder, weights(entries, struct.pack("ff", 1.5, -2.0), padding=(1 - size) % 8))
    assert load_checkpoint(folder).tensors["a"].tolist() == [1.5, -2.0]


def test_that_truncated_weight_files_are_refused_whatever_their_sha256(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    content = path.read_bytes()
    chance = random.Random(0)
    for length in [*range(12), *(chance.randrange(len(content)) for _ in range(60))]:
        use_weights(folder, content[:length])
        refusal(folder)


def test_that_mutated_checkpoints_only_ever_raise_checkpoint_errors(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    content = path.read_bytes()
    card = (folder / "card.json").read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    chance = random.Random(1)
    refused = 0
    for number in range(600):
        if number % 2:  # the card
            changed = mutated(card, len(card), chance)
            (folder / "card.json").write_bytes(changed)
        else:  # the weights, with the right SHA-256, so that the reader itself is tested
            (folder / "card.json").write_bytes(card)
            use_weights(folder, mutated(content, header if number % 4 else len(content), chance))
        begin = time.process_time()
        message = ""
        try:
            load_checkpoint(folder, expected)
        except CheckpointError as error:
            message = str(error)
            refused += 1
        assert message.isprintable()
        assert time.process_time() - begin <= 1.0
    assert refused > 300


def mutated(content: bytes, within: int, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8))):
        changed[chance.randrange(within)] = chance.randrange(256)
    return bytes(changed)


def test_that_the_default_checkpoint_belongs_to_the_checkout() -> None:
    assert default_checkpoint_folder() == Path(read.__file__).resolve().parents[2] / "checkpoints" / "default"
    assert default_checkpoint_folder() == read.DEFAULT_CHECKPOINT
