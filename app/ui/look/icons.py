"""Icons from the small SVG files in resources/icons, drawn sharp at every display scale."""

from __future__ import annotations

from functools import cache

from PySide6.QtCore import QByteArray, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from .icon_files import icon_file
from .theme import FAINT, TEXT


@cache
def _svg(name: str) -> str:
    return icon_file(name).read_text(encoding="utf-8")


def pixmap(name: str, size: int, ratio: float = 1.0, color: str = TEXT) -> QPixmap:
    """The icon in one colour, `size` logical pixels square, for a display of that device pixel ratio."""
    result = QPixmap(QSize(round(size * ratio), round(size * ratio)))
    result.fill(Qt.GlobalColor.transparent)
    painter = QPainter(result)
    renderer = QSvgRenderer(QByteArray(_svg(name).replace("#d0d0d0", color).encode()))
    renderer.render(painter, QRectF(QPointF(0, 0), result.size().toSizeF()))
    painter.end()
    result.setDevicePixelRatio(ratio)
    return result


def icon(name: str, color: str = TEXT) -> QIcon:
    """A button icon with a fainter disabled state, at one, two and three times the usual size."""
    result = QIcon()
    for ratio in (1, 2, 3):
        result.addPixmap(pixmap(name, 20, ratio, color))
        result.addPixmap(pixmap(name, 20, ratio, FAINT), QIcon.Mode.Disabled)
    return result
