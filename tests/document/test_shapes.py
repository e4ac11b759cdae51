"""Fill and lasso: exactly the right pixels, within what may be painted over, undone exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.document.brush import Point
from app.document.document import Document
from app.document.geometry import Rect
from app.document.shapes import connected_region, polygon
from models.request import NOT_PAINTED
from tests.document.documents import make_photo
from tests.helpers import examples

BOUNDS = Rect(0, 0, 40, 30)


@given(st.integers(0, 2**32 - 1))
@examples(30)
def test_that_a_region_is_what_can_be_walked_to(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (12, 17)).astype(np.uint8)
    x, y = int(rng.integers(17)), int(rng.integers(12))
    reached, todo = np.zeros(labels.shape, bool), [(y, x)]
    while todo:
        row, column = todo.pop()
        if 0 <= row < 12 and 0 <= column < 17 and not reached[row, column] and labels[row, column] == labels[y, x]:
            reached[row, column] = True
            todo += [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    rect, mask = connected_region(labels, x, y)
    found = np.zeros(labels.shape, bool)
    found[rect.slices] = mask
    assert np.array_equal(found, reached)
    assert rect == Rect.of_mask(reached)


def test_that_a_polygon_covers_the_pixels_inside_it() -> None:
    corners = [Point(5, 4), Point(30, 4), Point(30, 20), Point(5, 20)]
    rect, mask = polygon(corners, BOUNDS)
    whole = np.zeros((30, 40), bool)
    whole[rect.slices] = mask
    assert whole[5:19, 6:29].all() and not whole[:3].any() and not whole[22:].any()
    assert abs(int(whole.sum()) - 25 * 16) <= 25 + 16 + 1
    triangle = [Point(0, 0), Point(40, 0), Point(0, 30)]
    rect, mask = polygon(triangle, BOUNDS)
    assert mask[0, 0] and mask[10, 10] and not mask[29, 39]


@given(st.lists(st.tuples(st.floats(-2000, 2000), st.floats(-2000, 2000)), min_size=0, max_size=8))
@examples(60)
def test_that_any_outline_stays_inside_the_photo(corners: list[tuple[float, float]]) -> None:
    rect, mask = polygon([Point(*corner) for corner in corners], BOUNDS)
    assert rect.empty or rect == rect.intersected(BOUNDS)
    assert mask.shape == (rect.height, rect.width)


def document() -> Document:
    made = Document(make_photo())
    labels = np.zeros((30, 40), np.uint8)
    labels[:, 20:] = 1
    labels[10:20, 25:35] = 2
    made.set_start_labels(labels, "Labels")
    return made


def test_that_fill_takes_the_region_that_is_seen_and_undoes() -> None:
    doc = document()
    step = doc.fill(22, 2, 5, "Fill")
    assert step is not None
    wanted = np.zeros((30, 40), bool)
    wanted[:, 20:] = True
    wanted[10:20, 25:35] = False
    assert np.array_equal(doc.paint == 5, wanted)
    again = doc.fill(22, 2, 7, "Fill")  # paint is seen too
    assert again is not None and np.array_equal(doc.paint == 7, wanted)
    doc.revert(again)
    doc.revert(step)
    assert not doc.anything_painted
    assert doc.fill(22, 2, NOT_PAINTED, "Fill") is None  # nothing to change, no step


@pytest.mark.parametrize("tool", ["stroke", "polygon", "fill"])
def test_that_every_tool_heeds_only_over_and_locks(tool: str) -> None:
    doc = document()
    corners = [Point(0, 0), Point(40, 0), Point(40, 30), Point(0, 30)]

    def use() -> None:
        if tool == "stroke":
            stroke = doc.begin_stroke(9, "Brush")
            stroke.line_to(Point(20, 15), 100)
            stroke.finish()
        elif tool == "polygon":
            doc.paint_polygon(corners, 9, "Shape")
        else:
            for x, y in ((2, 2), (22, 2), (30, 15)):
                doc.fill(x, y, 9, "Fill")

    doc.only_over = 2
    use()
    assert np.array_equal(doc.paint == 9, doc.start == 2)
    doc.only_over, doc.locked = None, frozenset({0, 9})
    use()
    assert np.array_equal(doc.paint == 9, doc.start != 0)
    stroke = doc.begin_stroke(NOT_PAINTED, "Erase")
    stroke.line_to(Point(20, 15), 100)
    assert stroke.finish() is None  # 9 is locked: the eraser leaves it too
