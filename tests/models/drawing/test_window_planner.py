"""The planner: every painted pixel is edited by exactly one window, whatever the photo and the paint."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.candidate import Window
from models.drawing.windows import CONTEXT, Box, Plan, cut, place_back, plan_windows, scale_labels, scale_photo
from models.request import NOT_PAINTED
from tests.helpers import box_paint, examples, paint_of, some_photo

SIZES = st.one_of(
    st.tuples(st.integers(1, 3000), st.integers(1, 2000)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from([(1, 1), (1, 2000), (3000, 1), (256, 256), (512, 512), (1024, 1024), (3000, 2000), (17, 33)]),
)
WINDOWS = st.sampled_from([None, None, 256, 512, 1024])
RESOLUTIONS = st.sampled_from([(256,), (256, 512), (256, 512, 1024), (256, 1024)])


@st.composite
def paints(draw: st.DrawFn) -> np.ndarray:
    """(H, W) uint8: boxes, single pixels, lines along the borders, or everything."""
    height, width = draw(SIZES)
    mask = np.zeros((height, width), bool)
    if draw(st.integers(0, 9)) == 0:
        mask[:] = True
        return paint_of(mask)
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["pixel", "box", "small box", "border"]))
        row, column = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        if kind == "pixel":
            mask[row, column] = True
        if kind == "box":
            mask[row : row + draw(st.integers(1, height)), column : column + draw(st.integers(1, width))] = True
        if kind == "small box":
            mask[row : row + 30, column : column + 30] = True
        if kind == "border":
            side = draw(st.integers(0, 3))
            (mask if side < 2 else mask.T)[0 if side % 2 else -1, :] = True
    return paint_of(mask)


def edited(plan: Plan, shape: tuple[int, int], margin: int = 48) -> np.ndarray:
    """(H, W) int: how many windows edit each pixel."""
    count = np.zeros(shape, np.int64)
    for planned in plan.windows:
        region = plan.region(planned, margin)
        count[region.rows, region.columns] += plan.edited_by(planned, region)
    return count


@given(paints(), WINDOWS, RESOLUTIONS)
@examples(150)
def test_that_every_painted_pixel_is_edited_by_exactly_one_window(
    paint: np.ndarray, window: str | int, resolutions: tuple[int, ...]
) -> None:
    plan = plan_windows(paint, window, resolutions)
    assert np.array_equal(edited(plan, paint.shape), (paint != NOT_PAINTED).astype(int))


@given(paints(), WINDOWS, RESOLUTIONS)
@examples(150)
def test_that_windows_hold_their_edit_with_context_and_lie_inside_the_photo(
    paint: np.ndarray, window: str | int, resolutions: tuple[int, ...]
) -> None:
    height, width = paint.shape
    plan = plan_windows(paint, window, resolutions)
    allowed = resolutions if window is None else (window,)
    for planned in plan.windows:
        at, box = planned.window, planned.box
        assert at.resolution in allowed and at.side >= at.resolution
        assert at.x <= box.left and box.right <= at.x + at.side
        assert at.y <= box.top and box.bottom <= at.y + at.side
        assert at.side >= box.extent * CONTEXT - 1e-9
        assert at.scaled == (box.extent * CONTEXT > at.resolution)  # never scaled without need
        assert at.side == max(at.resolution, math.ceil(box.extent * CONTEXT))
        for start, limit in ((at.x, width), (at.y, height)):
            if at.side <= limit:
                assert start >= 0 and start + at.side <= limit
            else:  # in the middle of the mirrored surroundings
                assert start <= 0 and start + at.side >= limit
                assert abs((-start) - (start + at.side - limit)) <= 1


@given(paints(), RESOLUTIONS)
@examples(60)
def test_that_auto_takes_the_smallest_window_that_holds_the_edit(
    paint: np.ndarray, resolutions: tuple[int, ...]
) -> None:
    for planned in plan_windows(paint, None, resolutions).windows:
        needed = planned.box.extent * CONTEXT
        fitting = [size for size in resolutions if size >= needed]
        assert planned.window.resolution == (min(fitting) if fitting else max(resolutions))


@given(paints(), st.integers(0, 60), RESOLUTIONS)
@examples(60)
def test_that_a_region_stays_inside_its_window_and_the_photo(
    paint: np.ndarray, margin: int, resolutions: tuple[int, ...]
) -> None:
    plan = plan_windows(paint, None, resolutions)
    for planned in plan.windows:
        region, window = plan.region(planned, margin), planned.window
        assert max(0, window.x) <= region.left <= planned.box.left
        assert planned.box.right <= region.right <= min(paint.shape[1], window.x + window.side)
        assert max(0, window.y) <= region.top <= planned.box.top
        assert planned.box.bottom <= region.bottom <= min(paint.shape[0], window.y + window.side)


def test_that_nothing_painted_needs_no_window() -> None:
    assert plan_windows(np.full((100, 100), NOT_PAINTED, np.uint8), None, (256, 512)).windows == ()


def test_that_islands_that_fit_one_window_share_it() -> None:
    mask = np.zeros((1000, 1000), bool)
    mask[300:320, 300:320] = mask[400:420, 430:440] = True
    (planned,) = plan_windows(paint_of(mask), None, (256, 512)).windows
    assert planned.box == Box(300, 300, 440, 420) and planned.window.resolution == 256
    assert len(planned.components) == 2


def test_that_islands_far_apart_get_windows_of_their_own() -> None:
    mask = np.zeros((1000, 3000), bool)
    mask[300:320, 100:120] = mask[400:420, 2800:2810] = True
    windows = plan_windows(paint_of(mask), None, (256, 512)).windows
    assert len(windows) == 2 and {w.window.resolution for w in windows} == {256}


def test_that_an_edit_wider_than_the_largest_window_is_scaled_and_says_so() -> None:
    (planned,) = plan_windows(box_paint(2000, 3000, 500, 200, 900, 2600), None, (256, 512, 1024)).windows
    assert planned.window.resolution == 1024 and planned.window.scaled and planned.window.side == 3200


def test_that_labels_do_not_matter_to_the_plan() -> None:
    paint = box_paint(300, 300, 50, 60, 90, 100, label=1)
    paint[60:70, 60:100] = 3
    assert len(plan_windows(paint, None, (256,)).windows) == 1


# --- cutting out and putting back ---------------------------------------------------------------------------


def mirrored(index: int, limit: int) -> int:
    """Mirror with the border pixel repeated: … 1 0 | 0 1 2 | 2 1 …"""
    while not 0 <= index < limit:
        index = -index - 1 if index < 0 else 2 * limit - 1 - index
    return index


@given(st.integers(1, 40), st.integers(1, 40), st.integers(-50, 40), st.integers(-50, 40), st.integers(1, 60))
@examples(150)
def test_that_a_window_beyond_the_border_is_mirrored(height: int, width: int, x: int, y: int, side: int) -> None:
    photo = some_photo(height, width)
    square = cut(photo, Window(x, y, side, side))
    assert square.shape == (side, side, 3)
    for row in range(side):
        for column in (0, side // 3, side - 1):
            expected = photo[mirrored(y + row, height), mirrored(x + column, width)]
            assert np.array_equal(square[row, column], expected)


def test_that_a_window_inside_the_photo_is_not_copied() -> None:
    photo = some_photo(300, 300)
    assert np.shares_memory(cut(photo, Window(10, 20, 256, 256)), photo)


@given(paints(), WINDOWS)
@examples(60)
def test_that_what_is_cut_out_is_put_back_in_place(paint: np.ndarray, window: str | int) -> None:
    plan = plan_windows(paint, window, (256, 512, 1024))
    assume(all(planned.window.side <= 2200 for planned in plan.windows))
    photo = some_photo(*paint.shape)
    for planned in plan.windows:
        at, region = planned.window, plan.region(planned, 48)
        square = scale_photo(cut(photo, at), at.resolution)
        assert square.shape == (at.resolution, at.resolution, 3)
        back = place_back(square, at, region)
        assert back.shape == (region.bottom - region.top, region.right - region.left, 3)
        if not at.scaled:
            assert np.array_equal(back, photo[region.rows, region.columns])


def test_that_a_scaled_window_comes_back_in_its_place() -> None:
    rows, columns = np.mgrid[0:1200, 0:1200]
    smooth = np.stack([rows / 5, columns / 5, (rows + columns) / 10], 2).astype(np.uint8)
    window, box = Window(0, 0, 1200, 256), Box(300, 200, 700, 900)
    back = place_back(scale_photo(smooth, 256), window, box)
    assert np.abs(back.astype(int) - smooth[box.rows, box.columns]).max() <= 2


@pytest.mark.parametrize("side", [256, 300, 511, 1024])
def test_that_scaled_labels_are_labels_of_the_map(side: int) -> None:
    labels = np.random.default_rng(0).choice([1, 4, 200], (side, side)).astype(np.uint8)
    small = scale_labels(labels, 256)
    assert small.shape == (256, 256) and set(np.unique(small)) <= {1, 4, 200}
    if side == 256:
        assert np.array_equal(small, labels)
