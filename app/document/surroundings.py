"""Labels continued from what lies round an area: what is taken away leaves its neighbours."""

from __future__ import annotations

import cv2
import numpy as np

LEVEL = 3  # a step up or down counts as so many sideways: horizons and shores run level


def continued(labels: np.ndarray, area: np.ndarray) -> np.ndarray:
    """labels (H, W) uint8 with each pixel of `area` (H, W) bool given the label of a near one outside it.

    What most of the area shows is what is to go: that label is not continued, where there is another one near.
    Unchanged where the area is everything or nothing.
    """
    result = labels.copy()
    if not area.any() or area.all():
        return result
    used = [np.flatnonzero(area.any(axis)) for axis in (1, 0)]
    margin = 1 + max(int(line[-1] - line[0]) for line in used) // 2
    box = tuple(slice(max(0, int(line[0]) - margin), int(line[-1]) + margin + 1) for line in used)
    inner, seen = area[box], labels[box]
    sources = ~inner & (seen != np.bincount(seen[inner]).argmax())
    if not sources.any():
        sources = ~inner
    stretched = np.repeat((~sources).astype(np.uint8), LEVEL, 0)
    _, nearest = cv2.distanceTransformWithLabels(stretched, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    found = np.zeros(int(nearest.max()) + 1, np.uint8)
    found[nearest[stretched == 0]] = np.repeat(seen, LEVEL, 0)[stretched == 0]
    result[box][inner] = found[nearest[LEVEL // 2 :: LEVEL]][inner]
    return result
