"""Paint to tokens: no painted pixel is ever lost (design/trust.md, rows 2 and 3)."""

from __future__ import annotations

import itertools
import math
import random

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.config import Semantics
from models.drawing.masks import encoder_mask, shrink_any, token_mask
from models.networks.pictures import one_hot, to_picture, to_pixels
from tests.helpers import examples

STROKES = 400


def touched_cells(mask: np.ndarray, side: int) -> np.ndarray:
    """Brute force: cell (r, c) covers the pixels that overlap [r, r+1) * height/side in exact fractions."""
    height, width = mask.shape
    out = np.zeros((side, side), bool)
    for row, column in np.argwhere(mask):
        rows = range(row * side // height, math.ceil((row + 1) * side / height))
        columns = range(column * side // width, math.ceil((column + 1) * side / width))
        for r in rows:
            for c in columns:
                out[r, c] = True
    return out


def random_stroke(chance: random.Random, side: int, thickness: int) -> np.ndarray:
    """A stroke of a few joined lines over a square of `side` pixels; it may leave the square."""
    mask = np.zeros((side, side), np.uint8)
    points = [(chance.randrange(side), chance.randrange(side))]
    for _ in range(chance.randint(1, 4)):
        x, y = points[-1]
        points.append((x + chance.randint(-side // 3, side // 3), y + chance.randint(-side // 3, side // 3)))
    for one, two in itertools.pairwise(points):
        cv2.line(mask, one, two, 1, thickness)
    return mask > 0


@pytest.mark.parametrize("side", [256, 512, 1024])
def test_that_thin_strokes_touch_every_token(side: int) -> None:
    chance = random.Random(side)
    for number in range(STROKES):
        mask = random_stroke(chance, side, thickness=1 + number % 15)
        tokens = token_mask(mask.astype(np.uint8) * 255, Semantics.CLEAN)
        rows, columns = np.nonzero(mask)
        assert tokens[rows // 16, columns // 16].all()
        assert tokens.sum() == len(set(zip(rows // 16, columns // 16, strict=True)))  # and no token besides


@pytest.mark.parametrize("side", [257, 300, 341, 700, 1023, 1365, 2001])
def test_that_thin_strokes_touch_every_token_of_a_scaled_window(side: int) -> None:
    """As the editor does it: from the photo's pixels to the window's, then to tokens."""
    chance = random.Random(side)
    resolution = max(size for size in (256, 512, 1024) if size <= side)
    for number in range(60):
        mask = random_stroke(chance, side, thickness=1 + number % 15)
        tokens = token_mask(shrink_any(mask, resolution).astype(np.uint8) * 255, Semantics.CLEAN)
        rows, columns = np.nonzero(mask)
        scale = resolution / 16 / side
        first_row, last_row = np.floor(rows * scale), np.ceil((rows + 1) * scale) - 1
        first_column, last_column = np.floor(columns * scale), np.ceil((columns + 1) * scale) - 1
        for r in (first_row, last_row):
            for c in (first_column, last_column):
                assert tokens[r.astype(int), c.astype(int)].all()


@given(
    st.integers(1, 90).flatmap(
        lambda side: st.tuples(st.just(side), st.lists(st.integers(0, side * side - 1), max_size=9))
    ),
    st.sampled_from([1, 2, 3, 5, 16, 32, 48]),
)
@examples(300)
def test_that_shrinking_a_square_mask_marks_just_the_cells_that_painted_pixels_overlap(
    pixels: tuple[int, list[int]], cells: int
) -> None:
    side, painted = pixels
    mask = np.zeros(side * side, bool)
    mask[painted] = True
    square = mask.reshape(side, side)
    assert np.array_equal(shrink_any(square, cells), touched_cells(square, cells))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 3599), st.sampled_from([1, 3, 16, 20]))
@examples(300)
def test_that_shrinking_any_rectangle_marks_just_the_cells_that_a_pixel_overlaps(
    height: int, width: int, place: int, cells: int
) -> None:
    mask = np.zeros((height, width), bool)
    mask.flat[place % mask.size] = True
    assert np.array_equal(shrink_any(mask, cells), touched_cells(mask, cells))


@given(st.integers(17, 400), st.sampled_from([16, 32]), st.integers(0, 2**32 - 1))
@examples(60)
def test_that_two_steps_of_shrinking_agree_with_one(side: int, cells: int, seed: int) -> None:
    """Photo -> window -> tokens gives the tokens that the window shows under the cursor (photo -> tokens)."""
    mask = np.random.default_rng(seed).random((side, side)) < 0.01
    resolution = 16 * cells
    two = shrink_any(shrink_any(mask, resolution), cells) if side > resolution else shrink_any(mask, cells)
    assert np.array_equal(two, shrink_any(mask, cells))


@given(st.integers(1, 8).map(lambda n: 16 * n), st.integers(0, 2**32 - 1), st.floats(0.0005, 0.2))
@examples(80)
def test_that_the_reference_takes_the_top_left_pixel_of_each_cell(side: int, seed: int, share: float) -> None:
    mask = (np.random.default_rng(seed).random((side, side)) < share).astype(np.uint8) * 255
    tokens = token_mask(mask, Semantics.REFERENCE)
    assert np.array_equal(tokens, cv2.resize(mask, (side // 16, side // 16), interpolation=cv2.INTER_NEAREST) > 0)


def test_that_the_reference_loses_a_stroke_that_clean_semantics_keeps() -> None:
    mask = np.zeros((256, 256), np.uint8)
    mask[5, 10:200] = 255
    assert token_mask(mask, Semantics.REFERENCE).sum() == 0
    assert token_mask(mask, Semantics.CLEAN).sum() == 13


@pytest.mark.parametrize("semantics", list(Semantics))
@pytest.mark.parametrize("side", [16, 256, 512])
def test_that_empty_and_full_masks_give_no_token_and_every_token(side: int, semantics: Semantics) -> None:
    empty, full = np.zeros((side, side), np.uint8), np.full((side, side), 255, np.uint8)
    assert not token_mask(empty, semantics).any()
    assert token_mask(full, semantics).all()
    assert not shrink_any(empty > 0, 16).any()
    assert shrink_any(full > 0, 16).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (3, 1000)])
def test_that_a_painted_photo_of_any_shape_paints_its_token(shape: tuple[int, int]) -> None:
    assert shrink_any(np.ones(shape, bool), 16).all()
    assert not shrink_any(np.zeros(shape, bool), 16).any()


def test_that_the_clean_encoder_hides_whole_tokens_and_the_reference_pixels() -> None:
    mask = np.zeros((256, 256), np.uint8)
    mask[16:33, 40] = 255
    tokens = token_mask(mask, Semantics.CLEAN)
    clean = encoder_mask(mask, tokens, Semantics.CLEAN)
    assert clean.shape == (1, 1, 16, 16) and torch.equal(clean[0, 0] > 0, torch.from_numpy(tokens))
    reference = encoder_mask(mask, token_mask(mask, Semantics.REFERENCE), Semantics.REFERENCE)
    assert reference.shape == (1, 1, 256, 256) and torch.equal(reference[0, 0] == 1, torch.from_numpy(mask > 0))


@pytest.mark.parametrize("semantics", list(Semantics))
def test_that_every_grey_level_survives_the_way_to_the_network_and_back(semantics: Semantics) -> None:
    """Reference truncates, so float noise may cost it one level; clean rounds."""
    photo = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    back = to_pixels(to_picture(photo), semantics).astype(int)
    assert np.abs(back - photo).max() <= (0 if semantics is Semantics.CLEAN else 1)


def test_that_clean_pixels_are_rounded_and_reference_pixels_cut_off() -> None:
    picture = torch.full((1, 3, 1, 1), 100.7 / 127.5 - 1)
    assert to_pixels(picture, Semantics.CLEAN).max() == 101
    assert to_pixels(picture, Semantics.REFERENCE).max() == 100
    for semantics in Semantics:
        assert to_pixels(torch.full((1, 3, 1, 1), 9.0), semantics).min() == 255
        assert to_pixels(torch.full((1, 3, 1, 1), -9.0), semantics).max() == 0


def test_that_one_hot_maps_give_their_labels_back() -> None:
    labels = np.random.default_rng(0).integers(0, 6, (20, 31)).astype(np.uint8)
    hot = one_hot(labels, 6)
    assert hot.shape == (1, 6, 20, 31)
    assert np.array_equal(hot.argmax(1)[0].numpy(), labels) and torch.equal(hot.sum(1), torch.ones(1, 20, 31))
