"""The decoder's training with a backbone that sees: perceptual, texture and adversarial losses on its features."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.training.data.pairs import DataSet
from models.training.losses.perceptual import STAGES, load_backbone
from models.training.options import ImageOptions
from models.training.stages import image_vqgan
from models.training.stages.image_vqgan import ImageVqganStage
from tests.helpers import LABELS
from tests.shared import shared_path
from tests.training.stages import CONFIG, FP32
from tests.training.training_data import write_loose


def test_that_the_decoder_alone_learns_and_is_judged_by_what_the_backbone_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_vqgan, "JUDGE_ALONE", 3)
    backbone = load_backbone(shared_path("parts", "perceptual", "efficientnet_lite0_fp16.safetensors"), len(STAGES))
    data = DataSet.open([write_loose(tmp_path / "data", [f"p{n}" for n in range(3)], (256, 256), val=["p0"])])
    torch.manual_seed(0)
    stage = ImageVqganStage(
        CONFIG, LABELS, data, FP32, backbone, ImageOptions(adversarial_start=0, texture_weight=1.0, decoder_only=True),
        batch=2, learning_rate=3e-3,
    )  # fmt: skip
    before = {k: v.clone() for k, v in stage.vqgan.state_dict().items()}
    mixing = [part.clone() for part in _mixing(stage)]
    batch = stage.batch(0)
    metrics = []
    for number in range(14):
        torch.manual_seed(number)
        metrics.append(stage.step(batch, number))
    assert {"perceptual", "texture", "means", "moments", "judge"} <= set(metrics[0]) and "adversarial" not in metrics[0]
    assert "adversarial" in metrics[-1], "after some steps of its own the judge is listened to"
    assert metrics[-1]["judge"] < metrics[0]["judge"]
    assert metrics[-1]["means"] < metrics[0]["means"] and metrics[-1]["pixel"] < metrics[0]["pixel"]
    changed = {k for k, v in stage.vqgan.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and all(k.startswith(("decoder.", "post_quant_conv.")) for k in changed)
    assert all(torch.equal(a, b) for a, b in zip(mixing, _mixing(stage), strict=True))
    assert stage.evaluate(tmp_path, 14)["perceptual"] > 0


def test_that_the_decoder_can_learn_from_whole_pictures(tmp_path: Path) -> None:
    backbone = load_backbone(shared_path("parts", "perceptual", "efficientnet_lite0_fp16.safetensors"), len(STAGES))
    data = DataSet.open([write_loose(tmp_path / "data", ["one", "two"], (260, 270), val=["two"])])
    stage = ImageVqganStage(
        CONFIG, LABELS, data, FP32, backbone, ImageOptions(256, texture_weight=1.0, decoder_only=True), batch=1
    )
    pictures, labels, masks, _ = batch = stage.batch(0)
    assert pictures.shape == (1, 3, 256, 256) and labels.shape == (1, 256, 256) and masks.shape == (1, 1, 16, 16)
    assert stage.step(batch, 0)["moments"] > 0
    assert stage.modules["moments"] is stage.moments and float(stage.moments.weight) > 0


def _mixing(stage: ImageVqganStage) -> list[torch.Tensor]:
    """The judge's fixed random weights."""
    return [*stage.judge.mix.parameters(), *stage.judge.deeper.parameters()]
