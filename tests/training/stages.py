"""The five stages on tiny models and synthetic data, small enough to take whole training runs in tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.config import ModelConfig
from models.training.data.codes import CodeSet
from models.training.data.pairs import DataSet
from models.training.loop import Stage
from models.training.options import ImageOptions
from models.training.precision import Precision
from models.training.stages import codebook, image_vqgan
from models.training.stages.image_vqgan import ImageVqganStage
from models.training.stages.label_vqgan import LabelVqganStage
from models.training.stages.segmenter import SegmenterStage
from models.training.stages.transformers import TransformerStage
from tests.helpers import CODES, LABEL_CODES, LABELS, tiny_config, tiny_transformer

FP32 = Precision(torch.device("cpu"), False)
CONFIG: ModelConfig = tiny_config(segmenter=True)
NAMES = ("label-vqgan", "image-vqgan", "segmenter", "guide", "sga")


@pytest.fixture
def quick_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quantisation after two steps, the discriminator's influence after one of its own."""
    monkeypatch.setattr(codebook, "START", 2)
    monkeypatch.setattr(image_vqgan, "JUDGE_ALONE", 1)


def some_codes(count: int, side: int, seed: int) -> CodeSet:
    rng = np.random.default_rng(seed)
    shape = (count, (side // 16) ** 2)
    mask = rng.random(shape) < 0.3
    mask[:, 0] = True
    target = rng.integers(0, CODES, shape).astype(np.int16)
    known = np.where(mask, rng.integers(0, CODES, shape), target).astype(np.int16)
    return CodeSet(target, known, mask, rng.integers(0, LABEL_CODES, shape).astype(np.int16))


def build(name: str, data: DataSet, **options: Any) -> Stage:
    """A fresh stage; the weights that it starts from depend on torch's global seed, as in a real run."""
    if name == "label-vqgan":
        return LabelVqganStage(CONFIG, data, FP32, batch=2)
    if name == "image-vqgan":
        return ImageVqganStage(CONFIG, LABELS, data, FP32, None, ImageOptions(adversarial_start=3, **options), batch=2)
    if name == "segmenter":
        return SegmenterStage(CONFIG, data, FP32, batch=2)
    sides = (256,) if name == "guide" else (256, 512)
    train, val = ({side: some_codes(6, side, seed + side) for side in sides} for seed in (0, 1))
    if name == "guide":
        return TransformerStage("guide", CONFIG, CONFIG.guide, train, val, FP32, batch=2)
    assert CONFIG.sga is not None
    guide = tiny_transformer(CONFIG.guide)
    return TransformerStage("sga", CONFIG, CONFIG.sga, train, val, FP32, guide=guide, batch=2)


def recorded(stage: Stage, losses: dict[int, dict[str, float]], killed_at: int | None = None) -> Stage:
    """Notes what each step returns; `killed_at`: this step never returns."""
    step: Callable[[Any, int], dict[str, float]] = stage.step

    def noted(batch: Any, number: int) -> dict[str, float]:
        if number == killed_at:
            raise KeyboardInterrupt
        losses[number] = step(batch, number)
        return losses[number]

    stage.step = noted  # type: ignore[method-assign]
    return stage


def state(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "state.safetensors")
