"""Between the 8-bit view that is edited and the full depth that is saved."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Deep(Protocol):
    """A photo at two depths: full (H, W, 3) uint8 or uint16, and rgb8 (H, W, 3) uint8."""

    @property
    def full(self) -> np.ndarray: ...

    @property
    def rgb8(self) -> np.ndarray: ...


def to_eight_bit(values: np.ndarray) -> np.ndarray:
    """uint16 (any shape) → the nearest uint8, 65535 being 255; uint8 comes back as the same object."""
    if values.dtype == np.uint8:
        return values
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def to_sixteen_bit(values: np.ndarray) -> np.ndarray:
    """uint8 (any shape) → uint16, 255 being 65535; uint16 comes back as the same object."""
    return values if values.dtype == np.uint16 else values.astype(np.uint16) * np.uint16(257)


def to_full_depth(photo: Deep, edited8: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """The edited picture at the photo's own depth: (H, W, 3), dtype of `photo.full`.

    edited8: (H, W, 3) uint8. painted: (H, W) bool. An 8-bit photo gives `edited8` itself. Of a 16-bit photo, pixels
    that are not painted, or that the edit left at their 8-bit value, keep all 16 bits.
    """
    if photo.full.dtype == np.uint8:
        return edited8
    changed = painted & (edited8 != photo.rgb8).any(axis=2)
    return np.where(changed[..., None], to_sixteen_bit(edited8), photo.full)
