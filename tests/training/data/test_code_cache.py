"""The cache of codes: made once, made anew when what they are made of has changed, made further when time was short."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.training.data.code_cache import cached_codes
from models.training.data.codes import CodeSet
from models.training.data.pairs import DataSet
from tests.training.stages import some_codes
from tests.training.training_data import write_loose

ALL = some_codes(4, 256, seed=3)


class Maker:
    """Makes the codes of up to `most` crops at a time and notes from which number on."""

    def __init__(self, most: int = 9) -> None:
        self.most, self.asked = most, list[int]()

    def __call__(self, begin: int) -> dict[int, CodeSet]:
        self.asked.append(begin)
        stop = begin + self.most
        return {
            256: CodeSet(ALL.target[begin:stop], ALL.known[begin:stop], ALL.mask[begin:stop], ALL.condition[begin:stop])
        }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_loose(tmp_path / "data", [f"p{n}" for n in range(4)], (40, 40), val=[])


def test_that_codes_are_made_once(folder: Path, tmp_path: Path) -> None:
    make, pairs = Maker(), DataSet.open([folder]).train
    for _ in range(2):
        sets = cached_codes(tmp_path / "codes", "train", 256, pairs, "encoders", make)
        assert np.array_equal(sets[256].target, ALL.target)
    assert make.asked == [0]


@pytest.mark.parametrize("change", ["a label map", "a photo more", "another order", "the encoders"])
def test_that_codes_are_made_anew_when_something_has_changed(change: str, folder: Path, tmp_path: Path) -> None:
    make, pairs, encoders = Maker(), DataSet.open([folder]).train, "encoders"
    cached_codes(tmp_path / "codes", "train", 256, pairs, encoders, make)
    if change == "a label map":
        Image.fromarray(np.zeros((40, 40), np.uint8)).save(folder / "p2.png")
    if change == "a photo more":
        write_loose(folder, [f"p{n}" for n in range(5)], (40, 40), val=[])
        pairs = DataSet.open([folder]).train
    if change == "another order":
        pairs = pairs[::-1]
    if change == "the encoders":
        encoders = "others"
    cached_codes(tmp_path / "codes", "train", 256, pairs, encoders, make)
    assert make.asked == [0, 0]
    assert len(list((tmp_path / "codes").iterdir())) == 1  # the old ones are gone


def test_that_codes_begun_in_a_hurry_are_made_further(folder: Path, tmp_path: Path) -> None:
    make, pairs = Maker(most=2), DataSet.open([folder]).train

    def codes() -> CodeSet:
        return cached_codes(tmp_path / "codes", "train", 256, pairs, "encoders", make)[256]

    assert len(codes()) == 2
    assert np.array_equal(codes().target, ALL.target)
    assert len(codes()) == 4 and make.asked == [0, 2]
    assert len(list((tmp_path / "codes").iterdir())) == 1
