"""Runs: from the paint to the queue, from the engine to the gallery, from the gallery into the picture."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.worker.engine_thread import EngineThread
from app.worker.job_queue import JobQueue
from app.worker.jobs import EngineInfo, Found, Job, JobEnd, JobProgress, JobState
from app.worker.tasks import TaskThread
from models.errors import ScenebrushError
from models.request import NOT_PAINTED

from .canvas import Canvas
from .gallery import Gallery
from .generate_panel import Estimate, GeneratePanel
from .message_bar import Kind
from .runs import Entry, Run, crop_around, pruned
from .session import Session

_KEPT = "Photo and paint are as they were."
_STAGES = {
    "encode": "Reading the photo",
    "guide": "Sketching",
    "sga": "Drawing",
    "decode": "Developing",
    "blend": "Blending",
}


class GenerationController(QObject):
    """Ties session, canvas, panel and gallery to the job queue."""

    message = Signal(object, str)  # Kind, text

    def __init__(
        self,
        session: Session,
        canvas: Canvas,
        panel: GeneratePanel,
        gallery: Gallery,
        engine: EngineThread,
        tasks: TaskThread,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._canvas, self._panel, self._gallery = session, canvas, panel, gallery
        self._engine, self._tasks = engine, tasks
        self.queue = JobQueue(engine, self)
        self.runs: list[Run] = []
        self._estimate = Estimate()
        self._seconds_per_token: float | None = None
        self._unavailable = "Loading the model…"
        self._problem = ""  # why the paint cannot be planned
        engine.opened.connect(self._on_opened)
        engine.open_failed.connect(self._on_open_failed)
        engine.job_progressed.connect(self._on_progress)
        engine.candidate_found.connect(self._on_candidate)
        self.queue.state_changed.connect(self._on_state)
        self.queue.ended.connect(self._on_ended)
        session.document_replaced.connect(self._on_document)
        session.settled.connect(self._on_settled)
        panel.generate_clicked.connect(self.generate)
        panel.cancel_clicked.connect(self.cancel)
        panel.window_changed.connect(self.plan)
        panel.count_changed.connect(self._show_estimate)
        gallery.previewed.connect(self._preview)
        gallery.apply_asked.connect(self.apply)
        gallery.discard_asked.connect(self._discard)
        gallery.run_step_asked.connect(self._step_run)
        canvas.preview_accepted.connect(gallery.apply_chosen)
        canvas.preview_left.connect(gallery.leave_preview)
        self._show_estimate()

    # planning -----------------------------------------------------------------------------------------------------

    def plan(self) -> None:
        """Ask for the windows and tokens of what is painted now; the newest question wins."""
        document, engine = self._session.document, self._engine.engine
        if document is None or engine is None or not document.anything_painted:
            self._tasks.forget("plan")
            self._on_planned(Estimate())
            return
        paint, window = document.paint.copy(), self._panel.window_choice()
        self._tasks.submit(
            lambda: Estimate(tuple(engine.plan(paint, window)), engine.count_tokens(paint, window)),
            self._on_planned,
            lambda error: self._on_planned(Estimate(), str(error)),
            key="plan",
        )

    def _on_planned(self, estimate: Estimate, problem: str = "") -> None:
        self._problem = problem
        self._estimate = estimate
        self._canvas.set_windows(estimate.windows)
        self._show_estimate()

    def _show_estimate(self) -> None:
        estimate, hint = self._estimate, "Paint an area that should change."
        if self._engine.engine is None:
            hint = self._unavailable
        elif self._session.document is None:
            hint = "Open a photo to begin."
        elif self._problem:
            hint = self._problem
        if self._seconds_per_token is not None:
            seconds = self._seconds_per_token * estimate.tokens * self._panel.count.value()
            estimate = Estimate(estimate.windows, estimate.tokens, seconds)
        self._panel.set_estimate(estimate, hint)

    # running ------------------------------------------------------------------------------------------------------

    def generate(self) -> None:
        """Queue a run for what is painted now."""
        self._session.end_stroke()
        document = self._session.document
        if document is None or self._engine.engine is None or not document.anything_painted:
            hint = self._unavailable if self._engine.engine is None else "Nothing is painted. Paint an area first."
            self.message.emit(Kind.INFO, hint)
            return
        try:
            request = document.request(self._panel.take_settings(), self._panel.window_choice())
        except ScenebrushError as error:
            self.message.emit(Kind.WARNING, str(error))
            return
        crop = crop_around(request.paint, document.bounds)
        job = self.queue.submit(request)
        title = self._title(request.paint)
        run = Run(job.number, title, request.paint, request.settings, self._estimate.tokens, crop)
        self.runs = pruned([*self.runs, run])
        self._canvas.set_preview(None)
        self._show_run(run)

    def cancel(self) -> None:
        """Stop the run that is being drawn; its finished versions stay."""
        self.queue.cancel_running()
        self._show_progress()

    def cancel_all(self) -> None:
        """Stop the run that is being drawn and drop those that wait."""
        self.queue.cancel_all()
        self._show_progress()

    def _title(self, paint: np.ndarray) -> str:
        """The names of the painted labels, most painted first."""
        counts = np.bincount(paint[paint != NOT_PAINTED], minlength=256)
        order = [int(label) for label in np.argsort(-counts, kind="stable") if counts[label]]
        names = ", ".join(self._session.label_name(label) for label in order[:3])
        return (names + (" …" if len(order) > 3 else "")).capitalize()

    def _run(self, job: int) -> Run | None:
        return next((run for run in self.runs if run.job == job), None)

    def _on_state(self, job: int, state: JobState) -> None:
        run = self._run(job)
        if run is not None:
            run.state = state
            self._refresh(run)
        self._show_progress()

    def _on_progress(self, progress: JobProgress) -> None:
        run = self._run(progress.job)
        if run is None or run.state.terminal:
            return
        run.fraction = progress.fraction
        if progress.step.stage in ("guide", "sga"):
            run.batch = max(1, len(progress.step.candidates))
        self._show_progress(_STAGES.get(progress.step.stage, ""))
        self._refresh(run)

    def _on_candidate(self, found: Found) -> None:
        run, document = self._run(found.job), self._session.document
        if run is not None and document is not None:
            run.add(found.candidate, document)
            self._refresh(run)

    def _on_ended(self, end: JobEnd) -> None:
        run = self._run(end.job)
        if run is not None:
            run.state = end.state
            if end.state is JobState.FINISHED and run.tokens:
                self._seconds_per_token = end.seconds / (run.tokens * run.settings.samples)
                self._show_estimate()
            if end.state is JobState.FAILED:
                self.message.emit(Kind.ERROR, f"{end.message.rstrip('.')}. {_KEPT}")
            self._refresh(run)
            self._offer_best(run)
        self._show_progress()

    def _offer_best(self, run: Run) -> None:
        """Show the most likely version on the canvas, unless the user has moved on."""
        document = self._session.document
        if document is None or not run.entries or run is not self._gallery.run or self._session.painting:
            return
        untouched = bool((document.paint == run.paint).all())
        if untouched and self._gallery.chosen is None:
            self._gallery.choose(run.entries[0].candidate)

    def _show_progress(self, stage: str = "") -> None:
        running: Job | None = self.queue.running
        if running is None:
            ended = next((run for run in reversed(self.runs) if run.state.terminal), None)
            self._panel.show_idle("" if ended is None else ended.state.value.capitalize())
            return
        run = self._run(running.number)
        fraction = run.fraction if run is not None else 0.0
        text = f"{stage or 'Starting'} · {fraction:.0%}"
        if running.cancel.cancelled:
            text = "Stopping…"
        if self.queue.waiting:
            text += f" · {self.queue.waiting} waiting"
        self._panel.show_running(fraction, text)

    # gallery ------------------------------------------------------------------------------------------------------

    def apply(self, entry: Entry) -> None:
        """Put a candidate of the shown run into the picture."""
        run = self._gallery.run
        if run is None or entry not in run.entries:
            return
        step = self._session.apply(entry.candidate, run.paint, f"Apply {run.title.lower()}")
        if step is not None:
            entry.step = step.number
        self._gallery.leave_preview()
        self._refresh(run)

    def _discard(self, entry: Entry) -> None:
        run = self._gallery.run
        if run is None or entry not in run.entries:
            return
        place = run.entries.index(entry)
        run.discard(entry)
        self._refresh(run)
        following = run.entries[min(place, len(run.entries) - 1)] if run.entries else None
        self._gallery.choose(None if following is None else following.candidate)

    def _preview(self, entry: Entry | None) -> None:
        run = self._gallery.run
        if entry is None or run is None or entry not in run.entries:
            self._canvas.set_preview(None)
            return
        rank = run.entries.index(entry) + 1
        caption = f"Version {rank} of {len(run.entries)}  ·  {entry.candidate.nats_per_token:.3f} nats/token"
        caption += "  ·  Enter applies, Esc goes back" if entry is self._gallery.chosen else ""
        self._canvas.set_preview(entry.candidate, run.paint, caption)

    def _step_run(self, step: int) -> None:
        if self._gallery.run in self.runs:
            place = self.runs.index(self._gallery.run) + step
            if 0 <= place < len(self.runs):
                self._gallery.leave_preview()
                self._show_run(self.runs[place])

    def _show_run(self, run: Run | None) -> None:
        place = 0 if run is None else self.runs.index(run) + 1
        self._gallery.set_run(run, place, len(self.runs))
        self._refresh(run)

    def _refresh(self, run: Run | None) -> None:
        document = self._session.document
        if run is self._gallery.run and document is not None:
            self._gallery.refresh(document.picture_state)

    # session ------------------------------------------------------------------------------------------------------

    def _on_opened(self, info: EngineInfo) -> None:
        self._panel.set_resolutions(info.resolutions)
        self.plan()

    def _on_open_failed(self, message: str) -> None:
        self._unavailable = "No model is open, so nothing can be generated."
        self._show_estimate()

    def _on_document(self) -> None:
        self.queue.cancel_all()
        self.runs.clear()
        self._gallery.set_run(None, 0, 0)
        self._show_progress()

    def _on_settled(self) -> None:
        self.plan()
        self._refresh(self._gallery.run)
