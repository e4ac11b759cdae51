"""Errors that nobody expected: logged in full, shown as one calm line, and the editor goes on."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable
from types import TracebackType

from PySide6.QtCore import QObject, Signal

from ..panels.message_bar import Kind

log = logging.getLogger(__name__)
_AGAIN = 10.0  # seconds before the same error is told once more: a broken paint event fails at every repaint
_WHAT_TO_DO = "Your work is still here: save the project. Help › Copy diagnostics tells whoever helps you."

Hook = Callable[[type[BaseException], BaseException, TracebackType | None], object]


class UnexpectedErrors(QObject):
    """Takes the place of `sys.excepthook` between `start` and `stop`; errors may come from any thread."""

    message = Signal(object, str)  # Kind, text; connect it to a method of a QObject, which is then called in its thread

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._before: Hook = sys.__excepthook__
        self._told: dict[tuple[type[BaseException], str], float] = {}

    def start(self) -> None:
        self._before = sys.excepthook
        sys.excepthook = self.report

    def stop(self) -> None:
        sys.excepthook = self._before

    def report(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, Exception):  # Ctrl+C in a terminal
            self._before(kind, error, trace)
            return
        frames = traceback.extract_tb(trace)
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        now = time.monotonic()
        if now - self._told.get((kind, place), -_AGAIN) < _AGAIN:
            return
        self._told[kind, place] = now
        log.error("unexpected", exc_info=(kind, error, trace))
        detail = next(iter(str(error).splitlines()), "") or kind.__name__
        self.message.emit(Kind.ERROR, f"Something went wrong: {detail.rstrip('.')}. {_WHAT_TO_DO}")
