"""Another photo whose textures an edit is to have: chosen, read in the background, handed to the panel."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from app.io.pictures.photo import PHOTO_SUFFIXES, Photo, load_photo
from app.io.pictures.references import MOST, named_pictures
from app.worker.engine_thread import EngineThread
from app.worker.tasks import TaskThread
from models.request import Reference

from ..control.files import FileController
from .generate_panel import GeneratePanel
from .message_bar import Kind


class ReferenceController(QObject):
    """Asks for the file, has its labels found, and shows it in the panel; a failure leaves the panel as it was."""

    message = Signal(object, str)  # Kind, text

    def __init__(
        self, panel: GeneratePanel, files: FileController, engine: EngineThread, tasks: TaskThread, window: QWidget
    ) -> None:
        super().__init__(window)
        self._panel, self._files, self._engine, self._tasks, self._window = panel, files, engine, tasks, window
        panel.reference_asked.connect(self.choose)
        engine.reference_ready.connect(self._on_ready)
        engine.reference_failed.connect(lambda text: self.message.emit(Kind.WARNING, text))

    def choose(self) -> None:
        patterns = " ".join(f"*{suffix}" for suffix in PHOTO_SUFFIXES)
        kinds, folder = f"Photos ({patterns});;All files (*)", str(self._files.folder)
        names, _ = QFileDialog.getOpenFileNames(self._window, "Photos to take textures from", folder, kinds)
        if names:
            self.read([Path(name) for name in names[:MOST]])

    def read(self, paths: list[Path]) -> None:
        """Read photos in the background; they are in the panel when their labels are found."""
        self._tasks.submit(
            lambda: [load_photo(path, max_megapixels=self._files.max_megapixels) for path in paths],
            self._on_photos,
            lambda error: self.message.emit(Kind.WARNING, str(error)),
            key="reference",
        )

    def _on_photos(self, photos: list[Photo]) -> None:
        self._engine.read_reference(named_pictures(photos))

    def _on_ready(self, reference: Reference) -> None:
        self._panel.set_reference(reference)
        more = f" and {len(reference.others)} more" if reference.others else ""
        self.message.emit(Kind.INFO, f"Textures come from {reference.name}{more} now.")
