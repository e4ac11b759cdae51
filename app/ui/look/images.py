"""numpy arrays ↔ Qt images: the only module that does it. Every image owns its pixels (they are copied)."""

from __future__ import annotations

import cv2
import numpy as np
import qimage2ndarray
from PySide6.QtCore import QRect
from PySide6.QtGui import QImage


def rgb_image(rgb: np.ndarray) -> QImage:
    """A Format_RGB32 image of (h, w, 3) uint8 sRGB, h and w ≥ 1."""
    height, width = rgb.shape[:2]
    image = QImage(width, height, QImage.Format.Format_RGB32)
    write_rgb(image, rgb, 0, 0)
    return image


def write_rgb(image: QImage, rgb: np.ndarray, x: int, y: int) -> None:
    """Overwrite the part of an RGB32 image that starts at x, y with (h, w, 3) uint8."""
    height, width = rgb.shape[:2]
    pixels = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGRA).view(np.uint32)[:, :, 0]
    qimage2ndarray.raw_view(image)[y : y + height, x : x + width] = pixels


def argb_image(argb: np.ndarray) -> QImage:
    """A premultiplied image of (h, w) uint32 0xAARRGGBB, h and w ≥ 1."""
    height, width = argb.shape
    image = QImage(width, height, QImage.Format.Format_ARGB32_Premultiplied)
    write_argb(image, argb, 0, 0)
    return image


def write_argb(image: QImage, argb: np.ndarray, x: int, y: int) -> None:
    """Overwrite the part of a premultiplied image that starts at x, y with (h, w) uint32."""
    height, width = argb.shape
    qimage2ndarray.raw_view(image)[y : y + height, x : x + width] = argb


def premultiplied(color: tuple[int, int, int], alpha: float) -> int:
    """0xAARRGGBB of a colour (0–255 each) at an opacity 0–1."""
    red, green, blue = (round(v * alpha) for v in color)
    return round(255 * alpha) << 24 | red << 16 | green << 8 | blue


def to_rgb(image: QImage, part: QRect | None = None) -> np.ndarray:
    """A new (h, w, 3) uint8 array of an image (or a part of it); alpha is dropped."""
    image = image.copy(part) if part is not None else image
    image = image.convertToFormat(QImage.Format.Format_RGB32)  # a name: a view does not keep its image alive
    return qimage2ndarray.rgb_view(image).copy()
