"""What is drawn over and round the picture: frame, planned windows, brush, captions. All in device pixels."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QLineF, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen

from app.document.brush import Point, snapped
from app.document.geometry import Rect
from models.candidate import Window

from ..look import theme
from ..look.icons import pixmap
from .footprint import grid_under, touched_outline
from .tiles import device_rect
from .view_transform import ViewTransform

_LIGHT, _DARK = QColor(255, 255, 255, 235), QColor(0, 0, 0, 170)
_MIN_CELL = 5  # screen pixels; smaller token cells would only be noise


def scaled_rect(rect: QRect, ratio: float) -> QRect:
    """A logical rectangle in device pixels, rounded outwards."""
    if ratio == 1:
        return rect
    return QRectF(rect.x() * ratio, rect.y() * ratio, rect.width() * ratio, rect.height() * ratio).toAlignedRect()


def device_box(rect: Rect, view: ViewTransform) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a photo rectangle on the screen."""
    first, last = view.to_device(Point(rect.x, rect.y)), view.to_device(Point(rect.right, rect.bottom))
    return first.x, first.y, last.x, last.y


def paint_background(painter: QPainter, rect: QRect) -> None:
    painter.fillRect(rect, QColor(theme.CANVAS))


def paint_frame(painter: QPainter, bounds: Rect, view: ViewTransform) -> None:
    """A hairline round the photo, so that dark pictures end visibly."""
    painter.setPen(QPen(QColor("#0e0e0e"), 1))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(device_rect(bounds, view).adjusted(-1, -1, 0, 0))


def paint_hint(painter: QPainter, size: tuple[int, int], ratio: float) -> None:
    """The empty canvas."""
    middle, top = size[0] / 2, size[1] / 2 - 70 * ratio
    symbol = pixmap("photo", 56, ratio, theme.FAINT)
    symbol.setDevicePixelRatio(1)
    painter.drawPixmap(QPointF(middle - symbol.width() / 2, top), symbol)
    lines = (("Open a photo", 17, theme.TEXT, 78), ("Press Ctrl+O, or drop a picture here", 13, theme.QUIET, 106))
    for text, pixels, color, offset in lines:
        painter.setFont(_font(painter, pixels * ratio))
        painter.setPen(QColor(color))
        box = QRectF(0, top + offset * ratio, size[0], 24 * ratio)
        painter.drawText(box, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, text)


def paint_windows(painter: QPainter, windows: Sequence[Window], view: ViewTransform, ratio: float) -> None:
    """The planned windows as dashed squares with a small tag."""
    for window in windows:
        box = device_rect(Rect(window.x, window.y, window.side, window.side), view).adjusted(0, 0, -1, -1)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for color, offset in ((_DARK, 0), (_LIGHT, 6)):
            pen = QPen(color, max(1.0, round(ratio)), Qt.PenStyle.CustomDashLine)
            pen.setDashPattern([6, 6])
            pen.setDashOffset(offset)
            pen.setCapStyle(Qt.PenCapStyle.FlatCap)
            painter.setPen(pen)
            painter.drawRect(box)
        text = f"{window.resolution} px window"
        if window.scaled:
            text += f" for {window.side} px of the photo"
        _tag(painter, text, QPointF(box.left(), box.top()), ratio, 11, above=True)


def paint_caption(painter: QPainter, text: str, height: int, ratio: float) -> None:
    """A tag in the bottom left corner of a canvas of that height."""
    _tag(painter, text, QPointF(12 * ratio, height - 8 * ratio), ratio, 13, above=True)


def paint_brush(
    painter: QPainter,
    point: Point,
    size: int,
    view: ViewTransform,
    windows: Sequence[Window] | None,
    ratio: float,
) -> None:
    """The brush at its true size and place; with `windows` (not None) also the tokens it would touch."""
    if windows is not None:
        grid = grid_under(point, windows)
        if grid.cell * view.scale >= _MIN_CELL * ratio:
            lines = []
            for x0, y0, x1, y1 in touched_outline(point, size, grid):
                first, last = view.to_device(Point(x0, y0)), view.to_device(Point(x1, y1))
                lines.append(
                    QLineF(round(first.x) + 0.5, round(first.y) + 0.5, round(last.x) + 0.5, round(last.y) + 0.5)
                )
            painter.setPen(QPen(QColor(0, 0, 0, 90), 3 * ratio))
            painter.drawLines(lines)
            painter.setPen(QPen(QColor(255, 255, 255, 130), ratio))
            painter.drawLines(lines)
    centre = view.to_device(snapped(point, size))
    radius = size / 2 * view.scale
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(_DARK, 2.6 * ratio))
    painter.drawEllipse(QPointF(centre.x, centre.y), radius, radius)
    painter.setPen(QPen(_LIGHT, 1.2 * ratio))
    painter.drawEllipse(QPointF(centre.x, centre.y), radius, radius)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)


def brush_box(
    point: Point, size: int, view: ViewTransform, windows: Sequence[Window]
) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of all that `paint_brush` draws."""
    centre = view.to_device(point)
    reach = (size / 2 + 1.5 + grid_under(point, windows).cell) * view.scale + 6
    return centre.x - reach, centre.y - reach, centre.x + reach, centre.y + reach


def _font(painter: QPainter, pixels: float) -> QFont:
    font = QFont(painter.font())
    font.setPixelSize(max(1, round(pixels)))
    return font


def _tag(painter: QPainter, text: str, corner: QPointF, ratio: float, pixels: int, above: bool = False) -> None:
    """White text on a dark rounded plate, its top left (or bottom left when `above`) at `corner`."""
    font = _font(painter, pixels * ratio)
    painter.setFont(font)
    metrics = QFontMetricsF(font)
    pad_x, pad_y = 8 * ratio, (4 if pixels > 12 else 3) * ratio
    width, height = metrics.horizontalAdvance(text) + 2 * pad_x, metrics.height() + 2 * pad_y
    top = corner.y() - (height + 4 * ratio if above else 0)
    if above and top < 2 * ratio:
        top = max(corner.y(), 0) + 6 * ratio
        corner = QPointF(corner.x() + 6 * ratio, top)
    plate = QRectF(max(corner.x(), 4 * ratio), top, width, height)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(20, 20, 20, 215))
    painter.drawRoundedRect(plate, 4 * ratio, 4 * ratio)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.setPen(QColor("#f0f0f0"))
    painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)
