"""Short background work: reading and writing files, planning windows. Results come back in the GUI thread."""

from __future__ import annotations

import itertools
import logging
import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QThread, Signal

from models.errors import ScenebrushError

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Task:
    number: int
    work: Callable[[], Any]
    key: str


@dataclass(frozen=True, eq=False)
class _Outcome:
    number: int
    value: Any = None
    error: Exception | None = None


class TaskThread(QThread):
    """Runs callables one after the other.

    A task with a `key` replaces an earlier one with that key: the older neither starts nor reports any more.
    """

    _finished_one = Signal(object)  # _Outcome

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._newest: dict[str, int] = {}
        self._callbacks: dict[int, tuple[Callable[[Any], None], Callable[[Exception], None]]] = {}
        self._finished_one.connect(self._deliver)

    def submit(
        self,
        work: Callable[[], Any],
        on_done: Callable[[Any], None],
        on_error: Callable[[Exception], None],
        key: str = "",
    ) -> None:
        """Run `work` in the thread, then one of the callbacks here."""
        number = next(self._numbers)
        if key:
            self._callbacks.pop(self._newest.get(key, 0), None)
            self._newest[key] = number
        self._callbacks[number] = (on_done, on_error)
        self._tasks.put(_Task(number, work, key))

    def forget(self, key: str) -> None:
        """Drop the task with this key, done or not: it will not report."""
        self._callbacks.pop(self._newest.pop(key, 0), None)

    @property
    def busy(self) -> bool:
        """Whether a result is still to come."""
        return bool(self._callbacks)

    def stop(self, timeout: float = 2.0) -> bool:
        """End the thread after the task that runs; waiting ones are dropped. False when it takes longer."""
        self._callbacks.clear()
        self._newest.clear()
        self._tasks.put(None)
        return self.wait(int(timeout * 1000))

    def run(self) -> None:
        while (task := self._tasks.get()) is not None:
            if task.number in self._callbacks:
                self._finished_one.emit(_attempt(task))
            del task  # it may hold a whole photo; do not keep it while waiting

    def _deliver(self, outcome: _Outcome) -> None:
        callbacks = self._callbacks.pop(outcome.number, None)
        if callbacks is None:
            return
        if outcome.error is None:
            callbacks[0](outcome.value)
        else:
            callbacks[1](outcome.error)


def _attempt(task: _Task) -> _Outcome:
    try:
        return _Outcome(task.number, value=task.work())
    except Exception as error:
        if not isinstance(error, ScenebrushError):  # those are made for people, and tell all
            log.exception("a task failed")
        return _Outcome(task.number, error=error)
