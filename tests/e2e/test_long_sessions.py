"""Hundreds of edits in one sitting: memory does not grow, closed photos are let go, the window stays alive."""

from __future__ import annotations

import gc
import os
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QTimer

from app.studio.session import UNDO_STEPS
from app.ui.main_window import MainWindow
from tests.e2e.test_paint_and_export import LONG, landscape, open_engine
from tests.ui.fake_engine import FakeEngine
from tests.ui.window_fixtures import WAIT, drag

MEGABYTE = 2**20


def resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def results(window: MainWindow) -> float:
    """Megabytes of the gallery's runs, which have a limit of their own."""
    return sum(run.nbytes for run in window.generation.runs) / MEGABYTE


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory from /proc")
def test_that_five_hundred_edits_do_not_fill_the_memory(open_window, photo_file, qtbot) -> None:
    """Paint, generate, apply, undo every other; drift is taken once the undo history is full."""
    engine = FakeEngine(steps=1)
    window = open_window(engine, photo_file)
    window.panel.count.setValue(1)
    rng, base, held = np.random.default_rng(3), 0, 0.0
    for cycle in range(500):
        x, y = rng.integers(40, 380), rng.integers(40, 240)
        drag(window.canvas, (int(x), int(y)), (int(x) + 20, int(y) + 5))
        qtbot.waitUntil(window.panel.generate.isEnabled, timeout=WAIT)
        window.generation.generate()
        run = window.generation.runs[-1]
        qtbot.waitUntil(lambda run=run: run.state.terminal, timeout=WAIT)
        window.gallery.choose(run.entries[0].candidate)
        window.gallery.apply_chosen()
        engine.runs.clear()  # the fake remembers what it was asked; the real one does not
        if cycle % 2:
            window.session.undo()
            window.session.clear_paint()
        if cycle == UNDO_STEPS:
            gc.collect()
            base, held = resident(), results(window)
    gc.collect()
    drift, kept = (resident() - base) / MEGABYTE, results(window) - held
    print(
        f"memory after 500 edits: {drift:+.1f} MB since edit {UNDO_STEPS}, {kept:.1f} MB of it results in the gallery"
    )
    assert drift - kept <= 50


def test_that_a_closed_photo_is_let_go(open_window, photo_file, qtbot, tmp_path) -> None:
    window = open_window(photo=photo_file)
    drag(window.canvas, (100, 100), (150, 110))
    qtbot.waitUntil(window.panel.generate.isEnabled, timeout=WAIT)
    window.generation.generate()
    qtbot.waitUntil(lambda: window.generation.runs[-1].state.terminal, timeout=WAIT)
    document = weakref.ref(window.session.document)
    landscape(tmp_path / "other.png")
    window.files.open_path(tmp_path / "other.png")
    qtbot.waitUntil(lambda: window.session.document is not document(), timeout=WAIT)
    qtbot.waitUntil(lambda: gc.collect() >= 0 and document() is None, timeout=WAIT)


@pytest.mark.slow
def test_that_the_window_stays_alive_while_a_real_run_is_drawn(open_window, qtbot, tmp_path) -> None:
    """Prints the gaps of the event loop while sampling and painting at once."""
    landscape(tmp_path / "valley.png")
    window = open_window(open_engine=open_engine, wait=False)
    window.files.open_path(tmp_path / "valley.png")
    session = window.session
    qtbot.waitUntil(lambda: session.document is not None and session.label_set is not None, timeout=LONG)
    qtbot.waitUntil(lambda: not session.labels_awaited, timeout=LONG)
    drag(window.canvas, (200, 300), (330, 310))
    qtbot.waitUntil(window.panel.generate.isEnabled, timeout=LONG)
    window.panel.resolution.setCurrentIndex(window.panel.resolution.findData(256))
    window.panel.count.setValue(4)
    gaps: list[float] = []
    last = [time.perf_counter()]

    def tick() -> None:
        now = time.perf_counter()
        gaps.append(now - last[0])
        last[0] = now

    ticker = QTimer()
    ticker.timeout.connect(tick)
    window.generation.generate()
    run = window.generation.runs[-1]
    ticker.start(2)
    places = iter(np.random.default_rng(0).integers(50, 380, (100_000, 2)))
    while not run.state.terminal:
        x, y = (int(v) for v in next(places))
        drag(window.canvas, (x, y), (x + 15, y))
        qtbot.wait(5)
    ticker.stop()
    gaps.sort()
    print(
        f"event loop while drawing: p99 {gaps[int(0.99 * len(gaps))] * 1000:.0f} ms, longest {gaps[-1] * 1000:.0f} ms"
    )
    assert run.entries and len(gaps) > 20
