"""Over the picture: how unlikely each drawn token was to the model, and where a token looked."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QImage, QLinearGradient, QPainter, QPen

from app.document.brush import Point
from app.worker.jobs import Attention
from models.candidate import Candidate

from ..look.images import argb_image, premultiplied
from .view_transform import ViewTransform

# from sure to unsure: colour-blind safe, readable without colour by its lightness
_RAMP = np.array([(42, 20, 86), (124, 36, 110), (196, 62, 82), (243, 120, 44), (252, 206, 86)], float)
_OPACITY = 0.62
_CELLS = 16  # places of the guide's grid along a side
_RANGE = 8.0  # nats: a token that the model thought a one-in-3000 choice has the last colour


def paint_surprise(
    painter: QPainter, candidate: Candidate, view: ViewTransform, size: tuple[int, int], ratio: float
) -> None:
    """Lay the negative log-likelihood of every drawn token over it, with a scale in the bottom right corner.

    All in device pixels; size: of the canvas.
    """
    for drawn in candidate.windows:
        window = drawn.place
        first = view.to_device(Point(window.x, window.y))
        last = view.to_device(Point(window.x + window.side, window.y + window.side))
        painter.drawImage(QRectF(QPointF(first.x, first.y), QPointF(last.x, last.y)), _image(drawn.surprise))
    _paint_scale(painter, size, ratio)


def paint_attention(
    painter: QPainter, attention: Attention, point: Point, view: ViewTransform, size: tuple[int, int], ratio: float
) -> bool:
    """Lay over the picture where the token at a photo point looked; False when no window holds the point."""
    for window, seen in zip(attention.candidate.places, attention.windows, strict=True):
        column, row = ((v - start) * _CELLS / window.side for v, start in ((point.x, window.x), (point.y, window.y)))
        if not (0 <= column < _CELLS and 0 <= row < _CELLS):
            continue
        shares = seen[int(row) * _CELLS + int(column)].reshape(_CELLS, _CELLS)
        strength = np.sqrt(shares / max(float(np.sort(shares, axis=None)[-3]), 1e-9))
        first = view.to_device(Point(window.x, window.y))
        last = view.to_device(Point(window.x + window.side, window.y + window.side))
        box = QRectF(QPointF(first.x, first.y), QPointF(last.x, last.y))
        painter.drawImage(box, _image(np.minimum(strength, 1) * _RANGE))
        cell = box.width() / _CELLS
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor("white"), 2 * ratio))
        painter.drawRect(QRectF(box.left() + int(column) * cell, box.top() + int(row) * cell, cell, cell))
        _paint_scale(painter, size, ratio, "looked at little", "much")
        return True
    return False


def _image(surprise: np.ndarray) -> QImage:
    """One pixel a token; transparent where nothing was drawn."""
    steps = np.linspace(0, 1, 65)
    ramp = np.stack([np.interp(steps, np.linspace(0, 1, len(_RAMP)), _RAMP[:, c]) for c in range(3)], 1)
    table = np.array(
        [premultiplied((int(red), int(green), int(blue)), _OPACITY) for red, green, blue in ramp], np.uint32
    )
    drawn = np.isfinite(surprise)
    level = (np.clip(np.where(drawn, surprise, 0) / _RANGE, 0, 1) * 64).round().astype(int)
    return argb_image(np.where(drawn, table[level], np.uint32(0)))


def _paint_scale(
    painter: QPainter, size: tuple[int, int], ratio: float, low: str = "sure", high: str = "unsure"
) -> None:
    width, height = 168 * ratio, 44 * ratio
    plate = QRectF(size[0] - width - 12 * ratio, size[1] - height - 12 * ratio, width, height)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(20, 20, 20, 215))
    painter.drawRoundedRect(plate, 4 * ratio, 4 * ratio)
    bar = plate.adjusted(10 * ratio, 24 * ratio, -10 * ratio, -10 * ratio)
    gradient = QLinearGradient(bar.topLeft(), bar.topRight())
    for place, color in zip(np.linspace(0, 1, len(_RAMP)), _RAMP, strict=True):
        gradient.setColorAt(float(place), QColor(*(int(v) for v in color)))
    painter.fillRect(bar, gradient)
    font = QFont(painter.font())
    font.setPixelSize(round(11 * ratio))
    painter.setFont(font)
    painter.setPen(QColor("#f0f0f0"))
    text = QRectF(bar.left(), plate.top() + 5 * ratio, bar.width(), 16 * ratio)
    painter.drawText(text, Qt.AlignmentFlag.AlignLeft, low)
    painter.drawText(text, Qt.AlignmentFlag.AlignRight, high)
