"""Cancelling a run at any moment: the document stays, finished versions stay, the next run works."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.worker.jobs import JobState
from tests.e2e.test_paint_and_export import LONG, SHIFT, landscape, open_engine
from tests.ui.fake_engine import FakeEngine
from tests.ui.window_fixtures import WAIT, drag


@pytest.mark.slow
def test_that_a_thousand_cancels_at_random_times_end_every_run_once(open_window, photo_file, qtbot) -> None:
    """Fake sampler; the queue holds up to three runs, one of which is cancelled somewhere on its way."""
    window = open_window(FakeEngine(step_seconds=0.0005, steps=4), photo_file)
    drag(window.canvas, (100, 100), (150, 110))
    qtbot.waitUntil(window.panel.generate.isEnabled, timeout=WAIT)
    rng = np.random.default_rng(4)
    ends: dict[int, int] = {}
    queue = window.generation.queue
    queue.ended.connect(lambda end: ends.__setitem__(end.job, ends.get(end.job, 0) + 1))
    document, before = window.session.document, window.session.document.picture.copy()
    request = document.request(window.panel.take_settings(), 256)
    cancelled: set[int] = set()
    states: dict[int, JobState] = {}
    queue.ended.connect(lambda end: states.__setitem__(end.job, end.state))
    submitted = 0
    while submitted < 1000:
        jobs = [queue.submit(request) for _ in range(int(rng.integers(1, 4)))]
        submitted += len(jobs)
        victim = jobs[int(rng.integers(len(jobs)))]
        stop = time.perf_counter() + float(rng.uniform(0, 0.012))
        while time.perf_counter() < stop:
            qtbot.wait(0)
        if victim.number not in ends:
            cancelled.add(victim.number)
        queue.cancel(victim.number)
        qtbot.waitUntil(lambda jobs=jobs: all(job.number in ends for job in jobs), timeout=WAIT)
    assert set(ends.values()) == {1} and len(ends) == submitted
    assert all(states[n] is JobState.FINISHED for n in states if n not in cancelled), "no other run was stopped"
    assert sum(state is JobState.CANCELLED for state in states.values()) > 100
    assert np.array_equal(document.picture, before)


@pytest.mark.slow
def test_that_real_runs_stop_between_two_tokens(open_window, qtbot, tmp_path) -> None:
    """Twenty cancels of real drawing at random moments; prints the latency."""
    landscape(tmp_path / "valley.png")
    window = open_window(open_engine=open_engine, wait=False)
    window.files.open_path(tmp_path / "valley.png")
    session = window.session
    qtbot.waitUntil(lambda: session.document is not None and session.label_set is not None, timeout=LONG)
    qtbot.waitUntil(lambda: not session.labels_awaited, timeout=LONG)
    session.set_label(session.label_set.index("lake"))
    session.set_brush_size(70)
    drag(window.canvas, (200, 300), (330, 310))
    qtbot.waitUntil(window.panel.generate.isEnabled, timeout=LONG)
    window.panel.resolution.setCurrentIndex(window.panel.resolution.findData(256))
    window.panel.count.setValue(12)
    document, paint, picture = session.document, session.document.paint.copy(), session.document.picture.copy()
    rng, latencies = np.random.default_rng(2), []
    for _ in range(20):
        QTest.keyClick(window, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
        run = window.generation.runs[-1]
        qtbot.waitUntil(lambda run=run: run.state is not JobState.QUEUED, timeout=LONG)
        qtbot.wait(int(rng.integers(0, 700)))
        started = time.perf_counter()
        QTest.keyClick(window, Qt.Key.Key_X, SHIFT)
        qtbot.waitUntil(lambda run=run: run.state.terminal, timeout=LONG)
        latencies.append(time.perf_counter() - started)
        assert all(len(e.candidate.tokens) == run.tokens for e in run.entries), "finished versions only"
    latencies.sort()
    print(f"cancel: median {latencies[10] * 1000:.0f} ms, p95 {latencies[18] * 1000:.0f} ms")
    assert np.array_equal(document.paint, paint) and np.array_equal(document.picture, picture)
    assert any(run.state is JobState.CANCELLED for run in window.generation.runs)
