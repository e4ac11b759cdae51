"""Finds the superpixels of the open photo, in the background, when the brush is to keep to edges."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.document.superpixels import Superpixels
from app.studio.session import Session
from app.worker.tasks import TaskThread

from ..panels.message_bar import Kind


class Snapping(QObject):
    message = Signal(object, str)  # Kind, text

    def __init__(self, session: Session, tasks: TaskThread, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._tasks = session, tasks
        session.snap_changed.connect(lambda _: self._find())
        session.document_replaced.connect(self._find)

    def _find(self) -> None:
        document = self._session.document
        if document is None or not self._session.snap or document.superpixels is not None:
            return
        rgb8 = document.photo.rgb8

        def found(superpixels: Superpixels) -> None:
            document.superpixels = superpixels

        self.message.emit(Kind.INFO, "Looking for edges… The brush keeps to them in a moment.")
        self._tasks.submit(lambda: Superpixels.of(rgb8), found, self._failed, key="superpixels")

    def _failed(self, error: Exception) -> None:
        self._session.set_snap(False)
        self.message.emit(Kind.WARNING, f"No edges could be found ({error}). The brush paints as usual.")
