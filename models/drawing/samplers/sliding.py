"""A window that follows the token over a grid of any size (Taming Transformers, section 3.3; specification of the
sister systems, 2.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

COORDINATES = 1024


@dataclass(frozen=True)
class Place:
    """A token at (row, column) of the grid, and the top left cell of its window.

    row_in, column_in: where it is in the window.
    """

    row: int
    column: int
    top: int
    left: int

    @property
    def row_in(self) -> int:
        return self.row - self.top

    @property
    def column_in(self) -> int:
        return self.column - self.left


def place(row: int, column: int, height: int, width: int, side: int = 16, stride: int = 1) -> Place:
    """The window of `side` cells round a token: in its middle, or moved to lie in the grid of height × width cells.

    stride: windows begin at multiples of so many cells, so that neighbours share them; 1 is the published rule. Raises
    ValueError for a grid smaller than the window.
    """
    if height < side or width < side:
        raise ValueError(f"a grid of {height}x{width} cells is smaller than the window of {side}")

    def first(at: int, size: int) -> int:
        return min(max((at - side // 2) // stride * stride, 0), size - side)

    return Place(row, column, first(row, height), first(column, width))


def walk(height: int, width: int, side: int = 16, stride: int = 1) -> Iterator[Place]:
    """All cells in raster order."""
    for row, column in np.ndindex(height, width):
        yield place(row, column, height, width, side, stride)


def window(grid: np.ndarray, at: Place, side: int = 16) -> np.ndarray:
    """The cells (side, side) of a grid (h, w) that a place's window holds, a view."""
    return grid[at.top : at.top + side, at.left : at.left + side]


def coordinate_codes(height: int, width: int, token: int = 16) -> np.ndarray:
    """The condition of pictures without labels, (height / token, width / token) int64: how far through the picture in
    reading order each cell is, as one of COORDINATES codes; height, width in pixels."""
    through = (np.arange(height)[:, None] * width + np.arange(width)[None]) / (height * width)
    cells = through.reshape(height // token, token, width // token, token).mean((1, 3))
    return np.rint(COORDINATES * cells).astype(np.int64)
