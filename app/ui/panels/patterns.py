"""A small pattern for each label, so that colour alone never carries meaning.

A pattern is a tile of SIDE x SIDE bits. Ten shapes in two sizes tell twenty labels apart; a larger label set
uses them again.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QImage, QPainter, QPen

from ..look.images import argb_image, premultiplied

SIDE = 16
_Y, _X = np.indices((SIDE, SIDE))


def _shapes(step: int) -> list[np.ndarray]:
    """Ten (SIDE, SIDE) bool tiles; step: 8 or 4 pixels from line to line."""
    half, wave = step // 2, np.round(1.5 * np.sin(2 * np.pi * _X / SIDE)).astype(int)
    return [
        (_X + _Y) % step == 0,
        (_X - _Y) % step == 0,
        _Y % step == half,
        _X % step == half,
        ((_X + _Y) % step == 0) | ((_X - _Y) % step == 0),
        (_Y % step == half) | (_X % step == half),
        (_Y % step // 2 == half // 2) & (_X % step // 2 == half // 2),
        (_Y + wave) % step == half,
        (_Y % step == half) & ((_X + _Y // step * half) % step < half),
        np.abs(_X % step - half) == _Y % step,
    ]


@cache
def patterns() -> np.ndarray:
    """(256, SIDE, SIDE) bool by label; nothing for NOT_PAINTED."""
    shapes = _shapes(8) + _shapes(4)
    table = np.stack([shapes[label % len(shapes)] for label in range(256)])
    table[255] = False
    return table


def ink(color: tuple[int, int, int]) -> tuple[int, int, int]:
    """What a pattern is drawn with on a label's colour: darker on light ones, lighter on dark ones."""
    light = 0.3 * color[0] + 0.59 * color[1] + 0.11 * color[2] > 110
    red, green, blue = (round(v * 0.62) if light else round(v + (255 - v) * 0.45) for v in color)
    return red, green, blue


def paint_pattern(painter: QPainter, box: QRectF, label: int, color: tuple[int, int, int]) -> None:
    """A label's pattern over a field of its colour."""
    brush = QBrush(_tile(label, color))
    painter.save()
    painter.setBrushOrigin(box.topLeft())
    painter.fillRect(box.adjusted(1, 1, -1, -1), brush)
    painter.restore()


def paint_swatch(painter: QPainter, box: QRectF, color: tuple[int, int, int], label: int) -> None:
    """A rounded field of a label's colour and pattern with an edge that shows on light and dark."""
    painter.setBrush(QColor(*color))
    painter.setPen(QPen(QColor(0, 0, 0, 130), 1))
    painter.drawRoundedRect(box, 3, 3)
    paint_pattern(painter, box, label, color)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor(255, 255, 255, 70), 1))
    painter.drawRoundedRect(box.adjusted(1, 1, -1, -1), 2, 2)


@cache
def _tile(label: int, color: tuple[int, int, int]) -> QImage:
    bits = patterns()[label]
    return argb_image(np.where(bits, np.uint32(premultiplied(ink(color), 1.0)), np.uint32(0)))
