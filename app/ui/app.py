"""Starts the editor."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QApplication

from app.io.log import logging_to
from app.io.places import config_folder, log_folder, state_folder
from app.io.settings import SettingsStore
from app.worker.jobs import Engine

from .dialogs.diagnostics import versions
from .dialogs.unexpected import UnexpectedErrors
from .look.theme import apply_theme
from .main_window import MainWindow

log = logging.getLogger(__name__)
_USUAL_SIZE = QSize(1440, 900)
_SWITCH_INTERVAL = 0.001  # seconds; the GUI thread gets Python back from the engine thread this fast


def run_editor(path: Path | None, checkpoint: Path | None, device: str) -> int:
    """Open the editor and return its exit code when it is closed.

    path: a photo or project to open; None: the sample. checkpoint: a checkpoint folder; None: the default one.
    device: "auto", "cpu" or "cuda". Needs a display (Qt ends the process without one).
    """
    with logging_to(log_folder()):
        return _run(path, checkpoint, device)


def _run(path: Path | None, checkpoint: Path | None, device: str) -> int:
    store = SettingsStore(config_folder() / "settings.json")
    checkpoint = checkpoint or store.settings.checkpoint
    device = store.settings.device if device == "auto" else device

    def open_engine(device: str = device) -> Engine:
        from models.opening import open_editor  # loads torch: seconds, so in the engine thread

        return open_editor(checkpoint, device)

    sys.setswitchinterval(_SWITCH_INTERVAL)
    application = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(application, QApplication)
    application.setApplicationName("Scenebrush")
    apply_theme(application)
    window = MainWindow(open_engine, state_folder(), store, lambda: open_engine("cpu"))
    _show(window)
    window.help.log_folder = log_folder()
    window.help.start()
    unexpected = UnexpectedErrors(window)
    unexpected.message.connect(window.say)
    unexpected.start()
    log.info("started; %s", ", ".join(versions()))
    if window.projects.offer_recovery():
        pass
    elif path is not None:
        window.files.open_path(path)
    else:
        window.files.open_sample()
    code = application.exec()
    unexpected.stop()
    if not window.shut_down():
        # a model that is still loading cannot be interrupted, and Qt aborts when a running thread is destroyed
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _show(window: MainWindow) -> None:
    """At the usual size, larger on a large screen; filling a small one."""
    room = window.screen().availableSize()
    if room.width() <= _USUAL_SIZE.width() or room.height() <= _USUAL_SIZE.height():
        window.resize(room)
        window.showMaximized()
    else:
        window.resize(_USUAL_SIZE.expandedTo(room * 0.8))
        window.show()
