"""The hard-edged round brush: which pixels a straight piece of a stroke covers.

A piece is a capsule, all points within half the brush size of a segment. It is convex, so every pixel row
holds one run; runs are found per row (cheap) and only then turned into a mask of the touched rectangle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .geometry import Rect

MAX_BRUSH = 1000  # pixels across


@dataclass(frozen=True)
class Point:
    """A position in photo pixels; pixel (0, 0) covers 0 ≤ x < 1 and 0 ≤ y < 1."""

    x: float
    y: float


def snapped(point: Point, size: int) -> Point:
    """Where the brush really sits: on a pixel's centre for odd sizes, on a corner for even ones.

    So a brush of size 1 always covers exactly one pixel, and a disc is symmetric whatever the mouse does.
    """
    if size % 2:
        return Point(math.floor(point.x) + 0.5, math.floor(point.y) + 0.5)
    return Point(float(round(point.x)), float(round(point.y)))


def capsule(start: Point, end: Point, size: int, bounds: Rect) -> tuple[Rect, np.ndarray]:
    """The pixels whose centre lies within size/2 of the segment start–end, both already snapped.

    size: brush diameter in pixels, ≥ 1. bounds: the picture.
    Returns the touched rectangle inside `bounds` and its mask (h, w) bool; an empty rectangle outside.
    """
    radius = size / 2
    x0, x1 = min(start.x, end.x) - radius, max(start.x, end.x) + radius
    y0, y1 = min(start.y, end.y) - radius, max(start.y, end.y) + radius
    left, top = math.floor(x0), math.floor(y0)
    rect = Rect(left, top, math.ceil(x1) - left, math.ceil(y1) - top).intersected(bounds)
    if rect.empty:
        return rect, np.zeros((0, 0), bool)
    rows = np.arange(rect.y, rect.bottom) + 0.5
    first, last = _row_runs(start, end, radius, rows)
    columns = np.arange(rect.x, rect.right, dtype=np.float32) + 0.5
    return rect, (columns >= first[:, None]) & (columns <= last[:, None])


def _row_runs(start: Point, end: Point, radius: float, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left and right ends of the capsule on each row centre, float32; left > right where the row misses it."""
    first = np.full(rows.shape, np.inf)
    last = np.full(rows.shape, -np.inf)
    for centre in (start, end):
        reach = radius**2 - (rows - centre.y) ** 2
        half = np.sqrt(np.maximum(reach, 0))
        inside = reach >= 0
        first = np.where(inside, np.minimum(first, centre.x - half), first)
        last = np.where(inside, np.maximum(last, centre.x + half), last)
    dx, dy = end.x - start.x, end.y - start.y
    length = math.hypot(dx, dy)
    if length > 0:
        across = (-dy / length * radius, dx / length * radius)
        corners = [
            (start.x + across[0], start.y + across[1]),
            (end.x + across[0], end.y + across[1]),
            (end.x - across[0], end.y - across[1]),
            (start.x - across[0], start.y - across[1]),
        ]
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
            if ay == by:
                continue  # a level side is found by its neighbours' ends
            along = (rows - ay) / (by - ay)
            crossing = ax + along * (bx - ax)
            hit = (along >= 0) & (along <= 1)
            first = np.where(hit, np.minimum(first, crossing), first)
            last = np.where(hit, np.maximum(last, crossing), last)
    slack = 1e-4  # pixel centres exactly on the edge belong to the brush, in float32 too
    return (first - slack).astype(np.float32), (last + slack).astype(np.float32)
