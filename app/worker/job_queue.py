"""The queue of jobs, as the GUI sees it: explicit states, one job at a time, exactly one end for each.

All of it lives in the GUI thread; the engine thread only ever holds the one job that runs. So a waiting job
is cancelled on the spot, and no lock is needed.
"""

from __future__ import annotations

import itertools
from collections import deque

from PySide6.QtCore import QObject, Signal

from models.request import EditRequest

from .engine_thread import EngineThread
from .jobs import Job, JobEnd, JobState


class JobQueue(QObject):
    """Submits jobs to an engine thread. `ended` comes exactly once a job, and last."""

    state_changed = Signal(int, object)  # job number, JobState (not for terminal states)
    ended = Signal(object)  # JobEnd

    def __init__(self, thread: EngineThread, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread = thread
        self._numbers = itertools.count(1)
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        thread.job_started.connect(self._on_started)
        thread.job_ended.connect(self._on_ended)

    @property
    def running(self) -> Job | None:
        return self._running

    @property
    def waiting(self) -> int:
        """How many jobs wait behind the one that runs."""
        return len(self._waiting)

    def submit(self, request: EditRequest) -> Job:
        """Put a request at the end of the queue."""
        job = Job(next(self._numbers), request)
        self._waiting.append(job)
        self.state_changed.emit(job.number, JobState.QUEUED)
        self._dispatch()
        return job

    def cancel(self, number: int) -> None:
        """Cancel one job; no other is touched. Nothing happens when it has ended."""
        if self._running is not None and self._running.number == number:
            self._running.cancel.cancel()
            return
        for job in self._waiting:
            if job.number == number:
                self._waiting.remove(job)
                job.cancel.cancel()
                self.ended.emit(JobEnd(number, JobState.CANCELLED))
                return

    def cancel_running(self) -> None:
        if self._running is not None:
            self._running.cancel.cancel()

    def cancel_all(self) -> None:
        """Cancel the waiting jobs and then the running one."""
        for job in list(self._waiting):
            self.cancel(job.number)
        self.cancel_running()

    def _dispatch(self) -> None:
        if self._running is None and self._waiting:
            self._running = self._waiting.popleft()
            self._thread.run_job(self._running)

    def _on_started(self, number: int) -> None:
        self.state_changed.emit(number, JobState.RUNNING)

    def _on_ended(self, end: JobEnd) -> None:
        self._running = None
        self.ended.emit(end)
        self._dispatch()
