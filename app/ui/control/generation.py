"""Runs: from the paint to the queue, from the engine to the gallery, from the gallery into the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.document.brush import Point
from app.document.shapes import polygon
from app.studio.runs import Entry, Run, RunKind, painted_labels, pruned
from app.studio.session import Session
from app.worker.engine_thread import EngineThread
from app.worker.job_queue import JobQueue
from app.worker.jobs import Found, Job, JobEnd, JobProgress, JobState
from app.worker.tasks import TaskThread
from models.config import GUIDE_RESOLUTION
from models.errors import ScenebrushError
from models.request import FULL, Draft, EditRequest, InFull, Reroll

from ..canvas.canvas import Canvas
from ..gallery.gallery import Gallery
from ..gallery.search import found
from ..panels.generate_panel import GeneratePanel
from ..panels.message_bar import Kind
from .attention import AttentionView
from .memory_trouble import MemoryTrouble
from .planning import Planner

_KEPT = "Photo and paint are as they were."


class GenerationController(QObject):
    """Ties session, canvas, panel and gallery to the job queue."""

    message = Signal(object, str)  # Kind, text
    trouble = Signal(object, str, object)  # Kind, text, list[Action]: buttons that may help
    submitted = Signal()  # a run was handed in
    results_changed = Signal()  # something new that a project would keep

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
        self._engine = engine
        self.queue = JobQueue(engine, self)
        self.runs: list[Run] = []
        self.apply_key = ""  # that the caption of a preview names
        self._held: bool | None = None  # a run (True: of drafts) that was asked for before the labels were there
        self.changes = 0  # counts what has happened to the results
        self.planner = Planner(session, canvas, panel, engine, tasks, self)
        self.memory = MemoryTrouble(session, panel, engine, self)
        self.memory.message.connect(self.message)
        self.memory.trouble.connect(self.trouble)
        self.memory.retried.connect(self._submit)
        self.attention = AttentionView(session, canvas, gallery, engine, self._run_of, self)
        self.attention.message.connect(self.message)
        engine.job_progressed.connect(self._on_progress)
        engine.candidate_found.connect(self._on_candidate)
        self.queue.state_changed.connect(self._on_state)
        self.queue.ended.connect(self._on_ended)
        session.document_replaced.connect(self._on_document)
        session.labels_ready.connect(self._on_labels)
        session.settled.connect(self._on_settled)
        panel.generate_clicked.connect(self.generate)
        panel.drafts_clicked.connect(self.generate_drafts)
        panel.cancel_clicked.connect(self.cancel)
        panel.queue.cancel_asked.connect(self.queue.cancel)
        gallery.previewed.connect(self._preview)
        gallery.apply_asked.connect(self.apply)
        gallery.discard_asked.connect(self._discard)
        gallery.run_step_asked.connect(self._step_run)
        gallery.starred.connect(self._count_change)
        gallery.full_asked.connect(self.draw_full)
        gallery.reroll_asked.connect(self.reroll)
        gallery.patch_asked.connect(lambda _: canvas.outline_patch())
        gallery.recall_asked.connect(self.recall)
        gallery.heat_toggled.connect(canvas.show_heat)
        gallery.search_changed.connect(self._search)
        canvas.patch_outlined.connect(self.reroll_patch)
        canvas.preview_left.connect(gallery.leave_preview)

    # running ------------------------------------------------------------------------------------------------------

    def generate(self) -> None:
        """Queue a run for what is painted now."""
        self._generate(draft=False)

    def generate_drafts(self) -> None:
        """Queue quick drafts at 256 for what is painted now; where all windows are that small, full versions."""
        self._generate(draft=any(window.resolution > GUIDE_RESOLUTION for window in self.planner.estimate.windows))

    def _generate(self, draft: bool) -> None:
        self._session.end_stroke()
        document = self._session.document
        if document is None or self._engine.engine is None or not document.anything_painted:
            hint = (
                self.planner.unavailable if self._engine.engine is None else "Nothing is painted. Paint an area first."
            )
            self.message.emit(Kind.INFO, hint)
            return
        if self._session.labels_awaited:  # it would take all of the photo for one label
            self._held = draft
            self.message.emit(Kind.INFO, "Generating starts as soon as the labels of the photo are found.")
            return
        try:
            request = document.request(self._panel.take_settings(), self._panel.window_choice(), self._panel.reference)
        except ScenebrushError as error:
            self.message.emit(Kind.WARNING, str(error))
            return
        kind = RunKind.DRAFT if draft else RunKind.FULL
        self._submit(replace(request, way=Draft() if draft else FULL), kind, self.planner.estimate.tokens)

    def _on_labels(self) -> None:
        draft, self._held = self._held, None
        if draft is not None:
            self._generate(draft)

    def draw_full(self, entries: list[Entry]) -> None:
        """Queue the full drawing of drafts, one run for each of theirs."""
        document = self._session.document
        if document is None:
            return
        for run in list(self.runs):
            drafts = tuple(entry.candidate for entry in entries if entry in run.entries)
            if drafts:
                tokens = sum(place.resolution**2 for place in drafts[0].places) // GUIDE_RESOLUTION**2
                request = replace(run.request_on(document), way=InFull(drafts))
                self._submit(request, RunKind.FULL, max(1, tokens) * len(drafts[0].tokens))
        for entry in entries:
            entry.ticked = False

    def reroll(self, entry: Entry, share: float) -> None:
        """Queue new versions of a candidate, its least likely share (0–1) of tokens drawn again."""
        self._reroll(entry, Reroll.worst(entry.candidate, share))

    def reroll_patch(self, corners: list[Point]) -> None:
        """Queue new versions of the chosen candidate, drawn again inside an outline."""
        entry, document = self._gallery.chosen, self._session.document
        if entry is None or document is None:
            return
        rect, mask = polygon(corners, document.bounds)
        region = np.zeros(document.paint.shape, bool)
        if not rect.empty:
            region[rect.slices] = mask
        try:
            self._reroll(entry, Reroll.inside(entry.candidate, region))
        except ScenebrushError:
            self.message.emit(Kind.INFO, "Nothing of this version lies inside the outline. Outline a part of the edit.")

    def _reroll(self, entry: Entry, reroll: Reroll) -> None:
        run, document = self._run_of(entry), self._session.document
        if run is None or document is None:
            return
        settings = replace(self._panel.take_settings(), outline=run.settings.outline)  # what is kept keeps its outline
        request = replace(run.request_on(document), settings=settings, way=reroll, reference=self._panel.reference)
        self._submit(request, RunKind.REROLL, sum(int(tokens.sum()) for tokens in reroll.tokens))

    def _submit(self, request: EditRequest, kind: RunKind, tokens: int) -> None:
        document = self._session.document
        assert document is not None
        job = self.queue.submit(request)
        run = Run.of(job.number, self._title(request.paint), request, tokens, document.bounds, kind)
        self.runs = pruned([*self.runs, run])
        self._panel.queue.show_runs(self.runs)
        self.submitted.emit()
        self._canvas.set_preview(None)
        self._show_run(run)
        self._show_progress()

    def swap_texture(self) -> None:
        """Show the chosen version as drawn, or with texture from photographs again."""
        entry, document = self._gallery.chosen, self._session.document
        run = self._run_of(entry)
        if entry is None or run is None or document is None:
            self.message.emit(Kind.INFO, "Choose a version in the gallery first.")
        elif not entry.candidate.textured:
            self.message.emit(Kind.INFO, "This version has the drawing's own texture only.")
        else:
            run.swap_texture(entry, document)
            self._gallery.choose(entry.candidate)
            self._refresh(run)
            self._count_change()

    def restore(self, runs: list[Run]) -> None:
        """Put back the runs of a project; the newest is shown."""
        self.runs = pruned(runs)
        self._show_run(self.runs[-1] if self.runs else None)

    def _count_change(self) -> None:
        self.changes += 1
        self.results_changed.emit()

    def recall(self, entry: Entry | None) -> None:
        """Put the settings of a version's run (None: of the run shown), and the seed of it, back into the panel."""
        run = self._gallery.run if entry is None else self._run_of(entry)
        if run is not None:
            seed = run.settings.seed if entry is None else entry.candidate.seed
            if run.reference is not None:
                self._panel.set_reference(run.reference)
            self._panel.show_settings(replace(run.settings, seed=seed))
            self.message.emit(Kind.INFO, f"Settings and seed {seed} are back; the seed is locked.")

    def cancel(self) -> None:
        """Stop the run that is being drawn; its finished versions stay."""
        self._held = None
        self.queue.cancel_running()
        self._show_progress()

    def cancel_all(self) -> None:
        """Stop the run that is being drawn and drop those that wait."""
        self._held = None
        self.queue.cancel_all()
        self._show_progress()

    def _title(self, paint: np.ndarray) -> str:
        """The names of the painted labels, most painted first."""
        order = painted_labels(paint)
        names = ", ".join(self._session.label_name(label) for label in order[:3])
        return (names + (" …" if len(order) > 3 else "")).capitalize()

    def _run(self, job: int) -> Run | None:
        return next((run for run in self.runs if run.job == job), None)

    def _run_of(self, entry: Entry | None) -> Run | None:
        return next((run for run in self.runs if entry in run.entries), None)

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
        document = self._session.document
        if document is not None:
            for index, patch in zip(progress.step.candidates, progress.step.previews, strict=False):
                run.preview(index, patch, document)
        if progress.step.stage in ("guide", "sga"):
            run.batch = max(1, len(progress.step.candidates))
        self._show_progress(progress.step.stage)
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
            run.previews.clear()
            if end.state is JobState.FINISHED and run.tokens and run.kind is RunKind.FULL:
                self.planner.learn(run, end.seconds)
            if end.too_large is not None:
                self.memory.offer(end.too_large)
            elif end.state is JobState.FAILED:
                self.message.emit(Kind.ERROR, f"{end.message.rstrip('.')}. {_KEPT}")
            self._refresh(run)
            self._offer_best(run)
            if run.entries:
                self._count_change()
        self._show_progress()

    def _offer_best(self, run: Run) -> None:
        """Show the most likely version on the canvas, unless the user has moved on."""
        document = self._session.document
        if document is None or not run.entries or run is not self._gallery.run or self._gallery.query:
            return
        untouched = bool((document.paint == run.paint).all())
        if untouched and self._gallery.chosen is None and not self._session.painting:
            self._gallery.choose(run.entries[0].candidate)

    def _show_progress(self, stage: str = "") -> None:
        self._panel.queue.show_runs(self.runs)
        running: Job | None = self.queue.running
        if running is None:
            ended = next((run for run in reversed(self.runs) if run.state.terminal), None)
            self._panel.show_idle("" if ended is None else ended.state.value.capitalize())
            return
        run = self._run(running.number)
        fraction = run.fraction if run is not None else 0.0
        self._panel.show_running(fraction, stage, running.cancel.cancelled, self.queue.waiting)

    # gallery ------------------------------------------------------------------------------------------------------

    def apply(self, entry: Entry) -> None:
        """Put a candidate into the picture."""
        run = self._run_of(entry)
        if run is None:
            return
        step = self._session.apply(entry.candidate, run.paint, f"Apply {run.title.lower()}")
        if step is not None:
            entry.step = step.number
        self._gallery.leave_preview()
        self._refresh(run)

    def _discard(self, entry: Entry) -> None:
        run, place = self._run_of(entry), self._gallery.model.row(entry) or 0
        if run is None:
            return
        run.discard(entry, self.changes)
        self._refresh(run)
        self._count_change()
        left = self._gallery.model.shown
        following = left[min(place, len(left) - 1)] if left else None
        self._gallery.choose(None if following is None else following.candidate)
        self.trouble.emit(Kind.INFO, "The version is out of the gallery.", [("Bring it back", self.bring_back)])

    def bring_back(self) -> None:
        """Put the version that was discarded last back into its run, and show it."""
        discarded = [run for run in self.runs if run.discarded]
        if not discarded:
            self.message.emit(Kind.INFO, "No version was discarded.")
            return
        run = max(discarded, key=lambda run: run.discarded[-1].discarded)
        entry = run.bring_back()
        self._count_change()
        self._show_run(run)
        self._gallery.choose(entry.candidate)

    def _preview(self, entry: Entry | None) -> None:
        run = self._run_of(entry)
        if entry is None or run is None:
            self._canvas.set_preview(None)
            return
        rank, draft = run.entries.index(entry) + 1, entry.candidate.draft
        caption = f"{'Draft' if draft else 'Version'} {rank} of {len(run.entries)}"
        caption += f"  ·  {entry.candidate.nats_per_token:.3f} nats/token"
        if entry.candidate.textured:
            caption += "  ·  as drawn" if entry.candidate.as_drawn else "  ·  textured"
        if entry is self._gallery.chosen:
            key = f"{self.apply_key} {'draws it in full' if draft else 'applies'}, " if self.apply_key else ""
            caption += f"  ·  {key}Esc goes back"
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
        if document is None:
            return
        if self._gallery.query:
            state, total = document.picture_state, sum(len(one.entries) for one in self.runs)
            matches = found(self.runs, self._gallery.query, state, self._session.label_name)
            self._gallery.show_found(matches, total, state)
        elif run is self._gallery.run:
            self._gallery.refresh(document.picture_state)

    def _search(self) -> None:
        """Show what is found; after the search the run of the version that was chosen in it."""
        chosen, shown = self._gallery.chosen, self._gallery.run
        if self._gallery.query:
            self._refresh(shown)
            return
        self._show_run(self._run_of(chosen) or shown)
        self._gallery.choose(None if chosen is None else chosen.candidate)

    # session ------------------------------------------------------------------------------------------------------

    def _on_document(self) -> None:
        self._held = None
        self.queue.cancel_all()
        self.runs.clear()
        self._gallery.set_run(None, 0, 0)
        self._show_progress()

    def _on_settled(self) -> None:
        self._refresh(self._gallery.run)
