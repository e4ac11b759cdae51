"""Which squares of the photo are generated: planning windows round the edits, cutting them out, putting them back.

Any photo of any size: a window is moved inside the photo, and reflected beyond its border where the photo is
smaller. An edit that does not fit the largest window with context is generated scaled down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..candidate import Window
from ..request import NOT_PAINTED
from .outline import Outline

CONTEXT = 4 / 3  # a window is at least this much wider than the edit
LARGEST = 1024
CUBIC = 4  # pixels that an enlargement looks around


@dataclass(frozen=True)
class Box:
    """Half-open pixel box."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def extent(self) -> int:
        return max(self.right - self.left, self.bottom - self.top)

    @property
    def rows(self) -> slice:
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.right)

    def union(self, other: Box) -> Box:
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


@dataclass(frozen=True)
class PlannedWindow:
    """A window, the box of the painted pixels it edits, and which ones: components of the paint."""

    window: Window
    box: Box
    components: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """windows: in the order of generation. components: (H, W) int32, 0 where nothing is painted.

    outline: how far what is painted recedes into the paint; None: not at all.
    """

    windows: tuple[PlannedWindow, ...]
    components: np.ndarray
    outline: Outline | None = None

    def region(self, planned: PlannedWindow, margin: int) -> Box:
        """The window's box grown by `margin` pixels, inside both the window and the photo."""
        box, window = planned.box, planned.window
        height, width = self.components.shape
        return Box(
            max(box.left - margin, window.x, 0),
            max(box.top - margin, window.y, 0),
            min(box.right + margin, window.x + window.side, width),
            min(box.bottom + margin, window.y + window.side, height),
        )

    def edited_by(self, planned: PlannedWindow, region: Box) -> np.ndarray:
        """(h, w) bool over `region`: the painted pixels that this window edits."""
        return np.isin(self.components[region.rows, region.columns], planned.components)


def plan_windows(paint: np.ndarray, window: int | None, resolutions: Sequence[int]) -> Plan:
    """Plan the windows of an edit.

    paint: (H, W) uint8, NOT_PAINTED where nothing is to change. window: None takes the smallest of
    `resolutions` that holds the edit with context at the photo's own scale; a number is used as it is.
    """
    height, width = paint.shape
    painted = (paint != NOT_PAINTED).astype(np.uint8)
    count, components, stats, _ = cv2.connectedComponentsWithStats(painted, connectivity=8)
    sizes = sorted(resolutions) if window is None else [window]
    groups: list[tuple[Box, list[int]]] = []
    for number in range(1, count):
        left, top, w, h = (int(v) for v in stats[number, :4])
        _join(groups, Box(left, top, left + w, top + h), number, int(sizes[-1] / CONTEXT))
    planned = [
        PlannedWindow(_place(box, sizes, height, width), box, tuple(numbers)) for box, numbers in _merge(groups, sizes)
    ]
    return Plan(tuple(planned), components)


def _join(groups: list[tuple[Box, list[int]]], box: Box, number: int, fits: int) -> None:
    """Put a component into the first group that still fits one window, else into a group of its own."""
    for index, (other, numbers) in enumerate(groups):
        union = other.union(box)
        if union.extent <= fits:
            numbers.append(number)
            groups[index] = (union, numbers)
            return
    groups.append((box, [number]))


def _merge(groups: list[tuple[Box, list[int]]], sizes: list[int]) -> list[tuple[Box, list[int]]]:
    """Join groups whose paint lies inside another's box: what is drawn there is drawn anyway."""
    merged: list[tuple[Box, list[int]]] = []
    for box, numbers in sorted(groups, key=lambda g: -g[0].extent):
        for index, (other, more) in enumerate(merged):
            if other.union(box) == other:
                merged[index] = (other, more + numbers)
                break
        else:
            merged.append((box, numbers))
    return merged


def _place(box: Box, sizes: list[int], height: int, width: int) -> Window:
    needed = int(np.ceil(box.extent * CONTEXT))
    resolution = next((size for size in sizes if needed <= size), sizes[-1])
    side = max(needed, resolution)

    def start(first: int, last: int, limit: int) -> int:
        if limit <= side:
            return -((side - limit) // 2)
        return int(np.clip((first + last - side) // 2, 0, limit - side))

    return Window(start(box.left, box.right, width), start(box.top, box.bottom, height), side, resolution)


def cut(array: np.ndarray, window: Window) -> np.ndarray:
    """The window's square (side, side, …) of a picture or map (H, W, …), reflected beyond the photo's border."""
    rows = _reflected(window.y, window.side, array.shape[0])
    columns = _reflected(window.x, window.side, array.shape[1])
    if rows is None and columns is None:
        return array[window.y : window.y + window.side, window.x : window.x + window.side]
    inside = array[window.y : window.y + window.side] if rows is None else array[rows]
    return inside[:, window.x : window.x + window.side] if columns is None else inside[:, columns]


def _reflected(start: int, side: int, limit: int) -> np.ndarray | None:
    """Indices start…start+side-1 mirrored into 0…limit-1 (the border pixel repeated), or None when all are inside."""
    if start >= 0 and start + side <= limit:
        return None
    index = np.arange(start, start + side) % (2 * limit)
    return np.where(index < limit, index, 2 * limit - 1 - index)


def scale_photo(square: np.ndarray, side: int) -> np.ndarray:
    """A square photo (s, s, 3) uint8 at another side, by area when made smaller."""
    if square.shape[0] == side:
        return np.ascontiguousarray(square)
    method = cv2.INTER_AREA if square.shape[0] > side else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(square), (side, side), interpolation=method)


def scale_labels(square: np.ndarray, side: int) -> np.ndarray:
    """A square label map (s, s) uint8 at another side, by nearest neighbour."""
    if square.shape[0] == side:
        return np.ascontiguousarray(square)
    return cv2.resize(np.ascontiguousarray(square), (side, side), interpolation=cv2.INTER_NEAREST)


def place_back(picture: np.ndarray, window: Window, box: Box) -> np.ndarray:
    """The part of a generated picture (R, R, 3) that covers `box`, at the photo's scale: (h, w, 3) uint8."""
    if picture.shape[0] != window.side:
        picture = cv2.resize(picture, (window.side, window.side), interpolation=cv2.INTER_CUBIC)
    return picture[box.top - window.y : box.bottom - window.y, box.left - window.x : box.right - window.x]


def drawn_part(window: Window, box: Box, side: int) -> tuple[slice, slice]:
    """Rows and columns of a generated picture of `side` pixels that `place_back` needs for `box`."""
    scale = side / window.side

    def part(first: int, last: int) -> slice:
        return slice(max(0, math.floor(first * scale) - CUBIC), min(side, math.ceil(last * scale) + CUBIC))

    return part(box.top - window.y, box.bottom - window.y), part(box.left - window.x, box.right - window.x)
