"""Pictures and masks made smaller by powers of two."""

from __future__ import annotations

import cv2
import numpy as np


def reduced(pixels: np.ndarray, level: int) -> np.ndarray:
    """(h, w, …) uint8 averaged over squares of 2**level; partial squares at the right and bottom count as whole."""
    if level == 0:
        return pixels
    step = 1 << level
    height, width = -(-pixels.shape[0] // step), -(-pixels.shape[1] // step)
    pad = (height * step - pixels.shape[0], width * step - pixels.shape[1])
    if any(pad):
        pixels = cv2.copyMakeBorder(pixels, 0, pad[0], 0, pad[1], cv2.BORDER_REPLICATE)
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
