"""Starting and ending, and the Qt binding under it all."""

from __future__ import annotations

import sys

from PySide6.QtCore import QTimer
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QApplication

from app.io.log import last_lines
from app.io.places import config_folder, log_folder
from app.ui import app as editor_app
from app.ui.main_window import MainWindow


def test_that_the_editor_starts_without_a_model_and_ends(qapp, monkeypatch, tmp_path, photo_file) -> None:
    monkeypatch.setattr(editor_app.os, "_exit", lambda code: None)
    seen = []

    def look() -> None:
        window = next((w for w in QApplication.topLevelWidgets() if isinstance(w, MainWindow)), None)
        if window is None or window.session.document is None or window.status.device.text() != "no model":
            QTimer.singleShot(50, look)
            return
        seen.append(window.messages.text.text())
        window.close()

    QTimer.singleShot(50, look)
    interval, hook = sys.getswitchinterval(), sys.excepthook
    assert editor_app.run_editor(photo_file, tmp_path / "no checkpoint", "cpu") == 0
    sys.setswitchinterval(interval)
    assert "no checkpoint" in seen[0]
    assert any("started; Scenebrush" in line for line in last_lines(log_folder()))
    assert sys.excepthook is hook and (config_folder() / "settings.json").exists()
    for window in QApplication.topLevelWidgets():
        window.deleteLater()


def test_that_the_qt_binding_does_not_eat_references_to_none() -> None:
    """PySide6 6.12.0 under Python 3.11 drops one reference to None a call and kills the process after a while."""
    image = QImage(4, 4, QImage.Format.Format_RGB32)
    before = sys.getrefcount(None)
    painter = QPainter(image)
    for _ in range(500):
        painter.scale(1, 1)
    painter.end()
    lost = before - sys.getrefcount(None)
    assert lost < 100, "use PySide6 older than 6.12 with this Python, or Python 3.12 or later"
