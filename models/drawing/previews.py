"""What is to be seen of a drawing under way: finished tokens over the guide's sketch, as often as time allows."""

from __future__ import annotations

import time
from dataclasses import replace

import cv2
import numpy as np

from ..candidate import Patch, Window
from .windows import Box, place_back

FIRST = 1.5  # seconds until the first preview, and at least between two


class Pace:
    """Lets previews take a share (0–1) of the time of a drawing at most. 0: there are none."""

    def __init__(self, share: float) -> None:
        self.share = share
        self._next = time.perf_counter() + FIRST if share > 0 else float("inf")

    @property
    def due(self) -> bool:
        return time.perf_counter() >= self._next

    def took(self, seconds: float) -> None:
        """A preview is made and took so long."""
        self._next = time.perf_counter() + max(FIRST, seconds / self.share)


def over_sketch(finished: Patch, sketch: Patch, drawn: np.ndarray, window: Window) -> Patch:
    """The patch of a window where tokens are drawn, (side, side) bool, and the sketch's elsewhere."""
    side = window.resolution
    mask = cv2.resize(drawn.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
    height, width = finished.pixels.shape[:2]
    box = Box(finished.x, finished.y, finished.x + width, finished.y + height)
    shown = place_back(mask, window, box) > 0
    return replace(finished, pixels=np.where(shown[:, :, None], finished.pixels, sketch.pixels))
