"""The strip of thumbnails, and what mouse and keys do on it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QFrame, QListView

from ..canvas.place_keys import PlaceKeys
from .gallery_items import ENTRY_ROLE, CandidateModel, frame_of, mark_box, stack_box

_LIST_KEYS = (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Space)


class GalleryView(QListView):
    """A horizontal strip; tells when the mouse leaves and when Esc leaves it. keys: those that count here."""

    mouse_left = Signal()
    left = Signal()  # by Esc
    marked = Signal(object)  # index whose star or tick was clicked
    stack_clicked = Signal(object)  # index

    def __init__(self) -> None:
        super().__init__()
        self.keys: PlaceKeys | None = None
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(False)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionRectVisible(False)
        self.setViewportMargins(7, 0, 7, 0)  # the first thumbnail stands under the header's first letter
        self.setAccessibleName("Candidates")

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.mouse_left.emit()

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and self.keys is not None and self.keys.take(event):
            event.accept()
            return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        entry = index.data(ENTRY_ROLE) if index.isValid() else None
        if entry is not None and event.button() == Qt.MouseButton.LeftButton:
            frame = frame_of(QRectF(self.visualRect(index)))
            if mark_box(frame).contains(event.position()):
                self.marked.emit(index)
                return
            model: CandidateModel = self.model()  # type: ignore[assignment]
            if model.behind.get(id(entry)) and stack_box(frame).contains(event.position()):
                self.stack_clicked.emit(index)
                return
        super().mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        elif event.key() in _LIST_KEYS:
            event.ignore()  # they are commands, and their keys may have been changed
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        if self.keys is not None:
            self.keys.let_go()
        super().focusOutEvent(event)

    def wheelEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        bar = self.horizontalScrollBar()
        bar.setValue(bar.value() - (event.angleDelta().y() or event.angleDelta().x()))
        event.accept()
