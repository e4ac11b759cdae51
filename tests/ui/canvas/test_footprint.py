from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.document.brush import Point, capsule, snapped
from app.document.geometry import Rect
from app.ui.canvas.footprint import TokenGrid, grid_under, touched_outline
from models.candidate import Window


@given(st.floats(60, 200), st.floats(60, 200), st.integers(1, 90), st.integers(0, 15), st.integers(0, 15))
def test_that_the_outline_encloses_exactly_the_touched_cells(x: float, y: float, size: int, gx: int, gy: int) -> None:
    grid = TokenGrid(gx - 16, gy - 16, 16)
    point = Point(x, y)
    rect, mask = capsule(snapped(point, size), snapped(point, size), size, Rect(0, 0, 320, 320))
    pixels = np.argwhere(mask) + np.array([rect.y, rect.x])
    cells = {(int((py - grid.y) // 16), int((px - grid.x) // 16)) for py, px in pixels}
    edges = set()
    for row, column in cells:
        left, top = grid.x + column * 16, grid.y + row * 16
        for edge in (
            (left, top, left + 16, top),
            (left, top + 16, left + 16, top + 16),
            (left, top, left, top + 16),
            (left + 16, top, left + 16, top + 16),
        ):
            edges ^= {edge}  # an edge between two touched cells goes
    assert set(touched_outline(point, size, grid)) == edges


def test_that_the_grid_is_that_of_the_window_under_the_mouse() -> None:
    windows = (Window(100, 40, 512, 256), Window(700, 40, 256, 256))
    assert grid_under(Point(150, 60), windows) == TokenGrid(100, 40, 32)
    assert grid_under(Point(750, 60), windows) == TokenGrid(700, 40, 16)
    assert grid_under(Point(5, 5), windows) == TokenGrid(0, 0, 16)
