"""Fixtures for tests that open the real window: a factory that cleans up, and a watch on what is left behind."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import shiboken6
from PIL import Image
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, Qt, QThread, QTimer, QtMsgType
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.document.brush import Point
from app.io.settings import SettingsStore
from app.ui.canvas.canvas import Canvas
from app.ui.control import files
from app.ui.look.theme import apply_theme
from app.ui.main_window import MainWindow
from app.worker.jobs import Engine
from tests.ui.fake_engine import FakeEngine

WAIT = 10_000  # milliseconds; generous, for a busy machine
# the offscreen platform says this of every window with a minimum size; it is no fault of the window
_PLATFORM_REMARKS = ("This plugin does not support propagateSizeHints()",)

OpenWindow = Callable[..., MainWindow]


@pytest.fixture(autouse=True)
def nothing_left_running(qapp: QApplication, qtlog) -> Iterator[None]:
    """Fails a test that leaves a thread, timer or top-level widget, or that made Qt print a warning."""
    yield
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    qapp.processEvents()
    gc.collect()
    alive = [o for o in gc.get_objects() if issubclass(type(o), QThread | QTimer) and shiboken6.isValid(o)]
    assert [t.objectName() for t in alive if isinstance(t, QThread) and t.isRunning()] == [], "threads still run"
    assert [t.parent() for t in alive if isinstance(t, QTimer) and t.isActive()] == [], "timers still run"
    assert QApplication.topLevelWidgets() == [], "top-level widgets are left"
    bad = (QtMsgType.QtWarningMsg, QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg)
    warnings = [r.message for r in qtlog.records if r.type in bad and r.message not in _PLATFORM_REMARKS]
    assert warnings == [], "Qt printed warnings"


@pytest.fixture
def open_window(qapp: QApplication, qtbot, monkeypatch) -> Iterator[OpenWindow]:
    """Makes shown windows; by default with a fake engine, and waits until it has opened."""
    apply_theme(qapp)
    windows: list[MainWindow] = []
    monkeypatch.setattr(files, "ask_about_edits", lambda window: "drop")

    def make(
        engine: Engine | None = None,
        photo: Path | None = None,
        open_engine: Callable[[], Engine] | None = None,
        wait: bool = True,
        home: Path | None = None,
        store: SettingsStore | None = None,
        open_on_cpu: Callable[[], Engine] | None = None,
    ) -> MainWindow:
        chosen = FakeEngine() if engine is None else engine
        window = MainWindow(open_engine or (lambda: chosen), home, store, open_on_cpu)
        windows.append(window)
        window.resize(1200, 800)
        window.show()
        if wait:
            qtbot.waitUntil(lambda: window.session.label_set is not None, timeout=WAIT)
        if photo is not None:
            window.files.open_path(photo)
            qtbot.waitUntil(lambda: window.session.document is not None, timeout=WAIT)
        return window

    yield make
    for window in windows:
        assert window.shut_down(), "the threads did not end in time"
        window.hide()
        window.deleteLater()
    windows.clear()


@pytest.fixture
def photo_file(tmp_path: Path) -> Path:
    """A small landscape-shaped PNG."""
    rng = np.random.default_rng(1)
    pixels = np.linspace(40, 200, 300)[:, None, None] + rng.integers(0, 30, (300, 440, 3))
    path = tmp_path / "photo.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def on_canvas(canvas: Canvas, x: float, y: float) -> QPoint:
    """The widget position of a photo pixel."""
    point = canvas.view.to_device(Point(x, y))
    ratio = canvas.devicePixelRatioF()
    return QPoint(round(point.x / ratio), round(point.y / ratio))


def drag(canvas: Canvas, *points: tuple[float, float], release: bool = True) -> None:
    """Drag the left mouse button through photo pixels."""
    positions = [on_canvas(canvas, *point) for point in points]
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, positions[0])
    for position in positions[1:]:
        QTest.mouseMove(canvas, position)
    if release:
        QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, positions[-1])
