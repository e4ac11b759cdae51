"""A visit: open a photo, paint, generate, look, apply, undo, redo, export, with mouse and keys in the real window.

With the default checkpoint when there is one, else with the fake engine.
"""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest

from app.worker.jobs import Engine, JobState
from models.request import NOT_PAINTED
from tests.ui.fake_engine import FakeEngine
from tests.ui.window_fixtures import WAIT, drag

CHECKPOINT = Path(__file__).resolve().parents[2] / "checkpoints" / "default"
LONG = 120_000  # milliseconds: a real run on a busy machine
CTRL, SHIFT, NO = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier


def open_engine() -> Engine:
    if not (CHECKPOINT / "card.json").exists():
        return FakeEngine(step_seconds=0.02)
    from models.opening import open_editor

    return open_editor(CHECKPOINT, "cpu")


def landscape(path: Path) -> None:
    """Sky over a ridge over grass, 600×400, smooth noise on everything."""
    rng = np.random.default_rng(3)
    ground = np.empty((400, 600, 3))
    ground[:150], ground[150:230], ground[230:] = (120, 165, 225), (120, 110, 105), (85, 130, 60)
    noise = cv2.GaussianBlur(rng.normal(0, 60, ground.shape), (0, 0), 3)
    Image.fromarray(np.clip(ground + noise, 0, 255).astype(np.uint8)).save(path)


def test_that_a_painted_edit_is_generated_applied_and_exported(open_window, qtbot, tmp_path) -> None:
    landscape(tmp_path / "valley.png")
    window = open_window(open_engine=open_engine, wait=False)
    window.files.open_path(tmp_path / "valley.png")
    session = window.session
    qtbot.waitUntil(lambda: session.document is not None and session.label_set is not None, timeout=LONG)
    qtbot.waitUntil(lambda: not session.labels_awaited, timeout=LONG)
    document, original = session.document, session.document.photo.rgb8.copy()

    # paint a lake in two strokes, take the second back
    session.set_label(session.label_set.index("lake"))
    session.set_brush_size(60)
    drag(window.canvas, (230, 300), (300, 310), (370, 300))
    drag(window.canvas, (100, 50), (140, 60))
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    asked = document.paint != NOT_PAINTED
    assert asked[305, 300] and not asked[50, 100]

    # generate two versions at 256; the window stays alive meanwhile
    qtbot.waitUntil(window.panel.generate.isEnabled, timeout=LONG)
    window.panel.resolution.setCurrentIndex(window.panel.resolution.findData(256))
    window.panel.count.setValue(2)
    gaps, last = [], [time.perf_counter()]
    ticker = QTimer()
    ticker.timeout.connect(
        lambda: (gaps.append(time.perf_counter() - last[0]), last.__setitem__(0, time.perf_counter()))
    )
    ticker.start(5)
    QTest.keyClick(window, Qt.Key.Key_Return, CTRL)
    run = window.generation.runs[-1]
    qtbot.waitUntil(lambda: run.state.terminal, timeout=LONG)
    ticker.stop()
    gaps.sort()
    print(f"event loop gap: p99 {gaps[int(len(gaps) * 0.99)] * 1000:.0f} ms, longest {gaps[-1] * 1000:.0f} ms")
    assert run.state is JobState.FINISHED
    assert len(run.entries) == 2
    assert window.canvas.previewing

    # apply the second, undo, redo
    window.gallery.view.setFocus()
    QTest.keyClick(window.gallery.view, Qt.Key.Key_Right)
    QTest.keyClick(window.gallery.view, Qt.Key.Key_Return)
    applied = document.picture.copy()
    assert not np.array_equal(applied, original)
    assert np.array_equal(applied[~asked], original[~asked])
    assert document.label_at(300, 305) == session.label_set.index("lake")
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    assert np.array_equal(document.picture, original)
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL | SHIFT)
    assert np.array_equal(document.picture, applied)
    assert ">0 px changed outside the paint<" in window.status.locality.text()

    # export and look at the file
    with qtbot.waitSignal(window.files.exported, timeout=WAIT):
        window.files.export(tmp_path / "lake.png")
    saved = np.array(Image.open(tmp_path / "lake.png"))
    assert np.array_equal(saved, applied)
    assert np.array_equal(saved[~asked], original[~asked])

    # one more run, cancelled: the picture stays
    drag(window.canvas, (450, 300), (500, 310))
    qtbot.waitUntil(window.panel.generate.isEnabled, timeout=LONG)
    window.panel.count.setValue(40)
    QTest.keyClick(window, Qt.Key.Key_Return, CTRL)
    second = window.generation.runs[-1]
    qtbot.waitUntil(lambda: second.fraction > 0, timeout=LONG)
    started = time.perf_counter()
    QTest.keyClick(window, Qt.Key.Key_X, SHIFT)
    qtbot.waitUntil(lambda: second.state.terminal, timeout=LONG)
    print(f"cancelled after {(time.perf_counter() - started) * 1000:.0f} ms")
    assert second.state is JobState.CANCELLED
    assert np.array_equal(document.picture, applied)
