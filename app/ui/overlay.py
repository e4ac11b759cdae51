"""The label overlay: colours of what is painted (strong) and of the picture's label map (faint or off)."""

from __future__ import annotations

import cv2
import numpy as np

from app.document.geometry import Rect
from models.request import NOT_PAINTED

from .images import premultiplied
from .session import Session

_EDGE = premultiplied((255, 255, 255), 0.6)  # round painted areas: dark paint on dark ground must show


class LabelOverlay:
    """Renders pieces of the overlay as premultiplied ARGB; opacities are 0–1."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.paint_opacity = 0.65
        self.labels_opacity = 0.0

    @property
    def visible(self) -> bool:
        return self._session.label_set is not None and (self.paint_opacity > 0 or self.labels_opacity > 0)

    def render(self, rect: Rect, level: int) -> np.ndarray:
        """(h, w) uint32 of a rectangle, reduced 2**level times with smooth edges."""
        document = self._session.document
        assert document is not None
        if rect.empty:
            return np.zeros((0, 0), np.uint32)
        # sampled at twice the wanted resolution and averaged: edges stay smooth and 100-megapixel maps cheap
        stride = 1 << max(0, level - 1)
        rows, columns = slice(rect.y, rect.bottom, stride), slice(rect.x, rect.right, stride)
        paint = document.paint[rows, columns]
        if self.labels_opacity > 0:
            applied = document.applied[rows, columns]
            labels = np.where(applied == NOT_PAINTED, document.start[rows, columns], applied)
            argb = self._colors(self.labels_opacity)[labels]
            np.copyto(argb, self._colors(self.paint_opacity)[paint], where=paint != NOT_PAINTED)
        else:
            argb = self._colors(self.paint_opacity)[paint]
        if self.paint_opacity > 0:
            argb[self._edges(rect, stride)] = _EDGE
        return argb if level == 0 else _halved(argb)

    def _edges(self, rect: Rect, stride: int) -> np.ndarray:
        """(h, w) bool of the samples whose paint differs from that of the one above or to the left."""
        document = self._session.document
        assert document is not None
        above, left = min(rect.y, stride), min(rect.x, stride)
        paint = document.paint[rect.y - above : rect.bottom : stride, rect.x - left : rect.right : stride]
        edges = np.zeros(paint.shape, bool)
        edges[1:] = paint[1:] != paint[:-1]
        edges[:, 1:] |= paint[:, 1:] != paint[:, :-1]
        return edges[int(above > 0) :, int(left > 0) :]

    def _colors(self, opacity: float) -> np.ndarray:
        """(256,) uint32: colour by label; unknown labels and NOT_PAINTED are transparent."""
        table = np.zeros(256, np.uint32)
        if self._session.label_set is not None:
            for index, label in enumerate(self._session.label_set.labels):
                table[index] = premultiplied(label.color, opacity)
        table[NOT_PAINTED] = 0
        return table


def _halved(argb: np.ndarray) -> np.ndarray:
    """Averaged over 2×2 pixels; an odd last row or column counts twice."""
    height, width = argb.shape
    channels = np.ascontiguousarray(argb).view(np.uint8).reshape(height, width, 4)
    if height % 2 or width % 2:
        channels = cv2.copyMakeBorder(channels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    height, width = channels.shape[:2]
    half = cv2.resize(channels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(half).view(np.uint32).reshape(height // 2, width // 2)
