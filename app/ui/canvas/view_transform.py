"""Where the photo lies in the widget: pure arithmetic, no Qt.

"Widget" is device pixels here, so that 100 % is one photo pixel on one screen pixel on every display.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.document.brush import Point

MIN_SCALE, MAX_SCALE = 1 / 64, 40.0
ZOOM_STEP = 1.25


@dataclass(frozen=True)
class ViewTransform:
    """scale: device pixels per photo pixel. x, y: device position of the photo's top left corner."""

    scale: float = 1.0
    x: float = 0.0
    y: float = 0.0

    def to_photo(self, x: float, y: float) -> Point:
        return Point((x - self.x) / self.scale, (y - self.y) / self.scale)

    def to_device(self, point: Point) -> Point:
        return Point(point.x * self.scale + self.x, point.y * self.scale + self.y)

    def panned(self, dx: float, dy: float) -> ViewTransform:
        return replace(self, x=self.x + dx, y=self.y + dy)

    def scaled_at(self, x: float, y: float, scale: float) -> ViewTransform:
        """Another scale; the photo point under device position x, y stays there."""
        scale = min(MAX_SCALE, max(MIN_SCALE, scale))
        factor = scale / self.scale
        return ViewTransform(scale, x - (x - self.x) * factor, y - (y - self.y) * factor)

    def zoomed_at(self, x: float, y: float, steps: float) -> ViewTransform:
        """So many zoom steps in (or out when negative), stopping at 100 % when a step would pass it."""
        scale = self.scale * ZOOM_STEP**steps
        if (self.scale - 1) * (scale - 1) < 0:
            scale = 1.0
        return self.scaled_at(x, y, scale)

    def kept_in_view(self, photo: tuple[int, int], view: tuple[int, int]) -> ViewTransform:
        """Moved so that the middle half of the view still touches the photo, and onto whole device pixels.

        photo, view: (width, height).
        """
        low_x, low_y = view[0] * 0.25 - photo[0] * self.scale, view[1] * 0.25 - photo[1] * self.scale
        x = min(max(self.x, low_x), view[0] * 0.75)
        y = min(max(self.y, low_y), view[1] * 0.75)
        return replace(self, x=float(round(x)), y=float(round(y)))


def fitted(photo: tuple[int, int], view: tuple[int, int], margin: int) -> ViewTransform:
    """The whole photo centred in the view, `margin` device pixels around it; never above 100 %.

    photo, view: (width, height).
    """
    room = (max(1, view[0] - 2 * margin), max(1, view[1] - 2 * margin))
    scale = min(1.0, room[0] / photo[0], room[1] / photo[1])
    return ViewTransform(scale, round((view[0] - photo[0] * scale) / 2), round((view[1] - photo[1] * scale) / 2))
