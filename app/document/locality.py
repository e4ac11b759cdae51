"""The promise that only painted pixels change, counted rather than assumed."""

from __future__ import annotations

import numpy as np

from models.request import NOT_PAINTED

from .document import Document

_BAND = 128  # rows looked at together; equal bands cost one comparison and no memory to speak of


def changed_outside_paint(document: Document) -> int:
    """How many pixels of the picture differ from the photo although no applied edit painted them."""
    if document.picture is document.photo.rgb8:
        return 0
    count = 0
    for top in range(0, document.bounds.height, _BAND):
        rows = slice(top, top + _BAND)
        before, after = document.photo.rgb8[rows], document.picture[rows]
        if _same(before, after):
            continue
        differs = (before != after).any(axis=2)
        count += int(np.count_nonzero(differs & (document.applied[rows] == NOT_PAINTED)))
    return count


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """Byte equality of two uint8 arrays of the same shape, eight bytes at a time where they allow it."""
    if a.flags.c_contiguous and b.flags.c_contiguous and a.size % 8 == 0:
        a, b = a.reshape(-1), b.reshape(-1)
        try:
            return bool((a.view(np.uint64) == b.view(np.uint64)).all())
        except ValueError:
            pass
    return bool((a == b).all())
