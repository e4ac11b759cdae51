"""Settings at work, and the Help menu."""

from __future__ import annotations

import base64
import contextlib
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QByteArray, QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QMainWindow, QMessageBox

from app.io.pictures.save import ExportOptions
from app.io.settings import Settings, SettingsStore
from app.worker.engine_thread import EngineThread

from ..control.actions import Actions, OptionsBar
from ..control.files import FileController
from ..control.generation import GenerationController
from ..control.project_files import ProjectController
from ..gallery.gallery import Gallery
from ..panels.generate_panel import GeneratePanel
from ..panels.label_palette import LabelPalette
from ..panels.message_bar import Kind
from .diagnostics import diagnostics, own_version
from .export_dialog import ExportChoice
from .first_run import FirstRun
from .preferences import Preferences
from .shortcuts import ShortcutSheet

_STATE_VERSION = 1  # raise when the docks change so that an old arrangement no longer fits
_ABOUT = (
    "Scenebrush {} paints what should be there.\n\n"
    "An implementation of ASSET (Liu et al., SIGGRAPH 2022) with a checkpoint of its own. Apache 2.0."
)


@dataclass(frozen=True)
class Parts:
    """The parts of the window that settings are about."""

    actions: Actions
    options: OptionsBar
    panel: GeneratePanel
    gallery: Gallery
    palette: LabelPalette
    first_run: FirstRun
    generation: GenerationController
    files: FileController
    projects: ProjectController
    engine: EngineThread


class Help(QObject):
    """home: folder of the log, None without one."""

    message = Signal(object, str)  # Kind, text

    def __init__(self, window: QMainWindow, parts: Parts, store: SettingsStore, home: Path | None) -> None:
        super().__init__(window)
        self._window, self._parts, self._store = window, parts, store
        self.log_folder = None if home is None else home / "log"

    # settings -------------------------------------------------------------------------------------------------------

    def apply(self, before: Settings | None = None) -> None:
        """Put the settings to work, at the start and after a change of those that were `before`."""
        parts, settings = self._parts, self._store.settings
        parts.actions.bind(settings.shortcuts)
        for part in (parts.panel, parts.gallery, parts.options):
            part.show_keys(parts.actions.with_key)
        parts.generation.apply_key = parts.actions.first_key("apply")
        parts.files.max_megapixels = settings.max_megapixels
        parts.projects.set_autosave_seconds(settings.autosave_seconds)
        if before is None or before.versions != settings.versions:  # else what the panel says now stays
            parts.panel.count.setValue(settings.versions)
        options = ExportOptions(settings.export_quality, settings.export_bits)
        parts.files.export_choice = ExportChoice(settings.export_suffix, options)

    def start(self) -> None:
        """What happens once, when the window is shown to a user."""
        window, parts, settings = self._window, self._parts, self._store.settings
        parts.palette.recent.restore(settings.recent_labels)
        with contextlib.suppress(ValueError):
            window.restoreGeometry(QByteArray(base64.b64decode(settings.geometry, validate=True)))
            window.restoreState(QByteArray(base64.b64decode(settings.window, validate=True)), _STATE_VERSION)
        if self._store.problem:
            self.message.emit(Kind.WARNING, self._store.problem)
        if settings.first_run:
            parts.first_run.begin()
            settings.first_run = False
            self._store.save()

    def remember_window(self) -> None:
        """Keep sizes, places, recent labels and the last export for the next start."""
        window, parts, settings = self._window, self._parts, self._store.settings
        settings.recent_labels = parts.palette.recent.names
        settings.geometry = base64.b64encode(window.saveGeometry().data()).decode()
        settings.window = base64.b64encode(window.saveState(_STATE_VERSION).data()).decode()
        self.remember_export()

    def remember_export(self) -> None:
        """Keep the last choice of the export dialog; not what it was asked to tell of place and owner."""
        choice, settings = self._parts.files.export_choice, self._store.settings
        settings.export_suffix = choice.suffix  # type: ignore[assignment]
        settings.export_quality, settings.export_bits = choice.options.quality, choice.options.bits  # type: ignore[assignment]
        self._store.save()

    def show_preferences(self) -> None:
        self.remember_export()
        dialog = Preferences(self._store.settings, self._parts.actions, self._window)
        if dialog.exec() == Preferences.DialogCode.Accepted:
            self.take(dialog.result_settings)
        dialog.deleteLater()

    def take(self, settings: Settings) -> None:
        """Use and keep changed settings."""
        before, self._store.settings = self._store.settings, settings
        self.apply(before)
        problem = self._store.save()
        if problem:
            self.message.emit(Kind.WARNING, problem)

    # help -----------------------------------------------------------------------------------------------------------

    def show_shortcuts(self) -> None:
        sheet = ShortcutSheet(self._parts.actions, self._window)
        sheet.exec()
        sheet.deleteLater()

    def open_log_folder(self) -> None:
        if self.log_folder is None or not self.log_folder.exists():
            self.message.emit(Kind.INFO, "There is no log yet.")
            return
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.log_folder))):
            self.message.emit(Kind.INFO, f"No file manager could be opened; the log is in {self.log_folder}.")

    def copy_diagnostics(self) -> None:
        engine = self._parts.engine.engine
        device = "" if engine is None else engine.device_line
        checkpoint = getattr(engine, "checkpoint_sha256", "")
        QGuiApplication.clipboard().setText(diagnostics(device, checkpoint, self.log_folder))
        self.message.emit(Kind.INFO, "Diagnostics are on the clipboard.")

    def show_about(self) -> None:
        QMessageBox.about(self._window, "About Scenebrush", _ABOUT.format(own_version()))
