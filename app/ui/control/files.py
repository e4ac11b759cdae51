"""Opening photos and label maps, exporting pictures: in the background, failing calmly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from app.document.document import Document
from app.io.errors import ExportError
from app.io.pictures.depth import to_full_depth, to_sixteen_bit
from app.io.pictures.maps import load_index_map, save_index_map
from app.io.pictures.ora import SUFFIX as ORA_SUFFIX
from app.io.pictures.ora import save_ora
from app.io.pictures.photo import PHOTO_SUFFIXES, Photo, load_photo
from app.io.pictures.save import has_private_fields, save_photo
from app.io.project import SUFFIX as PROJECT_SUFFIX
from app.io.project import ProjectData, is_project, read_project
from app.studio.session import Session
from app.worker.engine_thread import EngineThread
from app.worker.jobs import EngineInfo, Suggestion
from app.worker.tasks import TaskThread
from models.errors import ScenebrushError

from ..dialogs import export_dialog
from ..look.icon_files import RESOURCES
from ..panels.message_bar import Kind
from .save_names import ask_save_name

_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ORA_SUFFIX)


class FileController(QObject):
    """Reads and writes for the session. A failed open leaves everything as it was."""

    message = Signal(object, str)  # Kind, text
    exported = Signal(str)
    busy = Signal(str)  # what is being read or written, "" when done
    opened = Signal(object, object)  # Path, ProjectData (None: a photo)

    def __init__(self, session: Session, engine: EngineThread, tasks: TaskThread, window: QWidget) -> None:
        super().__init__(window)
        self._session, self._engine, self._tasks, self._window = session, engine, tasks, window
        self.folder = Path.home()
        self.max_megapixels = 100.0
        self.export_choice = export_dialog.ExportChoice()
        self._asked_for: int | None = None  # the document for which the user wants labels suggested anew
        self.previewing: Callable[[], bool] = lambda: False  # whether a version is shown that is not applied
        self.guard: Callable[[Callable[[], None]], None] = lambda go_on: go_on()  # asks before work is lost
        engine.opened.connect(self._on_engine)
        engine.labels_suggested.connect(self._on_suggestion)
        engine.suggestion_failed.connect(self._on_suggestion_failed)

    # opening ------------------------------------------------------------------------------------------------------

    def open_dialog(self) -> None:
        patterns = " ".join(f"*{suffix}" for suffix in (*PHOTO_SUFFIXES, PROJECT_SUFFIX))
        name, _ = QFileDialog.getOpenFileName(
            self._window,
            "Open a photo or a project",
            str(self.folder),
            f"Photos and projects ({patterns});;All files (*)",
        )
        if name:
            self.open_path(Path(name))

    def open_sample(self) -> bool:
        """The photo that comes with the program and its label map; False when there is none."""
        photo = sample_photo()
        if photo is not None:
            labels = photo.with_suffix(".png")
            self.open_path(photo, labels if labels.exists() else None)
        return photo is not None

    def open_path(self, path: Path, labels: Path | None = None) -> None:
        """Open a photo (with a label map when there is one) or a project, asking first when work would be lost."""
        self.guard(lambda: self._open_project(path) if is_project(path) else self._open(path, labels))

    def _open_project(self, path: Path) -> None:
        limit = self.max_megapixels

        def read() -> tuple[ProjectData, Photo]:
            return read_project(path, max_megapixels=limit)

        self.busy.emit(f"Opening {path.name}…")
        self._tasks.submit(read, lambda found: self._on_project(path, *found), self._on_open_error, key="open")

    def _on_project(self, path: Path, data: ProjectData, photo: Photo) -> None:
        self.busy.emit("")
        self.folder = path.parent
        self._session.set_document(Document.restored(photo, data))
        self.opened.emit(path, data)

    def _open(self, path: Path, labels: Path | None) -> None:
        limit = self.max_megapixels

        def read() -> tuple[Photo, np.ndarray | None]:
            photo = load_photo(path, max_megapixels=limit)
            return photo, None if labels is None else load_index_map(labels, photo.size)

        self.busy.emit(f"Opening {path.name}…")
        self._tasks.submit(read, lambda result: self._on_photo(path, *result), self._on_open_error, key="open")

    def _on_photo(self, path: Path, photo: Photo, labels: np.ndarray | None) -> None:
        self.busy.emit("")
        self.folder = path.parent
        document = Document(photo)
        if labels is not None:
            document.start[:] = labels
            document.labels_loaded = True
        self._session.set_document(document)
        self.opened.emit(path, None)
        self._suggest()

    def _on_open_error(self, error: Exception) -> None:
        self.busy.emit("")
        kept = " The photo that was open is still open." if self._session.document is not None else ""
        self.message.emit(Kind.ERROR, f"{_said(error, 'The photo could not be opened')}.{kept}")

    # labels -------------------------------------------------------------------------------------------------------

    def _suggest(self) -> None:
        """Ask the engine for start labels in the background, unless the user has chosen some."""
        document = self._session.document
        if document is not None and not document.labels_loaded:
            self._ask_for_labels(document)

    def suggest_again(self) -> None:
        """Replace start labels, also those that were loaded or set, by suggested ones, as an undo step."""
        document = self._session.document
        if document is not None and self._ask_for_labels(document):
            self._asked_for = self._session.document_number

    def _ask_for_labels(self, document: Document) -> bool:
        """Hand the photo to the engine; False while there is none."""
        if self._engine.engine is None:
            return False
        photo = document.photo
        self._session.await_labels(True)
        self._engine.suggest_labels(self._session.document_number, photo.rgb8, photo.drawing_colors)
        return True

    def start_uniform(self) -> None:
        """One label everywhere: the current one."""
        label = self._session.label
        self._session.set_start_labels(label, f"Start labels: all {self._session.label_name(label)}")

    def load_labels_dialog(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self._window, "Load a label map", str(self.folder), "Index PNG (*.png)")
        if name:
            self.load_labels(Path(name))

    def load_labels(self, path: Path) -> None:
        """Start labels from an index PNG of the photo's size."""
        document = self._session.document
        if document is None:
            return
        known = 0 if self._session.label_set is None else len(self._session.label_set)

        def read() -> np.ndarray:
            labels = load_index_map(path, document.photo.size)
            highest = int(labels.max())
            if highest >= known:
                raise ScenebrushError(
                    f"{path}: holds label {highest}, but this checkpoint knows 0 to {known - 1}; "
                    "use a map made for its labels"
                )
            return labels

        def done(labels: np.ndarray) -> None:
            if self._session.document is document:
                self._session.set_start_labels(labels, f"Load labels {path.name}")
                self.message.emit(Kind.INFO, f"Labels loaded from {path.name}.")

        self._tasks.submit(read, done, lambda e: self._warn(e, "The label map could not be read", _LABELS_KEPT))

    def save_labels_dialog(self) -> None:
        document, label_set = self._session.document, self._session.label_set
        if document is None or label_set is None:
            return
        start, filters = self.folder / "labels.png", "Index PNG (*.png)"
        path = ask_save_name(self._window, "Save the label map", start, filters, (".png",))
        if path is not None:
            labels, colors = document.labels(), np.array([entry.color for entry in label_set.labels], np.uint8)
            self._tasks.submit(
                lambda: save_index_map(path, labels, colors),
                lambda _: self.message.emit(Kind.INFO, f"Label map saved as {path.name}."),
                lambda e: self._warn(e, "The label map could not be saved", ""),
            )

    def _on_engine(self, info: EngineInfo) -> None:
        if info.label_set == self._session.label_set:
            return  # the same checkpoint again, on another device
        self._session.set_label_set(info.label_set)
        document = self._session.document
        if document is not None and document.start.max() >= len(info.label_set):
            document.start[:] = 0  # a map made for other labels came with the photo
            document.labels_loaded = False
        self._suggest()

    def _on_suggestion(self, suggestion: Suggestion) -> None:
        if suggestion.number != self._session.document_number:
            return  # of a photo that is no longer open
        if suggestion.number == self._asked_for:
            self._session.set_start_labels(suggestion.labels, "Suggest labels")
            self.message.emit(Kind.INFO, "The labels are suggested anew; undo brings the earlier ones back.")
        else:
            self._session.suggest_labels(suggestion.number, suggestion.labels)
        self._asked_for = None
        self._session.await_labels(False)

    def _on_suggestion_failed(self, text: str) -> None:
        self._session.await_labels(False)
        self._asked_for = None
        self.message.emit(Kind.WARNING, f"{text}. {_UNIFORM}")

    # exporting ----------------------------------------------------------------------------------------------------

    def export_dialog(self, then: Callable[[], None] | None = None) -> None:
        """Ask how and where, and export there; `then` runs after success."""
        document = self._session.document
        if document is None:
            return
        photo = document.photo
        sixteen_bit, private = photo.full.dtype == np.uint16, has_private_fields(photo)
        choice = export_dialog.ask_export(self.export_choice, sixteen_bit, private, self._window)
        if choice is None:
            return
        self.export_choice = choice
        start = self.folder / f"{'picture' if photo.path is None else photo.path.stem}-edited{choice.suffix}"
        filters = f"{choice.suffix.lstrip('.').upper()} (*{choice.suffix})"
        path = ask_save_name(self._window, "Export the picture", start, filters, (choice.suffix, *_SUFFIXES))
        if path is not None:
            self.export(path, then)

    def export(self, path: Path, then: Callable[[], None] | None = None) -> None:
        """Write the picture at the photo's size and depth; the suffix chooses PNG, TIFF, JPEG or OpenRaster.

        What is only previewed is no part of it, and is said to be none.
        """
        document, label_set = self._session.document, self._session.label_set
        if document is None:
            return
        self._session.end_stroke()
        picture, painted, state = document.lend_picture(), document.ever_painted, document.picture_state
        previewed = self.previewing()
        options, labels = self.export_choice.options, document.labels()
        colors = np.array([] if label_set is None else [entry.color for entry in label_set.labels], np.uint8)

        def write() -> list[str]:
            full = picture if options.bits == 8 else to_full_depth(document.photo, picture, painted)
            full = to_sixteen_bit(full) if options.bits == 16 else full
            if path.suffix.lower() == ORA_SUFFIX:
                save_ora(path, full, painted, document.photo, labels, colors.reshape(-1, 3))
                return []
            quality, private = options.quality, options.keep_private
            edited = bool(painted.any())
            return save_photo(path, full, document.photo, quality=quality, keep_private=private, ai_edited=edited)

        def done(notes: list[str]) -> None:
            self.busy.emit("")
            document.mark_exported(state)
            self.folder = path.parent
            kind = Kind.WARNING if previewed else Kind.INFO
            notes = [*notes, _NOT_APPLIED] if previewed else notes
            self.message.emit(kind, " ".join([f"Exported {path.name}.", *notes]))
            self.exported.emit(str(path))
            if then is not None:
                then()

        def failed(error: Exception) -> None:
            self.busy.emit("")
            self._warn(error, "The picture could not be exported", "Nothing is lost; export to another place.")

        self.busy.emit(f"Exporting {path.name}…")
        self._tasks.submit(write, done, failed)

    def _warn(self, error: Exception, what: str, kept: str) -> None:
        self.message.emit(Kind.ERROR, f"{_said(error, what)}. {kept}".strip())


_UNIFORM = "One label is used everywhere; load a label map to do better."
_NOT_APPLIED = "The version shown is not applied, so it is not in the file; apply it (Enter) and export again."
_LABELS_KEPT = "The labels are as they were."


def ask_about_edits(window: QWidget) -> str:
    """ "save", "drop" or "stay"."""
    box = QMessageBox(window)
    box.setIcon(QMessageBox.Icon.NoIcon)
    box.setWindowTitle("Scenebrush")
    box.setText("There is work here that no file holds yet.")
    box.setInformativeText("It is lost if you go on without saving the project.")
    save = box.addButton("Save the project…", QMessageBox.ButtonRole.AcceptRole)
    drop = box.addButton("Go on without", QMessageBox.ButtonRole.DestructiveRole)
    box.addButton("Stay here", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(save)
    box.exec()
    clicked = box.clickedButton()
    answer = "save" if clicked is save else "drop" if clicked is drop else "stay"
    box.deleteLater()
    return answer


def sample_photo() -> Path | None:
    """The sample that comes with the program."""
    return next(iter(sorted((RESOURCES / "sample").glob("*.jpg"))), None)


def _said(error: Exception, what: str) -> str:
    """The error's own line when it was made for people, else what failed and why, without a closing dot."""
    text = str(error) if isinstance(error, ScenebrushError | ExportError) else f"{what}: {error}"
    return text.rstrip(".")
