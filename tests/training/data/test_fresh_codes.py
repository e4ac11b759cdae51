"""Codes made at each step are those of the cache's way, of crops that nobody has seen before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.training.data.codes import encode_pictures
from models.training.data.fresh_codes import FreshCodes
from models.training.data.pairs import DataSet
from models.training.data.resident import ResidentCrops, ResidentPhotos
from models.training.stages.transformers import TransformerStage
from tests.helpers import tiny_networks
from tests.training.stages import CONFIG, FP32, some_codes
from tests.training.training_data import write_loose

NETWORKS = tiny_networks(CONFIG)
IMAGE, LABEL = NETWORKS.first_stage_model, NETWORKS.cond_stage_model


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> ResidentPhotos:
    names = [f"photo{n}" for n in range(3)]
    data = DataSet.open([write_loose(tmp_path_factory.mktemp("fresh") / "data", names, (290, 270), val=[])])
    return ResidentPhotos(data.train, 32, FP32.device, least=512)


@pytest.mark.parametrize("side", [256, 512])
def test_that_codes_are_those_of_the_crop_and_of_its_known_part(photos: ResidentPhotos, side: int) -> None:
    """The same crops and masks, encoded the way that the cache does it."""
    tokens = ResidentPhotos(photos.pairs, side // 16, FP32.device, least=512)
    crops = ResidentCrops(tokens, side, 4, 3, (0.8, 1.0))
    batch, low = FreshCodes(crops, IMAGE, LABEL, FP32).batch(5)
    rows, boxes, mirrored = crops.chosen(np.random.default_rng((3, 5)))
    pictures, labels = tokens.crops(rows, boxes, mirrored, side)
    mask = batch["mask"].view(-1, side // 16, side // 16).numpy()
    assert mask.any((1, 2)).all() and mask.mean((1, 2)).max() <= 0.6
    pixels = ((pictures + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    painted = list(mask.repeat(16, 1).repeat(16, 2))
    sets = encode_pictures(pixels, labels.byte().numpy(), painted, IMAGE, LABEL, CONFIG, FP32)
    for size, made in ((side, batch), (256, low)):
        assert np.array_equal(made["mask"].numpy(), sets[size].mask)
        for name in ("target", "known", "condition"):  # crops are rounded to whole levels there
            assert (made[name].numpy() == getattr(sets[size], name)).mean() > 0.97, (size, name)


def test_that_a_batch_is_a_function_of_its_number(photos: ResidentPhotos) -> None:
    codes = FreshCodes(ResidentCrops(photos, 512, 2, 0, (0.8, 1.0), rounds=1), IMAGE, LABEL, FP32)
    first, again, other = codes.batch(1)[0], codes.batch(1)[0], codes.batch(2)[0]
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["target"], other["target"])


def test_that_paint_lies_where_the_photo_has_it(photos: ResidentPhotos) -> None:
    """A crop's paint is cut and mirrored as the crop itself is."""
    height, width = photos.sizes[1]
    start = int(photos.starts[1])
    whole = photos.paint[start : start + height * width].view(height, width) >> 2 & 1 > 0
    boxes, rows = np.array([[0, 0, 64], [0, 0, 64]]), np.array([1, 1])
    found = photos.painted(rows, boxes, np.array([False, True]), 64, np.array([2, 2]))
    assert torch.equal(found[0], whole[:64, :64]) and torch.equal(found[1], whole[:64, :64].flip(1))


def test_that_the_guide_learns_from_fresh_codes(photos: ResidentPhotos, tmp_path: Path) -> None:
    crops = ResidentCrops(ResidentPhotos(photos.pairs, 16, FP32.device), 256, 2, 0, (0.8, 1.0))
    val = {256: some_codes(2, 256, 1)}
    fresh = FreshCodes(crops, IMAGE, LABEL, FP32)
    stage = TransformerStage("guide", CONFIG, CONFIG.guide, fresh, val, FP32, batch=2, rate=3e-3)
    losses = [stage.step(stage.batch(number), number)["nats"] for number in range(12)]
    assert stage.examples(stage.batch(0)) == 2 and np.mean(losses[-3:]) < np.mean(losses[:3])
    assert stage.evaluate(tmp_path, 0)["nats"] > 0
