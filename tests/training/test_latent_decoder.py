"""The latent decoder's stage: crops are made once, a killed run goes on bit for bit, and both judges' figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.evaluation.cases import Case
from models.evaluation.metrics import Eye
from models.evaluation.reconstructions import Reconstructions
from models.networks.taef2 import TAEF2
from models.networks.vqgan import VQGAN
from models.training.data import latents
from models.training.data.latents import FIELDS, LatentCache
from models.training.data.pairs import DataSet
from models.training.loop import LoopSettings, run
from models.training.stages import latent_decoder
from models.training.stages.latent_decoder import JUDGED, LatentDecoderStage
from tests.helpers import LABELS
from tests.shared import shared_path
from tests.training.stages import CONFIG, FP32, recorded, state
from tests.training.training_data import write_loose

SIDE, STEPS, KILLED = 128, 4, 2


class Looks(nn.Module):
    """Feature maps of the backbone's sizes, of nothing but colours."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.ModuleList(nn.Conv2d(3, channels, 1) for channels in JUDGED)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        strides = (2, 4, 8, 16, 16, 32, 32)
        return [mix(F.avg_pool2d(x, stride)) for mix, stride in zip(self.mix, strides, strict=True)]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LatentCache:
    monkeypatch.setattr(latents, "SHARD", 2)
    monkeypatch.setattr(latent_decoder, "JUDGE_ALONE", 1)
    torch.manual_seed(0)
    vqgan = VQGAN(CONFIG.image_vqgan, CONFIG.semantics).eval().requires_grad_(False)
    taef2 = TAEF2().eval().requires_grad_(False)
    data = DataSet.open([write_loose(tmp_path / "data", [f"p{n}" for n in range(3)], (140, 150), val=["p0"])])
    return LatentCache(tmp_path / "crops", data.train, vqgan, taef2, side=SIDE)


def build(cache: LatentCache) -> LatentDecoderStage:
    torch.manual_seed(3)
    looks = Looks()
    return LatentDecoderStage(
        CONFIG,
        LABELS,
        cache,
        looks,
        FP32,
        batch=2,
        adversarial_start=1,
        first=2,
        widths=(8, 8),  # type: ignore[arg-type]
    )


def test_that_crops_are_made_once_and_known_features_hold_nothing_of_the_edit(cache: LatentCache) -> None:
    crops = cache.take(np.array([3, 0]))
    side = SIDE // 16
    assert crops.features.shape == crops.known.shape == (2, CONFIG.image_vqgan.embed_dim, side, side)
    assert crops.latents.shape == (2, 32, 2 * side, 2 * side) and crops.labels.shape == (2, SIDE // 4, SIDE // 4)
    assert crops.masks.any() and not crops.masks.all()
    cache.stream.batch = None  # type: ignore[method-assign, assignment]
    again = cache.take(np.array([3, 0]))
    assert all(np.array_equal(getattr(crops, name), getattr(again, name)) for name in FIELDS)


def test_that_a_killed_run_goes_on_bit_for_bit(cache: LatentCache, tmp_path: Path) -> None:
    def settings(name: str, **changes: object) -> LoopSettings:
        return LoopSettings(tmp_path / name, steps=STEPS, warmup=2, quiet=True, **changes)  # type: ignore[arg-type]

    whole: dict[int, dict[str, float]] = {}
    parts: dict[int, dict[str, float]] = {}
    rest: dict[int, dict[str, float]] = {}
    run(recorded(build(cache), whole), settings("whole"))
    with pytest.raises(KeyboardInterrupt):
        run(recorded(build(cache), parts, killed_at=KILLED), settings("parts", snapshot_minutes=0.0))
    run(recorded(build(cache), rest), settings("parts", resume=True))
    assert sorted(rest) == list(range(KILLED, STEPS))
    assert whole == parts | rest
    assert "adversarial" in whole[STEPS - 1] and "judge" not in whole[0]
    one, two = state(tmp_path / "whole"), state(tmp_path / "parts")
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_that_a_photo_comes_back_the_same_each_time(cache: LatentCache) -> None:
    stage = build(cache)
    picture, labels = torch.rand(1, 3, 96, 128) * 2 - 1, torch.zeros(1, 96, 128, dtype=torch.int64)
    first = stage.rebuild(picture, labels)
    assert first.shape == picture.shape and first.abs().max() <= 1
    assert torch.equal(first, stage.rebuild(picture, labels))


def test_that_a_perfect_decoder_has_no_distance() -> None:
    eye = Eye(shared_path("parts", "perceptual", "efficientnet_lite0_fp16.safetensors"))
    rng = np.random.default_rng(0)
    blank = np.zeros((64, 64), np.uint8)
    found = [Case(str(n), rng.integers(0, 256, (64, 64, 3), np.uint8), blank, blank > 0) for n in range(4)]
    measured = Reconstructions(found, eye, None)
    same, grey = measured.figures(lambda case: case.photo), measured.figures(lambda case: case.photo // 4 + 96)
    assert same["frechet"] < 1e-3 and same["perceptual"] < 1e-6
    assert grey["frechet"] > same["frechet"] and grey["perceptual"] > 0 and grey["psnr"] < same["psnr"]
