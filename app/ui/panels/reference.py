"""Another photo whose textures an edit is to have: chosen, read in the background, handed to the panel."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from app.io.pictures.photo import Photo, load_photo
from app.worker.engine_thread import EngineThread
from app.worker.tasks import TaskThread
from models.request import Reference

from ..control.files import PHOTO_SUFFIXES, FileController
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
        name, _ = QFileDialog.getOpenFileName(self._window, "A photo to take textures from", folder, kinds)
        if name:
            self.read(Path(name))

    def read(self, path: Path) -> None:
        """Read a photo in the background; it is in the panel when its labels are found."""
        self._tasks.submit(
            lambda: load_photo(path, max_megapixels=self._files.max_megapixels),
            self._on_photo,
            lambda error: self.message.emit(Kind.WARNING, str(error)),
            key="reference",
        )

    def _on_photo(self, photo: Photo) -> None:
        name = photo.path.name if photo.path else "the reference"
        self._engine.read_reference(name, photo.screen_colors.convert(photo.rgb8))

    def _on_ready(self, reference: Reference) -> None:
        self._panel.set_reference(reference)
        self.message.emit(Kind.INFO, f"Textures come from {reference.name} now.")
