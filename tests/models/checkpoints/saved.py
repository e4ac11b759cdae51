"""What the tests beside it share: a tiny checkpoint that is saved, changed and refused."""

from __future__ import annotations

import hashlib
import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.checkpoints.read import load_checkpoint
from models.checkpoints.write import save_checkpoint
from models.config import Label, LabelSet, ModelConfig, Semantics, TransformerConfig, VQGANConfig
from models.errors import CheckpointError

TRANSFORMER = TransformerConfig(8, 8, 16, 2, 1, 1, 32, (0,), (0,))
VQGAN = VQGANConfig(3, 3, (8, 8, 8, 8, 8), 1, 8, 8, 8, norm="position")
CONFIG = ModelConfig(Semantics.CLEAN, VQGAN, VQGAN, TRANSFORMER, TRANSFORMER, (256, 512))
LABELS = LabelSet("two", (Label("sky", (1, 2, 3)), Label("sea", (4, 5, 6), rare=True)))
SHAPES = {"a.weight": (3, 4), "b.bias": (5,), "c.scalar": (), "d.empty": (0, 2), "e.weight": (64, 64)}


def expected(_: ModelConfig) -> dict[str, tuple[int, ...]]:
    return SHAPES


def some_tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {key: torch.randn(shape, generator=generator).half().float() for key, shape in SHAPES.items()}


def save(folder: Path, **changes: Any) -> dict[str, torch.Tensor]:
    facts = {"name": "tiny", "config": CONFIG, "label_set": LABELS, "training": {"steps": 3}, "tensors": some_tensors()}
    facts |= changes
    save_checkpoint(folder, **facts)
    return facts["tensors"]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def refusal(folder: Path, shapes: Callable[..., Any] | None = expected) -> str:
    """Load, and return the message that it was refused with."""
    before = snapshot(folder) if folder.is_dir() else None
    begin = time.process_time()
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder, shapes)
    assert time.process_time() - begin <= 1.0
    assert before is None or snapshot(folder) == before
    message = str(caught.value)
    assert message.isprintable()
    assert "; " in message
    assert str(folder) in message
    return message


def edit_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    card = json.loads((folder / "card.json").read_text())
    change(card)
    (folder / "card.json").write_text(json.dumps(card))


def use_weights(folder: Path, content: bytes, name: str = "w.safetensors") -> None:
    """Make `content` the only weight file, with the right SHA-256 in the card."""
    (folder / name).write_bytes(content)
    edit_card(folder, lambda card: card.update(files={name: hashlib.sha256(content).hexdigest()}))


def weights(entries: dict[str, Any], data: bytes, padding: int = 0) -> bytes:
    header = json.dumps(entries).encode() + b" " * padding
    return struct.pack("<Q", len(header)) + header + data
