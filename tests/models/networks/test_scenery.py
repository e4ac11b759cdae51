"""What colours and contrasts say about labels, and how it is heard beside the segmenter's network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.config import SegmenterConfig
from models.networks.segmenter.scenery import MEASURES, Scenery, measures
from models.networks.segmenter.segmentation import Segmenter
from tests.helpers import LABELS
from tests.models.networks.test_segmentation import photo

CONFIG = SegmenterConfig((8, 8, 8, 8), side=64, scenery=(8, 6))


def pictures(count: int = 2, height: int = 64, width: int = 96) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(2)) * 2 - 1


def net(scenery: bool = True) -> Segmenter:
    torch.manual_seed(1)
    made = Segmenter(CONFIG if scenery else SegmenterConfig((8, 8, 8, 8), side=64), LABELS).eval()
    torch.nn.init.normal_(made.head.weight, std=3.0, generator=torch.Generator().manual_seed(5))
    return made


@pytest.mark.parametrize("size", [(64, 96), (256, 32), (32, 32)])
def test_that_each_place_has_its_measures(size: tuple[int, int]) -> None:
    found = measures(pictures(2, *size))
    assert found.shape == (2, size[0] // 4, size[1] // 4, MEASURES)
    assert found.isfinite().all() and found.abs().max() < 10
    assert found.flatten(0, 2).std(0).min() > 1e-5, "no measure says the same everywhere"


@pytest.mark.parametrize("grey", [-1.0, 0.0, 1.0])
def test_that_a_picture_without_contrast_can_be_measured(grey: float) -> None:
    found = measures(torch.full((1, 3, 64, 64), grey))
    assert found.isfinite().all() and found.abs().max() < 10


def test_that_each_picture_is_measured_by_itself() -> None:
    both = pictures()
    assert torch.allclose(measures(both)[1], measures(both[1:])[0], atol=1e-5)


def test_that_a_place_is_told_what_is_elsewhere_in_the_scene() -> None:
    """A change far away leaves the measures of a place and its surroundings, and alters those of the scene."""
    before = pictures(1, 128, 128)
    after = before.clone()
    after[:, :, 100:, 100:] = 0.9
    told = (measures(before) - measures(after))[0, 2, 2].abs() > 1e-4
    assert not told[:48].any(), "here and ten cells around at most"
    assert told[48:].any(), "the lower third is another"


def test_that_it_says_nothing_before_it_is_trained() -> None:
    logits = Scenery((8, 6), LABELS).eval()(pictures())
    assert logits.shape == (2, LABELS, 16, 24) and (logits == 0).all()
    plain, same = net(scenery=False), net()
    same.load_state_dict(plain.state_dict(), strict=False)
    assert (plain.label_map(photo()) == same.label_map(photo())).mean() > 0.95, "borders may move by a pixel"


def test_that_it_is_heard_beside_the_network() -> None:
    sure, plain = net(), net().label_map(photo())
    assert sure.scenery is not None
    label = int(np.bincount(plain.ravel(), minlength=LABELS).argmin())
    torch.nn.init.constant_(sure.scenery.head.bias[label : label + 1], 60.0)
    found = sure.label_map(photo())
    assert (found == label).sum() > (plain == label).sum()
    assert (found != label).any(), "but not alone"
