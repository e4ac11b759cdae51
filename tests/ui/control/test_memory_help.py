"""Memory runs out: one line with buttons that try again, in the real window with a fake engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.ui.main_window import MainWindow
from app.worker.jobs import JobState
from models.errors import RequestError
from models.request import Reroll
from tests.ui.control.test_generating import finished, paint_and_generate
from tests.ui.fake_engine import FakeEngine, out_of_memory
from tests.ui.gallery.test_gallery import drafted
from tests.ui.window_fixtures import WAIT, OpenWindow


def offered(window: MainWindow) -> list[str]:
    return [button.text() for button in window.messages.buttons if button.isVisible()]


def press(window: MainWindow, text: str) -> None:
    button = next(button for button in window.messages.buttons if button.isVisible() and text in button.text())
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def run_out(open_window: OpenWindow, photo: Path, qtbot, engine: FakeEngine, side: int, **more) -> MainWindow:
    """A window in which a run of three versions at `side` has just failed for memory; the engine works again then."""
    engine.fail_with = out_of_memory()
    window = open_window(engine, photo, **more)
    window.panel.choose_window(side)
    paint_and_generate(window, qtbot, 3)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    assert window.generation.runs[-1].state is JobState.FAILED
    engine.fail_with = None
    return window


def tried_again(window: MainWindow, qtbot) -> None:
    qtbot.waitUntil(lambda: len(window.generation.runs) == 2 and finished(window), timeout=WAIT)
    assert window.generation.runs[-1].state is JobState.FINISHED


def test_that_a_smaller_window_is_offered_set_and_drawn(open_window, photo_file, qtbot) -> None:
    engine = FakeEngine()
    window = run_out(open_window, photo_file, qtbot, engine, 1024)
    assert offered(window) == ["Smaller window (512 px)", "One version"]
    press(window, "Smaller")
    tried_again(window, qtbot)
    first, second = engine.runs
    assert (second.window, second.count, second.settings) == (512, 3, first.settings)
    assert window.panel.window_choice() == 512 and window.panel.count.value() == 3
    assert not window.messages.isVisible()


def test_that_one_version_is_offered_set_and_drawn_with_the_same_seed(open_window, photo_file, qtbot) -> None:
    engine = FakeEngine()
    window = run_out(open_window, photo_file, qtbot, engine, 256)
    assert offered(window) == ["One version"], "there is no window below 256"
    press(window, "One version")
    tried_again(window, qtbot)
    first, second = engine.runs
    assert second.count == 1 and second.settings.seed == first.settings.seed and second.window == 256
    assert window.panel.count.value() == 1


def test_that_the_cpu_is_offered_on_a_gpu_only_and_takes_the_run(open_window, photo_file, qtbot) -> None:
    cpu = FakeEngine(device_line="CPU, as asked")
    gpu = FakeEngine(device_line="Some GPU (CUDA)", on_cuda=True)
    window = run_out(open_window, photo_file, qtbot, gpu, 512, open_on_cpu=lambda: cpu)
    window.session.set_label(window.session.label_set.index("snow"))
    assert offered(window) == ["Smaller window (256 px)", "One version", "Use the CPU"]
    window.grab()
    press(window, "CPU")
    tried_again(window, qtbot)
    assert len(gpu.runs) == 1 and cpu.runs[0].window == 512 and cpu.runs[0].count == 3
    assert window.status.device.text() == "CPU, as asked"
    assert window.panel.window_choice() == 512, "the panel is as it was"
    assert window.session.label_name(window.session.label) == "snow"
    assert not window.engine.can_use_cpu


def test_that_nothing_is_offered_when_nothing_is_left(open_window, photo_file, qtbot) -> None:
    engine = FakeEngine(fail_with=out_of_memory())
    window = open_window(engine, photo_file)
    window.panel.choose_window(256)
    paint_and_generate(window, qtbot, 1)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    assert offered(window) == [] and "other programs" in window.messages.text.text()


@pytest.mark.parametrize("error", [MemoryError(), RequestError("the label is unknown")])
def test_that_help_is_for_memory_and_other_errors_say_what_they_are(open_window, photo_file, qtbot, error) -> None:
    window = open_window(FakeEngine(fail_with=error), photo_file)
    paint_and_generate(window, qtbot, 3)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    assert bool(offered(window)) == isinstance(error, MemoryError)
    assert ("the label is unknown" in window.messages.text.text()) != isinstance(error, MemoryError)


def test_that_drafts_and_rerolls_keep_to_their_windows(open_window, photo_file, qtbot) -> None:
    engine = FakeEngine()
    window = drafted(open_window, photo_file, qtbot, 2)
    window.engine._engine = engine
    engine.fail_with = out_of_memory()
    run = window.generation.runs[-1]
    window.generation.draw_full(run.entries)
    qtbot.waitUntil(lambda: len(window.generation.runs) == 2 and finished(window), timeout=WAIT)
    assert offered(window) == ["One version"]
    engine.fail_with = None
    press(window, "One version")
    qtbot.waitUntil(lambda: len(window.generation.runs) == 3 and finished(window), timeout=WAIT)
    assert len(engine.runs[-1].way.drafts) == 1
    engine.fail_with = out_of_memory()
    window.panel.count.setValue(2)
    entry = window.generation.runs[-1].entries[0]
    window.generation._reroll(entry, Reroll.worst(entry.candidate, 0.5))
    qtbot.waitUntil(lambda: len(window.generation.runs) == 4 and finished(window), timeout=WAIT)
    assert offered(window) == ["One version"]


def test_that_what_is_offered_goes_with_its_photo(open_window, photo_file, qtbot) -> None:
    window = run_out(open_window, photo_file, qtbot, FakeEngine(), 512)
    window.session.set_document(None)
    assert not window.messages.isVisible()
