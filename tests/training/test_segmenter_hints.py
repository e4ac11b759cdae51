"""The segmenter learns to foretell a backbone's features, and only while it trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from models.training.data.pairs import DataSet
from models.training.stages.segmenter import HINTS, SegmenterStage
from tests.training.stages import CONFIG, FP32
from tests.training.training_data import write_loose


class SomeBackbone(nn.Module):
    """Seven feature maps of fixed random filters, with the channels and scales of the real one."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.weights = {s: torch.randn(c, 3, 16, 16, generator=generator) for _, s, c in HINTS}

    def forward(self, x: Tensor) -> list[Tensor]:
        found = {s: nn.functional.conv2d(x, w, stride=16) for s, w in self.weights.items()}
        return [found.get(stage, x) if stage < 5 else nn.functional.avg_pool2d(found[6], 2) for stage in range(7)]


def test_that_the_features_of_the_backbone_are_learnt(tmp_path: Path) -> None:
    data = DataSet.open([write_loose(tmp_path / "data", [f"p{n}" for n in range(4)], (256, 256), val=["p0"])])
    torch.manual_seed(0)
    stage = SegmenterStage(CONFIG, data, FP32, backbone=SomeBackbone(), batch=2)  # type: ignore[arg-type]
    for group in stage.optimisers["segmenter"].param_groups:
        group["lr"] = 3e-3
    batch = stage.batch(0)
    first = stage.step(batch, 0)["hints"]
    for number in range(1, 25):
        last = stage.step(batch, number)["hints"]
    assert last < 0.7 * first
    plain = SegmenterStage(CONFIG, data, FP32, batch=2)
    assert plain.step(batch, 0)["hints"] == 0
    assert set(plain.net.state_dict()) == set(stage.net.state_dict())  # nothing of it ships


def test_that_what_colours_and_contrasts_say_is_learnt_beside_it(tmp_path: Path) -> None:
    data = DataSet.open([write_loose(tmp_path / "data", [f"p{n}" for n in range(4)], (256, 256), val=["p0"])])
    torch.manual_seed(0)
    stage = SegmenterStage(CONFIG, data, FP32, batch=2)
    fast, slow = stage.optimisers["segmenter"].param_groups[::-1]
    assert fast["scale"] > 1 and "scale" not in slow
    fast["lr"], slow["lr"] = 1e-2, 0.0
    before = {name: value.clone() for name, value in stage.net.state_dict().items()}
    batch = stage.batch(0)
    first = stage.step(batch, 0)["scenery"]
    for number in range(1, 25):
        last = stage.step(batch, number)["scenery"]
    assert last < 0.9 * first
    moved = {name for name, value in stage.net.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.startswith("scenery.")}, "the network learns nothing from it"


def test_that_a_segmenter_without_it_learns_as_before(tmp_path: Path) -> None:
    data = DataSet.open([write_loose(tmp_path / "data", [f"p{n}" for n in range(4)], (256, 256), val=["p0"])])
    assert CONFIG.segmenter is not None
    plain = SegmenterStage(replace(CONFIG, segmenter=replace(CONFIG.segmenter, scenery=())), data, FP32, batch=2)
    before = plain.net.head.weight.detach().clone()
    figures = plain.step(plain.batch(0), 0)
    assert figures["cross_entropy"] > 0 and not torch.equal(plain.net.head.weight, before)
