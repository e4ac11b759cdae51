"""Regions that are painted at once: everything of one label round a point, and the inside of a lasso."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .brush import Point
from .geometry import Rect

_SUBPIXELS = 4  # bits of precision that polygon corners keep


def connected_region(labels: np.ndarray, x: int, y: int) -> tuple[Rect, np.ndarray]:
    """The 4-connected pixels with the label of (x, y): bounding box and mask (h, w) bool.

    labels: (H, W) uint8; (x, y) inside it.
    """
    height, width = labels.shape
    reached = np.zeros((height + 2, width + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
    _, _, _, box = cv2.floodFill(np.ascontiguousarray(labels), reached, (x, y), 0, 0, 0, flags)
    rect = Rect(*box)
    return rect, reached[1:-1, 1:-1][rect.slices] > 0


def polygon(corners: Sequence[Point], bounds: Rect) -> tuple[Rect, np.ndarray]:
    """The pixels inside a closed outline (even-odd, its edge included): bounding box and mask; empty outside.

    corners: at least three points in photo pixels, anywhere.
    """
    if len(corners) < 3:
        return Rect(0, 0, 0, 0), np.zeros((0, 0), bool)
    points = np.array([(p.x - 0.5, p.y - 0.5) for p in corners])  # a pixel's centre is its coordinate for OpenCV
    low, high = np.floor(points.min(0)).astype(int), np.ceil(points.max(0)).astype(int) + 1
    rect = Rect(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])).intersected(bounds)
    if rect.empty:
        return Rect(0, 0, 0, 0), np.zeros((0, 0), bool)
    mask = np.zeros((rect.height, rect.width), np.uint8)
    places = ((points - (rect.x, rect.y)) * 2**_SUBPIXELS).round().clip(-(2**29), 2**29).astype(np.int32)
    cv2.fillPoly(mask, [places], 1, cv2.LINE_8, _SUBPIXELS)
    return rect, mask > 0
