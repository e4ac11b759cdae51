"""The blend: unpainted pixels are bit-identical, painted ones become the generated ones (design/trust.md, row 1)."""

from __future__ import annotations

import random

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.finishing.blend import MAX_BAND, blend, reference_blend
from tests.helpers import examples, some_photo
from tests.shared import shared_path

SHAPES = st.one_of(
    st.tuples(st.integers(1, 200), st.integers(1, 200)), st.tuples(st.integers(1, 4), st.integers(1, 300))
)


def noise(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.uint8)


def random_paint(shape: tuple[int, ...], kind: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    height, width = shape
    paint = np.zeros(shape, np.uint8)
    if kind == "full":
        paint[:] = 1
    if kind in ("pixel", "hole"):
        paint[int(rng.integers(height)), int(rng.integers(width))] = 1
    if kind == "hole":
        paint = 1 - paint
    if kind == "noise":
        paint = (rng.random(shape) < rng.random()).astype(np.uint8)
    if kind == "strokes":
        for _ in range(3):
            ends = [(int(rng.integers(width)), int(rng.integers(height))) for _ in range(2)]
            cv2.line(paint, ends[0], ends[1], 1, int(rng.integers(1, 16)))
    if kind == "blob":
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(paint, centre, int(rng.integers(1, max(2, max(shape)))), 1, -1)
    if kind == "box":
        top, left = int(rng.integers(height)), int(rng.integers(width))
        paint[top : top + int(rng.integers(1, height + 1)), left : left + int(rng.integers(1, width + 1))] = 1
    return paint > 0


KINDS = ["empty", "full", "pixel", "hole", "noise", "strokes", "blob", "box"]


@given(SHAPES, st.sampled_from(KINDS), st.integers(0, 2**31))
@examples(300)
def test_that_unpainted_pixels_are_bit_identical(shape: tuple[int, int], kind: str, seed: int) -> None:
    original, paint = noise(shape, seed), random_paint(shape, kind, seed)
    before = original.copy()
    result = blend(noise(shape, seed + 1), original, paint)
    assert result.shape == original.shape and result.dtype == np.uint8
    assert np.array_equal(result[~paint], original[~paint])
    assert np.array_equal(original, before)  # and the photo itself is left alone


@given(SHAPES, st.sampled_from(KINDS), st.integers(0, 2**31))
@examples(60)
def test_that_blending_a_picture_into_itself_changes_at_most_rounding(
    shape: tuple[int, int], kind: str, seed: int
) -> None:
    original = noise(shape, seed)
    result = blend(original, original, random_paint(shape, kind, seed))
    assert np.abs(result.astype(int) - original).max(initial=0) <= 1


@given(st.integers(0, 2**31), st.sampled_from([(300, 300), (260, 420)]))
@examples(10)
def test_that_deep_inside_the_paint_the_generated_picture_is_taken(seed: int, shape: tuple[int, int]) -> None:
    paint = np.zeros(shape, bool)
    paint[4:-5, 3:-4] = True
    original, generated = noise(shape, seed), noise(shape, seed + 1)
    result = blend(generated, original, paint)
    depth = cv2.distanceTransform(np.pad(paint, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    deep = depth > 4 * MAX_BAND
    assert deep.sum() > 1000
    assert np.abs(result[deep].astype(int) - generated[deep]).max() <= 1
    moved = np.abs(result.astype(int) - original).mean(2)
    assert moved[depth > MAX_BAND].mean() > 40  # noise differs by 85 levels on average


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (64, 64), (37, 91), (300, 200)])
def test_that_a_fully_painted_photo_becomes_the_generated_one(shape: tuple[int, int]) -> None:
    generated = noise(shape, 1)
    result = blend(generated, noise(shape, 0), np.ones(shape, bool))
    assert np.abs(result.astype(int) - generated).max() <= 1


def test_that_paint_at_the_photos_border_is_not_faded_there() -> None:
    """What lies beyond the photo counts as painted: only the inner edge has a transition."""
    shape = (200, 300)
    paint = np.zeros(shape, bool)
    paint[:, :150] = True
    black, white = np.zeros((*shape, 3), np.uint8), np.full((*shape, 3), 255, np.uint8)
    result = blend(white, black, paint)
    assert result[:, 0].min() >= 250 and result[0, :60].min() >= 250 and result[-1, :60].min() >= 250
    assert result[:, 149].max() < 128 and not result[:, 150:].any()


def white_on_black(paint: np.ndarray) -> np.ndarray:
    """(h, w) int: the share of the generated picture in each pixel, 0 to 255."""
    black, white = (np.full((*paint.shape, 3), level, np.uint8) for level in (0, 255))
    return blend(white, black, paint)[:, :, 0].astype(int)


def square_paint(side: int) -> np.ndarray:
    paint = np.zeros((side + 120, side + 120), bool)
    paint[60 : 60 + side, 60 : 60 + side] = True
    return paint


def test_that_the_transition_has_no_step() -> None:
    line = white_on_black(square_paint(120))[120]
    assert np.abs(np.diff(line)).max() <= 64


@pytest.mark.parametrize("side", [12, 16, 24, 40, 60, 80, 120, 160, 400])
def test_that_the_middle_of_an_edit_is_the_generated_picture(side: int) -> None:
    """Not a ghost of it: at least 95 % where the paint is deepest, whatever the size of the edit."""
    assert white_on_black(square_paint(side))[60 + side // 2, 60 + side // 2] >= 0.95 * 255


@pytest.mark.parametrize("side", [120, 240, 400])
def test_that_the_transition_ends_within_the_declared_band(side: int) -> None:
    line = white_on_black(square_paint(side))[60 + side // 2]
    assert line[60 + int(MAX_BAND) + 8] >= 0.95 * 255


@pytest.mark.parametrize("thickness", range(3, 16))
def test_that_thin_strokes_show_what_was_generated(thickness: int) -> None:
    paint = np.zeros((60, 60), bool)
    paint[20 : 20 + thickness, 10:50] = True
    assert white_on_black(paint)[20 : 20 + thickness, 30].max() >= 100


@pytest.mark.parametrize("seed", range(3))
def test_that_twenty_edits_leave_unpainted_bytes_alone(seed: int) -> None:
    chance = random.Random(seed)
    original = some_photo(160, 220, seed)
    photo, ever = original.copy(), np.zeros((160, 220), bool)
    for number in range(20):
        paint = random_paint((160, 220), chance.choice(KINDS[2:3] + KINDS[5:6]), chance.randrange(10**6))
        before = photo
        photo = blend(noise((160, 220), 100 * seed + number), photo, paint)
        assert np.array_equal(photo[~paint], before[~paint])
        ever |= paint
    assert np.array_equal(photo[~ever], original[~ever])
    assert not np.array_equal(photo[ever], original[ever])


def test_that_the_reference_blend_gives_the_published_pixels() -> None:
    with np.load(shared_path("fixtures", "asset-tiny-A", "laplacian_blend.npz"), allow_pickle=False) as file:
        cases = sorted(name.removeprefix("result_") for name in file.files if name.startswith("result_"))
        assert cases
        for case in cases:
            generated, original, mask, levels, expected = (
                file[f"{part}_{case}"] for part in ("gen", "orig", "mask", "levels", "result")
            )
            result = reference_blend(generated, original, mask, int(levels))
            assert np.abs(result.astype(int) - expected).max() <= 1
            assert (result != expected).mean() <= 0.001


def test_that_the_reference_blend_bleeds_and_ours_does_not() -> None:
    """Why there are two: the published blend changes pixels that nobody painted."""
    shape = (128, 128)
    mask = np.zeros(shape, np.float32)
    mask[40:80, 40:80] = 1
    generated, original = noise(shape, 0), noise(shape, 1)
    outside = mask == 0
    assert (reference_blend(generated, original, mask, 5) != original)[outside].any()
    assert not (blend(generated, original, mask > 0) != original)[outside].any()


def test_that_the_reference_blend_of_nothing_and_of_everything_is_either_picture() -> None:
    generated, original = noise((64, 96), 0), noise((64, 96), 1)
    for mask, expected in ((np.zeros((64, 96)), original), (np.ones((64, 96)), generated)):
        result = reference_blend(generated, original, mask.astype(np.float32), 5)
        assert np.abs(result.astype(int) - expected).max() <= 1
