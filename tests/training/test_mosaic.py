"""Mosaics: large training pictures of small ones at their own scale."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from models.training.data import CropStream, DataError, DataSet
from models.training.mosaic import Mosaic, mosaics
from tests.training.training_data import write_loose


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    return DataSet.open([write_loose(tmp_path, [f"p{n}" for n in range(12)], size=(64, 72), val=["p0"])])


def test_that_labels_lie_where_their_photo_lies(data: DataSet) -> None:
    photo, labels = Mosaic(data.train[:9], 128, top=1, left=3).load()
    assert photo.shape == (128, 128, 3) and labels.shape == (128, 128)
    assert np.median(np.abs(photo[..., 0].astype(int) - 40 * labels)) <= 2  # the red of these photos tells their label


def test_that_pieces_keep_their_scale_and_meet_between_tokens(data: DataSet) -> None:
    whole = Mosaic(data.train[:9], 128, top=0, left=0).load()[0]
    moved = Mosaic(data.train[:9], 128, top=0, left=0).load()[0]
    assert np.array_equal(whole, moved), "a pure function of its pieces and cut"
    ramp = whole[10, :, 1].astype(int)  # rises or falls steadily within a piece
    jumps = np.flatnonzero(np.abs(np.diff(ramp)) > 40) + 1
    assert set(jumps) <= {64}
    cut = Mosaic(data.train[:9], 128, top=2, left=1).load()[0][10, :, 1].astype(int)
    assert set(np.flatnonzero(np.abs(np.diff(cut)) > 40) + 1) <= {48, 112}


def test_that_every_pair_is_used_as_often_as_the_next(data: DataSet) -> None:
    made = mosaics(data.train, 11, 128)
    uses = Counter(piece.id for mosaic in made for piece in mosaic.pieces)
    assert len(made) == 11 and set(uses.values()) == {9}
    assert made == mosaics(data.train, 11, 128) and made != mosaics(data.train, 11, 128, seed=1)
    assert len({(m.top, m.left) for m in made}) > 3
    assert mosaics((), 5, 128) == () == mosaics(data.train, 0, 128)


def test_that_a_broken_piece_is_named(data: DataSet) -> None:
    data.train[4].photo.path.write_bytes(b"no photo")
    with pytest.raises(DataError, match=data.train[4].id):
        Mosaic(data.train[:9], 128, 0, 0).load()


def test_that_crops_can_be_taken_from_them(data: DataSet) -> None:
    photos, maps, _ = CropStream((*data.train, *mosaics(data.train, 5, 128)), 64, 4, 0).batch(0)
    assert photos.shape == (4, 64, 64, 3) and maps.shape == (4, 64, 64)
