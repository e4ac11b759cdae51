"""Colours of what was drawn, matched to the photo beside it.

A decoder gives the known surroundings of an edit back with small errors of colour, and what it draws beside them has
the same ones: seen as a halo along the border. Those errors are known outside the paint, so they are carried into it:
spread from coarse to fine like scattered data (Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.4: push and
pull), only between places of similar lightness (a bilateral grid: Chen et al., SIGGRAPH 2007), and only where they are
small: a large one is other content, not an error.
"""

from __future__ import annotations

import cv2
import numpy as np

CELL = 8.0  # pixels of the drawn picture; finer errors are texture's
LEVELS = 3  # halvings of the grid of cells: errors are carried about 100 pixels far
FALL = 2.0  # how much less each coarser level counts
SHADES = 8  # of lightness
TRUSTED = 40.0  # levels of 255, root mean square over the channels: errors so large count for a third
FAINT = 1e-4  # weight of "no error"


def match_colors(generated: np.ndarray, original: np.ndarray, paint: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """`generated` without the errors of colour that it has beside the paint.

    generated, original: (h, w, 3) uint8, the edit with what is around it; paint: (h, w) bool; scale: their pixels to
    one of the picture that was drawn. Returns (h, w, 3) uint8, changed in painted pixels only.
    """
    if paint.all() or not paint.any():
        return generated
    height, width = paint.shape
    size = (max(1, round(width / (CELL * scale))), max(1, round(height / (CELL * scale))))
    outside = (~paint).astype(np.uint8)
    known = _cells(outside, size)  # how much of each cell is known
    drawn = _cells(generated, size)
    drawn_known = _cells(cv2.copyTo(generated, outside), size)
    error = (_cells(cv2.copyTo(original, outside), size) - drawn_known) / (known + 1e-6)
    trust = known * np.exp(-np.square(error / TRUSTED).mean(2, keepdims=True))
    source = _shades(drawn_known.mean(2, keepdims=True) / (known + 1e-6))
    target = _shades((drawn - drawn_known).mean(2, keepdims=True) / (1 - known + 1e-6))
    evidence = np.concatenate([error * trust, trust], 2)[:, :, None] * source  # (rows, columns, SHADES, 4)
    padded = np.pad(evidence, ((0, 0), (0, 0), (1, 1), (0, 0)))
    evidence = 0.25 * padded[:, :, :-2] + 0.5 * evidence + 0.25 * padded[:, :, 2:]
    spread = _spread(evidence.reshape(*evidence.shape[:2], -1)).reshape(evidence.shape)
    found = (spread * target).sum(2)
    carried = _pixels(found[..., :3] / (found[..., 3:] + FAINT), 1 - known, (width, height))
    matched = np.clip(np.rint(generated + carried), 0, 255).astype(np.uint8)
    return np.where(paint[..., None], matched, generated)


def _cells(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) or (h, w, 3) uint8 -> (rows, columns, 1 or 3) float32: the mean of each cell; size: columns, rows."""
    return cv2.resize(x.astype(np.float32), size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)


def _pixels(x: np.ndarray, share: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The inverse: (rows, columns, 3) -> (h, w, 3), between cells in proportion to their share (rows, columns, 1)."""
    weight = cv2.resize(share, size).reshape(size[1], size[0], 1)
    return cv2.resize(x * share, size) / (weight + 1e-6)


def _shades(light: np.ndarray) -> np.ndarray:
    """Lightness (h, w, 1) of 0 to 255 -> (h, w, SHADES, 1): the nearest two shades' shares."""
    places = light * ((SHADES - 1) / 255) - np.arange(SHADES, dtype=np.float32)
    return np.clip(1 - np.abs(places), 0, 1)[..., None]


def _spread(evidence: np.ndarray) -> np.ndarray:
    """Values and weights (h, w, c) carried to where there are none; near ones count for more."""
    levels = [evidence]
    for _ in range(LEVELS):
        levels.append(cv2.pyrDown(levels[-1]))
    result = levels.pop()
    for level in reversed(levels):
        result = cv2.pyrUp(result, dstsize=(level.shape[1], level.shape[0])) / FALL + level
    return result
