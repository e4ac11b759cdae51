"""The canvas: mouse, pen and keys on the picture."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, Qt, Signal
from PySide6.QtGui import (
    QEnterEvent,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPointingDevice,
    QTabletEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractSpinBox, QApplication, QLineEdit, QWidget

from app.document.brush import Point
from app.studio.session import Session, Tool

from .lasso import Lasso
from .picture_view import PictureView
from .place_keys import PlaceKeys


class Canvas(PictureView):
    """Turns mouse, pen and keys into strokes, outlines and movements of the picture."""

    patch_outlined = Signal(object)  # list[Point]: the part of the preview to draw again

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent)
        self.keys: PlaceKeys | None = None  # those that count here
        self._pen_down = False  # mouse events that come with a pen's stroke are ignored
        for signal in (session.tool_changed, session.brush_size_changed, session.label_changed):
            signal.connect(self._on_tool)
        self._on_tool()

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
