"""Projects: saving, opening, asking before work is lost, snapshots against crashes, recent files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QMenu, QWidget

from app.document.document import RESTORED_STEP, Document
from app.io.project import SUFFIX, ProjectData, SavedCandidate, SavedRun, write_project
from app.io.recent import RecentFiles
from app.studio.runs import Run, RunKind, crop_around
from app.studio.session import Session
from app.worker.jobs import JobState
from app.worker.tasks import TaskThread

from ..panels.message_bar import Kind
from . import files as file_module
from .files import FileController
from .generation import GenerationController
from .recovery import RecoveryFolder, Snapshot, ask_recovery
from .save_names import ask_save_name

AUTOSAVE_SECONDS = 5
_FILTER = f"Scenebrush project (*{SUFFIX})"


class ProjectController(QObject):
    """Knows where the project lies and whether it holds all that was done."""

    message = Signal(object, str)  # Kind, text
    changed = Signal()  # saved, opened, or something new to save

    def __init__(
        self,
        session: Session,
        generation: GenerationController,
        files: FileController,
        tasks: TaskThread,
        window: QWidget,
        home: Path | None = None,
    ) -> None:
        super().__init__(window)
        self._session, self._generation, self._files, self._tasks = session, generation, files, tasks
        self._window = window
        self.path: Path | None = None
        self._saved_results = 0
        self.recent = RecentFiles(None if home is None else home / "recent.json")
        self._recovery = None if home is None else RecoveryFolder(home / "recovery")
        self._writer = TaskThread("autosave", self)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(AUTOSAVE_SECONDS * 1000)
        self._timer.timeout.connect(self.autosave)
        self._autosave_failed = False
        self._recovering: Snapshot | None = None
        self._writer.start()
        files.guard = self.ask_first
        files.opened.connect(self._on_opened)
        session.document_replaced.connect(self._on_document)
        session.settled.connect(self._on_change)
        generation.results_changed.connect(self._on_change)

    def set_autosave_seconds(self, seconds: int) -> None:
        self._timer.setInterval(seconds * 1000)

    # state --------------------------------------------------------------------------------------------------------

    @property
    def dirty(self) -> bool:
        """Whether there is something that the project file (or the photo, without one) does not hold."""
        if self._session.document is None:
            return False
        return not self._session.undo_stack.isClean() or self._generation.changes != self._saved_results

    @property
    def worth_asking(self) -> bool:
        """Whether closing would lose work that somebody may miss: paint, unexported edits, starred results."""
        document = self._session.document
        if document is None or not self.dirty:
            return False
        starred = any(entry.starred for run in self._generation.runs for entry in run.entries)
        return document.unexported or document.anything_painted or starred or self.path is not None

    def ask_first(self, go_on: Callable[[], None]) -> None:
        """Go on at once, or after asking what to do with work that no file holds."""
        if not self.worth_asking:
            go_on()
            return
        answer = file_module.ask_about_edits(self._window)
        if answer == "save":
            self.save(go_on)
        elif answer == "drop":
            go_on()

    def _on_document(self) -> None:
        self.path = None
        self._mark_saved()

    def _on_change(self) -> None:
        if self._recovery is not None and self.dirty and not self._timer.isActive():
            self._timer.start()
        self.changed.emit()

    def _mark_saved(self) -> None:
        self._session.undo_stack.setClean()
        self._saved_results = self._generation.changes
        self._timer.stop()
        if self._recovery is not None:
            self._writer.forget("autosave")
            self._recovery.clear()
        self.changed.emit()

    # saving -------------------------------------------------------------------------------------------------------

    def data(self) -> ProjectData | None:
        """What a project of the present state holds; its arrays are not shared with the document."""
        document, label_set = self._session.document, self._session.label_set
        if document is None:
            return None
        self._session.end_stroke()
        return ProjectData(
            source=document.photo.source_bytes,
            name="photo" if document.photo.path is None else document.photo.path.name,
            start=document.start.copy(),
            applied=document.applied.copy(),
            paint=document.paint.copy(),
            edit=document.edited_part(),
            labels_loaded=document.labels_loaded,
            labels=() if label_set is None else tuple(label.name for label in label_set.labels),
            runs=tuple(_saved(run, document) for run in self._generation.runs if run.state.terminal and run.entries),
        )

    def save(self, then: Callable[[], None] | None = None) -> None:
        """Save to the project's own file, or ask for one; `then` runs after success."""
        if self.path is None:
            self.save_as(then)
        else:
            self.save_to(self.path, then)

    def save_as(self, then: Callable[[], None] | None = None) -> None:
        document = self._session.document
        if document is None:
            return
        stem = "picture" if document.photo.path is None else document.photo.path.stem
        start = self.path or self._files.folder / f"{stem}{SUFFIX}"
        path = ask_save_name(self._window, "Save the project", start, _FILTER, (SUFFIX,))
        if path is not None:
            self.save_to(path, then)

    def save_to(self, path: Path, then: Callable[[], None] | None = None) -> None:
        """Write the project in the background; painting may go on meanwhile and counts as not saved."""
        data, document = self.data(), self._session.document
        if data is None:
            return
        stack, results = self._session.undo_stack, self._generation.changes
        index = stack.index()

        def done(_: object) -> None:
            if self._session.document is document:
                self.path = path
                if stack.index() == index and self._generation.changes == results:
                    self._mark_saved()
                self.recent.add(path)
                self.changed.emit()
            self.message.emit(Kind.INFO, f"Saved {path.name}.")
            if then is not None:
                then()

        def failed(error: Exception) -> None:
            line = str(error).rstrip(".")
            self.message.emit(Kind.ERROR, f"{line}. The work is still here, and not saved.")

        self._tasks.submit(lambda: write_project(path, data), done, failed)

    # opening ------------------------------------------------------------------------------------------------------

    def _on_opened(self, path: Path, data: ProjectData | None) -> None:
        """A photo or a project is open now."""
        recovering, self._recovering = self._recovering, None
        if data is not None:
            document = self._session.document
            assert document is not None
            self._generation.restore([_restored(run, number, document) for number, run in enumerate(data.runs)])
            self.path = path
            self._mark_saved()
            if recovering is not None and recovering.file == path:
                self._recovered(recovering)
                return
        self.recent.add(path)

    def fill_recent(self, menu: QMenu) -> None:
        """The submenu of files opened last."""
        menu.clear()
        for path in self.recent.paths:
            action = menu.addAction(path.name)
            action.setToolTip(str(path))
            action.triggered.connect(lambda _=False, path=path: self._files.open_path(path))
        if menu.isEmpty():
            menu.addAction("Nothing yet").setEnabled(False)
            return
        menu.addSeparator()
        menu.addAction("Clear this list").triggered.connect(lambda _=False: self.recent.clear())

    # snapshots ----------------------------------------------------------------------------------------------------

    def autosave(self) -> None:
        """Write a snapshot in the background, when there is something unsaved."""
        recovery, project = self._recovery, self.path
        if recovery is None or not self.dirty:
            return
        if self._session.painting:  # never cut a stroke in two: try again soon
            self._timer.start()
            return
        data = self.data()
        if data is not None:
            self._writer.submit(
                lambda: recovery.write(data, project), lambda _: self._autosaved(), self._not_autosaved, key="autosave"
            )

    def _autosaved(self) -> None:
        self._autosave_failed = False
        if not self.dirty and self._recovery is not None:
            self._recovery.clear()  # saved while the snapshot was being written

    def _not_autosaved(self, error: Exception) -> None:
        if not self._autosave_failed:  # once is enough
            line = str(error).rstrip(".")
            self.message.emit(Kind.WARNING, f"No safety copy could be written: {line}. Save the project yourself.")
        self._autosave_failed = True

    def offer_recovery(self) -> bool:
        """Ask about work that a crash has left; True when it is being opened again."""
        for snapshot in [] if self._recovery is None else self._recovery.found():
            answer = ask_recovery(self._window, snapshot)
            if answer == "delete" and self._recovery is not None:
                self._recovery.delete(snapshot)
            elif answer == "recover":
                self.recover(snapshot)
                return True
        return False

    def recover(self, snapshot: Snapshot) -> None:
        """Open a snapshot; it counts as unsaved, and is deleted once this instance has its own copy."""
        self._recovering = snapshot
        self._files.open_path(snapshot.file)

    def _recovered(self, snapshot: Snapshot) -> None:
        self.path, self._saved_results = snapshot.project, -1
        self.autosave()
        recovery = self._recovery
        if recovery is not None:
            self._writer.submit(lambda: recovery.delete(snapshot) if recovery.mine.exists() else None, _ignore, _ignore)
        self.changed.emit()

    def shut_down(self) -> bool:
        """End the writing thread; leaves no snapshot."""
        self._timer.stop()
        stopped = self._writer.stop(2.0)
        if self._recovery is not None:
            self._recovery.close()
        return stopped


def _ignore(_: object) -> None:
    pass


def _saved(run: Run, document: Document) -> SavedRun:
    applied = run.applied(document.picture_state)
    return SavedRun(
        title=run.title,
        kind=run.kind.value,
        paint=run.paint,
        before=run.before,
        settings=run.settings,
        window=run.window,
        tokens=run.tokens,
        candidates=tuple(SavedCandidate(e.candidate, e.starred, e is applied) for e in run.entries),
    )


def _restored(saved: SavedRun, number: int, document: Document) -> Run:
    """A run as it was; its job number is one that the queue never gives."""
    crop = crop_around(saved.paint, document.bounds)
    run = Run(-1 - number, saved.title, saved.paint, saved.settings, saved.tokens, crop, JobState.FINISHED)
    run.window, run.before, run.kind, run.count = saved.window, saved.before, RunKind(saved.kind), len(saved.candidates)
    for one in saved.candidates:
        entry = run.add(one.candidate, document)
        entry.starred = one.starred
        entry.step = RESTORED_STEP if one.applied else None
    return run
