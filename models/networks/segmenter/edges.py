"""Soft maps made to follow the edges of a picture (He et al., "Guided Image Filtering", ECCV 2010, section 3)."""

from __future__ import annotations

import cv2
import numpy as np

REACH = 64  # a border moves so small a part of the longer side, at most
FLAT = 1e-3  # variance of grey levels (0 to 1) below which there is no edge


class EdgeFilter:
    """Smooths maps, but not across the edges of one picture."""

    def __init__(self, picture: np.ndarray) -> None:
        """picture: (H, W, 3) uint8."""
        self.side = 2 * (max(picture.shape[:2]) // REACH) + 1
        self.grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        self.mean = self._around(self.grey)
        self.variance = self._around(self.grey * self.grey) - self.mean * self.mean

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """values: (H, W) float32 -> the same, as a linear function of the grey level around each pixel."""
        mean = self._around(values)
        slope = (self._around(self.grey * values) - self.mean * mean) / (self.variance + FLAT)
        return self._around(slope) * self.grey + self._around(mean - slope * self.mean)

    def _around(self, values: np.ndarray) -> np.ndarray:
        """The mean over the square around each pixel."""
        return cv2.blur(values, (self.side, self.side), borderType=cv2.BORDER_REFLECT)
