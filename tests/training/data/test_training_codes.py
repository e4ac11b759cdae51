"""Cached codes: what the encoder gives, the same after a round trip through the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.networks.pictures import to_picture
from models.training.data.codes import BATCH, CodeSet, encode_crops, load_codes, save_codes
from models.training.data.pairs import CropStream, DataSet
from tests.helpers import CODES, LABEL_CODES, tiny_networks
from tests.training.stages import CONFIG, FP32
from tests.training.training_data import write_loose

FIELDS = ("target", "known", "mask", "condition")
NETWORKS = tiny_networks(CONFIG)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    names = [f"photo{n}" for n in range(3)]
    return DataSet.open([write_loose(tmp_path_factory.mktemp("codes") / "data", names, (530, 520), val=[])])


def encode(data: DataSet, side: int, seed: int = 0, variants: int = 2) -> dict[int, CodeSet]:
    image, label = NETWORKS.first_stage_model, NETWORKS.cond_stage_model
    return encode_crops(data.train, variants, side, image, label, CONFIG, FP32, seed, progress=False)


@pytest.mark.parametrize("side", [256, 512])
def test_that_codes_come_back_from_the_cache_as_they_were(data: DataSet, side: int, tmp_path: Path) -> None:
    sets = encode(data, side, variants=1)
    assert sorted(sets) == sorted({side, 256})
    path = tmp_path / "codes" / f"train-{side}.npz"
    save_codes(sets, path)
    back = load_codes(path)
    assert sorted(back) == sorted(sets)
    for size in sets:
        for name in FIELDS:
            one, two = getattr(sets[size], name), getattr(back[size], name)
            assert one.dtype == two.dtype and np.array_equal(one, two)
    assert list(path.parent.iterdir()) == [path]


def test_that_codes_are_a_function_of_the_seed(data: DataSet) -> None:
    one, two, other = (encode(data, 256, seed)[256] for seed in (1, 1, 2))
    assert all(np.array_equal(getattr(one, name), getattr(two, name)) for name in FIELDS)
    assert not np.array_equal(one.target, other.target) and not np.array_equal(one.mask, other.mask)


def test_that_codes_are_those_of_the_whole_and_of_the_known_part(data: DataSet) -> None:
    sets = encode(data, 256)[256]
    assert len(sets) == 6 and sets.target.shape == (6, 256) and sets.target.dtype == np.int16
    assert sets.mask.any(1).all() and not sets.mask.all(1).any()
    assert sets.target.max() < CODES and sets.condition.max() < LABEL_CODES and sets.known.min() >= 0
    photos, _, _ = CropStream(data.train, 256, BATCH, 0, scales=(0.45, 1.0)).batch(0)
    image = NETWORKS.first_stage_model
    for number in range(6):
        picture = to_picture(photos[number])
        mask = torch.from_numpy(sets.mask[number]).view(1, 1, 16, 16).float()
        with torch.inference_mode():
            whole = image.quantize.indices(image.encode(picture))[0].numpy()
            known = image.quantize.indices(image.encode(picture, mask, known_only=True))[0].numpy()
        assert (whole == sets.target[number]).mean() > 0.99
        visible = ~sets.mask[number]
        assert (known == sets.known[number])[visible].mean() > 0.99


def test_that_what_is_hidden_does_not_show_in_the_known_codes(data: DataSet) -> None:
    """Codes of the known part differ from those of the whole beside the mask, and are equal far from it."""
    sets = encode(data, 512)[512]
    differ = (sets.known != sets.target) & ~sets.mask
    assert differ.any()
    for number in range(len(sets)):
        mask = sets.mask[number].reshape(32, 32)
        far = ~mask
        for _ in range(14):  # farther than the encoder's reach
            grown = far.copy()
            grown[1:] &= far[:-1]
            grown[:-1] &= far[1:]
            grown[:, 1:] &= far[:, :-1]
            grown[:, :-1] &= far[:, 1:]
            far = grown
        assert not (differ[number].reshape(32, 32) & far).any()


def test_that_both_sizes_show_the_same_crop_and_mask(data: DataSet) -> None:
    sets = encode(data, 512, variants=1)
    high, low = sets[512].mask.reshape(-1, 32, 32), sets[256].mask.reshape(-1, 16, 16)
    assert np.array_equal(high.reshape(-1, 16, 2, 16, 2).any((2, 4)), low)


def test_that_codes_made_in_a_hurry_are_the_first_of_all(data: DataSet) -> None:
    image, label = NETWORKS.first_stage_model, NETWORKS.cond_stage_model
    whole = encode(data, 256, variants=5)[256]
    some = encode_crops(data.train, 5, 256, image, label, CONFIG, FP32, 0, progress=False, until=0.0)[256]
    assert 0 < len(some) <= BATCH < len(whole) == 15
    assert np.array_equal(some.target, whole.target[: len(some)])
