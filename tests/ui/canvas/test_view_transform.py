from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.document.brush import Point
from app.ui.canvas.view_transform import MAX_SCALE, MIN_SCALE, ViewTransform, fitted

views = st.builds(ViewTransform, st.floats(0.02, 30), st.floats(-5000, 5000), st.floats(-5000, 5000))
place = st.floats(0, 2000)


@given(views, place, place, st.floats(-8, 8))
def test_that_zooming_keeps_the_photo_point_under_the_mouse(view: ViewTransform, x: float, y: float, n: float) -> None:
    before = view.to_photo(x, y)
    after = view.zoomed_at(x, y, n)
    point = after.to_device(before)
    assert point.x == pytest.approx(x, abs=1e-3)
    assert point.y == pytest.approx(y, abs=1e-3)
    assert MIN_SCALE <= after.scale <= MAX_SCALE


def test_that_zooming_stops_at_100_percent_on_the_way() -> None:
    view = ViewTransform(0.9)
    assert view.zoomed_at(0, 0, 1).scale == 1
    assert ViewTransform(1.1).zoomed_at(0, 0, -1).scale == 1
    assert ViewTransform(1.0).zoomed_at(0, 0, 1).scale > 1


@given(st.integers(1, 12000), st.integers(1, 12000), st.integers(320, 4000), st.integers(240, 3000))
def test_that_a_fitted_photo_lies_inside_the_view(width: int, height: int, view_w: int, view_h: int) -> None:
    view = fitted((width, height), (view_w, view_h), 24)
    last = view.to_device(Point(width, height))
    assert view.scale <= 1
    assert view.x >= 23 and view.y >= 23
    assert last.x <= view_w - 23 and last.y <= view_h - 23


@given(views, st.integers(1, 9000), st.integers(1, 9000))
def test_that_the_photo_cannot_be_lost(view: ViewTransform, width: int, height: int) -> None:
    kept = view.kept_in_view((width, height), (1000, 700))
    assert kept.x <= 750 and kept.x + width * kept.scale >= 249
    assert kept.y <= 525 and kept.y + height * kept.scale >= 174
