from __future__ import annotations

import math
import time

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.document.brush import MAX_BRUSH, Point, capsule, snapped
from app.document.geometry import Rect
from tests.document.documents import make_document

BOUNDS = Rect(0, 0, 50, 40)
points = st.builds(Point, st.floats(-20, 70), st.floats(-20, 60))


def painted(start: Point, end: Point, size: int) -> np.ndarray:
    rect, mask = capsule(snapped(start, size), snapped(end, size), size, BOUNDS)
    result = np.zeros((BOUNDS.height, BOUNDS.width), bool)
    if not rect.empty:
        result[rect.slices] = mask
    return result


def distances(start: Point, end: Point) -> np.ndarray:
    """From every pixel centre to the segment."""
    y, x = np.mgrid[: BOUNDS.height, : BOUNDS.width] + 0.5
    dx, dy = end.x - start.x, end.y - start.y
    along = ((x - start.x) * dx + (y - start.y) * dy) / max(dx * dx + dy * dy, 1e-12)
    along = np.clip(along, 0, 1)
    return np.hypot(x - start.x - along * dx, y - start.y - along * dy)


@given(points, points, st.integers(1, 30))
def test_that_a_piece_covers_the_pixels_within_half_the_size(start: Point, end: Point, size: int) -> None:
    found = painted(start, end, size)
    distance = distances(snapped(start, size), snapped(end, size))
    assert found[distance < size / 2 - 1e-3].all()
    assert not found[distance > size / 2 + 1e-3].any()


@given(st.floats(0, 49.9), st.floats(0, 39.9))
def test_that_a_one_pixel_brush_paints_the_pixel_under_the_mouse(x: float, y: float) -> None:
    found = painted(Point(x, y), Point(x, y), 1)
    assert found.sum() == 1
    assert found[math.floor(y), math.floor(x)]


@given(st.builds(Point, st.floats(0, 50), st.floats(0, 40)), st.builds(Point, st.floats(0, 50), st.floats(0, 40)))
def test_that_a_thin_line_has_no_gaps(start: Point, end: Point) -> None:
    parts, _ = cv2.connectedComponents(painted(start, end, 1).astype(np.uint8), connectivity=8)
    assert parts <= 2  # the background is one


@pytest.mark.parametrize("size", [20, 300, MAX_BRUSH])
def test_that_a_stamp_on_a_large_photo_touches_its_own_rectangle_only(size: int) -> None:
    """The slowest stamp is printed, the first one, which changes every pixel of the disc, included."""
    document = make_document(4096, 4096)
    times = []
    for attempt in range(2):
        stroke = document.begin_stroke(attempt, "stamp")
        slowest = 0.0
        for step in range(40):
            started = time.perf_counter()
            touched = stroke.line_to(Point(1500 + step * 23.7, 1400 + step * 11.3), size)
            slowest = max(slowest, time.perf_counter() - started)
            assert touched.width <= size + 26
            assert touched.height <= size + 26
        stroke.abort()
        times.append(slowest)
    print(f"brush {size}: slowest of 40 stamps {min(times) * 1000:.2f} ms")
