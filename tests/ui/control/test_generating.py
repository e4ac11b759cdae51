"""From paint to picture in the real window, with a fake engine."""

from __future__ import annotations

import numpy as np
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit

from app.ui.main_window import MainWindow
from app.ui.panels.message_bar import Kind
from app.worker.jobs import JobState
from models.request import NOT_PAINTED
from tests.ui.fake_engine import FakeEngine, out_of_memory
from tests.ui.window_fixtures import WAIT, drag, on_canvas


def paint_and_generate(window: MainWindow, qtbot, count: int = 3) -> None:
    window.session.set_label(window.session.label_set.index("lake"))
    drag(window.canvas, (100, 100), (180, 120), (220, 140))
    window.panel.count.setValue(count)
    qtbot.waitUntil(window.panel.generate.isEnabled, timeout=WAIT)
    QTest.mouseClick(window.panel.generate, Qt.MouseButton.LeftButton)


def finished(window: MainWindow) -> bool:
    return bool(window.generation.runs) and window.generation.runs[-1].state.terminal


def test_that_generate_waits_for_paint(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    assert not window.panel.generate.isEnabled()
    assert "Paint an area" in window.panel.estimate.text()
    drag(window.canvas, (100, 100), (150, 100))
    qtbot.waitUntil(window.panel.generate.isEnabled, timeout=WAIT)
    assert "tokens in one window of 256" in window.panel.estimate.text()
    window.session.undo()
    qtbot.waitUntil(lambda: not window.panel.generate.isEnabled(), timeout=WAIT)


def test_that_the_gallery_fills_ranked_and_offers_the_best(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    paint_and_generate(window, qtbot, 5)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    run = window.gallery.run
    likelihoods = [entry.candidate.log_likelihood for entry in run.entries]
    assert len(likelihoods) == 5
    assert likelihoods == sorted(likelihoods, reverse=True)
    assert window.gallery.chosen is run.entries[0]
    assert window.canvas.previewing
    assert not window.session.document.unexported


def test_that_places_are_kept_for_candidates_still_to_come(open_window, photo_file, qtbot) -> None:
    window = open_window(FakeEngine(step_seconds=0.02), photo_file)
    paint_and_generate(window, qtbot, 4)
    qtbot.waitUntil(lambda: len(window.gallery.run.entries) == 1, timeout=WAIT)
    assert window.gallery.model.rowCount() == 4
    window.grab()
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)


def test_that_apply_undo_redo_and_export_keep_unpainted_pixels(open_window, photo_file, qtbot, tmp_path) -> None:
    window = open_window(photo=photo_file)
    paint_and_generate(window, qtbot)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    document, original = window.session.document, window.session.document.photo.rgb8
    asked = document.paint != NOT_PAINTED
    QTest.keyClick(window.canvas, Qt.Key.Key_Return)
    assert not np.array_equal(document.picture, original)
    assert not document.anything_painted
    assert window.gallery.model.applied == [window.gallery.run.entries[0]]
    assert "0 px changed outside the paint" in window.status.locality.text()
    assert window.isWindowModified()
    applied = document.picture.copy()
    window.session.undo()
    assert np.array_equal(document.picture, original)
    assert np.array_equal(document.paint != NOT_PAINTED, asked)
    assert window.gallery.model.applied == []
    window.session.redo()
    assert np.array_equal(document.picture, applied)
    for suffix in ("png", "tif", "jpg"):
        with qtbot.waitSignal(window.files.exported, timeout=WAIT):
            window.files.export(tmp_path / f"out.{suffix}")
        assert Image.open(tmp_path / f"out.{suffix}").size == (440, 300)
    saved = np.array(Image.open(tmp_path / "out.png"))
    assert np.array_equal(saved, applied)
    assert np.array_equal(saved[~asked], original[~asked])
    assert not document.unexported
    assert window.isWindowModified(), "the project itself is not saved"


def test_that_cancel_keeps_finished_candidates_and_the_paint(open_window, photo_file, qtbot) -> None:
    window = open_window(FakeEngine(step_seconds=0.01), photo_file)
    paint_and_generate(window, qtbot, 40)
    qtbot.waitUntil(lambda: len(window.gallery.run.entries) >= 1, timeout=WAIT)
    QTest.keyClick(window, Qt.Key.Key_X, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    run = window.gallery.run
    assert run.state is JobState.CANCELLED
    assert 1 <= len(run.entries) < 40
    assert window.session.document.anything_painted
    assert window.panel.generate.isEnabled()


def test_that_painting_goes_on_while_a_run_is_drawn(open_window, photo_file, qtbot) -> None:
    window = open_window(FakeEngine(step_seconds=0.02), photo_file)
    paint_and_generate(window, qtbot, 4)
    qtbot.waitUntil(lambda: window.generation.queue.running is not None, timeout=WAIT)
    drag(window.canvas, (300, 200), (340, 220))
    paint = window.session.document.paint.copy()
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    assert not window.canvas.previewing, "the picture is not taken away from someone who paints"
    window.gallery.choose(window.gallery.run.entries[0].candidate)
    window.gallery.apply_chosen()
    left = window.session.document.paint
    assert left[200, 300] == paint[200, 300] != NOT_PAINTED
    assert left[100, 100] == NOT_PAINTED


def test_that_a_failed_run_is_one_calm_line(open_window, photo_file, qtbot) -> None:
    window = open_window(FakeEngine(fail_with=out_of_memory()), photo_file)
    paint_and_generate(window, qtbot)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    assert window.messages.isVisible()
    assert window.messages.kind is Kind.ERROR
    assert "Memory ran out" in window.messages.text.text()
    assert "are kept" in window.messages.text.text()
    assert window.session.document.anything_painted


def test_that_a_locked_seed_gives_the_same_versions(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    window.panel.seed.setValue(77)
    window.panel.lock.setChecked(True)
    for _ in range(2):
        paint_and_generate(window, qtbot)
        qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    first, second = window.generation.runs
    assert [e.candidate.seed for e in first.entries] == [e.candidate.seed for e in second.entries]
    assert np.array_equal(first.entries[0].candidate.patches[0].pixels, second.entries[0].candidate.patches[0].pixels)
    window.panel.lock.setChecked(False)
    paint_and_generate(window, qtbot)
    assert window.panel.seed.value() != 77
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)


def test_that_hovering_and_arrow_keys_preview_and_escape_goes_back(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    paint_and_generate(window, qtbot)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    gallery, view = window.gallery, window.gallery.view
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_Right)
    assert gallery.chosen is gallery.run.entries[1]
    QTest.keyClick(view, Qt.Key.Key_Escape)
    assert gallery.chosen is None
    assert not window.canvas.previewing
    spot = view.visualRect(gallery.model.index(2)).center()
    QTest.mouseMove(view.viewport(), spot + QPoint(3, 3))
    QTest.mouseMove(view.viewport(), spot)
    assert window.canvas.previewing
    gallery.view.mouse_left.emit()
    assert not window.canvas.previewing
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, spot)
    QTest.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, spot)
    assert gallery.model.applied == [gallery.run.entries[2]]


def test_that_discarding_and_older_runs_lose_nothing_else(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    for _ in range(2):
        paint_and_generate(window, qtbot)
        qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    window.gallery.view.setFocus()
    QTest.keyClick(window.gallery.view, Qt.Key.Key_Delete)
    assert [len(run.entries) for run in window.generation.runs] == [3, 2]
    assert window.gallery.chosen is window.gallery.run.entries[0]
    QTest.mouseClick(window.gallery.older, Qt.MouseButton.LeftButton)
    assert window.gallery.run is window.generation.runs[0]
    assert window.gallery.model.rowCount() == 3


def test_that_discarded_versions_come_back_to_their_rank(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    for _ in range(2):
        paint_and_generate(window, qtbot)
        qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    older, newer = window.generation.runs
    before = list(newer.entries)
    newer.entries[1].starred = True
    for place in (1, 0):
        window.gallery.choose(newer.entries[place].candidate)
        window.gallery.discard_chosen()
    assert newer.entries == before[2:] and window.messages.offers
    held = newer.nbytes
    QTest.mouseClick(window.gallery.older, Qt.MouseButton.LeftButton)
    QTest.mouseClick(window.messages.buttons[0], Qt.MouseButton.LeftButton)
    assert window.gallery.run is newer and window.gallery.chosen is before[0], "the last one discarded comes first"
    window.actions_table["bring-back"].trigger()
    assert newer.entries == before and newer.entries[1].starred and newer.nbytes == held
    window.actions_table["bring-back"].trigger()
    assert "No version was discarded" in window.messages.text.text()
    assert len(older.entries) == 3


def test_that_painting_ends_a_preview(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    paint_and_generate(window, qtbot)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    assert window.canvas.previewing
    QTest.mousePress(
        window.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, on_canvas(window.canvas, 30, 30)
    )
    assert not window.canvas.previewing
    QTest.mouseRelease(window.canvas, Qt.MouseButton.LeftButton)


def test_that_waiting_runs_are_listed_and_cancelled_one_by_one(open_window, photo_file, qtbot) -> None:
    window = open_window(FakeEngine(step_seconds=0.02), photo_file)
    for _ in range(3):
        paint_and_generate(window, qtbot, 2)
    first, second, third = window.generation.runs
    assert len(window.panel.queue.texts) == 3 and "waiting" in window.panel.queue.texts[2]
    window.grab()
    window.panel.queue.cancel_asked.emit(second.job)
    assert second.state is JobState.CANCELLED and not third.state.terminal
    assert len(window.panel.queue.texts) == 2
    qtbot.waitUntil(lambda: third.state.terminal, timeout=WAIT)
    assert first.state is JobState.FINISHED and third.state is JobState.FINISHED
    assert window.panel.queue.texts == [] and not second.entries


def test_that_a_run_waits_for_the_labels_of_the_photo(open_window, photo_file, qtbot) -> None:
    """Else all that is not painted would count as one label."""
    engine = FakeEngine(suggestion_seconds=0.5)
    window = open_window(engine, photo_file)
    paint_and_generate(window, qtbot, 1)
    assert window.session.labels_awaited and not window.generation.runs
    assert "labels" in window.messages.text.text()
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    assert sorted(np.unique(engine.runs[0].labels)) == [1, 3]
    assert len(window.generation.runs) == 1


def test_that_the_status_tells_of_a_run_at_once(open_window, photo_file, qtbot) -> None:
    window = open_window(FakeEngine(step_seconds=0.05), photo_file)
    qtbot.waitUntil(lambda: window.session.document.start.any(), timeout=WAIT)
    paint_and_generate(window, qtbot, 1)
    assert "Starting" in window.panel.status.text() and window.panel.cancel.isEnabled()
    window.generation.cancel_all()
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)


def test_that_undo_ends_the_preview_that_hides_it(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    paint_and_generate(window, qtbot)
    qtbot.waitUntil(lambda: finished(window) and window.canvas.previewing, timeout=WAIT)
    window.session.undo()
    assert not window.canvas.previewing and not window.session.document.anything_painted


def test_that_exporting_beside_a_preview_says_what_the_file_lacks(open_window, photo_file, qtbot, tmp_path) -> None:
    window = open_window(photo=photo_file)
    paint_and_generate(window, qtbot)
    qtbot.waitUntil(lambda: finished(window) and window.canvas.previewing, timeout=WAIT)
    for name, told in (("shown.png", True), ("applied.png", False)):
        with qtbot.waitSignal(window.files.exported, timeout=WAIT):
            window.files.export(tmp_path / name)
        assert (window.messages.kind is Kind.WARNING) == told
        assert ("not applied" in window.messages.text.text()) == told
        QTest.keyClick(window.canvas, Qt.Key.Key_Return)


def test_that_enter_in_a_number_gives_the_keys_back_to_the_canvas(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    window.activateWindow()
    for number in (window.options.size_box, window.panel.count):
        line = number.findChild(QLineEdit)
        number.setFocus()
        qtbot.waitUntil(number.hasFocus, timeout=WAIT)
        QTest.keyClick(line, Qt.Key.Key_Return)
        assert window.canvas.hasFocus()
