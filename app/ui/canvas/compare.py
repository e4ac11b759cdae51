"""The compare slider: the original at the left of a divider that can be dragged, the edit at its right."""

from __future__ import annotations

from PySide6.QtCore import QLineF, QPointF, QRect, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QRegion

_REACH = 10  # logical pixels: so near to the divider a press takes hold of it


class CompareSlider:
    """place: of the divider, as a share (0–1) of the canvas' width, so that it stays where it is when that changes."""

    def __init__(self) -> None:
        self.shown = False
        self.place = 0.5
        self.held = False

    def press(self, x: float, width: int) -> bool:
        """Take hold of the divider; x, width: logical pixels. False when the press was elsewhere."""
        self.held = self.shown and abs(x - self.place * width) <= _REACH
        return self.held

    def move(self, x: float, width: int) -> bool:
        """Drag the divider; False when it is not held."""
        if self.held:
            self.place = min(0.98, max(0.02, x / max(1, width)))
        return self.held

    def near(self, x: float, width: int) -> bool:
        return self.shown and (self.held or abs(x - self.place * width) <= _REACH)

    def left(self, exposed: QRegion, width: int, height: int) -> QRegion:
        """The part of a region (device pixels) that shows the original."""
        return exposed & QRegion(QRect(0, 0, round(self.place * width), height))

    def paint(self, painter: QPainter, width: int, height: int, ratio: float) -> None:
        """The divider and its grip, in device pixels."""
        x = round(self.place * width) + 0.5
        for color, thickness in ((QColor(0, 0, 0, 150), 3), (QColor(255, 255, 255, 235), 1)):
            painter.setPen(QPen(color, thickness * ratio))
            painter.drawLine(QLineF(x, 0, x, height))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle, radius = QPointF(x, height / 2), 11 * ratio
        painter.setPen(QPen(QColor(0, 0, 0, 160), ratio))
        painter.setBrush(QColor(245, 245, 245))
        painter.drawEllipse(middle, radius, radius)
        painter.setPen(QPen(QColor(50, 50, 50), 1.6 * ratio, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        for side in (-1, 1):
            tip, back = QPointF(x + side * 6 * ratio, middle.y()), x + side * 3 * ratio
            for up in (-1, 1):
                painter.drawLine(QLineF(tip, QPointF(back, middle.y() + up * 3 * ratio)))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
