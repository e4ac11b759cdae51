"""Edit masks for training: semantic components as in the paper, boxes, and brush strokes as people paint them."""

from __future__ import annotations

import cv2
import numpy as np

# Largest masked share by resolution (specification, section 9).
MAX_RATIO = {256: 0.6, 512: 0.6, 1024: 0.45}
KINDS = ("component", "label", "box", "brush")
PRESENT = 0.005  # share of the picture from which a label counts as present


def component_mask(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The dilated 8-connected component of a random pixel's class; (H, W) bool (specification, section 9)."""
    height, width = labels.shape
    return _component(labels, int(labels[int(rng.integers(height)), int(rng.integers(width))]), rng)


def label_mask(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same of a random label among those present, so that small regions are learnt too; (H, W) bool."""
    counts = np.bincount(labels.ravel())
    present = np.flatnonzero(counts >= max(1, PRESENT * labels.size))
    return _component(labels, int(rng.choice(present)) if len(present) else int(counts.argmax()), rng)


def _component(labels: np.ndarray, name: int, rng: np.random.Generator) -> np.ndarray:
    height, width = labels.shape
    rows, columns = np.nonzero(labels == name)
    pick = int(rng.integers(len(rows)))
    _, parts = cv2.connectedComponents((labels == name).astype(np.uint8), connectivity=8)
    mask = (parts == parts[rows[pick], columns[pick]]).astype(np.uint8)
    times = max(1, round(2 * max(height, width) / 256))
    return cv2.dilate(mask, np.ones((5, 5), np.uint8), iterations=times) > 0


def box_mask(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random box; (H, W) bool."""
    mask = np.zeros(labels.shape, bool)
    height, width = (int(s * rng.uniform(0.15, 0.8)) for s in labels.shape)
    top, left = int(rng.integers(labels.shape[0] - height)), int(rng.integers(labels.shape[1] - width))
    mask[top : top + height, left : left + width] = True
    return mask


def brush_mask(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A few thick strokes; (H, W) bool."""
    height, width = labels.shape
    mask = np.zeros(labels.shape, np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        point = rng.uniform(0, 1, 2) * (width, height)
        heading = rng.uniform(0, 2 * np.pi)
        thickness = int(max(height, width) * rng.uniform(0.04, 0.2))
        for _ in range(int(rng.integers(2, 8))):
            heading += rng.normal(0, 0.7)
            target = point + np.array([np.cos(heading), np.sin(heading)]) * max(height, width) * rng.uniform(0.05, 0.2)
            cv2.line(mask, tuple(int(v) for v in point), tuple(int(v) for v in target), 1, thickness)
            point = np.clip(target, 0, (width, height))
    return mask > 0


def training_mask(labels: np.ndarray, rng: np.random.Generator, max_ratio: float = 0.6) -> np.ndarray:
    """A mask of a random kind, never empty; (H, W) bool.

    One of `max_ratio` or more loses a random half of the picture, as in the paper; half of it is the most that is left.
    """
    kind = KINDS[int(rng.integers(len(KINDS)))]
    makers = {"component": component_mask, "label": label_mask, "box": box_mask, "brush": brush_mask}
    mask = makers[kind](labels, rng)
    if mask.mean() >= max_ratio:
        mask = mask & ~half(labels.shape, rng)
    return mask if mask.any() else half(labels.shape, rng)


def half(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """The top, bottom, left or right half; (H, W) bool."""
    mask = np.zeros(shape[:2], bool)
    side = int(rng.integers(4))
    view = mask if side < 2 else mask.T
    middle = view.shape[0] // 2
    if side % 2 == 0:
        view[:middle] = True
    else:
        view[middle:] = True
    return mask
