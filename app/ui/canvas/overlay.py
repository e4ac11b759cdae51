"""The label overlay: colours of what is painted (strong) and of the picture's label map (faint or off)."""

from __future__ import annotations

import cv2
import numpy as np

from app.document.geometry import Rect
from app.studio.session import Session
from models.request import NOT_PAINTED

from ..look.images import premultiplied
from ..panels.patterns import SIDE, ink, patterns

_EDGE = premultiplied((255, 255, 255), 0.6)  # round painted areas: dark paint on dark ground must show


class LabelOverlay:
    """Renders pieces of the overlay as premultiplied ARGB; opacities are 0–1."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.paint_opacity = 0.65
        self.labels_opacity = 0.0
        self.patterns = False  # also show what is what without colour

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
        shown = paint
        if self.labels_opacity > 0:
            applied = document.applied[rows, columns]
            labels = np.where(applied == NOT_PAINTED, document.start[rows, columns], applied)
            argb = self._colors(self.labels_opacity)[labels]
            np.copyto(argb, self._colors(self.paint_opacity)[paint], where=paint != NOT_PAINTED)
            shown = np.where(paint == NOT_PAINTED, labels, paint)
        else:
            argb = self._colors(self.paint_opacity)[paint]
        if self.patterns:
            self._draw_patterns(argb, shown, paint, rect, stride, 1 if level == 0 else 2)
        if self.paint_opacity > 0:
            argb[self._edges(rect, stride)] = _EDGE
        return argb if level == 0 else _halved(argb)

    def _draw_patterns(
        self, argb: np.ndarray, shown: np.ndarray, paint: np.ndarray, rect: Rect, stride: int, width: int
    ) -> None:
        """Ink the pattern of each label over its colour; width: samples of one pattern pixel."""
        rows, columns = (
            (np.arange(size) + start // stride) // width % SIDE
            for size, start in ((argb.shape[0], rect.y), (argb.shape[1], rect.x))
        )
        inked = patterns()[shown, rows[:, None], columns]
        for opacity, where in ((self.paint_opacity, paint != NOT_PAINTED), (self.labels_opacity, paint == NOT_PAINTED)):
            if opacity > 0:
                np.copyto(argb, self._colors(opacity, inks=True)[shown], where=inked & where)

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

    def _colors(self, opacity: float, inks: bool = False) -> np.ndarray:
        """(256,) uint32: colour or pattern ink by label; unknown or hidden labels, NOT_PAINTED: transparent."""
        table = np.zeros(256, np.uint32)
        if self._session.label_set is not None:
            for index, label in enumerate(self._session.label_set.labels):
                if index not in self._session.hidden:
                    table[index] = premultiplied(ink(label.color) if inks else label.color, opacity)
        table[NOT_PAINTED] = 0
        return table


def _halved(argb: np.ndarray) -> np.ndarray:
    """Averaged over 2×2 pixels; an odd last row or column counts twice."""
    height, width = argb.shape
    channels = np.ascontiguousarray(argb).view(np.uint8).reshape(height, width, 4)
    if height % 2 or width % 2:
        channels = np.asarray(cv2.copyMakeBorder(channels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8)
    height, width = channels.shape[:2]
    half = cv2.resize(channels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(half).view(np.uint32).reshape(height // 2, width // 2)
