"""Memory ran out: what may help, as buttons."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from app.studio.memory_help import Remedy, remedies
from app.studio.runs import RunKind
from app.studio.session import Session
from app.worker.engine_thread import EngineThread
from models.request import EditRequest, Reroll

from ..panels.generate_panel import GeneratePanel
from ..panels.message_bar import Kind


class MemoryTrouble(QObject):
    """Offers a smaller window, fewer versions or the CPU, and starts what the user chooses."""

    message = Signal(object, str)  # Kind, text
    trouble = Signal(object, str, object)  # Kind, text, list[Action]
    retried = Signal(object, object, int)  # EditRequest, RunKind, tokens: the run that was chosen

    def __init__(self, session: Session, panel: GeneratePanel, engine: EngineThread, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._panel, self._engine = session, panel, engine

    def offer(self, request: EditRequest) -> None:
        """Say that memory ran out for a request, with what may help as buttons."""
        engine = self._engine.engine
        if engine is None or self._session.document is None:
            return
        windows = engine.plan(request.paint, request.window)
        help_ = remedies(request, windows, engine.resolutions, self._engine.can_use_cpu)
        text = "Memory ran out; photo, paint and finished versions are kept."
        text += "" if help_ else " Close other programs and try again."
        actions = [(remedy.text, lambda remedy=remedy: self._try(remedy)) for remedy in help_]
        self.trouble.emit(Kind.ERROR, text, actions)

    def _try(self, remedy: Remedy) -> None:
        """Set the control that a remedy is about, and start its run."""
        engine, document = self._engine.engine, self._session.document
        if engine is None or document is None:
            return
        request = replace(remedy.request, photo=document.lend_picture())
        tokens = engine.count_tokens(request.paint, request.window)
        if remedy.window is not None:
            self._panel.choose_window(remedy.window)
        if remedy.count is not None:
            self._panel.count.setValue(remedy.count)
        if remedy.cpu:
            self._engine.use_cpu()
            self.message.emit(Kind.INFO, "The CPU is used until Scenebrush is closed; the preferences can keep it so.")
        kind = RunKind.DRAFT if request.draft else RunKind.REROLL if isinstance(request.way, Reroll) else RunKind.FULL
        self.retried.emit(request, kind, tokens)
