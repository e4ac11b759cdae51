"""The lasso in the making: a drag draws freehand, single clicks set the corners of a polygon."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from app.document.brush import Point

from .view_transform import ViewTransform

_NEAR = 8.0  # screen pixels: so near to the first corner a click closes the outline
_FREEHAND = 6.0  # screen pixels: a longer drag is a freehand outline


class Lasso:
    """Corners in photo pixels. `scale`: screen pixels per photo pixel, for what counts as near."""

    def __init__(self, start: Point) -> None:
        self.corners = [start]
        self.held = True  # the button is down
        self._drawn = 0.0  # length of the drag since the last press, photo pixels

    def press(self, point: Point, scale: float) -> bool:
        """A click after the first one: a new corner; True when it closes the outline."""
        first = self.corners[0]
        if len(self.corners) >= 3 and math.hypot(point.x - first.x, point.y - first.y) * scale <= _NEAR:
            return True
        self.corners.append(point)
        self.held, self._drawn = True, 0.0
        return False

    def drag(self, point: Point) -> None:
        last = self.corners[-1]
        step = math.hypot(point.x - last.x, point.y - last.y)
        if self.held and step >= 0.5:
            self.corners.append(point)
            self._drawn += step

    def release(self, scale: float) -> bool:
        """The button is up; True when the drag was a freehand outline, which is thereby closed."""
        self.held = False
        return self._drawn * scale > _FREEHAND and len(self.corners) >= 3

    def drop_corner(self) -> bool:
        """Take the last corner back; True when none is left."""
        self.corners.pop()
        return not self.corners

    def paint(self, painter: QPainter, view: ViewTransform, ratio: float, mouse: Point | None) -> None:
        """Draw the outline so far, with a line to the mouse, in device pixels."""
        places = [view.to_device(p) for p in (*self.corners, *([] if mouse is None or self.held else [mouse]))]
        line = QPolygonF([QPointF(p.x, p.y) for p in places])
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for color, width in ((QColor(0, 0, 0, 170), 3), (QColor(255, 255, 255, 235), 1)):
            painter.setPen(QPen(color, width * ratio))
            painter.drawPolyline(line)
        corner = 3 * ratio
        painter.drawRect(int(places[0].x - corner), int(places[0].y - corner), int(2 * corner), int(2 * corner))
