"""Where the model looked while it drew a version."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from app.studio.runs import Entry, Run
from app.studio.session import Session
from app.worker.engine_thread import EngineThread
from app.worker.jobs import Attention

from ..canvas.canvas import Canvas
from ..gallery.gallery import Gallery
from ..panels.message_bar import Kind


class AttentionView(QObject):
    """Asks the engine for the attention of the chosen version, and lays it over the canvas."""

    message = Signal(object, str)  # Kind, text

    def __init__(
        self, session: Session, canvas: Canvas, gallery: Gallery, engine: EngineThread,
        run_of: Callable[[Entry | None], Run | None], parent: QObject,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self._session, self._canvas, self._gallery, self._engine = session, canvas, gallery, engine
        self._run_of = run_of
        engine.attention_ready.connect(self._on_ready)

    def toggle(self) -> None:
        """Show where the places of the chosen version looked; hide it when it is shown."""
        entry, document = self._gallery.chosen, self._session.document
        run = self._run_of(entry)
        if self._canvas.attention_shown:
            self._canvas.show_attention(None)
        elif run is not None and document is not None and entry is not None and entry.candidate.windows:
            self._engine.explain(run.request_on(document), entry.candidate)
        else:
            self.message.emit(Kind.INFO, "Choose a version in the gallery first.")

    def _on_ready(self, attention: Attention) -> None:
        chosen = self._gallery.chosen
        if chosen is not None and chosen.candidate is attention.candidate:
            self._canvas.show_attention(attention)
