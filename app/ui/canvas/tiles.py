"""A picture of any size drawn from small cached tiles, made when they come into view.

Level k holds the picture reduced 2**k times. Changes re-make only the changed rectangle of the tiles in use.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QRegion

from app.document.geometry import Rect

from ..look import images
from .view_transform import ViewTransform

TILE = 512  # pixels of a level
_KEPT_TILES = 96  # 1 MB each
_SMOOTH_UP_TO = 2.0  # screen pixels per tile pixel; above it single pixels are shown as squares

RenderPart = Callable[[Rect, int], np.ndarray]


class TileLayer:
    """One image layer. render(rect, level) gives the pixels of a rectangle in photo pixels, reduced 2**level times:
    (h, w, 3) uint8 for an opaque layer, (h, w) uint32 premultiplied ARGB for an overlay.
    The rectangle starts at a multiple of 2**level; h = ceil(rect.height / 2**level), w alike.
    """

    def __init__(self, bounds: Rect, render: RenderPart, *, overlay: bool) -> None:
        self._bounds = bounds
        self._render = render
        self._make: Any = images.argb_image if overlay else images.rgb_image
        self._write: Any = images.write_argb if overlay else images.write_rgb
        self._tiles: OrderedDict[tuple[int, int, int], QImage] = OrderedDict()
        self._level = 0  # the one last drawn

    def clear(self) -> None:
        self._tiles.clear()

    def invalidate(self, rect: Rect) -> None:
        """The pixels of `rect` have changed.

        Tiles on screen are re-made there at once; wholly changed ones and other levels when next drawn.
        """
        for key in list(self._tiles):
            level = key[0]
            area = self._tile_area(*key)
            part = _on_grid(rect.intersected(area), 1 << level).intersected(area)
            if part.empty:
                continue
            if level != self._level or part == area:
                del self._tiles[key]
                continue
            at = ((part.x - area.x) >> level, (part.y - area.y) >> level)
            self._write(self._tiles[key], self._render(part, level), *at)

    def paint(self, painter: QPainter, view: ViewTransform, exposed: QRegion) -> None:
        """Draw what is exposed; painter and region in device pixels."""
        self._level = level = level_for(view.scale)
        tile_scale = view.scale * (1 << level)
        smooth = tile_scale != 1.0 and tile_scale < _SMOOTH_UP_TO
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        box = exposed.boundingRect()
        span = TILE << level
        first, last = view.to_photo(box.left(), box.top()), view.to_photo(box.right() + 1, box.bottom() + 1)
        columns = range(max(0, int(first.x // span)), math.ceil(min(last.x, self._bounds.right) / span))
        rows = range(max(0, int(first.y // span)), math.ceil(min(last.y, self._bounds.bottom) / span))
        for row in rows:
            for column in columns:
                area = self._tile_area(level, column, row)
                target = device_rect(area, view)
                if exposed.intersects(target.toAlignedRect()):
                    tile = self._tile(level, column, row)
                    # the last tile of a row may stand for a fraction of a level pixel
                    source = QRectF(0, 0, area.width / (1 << level), area.height / (1 << level))
                    painter.drawImage(target, tile, source, Qt.ImageConversionFlag.NoFormatConversion)

    def _tile(self, level: int, column: int, row: int) -> QImage:
        key = (level, column, row)
        tile = self._tiles.pop(key, None)
        if tile is None:
            tile = self._make(self._render(self._tile_area(level, column, row), level))
            while len(self._tiles) >= _KEPT_TILES:
                self._tiles.popitem(last=False)
        self._tiles[key] = tile
        return tile

    def _tile_area(self, level: int, column: int, row: int) -> Rect:
        span = TILE << level
        return Rect(column * span, row * span, span, span).intersected(self._bounds)


def _on_grid(rect: Rect, step: int) -> Rect:
    """Grown so that all sides are multiples of `step`; empty stays empty."""
    if rect.empty:
        return rect
    x, y = rect.x // step * step, rect.y // step * step
    return Rect(x, y, -(-(rect.right - x) // step) * step, -(-(rect.bottom - y) // step) * step)


def level_for(scale: float) -> int:
    """The coarsest level that still has at least one pixel per screen pixel."""
    return max(0, math.floor(math.log2(1 / scale) + 1e-9))


def device_rect(area: Rect, view: ViewTransform) -> QRectF:
    """A photo rectangle on the screen, edges on whole device pixels so that neighbours meet without a seam."""
    left, top = round(area.x * view.scale + view.x), round(area.y * view.scale + view.y)
    right, bottom = round(area.right * view.scale + view.x), round(area.bottom * view.scale + view.y)
    return QRectF(left, top, right - left, bottom - top)
