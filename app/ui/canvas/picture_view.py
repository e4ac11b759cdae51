"""The photo on screen, with what is painted on it, what is planned, previews, and where brush and outline are."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import (
    QPainter,
    QPaintEvent,
    QRegion,
    QResizeEvent,
)
from PySide6.QtWidgets import QWidget

from app.document.atoms import Layer
from app.document.brush import Point
from app.document.geometry import Rect
from app.document.reduced import reduced
from app.studio.session import Session, Tool
from app.worker.jobs import Attention
from models.candidate import Candidate, Window

from . import decorations
from .compare import CompareSlider
from .heat_map import paint_attention, paint_surprise
from .lasso import Lasso
from .overlay import LabelOverlay
from .tiles import TileLayer, level_for
from .view_transform import ViewTransform, fitted

LOOK_HINT = "Click a place to see where the model looked when it drew it  ·  Esc goes back"
PATCH_HINT = "Outline the part to draw again  ·  Esc goes back"
FIT_MARGIN = 24  # logical pixels around a fitted photo


class PictureView(QWidget):
    """Draws from tile caches in device pixels; only exposed parts are drawn and only changed parts re-made.

    What mouse, pen and keys do on it is the canvas's matter (canvas.py).
    """

    view_changed = Signal()
    hovered = Signal(object)  # Point under the mouse in photo pixels, None outside the widget
    preview_left = Signal()  # Escape, or painting goes on

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.overlay = LabelOverlay(session)
        self.view = ViewTransform()
        self._fit = True
        self._layers: dict[str, TileLayer] = {}
        self._windows: tuple[Window, ...] = ()
        self._preview: tuple[Candidate, np.ndarray] | None = None
        self._caption = ""
        self._original_held = False
        self._mouse: QPointF | None = None
        self._pan_from: QPointF | None = None
        self._space = False
        self._lasso: Lasso | None = None
        self._outlining_patch = False
        self.compare = CompareSlider()
        self._heat = False
        self._attention: Attention | None = None
        self._looking_from: Point | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(320, 240)
        self.setAccessibleName("Canvas")
        session.document_replaced.connect(self._on_document)
        session.pixels_changed.connect(self._on_pixels)
        session.labels_known.connect(self.overlay_changed)
        session.hidden_changed.connect(self.overlay_changed)

    # what is shown ----------------------------------------------------------------------------------------------

    def set_windows(self, windows: tuple[Window, ...]) -> None:
        """The planned windows, drawn as squares; () for none."""
        if windows != self._windows:
            self._windows = windows
            self.update()

    def set_preview(self, candidate: Candidate | None, paint: np.ndarray | None = None, caption: str = "") -> None:
        """Show a candidate (with its request's paint) instead of the picture and its paint; None to stop."""
        if candidate is None and self._preview is None:
            return
        self._preview = None if candidate is None or paint is None else (candidate, paint)
        self._outlining_patch = False
        if candidate is None or self._attention is None or self._attention.candidate is not candidate:
            self._attention = None
        self._caption = caption
        if "preview" in self._layers:
            self._layers["preview"].clear()
        self.update()

    @property
    def previewing(self) -> bool:
        return self._preview is not None

    def toggle_compare(self) -> None:
        """Toggle the original at the left of a divider."""
        self.compare.shown = not self.compare.shown
        self.compare.held = False
        self._update_cursor()
        self.update()

    def show_heat(self, shown: bool) -> None:
        """Show or hide the preview's uncertainty over it."""
        self._heat = shown
        self.update()

    def show_attention(self, attention: Attention | None) -> None:
        """Let a click on the preview show where that place looked; None: no more."""
        self._attention, self._looking_from = attention, None
        self._update_cursor()
        self.update()

    @property
    def attention_shown(self) -> bool:
        return self._attention is not None

    def outline_patch(self) -> None:
        """Let the next outline choose the part of the preview that is to be drawn again."""
        if self._preview is not None:
            self._outlining_patch = True
            self.setFocus()
            self._update_cursor()
            self.update()

    def hold_original(self, held: bool) -> None:
        """Show the photo as it was opened, as long as a key or button is held."""
        if held != self._original_held:
            self._original_held = held
            self.update()

    def overlay_changed(self) -> None:
        """Colours or opacity of the overlay have changed."""
        if "overlay" in self._layers:
            self._layers["overlay"].clear()
        self.update()

    def _on_document(self) -> None:
        self._layers.clear()
        self._windows = ()
        self._preview = None
        self._original_held = False
        self._lasso = None
        document = self._session.document
        if document is not None:
            photo, bounds = document.photo, document.bounds
            on_screen = photo.screen_colors.convert  # once for each tile that is made
            self._layers = {
                "original": TileLayer(bounds, lambda r, k: on_screen(reduced(photo.rgb8[r.slices], k)), overlay=False),
                "picture": TileLayer(
                    bounds, lambda r, k: on_screen(reduced(document.picture[r.slices], k)), overlay=False
                ),
                "preview": TileLayer(document.bounds, self._render_preview, overlay=False),
                "overlay": TileLayer(document.bounds, self.overlay.render, overlay=True),
            }
            self.fit()
        self.update()

    def _render_preview(self, rect: Rect, level: int) -> np.ndarray:
        document = self._session.document
        assert document is not None and self._preview is not None  # only painted while both are there
        return document.photo.screen_colors.convert(reduced(document.candidate_region(*self._preview, rect), level))

    def _on_pixels(self, rect: Rect, layers: frozenset[Layer]) -> None:
        if not self._layers:
            return
        if Layer.PICTURE in layers:
            self._layers["picture"].invalidate(rect)
            self._layers["preview"].clear()
        elif self._preview is not None and layers & {Layer.PAINT, Layer.START}:
            self.preview_left.emit()  # what changes must be seen
        rect = rect.grown(2 << level_for(self.view.scale))  # the paint's edge line reaches further
        if layers & {Layer.PAINT, Layer.APPLIED, Layer.START}:
            self._layers["overlay"].invalidate(rect)
        self._update_device(*decorations.device_box(rect, self.view))

    # the view ---------------------------------------------------------------------------------------------------

    @property
    def _ratio(self) -> float:
        return self.devicePixelRatioF()

    def _view_size(self) -> tuple[int, int]:
        return round(self.width() * self._ratio), round(self.height() * self._ratio)

    def _photo_size(self) -> tuple[int, int] | None:
        document = self._session.document
        return None if document is None else (document.bounds.width, document.bounds.height)

    def fit(self) -> None:
        """Show the whole photo; it stays fitted while the canvas changes size."""
        photo = self._photo_size()
        if photo is not None:
            self._fit = True
            self._set_view(fitted(photo, self._view_size(), round(FIT_MARGIN * self._ratio)))

    def zoom_to(self, scale: float) -> None:
        """A scale in device pixels per photo pixel, round the mouse or the middle."""
        x, y = self._zoom_centre()
        self._change_view(self.view.scaled_at(x, y, scale))

    def zoom_by(self, steps: float) -> None:
        x, y = self._zoom_centre()
        self._change_view(self.view.zoomed_at(x, y, steps))

    def _zoom_centre(self) -> tuple[float, float]:
        if self._mouse is not None:
            return self._mouse.x() * self._ratio, self._mouse.y() * self._ratio
        width, height = self._view_size()
        return width / 2, height / 2

    def _change_view(self, view: ViewTransform) -> None:
        photo = self._photo_size()
        if photo is not None:
            self._fit = False
            self._set_view(view.kept_in_view(photo, self._view_size()))

    def _set_view(self, view: ViewTransform) -> None:
        self.view = view
        self._update_cursor()
        self.update()
        self.view_changed.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        if self._fit:
            self.fit()
        super().resizeEvent(event)

    def photo_point(self, position: QPointF) -> Point:
        """A widget position in photo pixels."""
        return self.view.to_photo(position.x() * self._ratio, position.y() * self._ratio)

    # painting the widget ----------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        ratio = self._ratio
        painter.scale(1 / ratio, 1 / ratio)
        exposed = QRegion()
        for rect in event.region():  # type: ignore[attr-defined]  # the stubs do not know it
            exposed += decorations.scaled_rect(rect, ratio)
        decorations.paint_background(painter, exposed.boundingRect())
        if not self._layers:
            decorations.paint_hint(painter, self._view_size(), ratio)
            return
        original = self._original_held
        shown = "original" if original else "preview" if self._preview is not None else "picture"
        decorations.paint_frame(painter, self._session.document.bounds, self.view)  # type: ignore[union-attr]
        self._layers[shown].paint(painter, self.view, exposed)
        width, height = self._view_size()
        if shown == "picture":
            if self.overlay.visible:
                self._layers["overlay"].paint(painter, self.view, exposed)
            decorations.paint_windows(painter, self._windows, self.view, ratio)
        if self.compare.shown and not original:
            left = self.compare.left(exposed, width, height)
            painter.save()
            painter.setClipRegion(left)
            self._layers["original"].paint(painter, self.view, left)
            painter.restore()
        if shown == "preview" and self._heat and self._preview is not None:
            paint_surprise(painter, self._preview[0], self.view, self._view_size(), ratio)
        if shown == "preview" and self._attention is not None and self._looking_from is not None:
            paint_attention(painter, self._attention, self._looking_from, self.view, self._view_size(), ratio)
        if original:
            decorations.paint_caption(painter, "Original photo", self._view_size()[1], ratio)
        elif self._preview is not None:
            caption = PATCH_HINT if self._outlining_patch else LOOK_HINT if self._attention else self._caption
            decorations.paint_caption(painter, caption, self._view_size()[1], ratio)
        if self.compare.shown and not original:
            self.compare.paint(painter, width, height, ratio)
        if self._lasso is not None:
            mouse = None if self._mouse is None else self.photo_point(self._mouse)
            self._lasso.paint(painter, self.view, ratio, mouse)
        if self._mouse is not None and self._shows_brush():
            point = self.photo_point(self._mouse)
            grid_windows = self._windows if self._session.tool is Tool.BRUSH and not original else None
            decorations.paint_brush(painter, point, self._session.brush_size, self.view, grid_windows, ratio)

    def _shows_brush(self) -> bool:
        paints = self._attention is None and not self._outlining_patch  # else a click does something else
        return paints and self._session.can_paint and self._pan_from is None and not self._space

    def _update_device(self, x: float, y: float, right: float, bottom: float) -> None:
        """Repaint a box given in device pixels."""
        ratio, slack = self._ratio, 3
        left, top = int(x / ratio) - slack, int(y / ratio) - slack
        self.update(left, top, int((right - x) / ratio) + 2 * slack + 1, int((bottom - y) / ratio) + 2 * slack + 1)

    def _update_brush(self) -> None:
        """Repaint round the brush cursor."""
        if self._mouse is not None and self._session.document is not None:
            point = self.photo_point(self._mouse)
            box = decorations.brush_box(point, self._session.brush_size, self.view, self._windows)
            self._update_device(*box)

    def _update_cursor(self) -> None:
        """What the mouse would do here has changed."""
