"""Natural outlines: what is painted with a round brush need not come out as a round thing.

Where a stroke cuts through one label (a cloud into the sky, a lake into the meadow), its border is only roughly what
the artist means. There the label before the edit is asked for again in a ragged strip along the border, and the
picture fades from the photo to the generated one across that strip. Where the paint ends at an edge of the label
map, that edge is meant and stays. All of it lies inside the paint.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from ..request import NOT_PAINTED

WIDTH = 2.0  # tokens; the widest strip at amount 1
CORE = 0.6  # of a painted spot's depth at most becomes strip
OCTAVES = 3
ROUGHNESS = 0.6  # each finer octave is so much weaker


@dataclass(frozen=True)
class Outline:
    """paint: (H, W) uint8 as asked of the model, painted where the artist painted.

    top, left: of the box of the photo that `share` covers; share: (h, w) float32 in 0…1, the largest part that the
    generated picture may have in each pixel. Outside the box it may have all.
    """

    paint: np.ndarray
    top: int
    left: int
    share: np.ndarray

    def share_in(self, rows: slice, columns: slice) -> np.ndarray:
        """The share (h, w) in a box of the photo, given by its rows and columns."""
        shown = np.ones((rows.stop - rows.start, columns.stop - columns.start), np.float32)
        top, left = max(rows.start, self.top), max(columns.start, self.left)
        bottom = min(rows.stop, self.top + self.share.shape[0])
        right = min(columns.stop, self.left + self.share.shape[1])
        if top < bottom and left < right:
            part = self.share[top - self.top : bottom - self.top, left - self.left : right - self.left]
            shown[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] = part
        return shown


def natural_outline(labels: np.ndarray, paint: np.ndarray, amount: float, token: float) -> Outline:
    """labels, paint: (H, W) uint8, paint NOT_PAINTED elsewhere. amount: 0 (as painted) and up, 1 is usual.

    token: photo pixels that a token covers. The outline depends on nothing else, so that a draft, its full drawing and
    a part of it drawn again all have the same one.
    """
    painted = paint != NOT_PAINTED
    if amount <= 0 or not painted.any() or painted.all():
        return Outline(paint, 0, 0, np.ones((0, 0), np.float32))
    rows, columns = (np.flatnonzero(painted.any(axis)) for axis in (1, 0))
    top, left = max(0, int(rows[0]) - 1), max(0, int(columns[0]) - 1)
    box = slice(top, rows[-1] + 2), slice(left, columns[-1] + 2)
    inside, before = painted[box], labels[box]
    depth, cut = _depth(inside, before)
    width = np.minimum(amount * WIDTH * token, CORE * _deepest(inside, depth))
    reach = width * (0.5 + 0.5 * noise(inside.shape, 1.5 * token, zlib.crc32(np.packbits(inside).tobytes())))
    strip = inside & cut & (depth < reach)
    asked = paint.copy()
    asked[box][strip] = before[strip]
    share = np.ones(inside.shape, np.float32)
    way = np.clip((depth[strip] - 0.5) / np.maximum(reach[strip], 1.0), 0, 1)
    share[strip] = way**2 * (3 - 2 * way)
    return Outline(asked, top, left, share)


def _depth(inside: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each pixel the distance to the nearest unpainted one, and whether that one has the same label.

    What lies beyond the array counts as painted.
    """
    padded = np.pad(inside, 1, mode="edge").astype(np.uint8)
    around = np.pad(labels, 1, mode="edge")
    if padded.all():
        return np.full(inside.shape, np.inf, np.float32), np.zeros(inside.shape, bool)
    depth, nearest = cv2.distanceTransformWithLabels(padded, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    label_at = np.zeros(int(nearest.max()) + 1, np.uint8)
    label_at[nearest[padded == 0]] = around[padded == 0]
    same = label_at[nearest] == around
    return depth[1:-1, 1:-1], same[1:-1, 1:-1]


def _deepest(inside: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """(H, W) float32: the largest depth of the painted spot that each pixel belongs to."""
    count, spots = cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)
    deepest = np.zeros(count, np.float32)
    np.maximum.at(deepest, spots[inside], depth[inside])
    return deepest[spots]


def noise(shape: tuple[int, ...], scale: float, seed: int) -> np.ndarray:
    """(H, W) float32 in -1…1: smooth noise with details from `scale` pixels down."""
    rng = np.random.Generator(np.random.Philox(key=[seed, 0]))
    height, width = shape[:2]
    total = np.zeros((height, width), np.float32)
    for octave in range(OCTAVES):
        cell = max(1.0, scale / 2**octave)
        grid = rng.standard_normal((int(height / cell) + 2, int(width / cell) + 2)).astype(np.float32)
        total += ROUGHNESS**octave * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(total / np.sqrt(sum(ROUGHNESS ** (2 * o) for o in range(OCTAVES))), -1, 1)
