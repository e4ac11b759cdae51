"""The thread that owns the engine: opens it, suggests labels, runs jobs one after the other."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from PySide6.QtCore import QObject, QThread, Signal

from models.candidate import Candidate
from models.config import GUIDE_RESOLUTION
from models.errors import DeviceError, ScenebrushError
from models.request import Cancelled, EditRequest, PhotoColors, Progress, Reference

from .jobs import Attention, Engine, EngineInfo, Found, Job, JobEnd, JobProgress, JobState, Suggestion, frozen_candidate
from .progress import ProgressMeter

log = logging.getLogger(__name__)
PREVIEW_SHARE = 0.1  # of the time of a drawing may go into showing it under way
IDLE = 1.0  # seconds without work after which the speed may be measured, which nothing can interrupt
PROGRESS_INTERVAL = 0.05  # seconds: at most 20 reports a second reach the GUI


class EngineThread(QThread):
    """Works off what the GUI hands in, in order. The methods are for the GUI thread, the signals arrive there.

    Every job handed to `run_job` gets exactly one `job_ended`, unless the thread is stopped first.
    """

    opened = Signal(object)  # EngineInfo
    open_failed = Signal(str)
    measured = Signal(object)  # dict[int, Speed] by resolution
    attention_ready = Signal(object)  # Attention
    labels_suggested = Signal(object)  # Suggestion
    suggestion_failed = Signal(str)
    reference_ready = Signal(object)  # Reference
    reference_failed = Signal(str)
    job_started = Signal(int)
    job_progressed = Signal(object)  # JobProgress
    candidate_found = Signal(object)  # Found
    job_ended = Signal(object)  # JobEnd

    def __init__(
        self,
        open_engine: Callable[[], Engine],
        parent: QObject | None = None,
        open_on_cpu: Callable[[], Engine] | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("engine")
        self._open_engine = open_engine
        self._open_on_cpu = open_on_cpu
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._engine: Engine | None = None
        self._current: Job | None = None
        self._stopping = False
        self._wanted_suggestion = 0
        self._measure_wanted = False

    @property
    def engine(self) -> Engine | None:
        """The engine once it has opened; from other threads only its cheap, pure methods may be called."""
        return self._engine

    @property
    def can_use_cpu(self) -> bool:
        """Whether the engine is on a GPU and could be opened on the CPU instead."""
        return self._open_on_cpu is not None and self._engine is not None and self._engine.on_cuda

    def use_cpu(self) -> None:
        """Close the engine and open it on the CPU, before the work that is handed in from now on; see `can_use_cpu`."""
        opening = self._open_on_cpu
        if opening is not None:
            self._work.put(lambda: self._open(opening))

    def suggest_labels(self, number: int, photo: np.ndarray, colors: PhotoColors | None = None) -> None:
        """Ask for a label map of (H, W, 3) uint8; only the newest wish is worked on. colors: unless it is sRGB."""
        self._wanted_suggestion = number
        self._work.put(lambda: self._suggest(number, photo, colors))

    def read_reference(self, pictures: Sequence[tuple[str, np.ndarray]]) -> None:
        """Ask for reference photos, (H, W, 3) uint8 sRGB with names, with the labels that they are to be used by."""
        self._work.put(lambda: self._read_reference(pictures))

    def measure(self) -> None:
        """Ask how fast this machine draws, once there is nothing else to do; a failure is only logged."""
        self._measure_wanted = True
        self._work.put(lambda: None)  # wakes the thread

    def explain(self, request: EditRequest, candidate: Candidate) -> None:
        """Ask where a candidate of a request looked; it is not answered when that fails."""
        self._work.put(lambda: self._explain(request, candidate))

    def run_job(self, job: Job) -> None:
        self._work.put(lambda: self._run_job(job))

    def stop(self, timeout: float = 2.0) -> bool:
        """Cancel what runs, drop what waits, end the thread; False when it has not ended after `timeout` seconds."""
        self._stopping = True
        current = self._current
        if current is not None:
            current.cancel.cancel()
        self._work.put(None)
        return self.wait(int(timeout * 1000))

    # in the thread ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        _yield_to_the_gui()
        self._open(self._open_engine)
        while (work := self._next()) is not None and not self._stopping:
            work()
            del work  # it holds a request; do not keep it while waiting

    def _next(self) -> Callable[[], None] | None:
        if self._measure_wanted:
            try:
                return self._work.get(timeout=IDLE)
            except queue.Empty:
                self._measure_wanted = False
                return self._measure
        return self._work.get()

    def _open(self, opening: Callable[[], Engine]) -> None:
        self._engine = None  # it goes first: there may be no room for two
        try:
            self._engine = engine = opening()
        except Exception as error:
            self.open_failed.emit(_one_line(error, "The model could not be opened"))
        else:
            self.opened.emit(EngineInfo(engine.label_set, engine.device_line, tuple(engine.resolutions)))

    def _suggest(self, number: int, photo: np.ndarray, colors: PhotoColors | None) -> None:
        if self._engine is None or number != self._wanted_suggestion:
            return
        try:
            labels = np.array(self._engine.suggest_labels(photo if colors is None else colors.convert(photo)))
        except Exception as error:
            self.suggestion_failed.emit(_one_line(error, "No labels could be suggested"))
            return
        labels.setflags(write=False)
        self.labels_suggested.emit(Suggestion(number, labels))

    def _read_reference(self, pictures: Sequence[tuple[str, np.ndarray]]) -> None:
        name = pictures[0][0]
        if self._engine is None:
            self.reference_failed.emit(f"{name} cannot be used yet: no model is open")
            return
        try:
            self.reference_ready.emit(Reference.of(pictures, self._engine.suggest_labels))
        except Exception as error:
            self.reference_failed.emit(_one_line(error, f"{name} cannot be used as a reference"))

    def _measure(self) -> None:
        if self._engine is None or self._stopping:
            return
        try:
            self.measured.emit(self._engine.measure())
        except Exception:
            log.exception("the speed could not be measured")

    def _explain(self, request: EditRequest, candidate: Candidate) -> None:
        if self._engine is None or self._stopping:
            return
        try:
            self.attention_ready.emit(Attention(candidate, self._engine.attention(request, candidate)))
        except Exception:
            log.exception("the attention could not be computed")

    def _run_job(self, job: Job) -> None:
        started = time.perf_counter()
        self._current = job
        self.job_started.emit(job.number)
        message, too_large = "", None
        try:
            if self._stopping:
                job.cancel.cancel()
            self._draw(job)
            state = JobState.FINISHED
        except Cancelled:
            state = JobState.CANCELLED
        except Exception as error:
            state, message = JobState.FAILED, _one_line(error, "The edit failed")
            too_large = job.request if isinstance(error, DeviceError | MemoryError) else None
        self._current = None
        self.job_ended.emit(JobEnd(job.number, state, message, time.perf_counter() - started, too_large))

    def _draw(self, job: Job) -> None:
        if self._engine is None:
            raise ScenebrushError("no model is open; see the message at start for what is missing")
        job.cancel.check()
        request = job.request
        windows = self._engine.plan(request.paint, request.window)
        resolutions = [GUIDE_RESOLUTION if request.draft else window.resolution for window in windows]
        meter = ProgressMeter(request.count, resolutions, request.textured)
        last = 0.0

        def report(step: Progress) -> None:
            nonlocal last
            fraction = meter.update(step)
            now = time.perf_counter()
            if step.previews or now - last >= PROGRESS_INTERVAL:
                last = now
                self.job_progressed.emit(JobProgress(job.number, fraction, step))

        for candidate in self._engine.run(request, job.cancel, report, PREVIEW_SHARE):
            meter.finished_one()
            self.candidate_found.emit(Found(job.number, frozen_candidate(candidate)))


def _yield_to_the_gui() -> None:
    """Let the GUI thread go first when all cores are busy; threads that torch starts from here inherit it."""
    if sys.platform == "linux":  # elsewhere a priority belongs to the whole process
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + 5)


def _one_line(error: Exception, what: str) -> str:
    """The user's line: an expected error's own message, or what failed and the first line of an unexpected one."""
    if isinstance(error, ScenebrushError):
        return str(error)
    log.exception("%s", what, exc_info=error)
    detail = next(iter(str(error).splitlines()), "") or type(error).__name__
    return f"{what}: {detail}"
