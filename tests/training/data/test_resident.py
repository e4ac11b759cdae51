"""Photos resident on the GPU (here the CPU) give the same crops as reading and cropping them would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.training.data.pairs import DataError, DataSet
from models.training.data.resident import ResidentCrops, ResidentPhotos

SIDE = 32


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    rng = np.random.default_rng(0)
    for number, size in enumerate([(32, 48), (64, 64), (80, 70)]):
        rough = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(rough).resize(size[::-1]).save(tmp_path / f"p{number}.jpg")
        Image.fromarray(rng.integers(0, 5, size, dtype=np.uint8)).save(tmp_path / f"p{number}.png")
    return DataSet.open([tmp_path])


def test_that_a_crop_is_what_the_photo_holds_there(data: DataSet) -> None:
    photos = ResidentPhotos(data.train, 2, torch.device("cpu"))
    for row, pair in enumerate(data.train):
        photo, labels = pair.load()
        boxes, rows = np.array([[0, 0, SIDE], [0, 0, SIDE]]), np.array([row, row])
        pictures, maps = photos.crops(rows, boxes, np.array([False, True]), SIDE)
        found = ((pictures + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        assert np.array_equal(found[0], photo[:SIDE, :SIDE]) and np.array_equal(found[1], photo[:SIDE, SIDE - 1 :: -1])
        assert np.array_equal(maps[0].numpy(), labels[:SIDE, :SIDE])


def test_that_a_crop_twice_as_large_is_halved(data: DataSet) -> None:
    photos = ResidentPhotos(data.train, 2, torch.device("cpu"))
    row = next(i for i, pair in enumerate(data.train) if min(pair.load()[1].shape) >= 2 * SIDE)
    photo, _ = data.train[row].load()
    pictures, _ = photos.crops(np.array([row]), np.array([[0, 0, 2 * SIDE]]), np.array([False]), SIDE)
    halved = photo[: 2 * SIDE, : 2 * SIDE].reshape(SIDE, 2, SIDE, 2, 3).mean((1, 3))
    assert np.allclose((pictures[0].permute(1, 2, 0).numpy() + 1) * 127.5, halved, atol=1e-2)


def test_that_a_batch_is_a_function_of_its_number(data: DataSet) -> None:
    crops = ResidentCrops(ResidentPhotos(data.train, 2, torch.device("cpu")), SIDE, 6, 3, (0.5, 1.0))
    first, again, other = crops.batch(4), crops.batch(4), crops.batch(5)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == (6, 3, SIDE, SIDE) and first[2].shape == (6, 1, 2, 2)


def test_that_unreadable_pairs_are_left_out_and_none_at_all_is_an_error(data: DataSet, tmp_path: Path) -> None:
    data.train[0].photo.path.write_bytes(b"no picture")
    assert len(ResidentPhotos(data.train, 2, torch.device("cpu"))) == len(data.train) - 1
    with pytest.raises(DataError, match="none of 1 pairs"):
        ResidentPhotos(data.train[:1], 2, torch.device("cpu"))
