"""The canvas: shows the photo, what is painted on it and what is planned, and turns the mouse into strokes."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt, Signal
from PySide6.QtGui import (
    QEnterEvent,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QPointingDevice,
    QRegion,
    QResizeEvent,
    QTabletEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractSpinBox, QApplication, QLineEdit, QWidget

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
from .place_keys import PlaceKeys
from .tiles import TileLayer, level_for
from .view_transform import ViewTransform, fitted

LOOK_HINT = "Click a place to see where the model looked when it drew it  ·  Esc goes back"
PATCH_HINT = "Outline the part to draw again  ·  Esc goes back"
FIT_MARGIN = 24  # logical pixels around a fitted photo


class Canvas(QWidget):
    """Draws from tile caches in device pixels; only exposed parts are drawn and only changed parts re-made."""

    view_changed = Signal()
    hovered = Signal(object)  # Point under the mouse in photo pixels, None outside the widget
    preview_left = Signal()  # Escape, or painting goes on
    patch_outlined = Signal(object)  # list[Point]: the part of the preview to draw again

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
        self.keys: PlaceKeys | None = None  # those that count here
        self._lasso: Lasso | None = None
        self._outlining_patch = False
        self.compare = CompareSlider()
        self._pen_down = False  # mouse events that come with a pen's stroke are ignored
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
        for signal in (session.tool_changed, session.brush_size_changed, session.label_changed):
            signal.connect(self._on_tool)
        session.labels_known.connect(self.overlay_changed)
        session.hidden_changed.connect(self.overlay_changed)
        self._on_tool()

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
        """Show the original at the left of a divider, or no more."""
        self.compare.shown = not self.compare.shown
        self.compare.held = False
        self._update_cursor()
        self.update()

    def show_heat(self, shown: bool) -> None:
        """Lay the preview's uncertainty over it, or no more."""
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
        for rect in event.region():
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

    # mouse ------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._session.document is None or self._pen_down:
            return
        button, position = event.button(), event.position()
        left = button == Qt.MouseButton.LeftButton
        if left and self.compare.press(position.x(), self.width()):
            self._session.end_stroke()
        elif button == Qt.MouseButton.MiddleButton or (left and (self._space or self._session.tool is Tool.HAND)):
            self._session.end_stroke()
            self._pan_from = position
            self._update_cursor()
        elif left and (event.modifiers() & Qt.KeyboardModifier.AltModifier or self._session.tool is Tool.PICKER):
            self._pick(self.photo_point(position))
        elif left and self._attention is not None:
            self._looking_from = self.photo_point(position)
            self.update()
        elif left and self._outlining_patch:
            self._press_lasso(self.photo_point(position), event.modifiers())
        elif left:
            if self._preview is not None:
                self.preview_left.emit()
            if self._session.tool is Tool.FILL:
                self._session.fill_at(self.photo_point(position))
                return
            if self._session.tool is Tool.LASSO:
                self._press_lasso(self.photo_point(position), event.modifiers())
                return
            straight = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self._session.begin_stroke(self.photo_point(position), straight)

    def tabletEvent(self, event: QTabletEvent) -> None:
        """A pen paints with its pressure; for all but strokes Qt makes mouse events of it."""
        kind, point = event.type(), self.photo_point(event.position())
        special = self._space or self._outlining_patch or self._attention is not None
        if kind == QEvent.Type.TabletPress and event.button() == Qt.MouseButton.LeftButton:
            if not self._session.can_paint or special or event.modifiers() & Qt.KeyboardModifier.AltModifier:
                event.ignore()
                return
            if self._preview is not None:
                self.preview_left.emit()
            straight = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            erase = event.pointerType() == QPointingDevice.PointerType.Eraser
            self._pen_down = True
            self._session.begin_stroke(point, straight, event.pressure(), erase)
        elif kind == QEvent.Type.TabletMove and self._pen_down:
            self._update_brush()
            self._mouse = event.position()
            self._session.stroke_to(point, event.pressure())
            self._update_brush()
            self.hovered.emit(point)
        elif kind == QEvent.Type.TabletRelease and self._pen_down:
            self._pen_down = False
            self._session.end_stroke()
        else:
            event.ignore()
            return
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._pen_down:
            return
        self._update_brush()
        self._mouse = event.position()
        if self.compare.move(self._mouse.x(), self.width()):
            self.update()
        elif self._pan_from is not None:
            moved = (self._mouse - self._pan_from) * self._ratio
            self._pan_from = self._mouse
            self._change_view(self.view.panned(moved.x(), moved.y()))
        elif self._lasso is not None:
            self._lasso.drag(self.photo_point(self._mouse))
            self.update()
        elif self._session.painting:
            self._session.stroke_to(self.photo_point(self._mouse))
        self._update_brush()
        if self.compare.shown:
            self._update_cursor()
        self.hovered.emit(self.photo_point(self._mouse))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._pen_down:
            return
        if self.compare.held and event.button() == Qt.MouseButton.LeftButton:
            self.compare.held = False
        elif self._pan_from is not None and event.button() in (Qt.MouseButton.MiddleButton, Qt.MouseButton.LeftButton):
            self._pan_from = None
            self._update_cursor()
        elif event.button() == Qt.MouseButton.LeftButton and self._lasso is not None:
            if self._lasso.release(self._logical_scale):
                self._close_lasso(event.modifiers())
        elif event.button() == Qt.MouseButton.LeftButton:
            self._session.end_stroke()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._lasso is not None and event.button() == Qt.MouseButton.LeftButton:
            self._close_lasso(event.modifiers())
        else:
            self.mousePressEvent(event)

    @property
    def _logical_scale(self) -> float:
        return self.view.scale / self._ratio

    def _press_lasso(self, point: Point, modifiers: Qt.KeyboardModifier) -> None:
        if self._session.label_set is None:
            return
        if self._lasso is None:
            self._lasso = Lasso(point)
        elif self._lasso.press(point, self._logical_scale):
            self._close_lasso(modifiers)
        self.update()

    def _close_lasso(self, modifiers: Qt.KeyboardModifier) -> None:
        """Paint the outline's inside; with Ctrl held, erase it."""
        lasso, self._lasso = self._lasso, None
        if lasso is not None and self._outlining_patch:
            self._outlining_patch = False
            self.patch_outlined.emit(lasso.corners)
        elif lasso is not None:
            self._session.paint_outline(lasso.corners, bool(modifiers & Qt.KeyboardModifier.ControlModifier))
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._mouse = event.position()
        notches = event.angleDelta() / 120
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom_by(event.angleDelta().y() / 120)
        else:
            delta = event.pixelDelta() if not event.pixelDelta().isNull() else notches * 80
            if event.modifiers() & Qt.KeyboardModifier.ShiftModifier and delta.x() == 0:
                delta = QPoint(delta.y(), 0)
            self._change_view(self.view.panned(delta.x() * self._ratio, delta.y() * self._ratio))
        event.accept()

    def _pick(self, point: Point) -> None:
        document = self._session.document
        x, y = int(point.x // 1), int(point.y // 1)
        if document is not None and 0 <= x < document.bounds.width and 0 <= y < document.bounds.height:
            self._session.set_label(document.label_at(x, y))

    # keys, focus, cursor ----------------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        lasso = self._lasso is not None  # it has keys of its own
        if isinstance(event, QKeyEvent) and self.keys is not None and self.keys.take(event, only_held=lasso):
            event.accept()
            return True
        if isinstance(event, QNativeGestureEvent) and event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
            self.zoom_by(event.value() * 4)
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if self._lasso is not None and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._close_lasso(event.modifiers())
        elif self._lasso is not None and key in (Qt.Key.Key_Escape, Qt.Key.Key_Backspace):
            if key == Qt.Key.Key_Escape or self._lasso.drop_corner():
                self._lasso = None
            self.update()
        elif key == Qt.Key.Key_Escape and self._attention is not None:
            self.show_attention(None)
        elif key == Qt.Key.Key_Escape and self._outlining_patch:
            self._outlining_patch = False
            self.update()
        elif key == Qt.Key.Key_Escape and self._session.painting:
            self._session.abort_stroke()
        elif key == Qt.Key.Key_Escape and self._preview is not None:
            self.preview_left.emit()
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QEvent) -> None:
        if self.keys is not None:
            self.keys.let_go()
        self.hold_original(False)
        super().focusOutEvent(event)  # type: ignore[arg-type]

    def enterEvent(self, event: QEnterEvent) -> None:
        if self.isActiveWindow() and not isinstance(QApplication.focusWidget(), QLineEdit | QAbstractSpinBox):
            self.setFocus(Qt.FocusReason.MouseFocusReason)
        self._mouse = event.position()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._update_brush()
        self._mouse = None
        self.hovered.emit(None)
        super().leaveEvent(event)

    def hold_hand(self, down: bool) -> None:
        """Let the mouse move the picture, as long as a key is held."""
        if down != self._space:
            self._space = down
            self._update_cursor()
            self._update_brush()

    def _on_tool(self) -> None:
        self._lasso = None
        self._update_cursor()
        self.update()

    def _update_cursor(self) -> None:
        tool = self._session.tool
        if self._session.document is None:
            shape = Qt.CursorShape.ArrowCursor
        elif self._mouse is not None and self.compare.near(self._mouse.x(), self.width()):
            shape = Qt.CursorShape.SplitHCursor
        elif self._outlining_patch or self._attention is not None:
            shape = Qt.CursorShape.CrossCursor
        elif self._pan_from is not None:
            shape = Qt.CursorShape.ClosedHandCursor
        elif self._space or tool is Tool.HAND:
            shape = Qt.CursorShape.OpenHandCursor
        elif tool.strokes and self._session.brush_size * self.view.scale >= 5 * self._ratio:
            shape = Qt.CursorShape.BlankCursor
        else:
            shape = Qt.CursorShape.CrossCursor
        self.setCursor(shape)
