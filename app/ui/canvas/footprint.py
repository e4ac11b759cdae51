"""Which tokens a brush would touch, and the outline of their cells: pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.document.brush import Point, snapped
from models.candidate import Window
from models.config import TOKEN_PIXELS


@dataclass(frozen=True)
class TokenGrid:
    """Cells of `cell` photo pixels, one corner at x, y."""

    x: float
    y: float
    cell: float


Segment = tuple[float, float, float, float]  # x0, y0, x1, y1 in photo pixels


def grid_under(point: Point, windows: Sequence[Window]) -> TokenGrid:
    """The token grid of the planned window under a point; without one, the grid of an unscaled window at 0, 0."""
    for window in windows:
        if 0 <= point.x - window.x < window.side and 0 <= point.y - window.y < window.side:
            return TokenGrid(window.x, window.y, TOKEN_PIXELS * window.side / window.resolution)
    return TokenGrid(0, 0, TOKEN_PIXELS)


def touched_outline(point: Point, size: int, grid: TokenGrid) -> list[Segment]:
    """The outline round all cells that hold a pixel of a brush of `size` pixels at `point`."""
    centre = snapped(point, size)
    radius = size / 2
    column0 = math.floor((centre.x - radius - grid.x) / grid.cell)
    row0 = math.floor((centre.y - radius - grid.y) / grid.cell)
    count = math.ceil(size / grid.cell) + 1
    left = grid.x + (column0 + np.arange(count)) * grid.cell
    top = grid.y + (row0 + np.arange(count)) * grid.cell
    dx = _distance(centre.x, left, grid.cell)
    dy = _distance(centre.y, top, grid.cell)
    touched = np.pad(dx[None, :] ** 2 + dy[:, None] ** 2 <= radius**2, 1)
    segments: list[Segment] = []
    for row, column in np.argwhere(touched[1:, 1:-1] != touched[:-1, 1:-1]):
        x, y = grid.x + (column0 + column) * grid.cell, grid.y + (row0 + row) * grid.cell
        segments.append((x, y, x + grid.cell, y))
    for row, column in np.argwhere(touched[1:-1, 1:] != touched[1:-1, :-1]):
        x, y = grid.x + (column0 + column) * grid.cell, grid.y + (row0 + row) * grid.cell
        segments.append((x, y, x, y + grid.cell))
    return segments


def _distance(centre: float, starts: np.ndarray, cell: float) -> np.ndarray:
    """From a coordinate to the nearest pixel centre of each cell."""
    inset = min(0.5, cell / 2)
    return np.abs(centre - np.clip(centre, starts + inset, starts + cell - inset))
