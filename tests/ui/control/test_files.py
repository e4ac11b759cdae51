"""Opening, labels, closing; what fails leaves everything as it was."""

from __future__ import annotations

import gc
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent

from app.ui.control import files
from app.ui.panels.message_bar import Kind
from models.errors import CheckpointError
from tests.ui.control.test_generating import finished, paint_and_generate
from tests.ui.fake_engine import FakeEngine
from tests.ui.window_fixtures import WAIT, drag


def broken_file(folder: Path, kind: str) -> Path:
    path = folder / "broken.jpg"
    if kind == "garbage":
        path.write_bytes(b"not a picture at all" * 100)
    elif kind == "half":
        whole = folder / "whole.jpg"
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(whole)
        path.write_bytes(whole.read_bytes()[:200])
    return path


@pytest.mark.parametrize("kind", ["missing", "garbage", "half"])
def test_that_a_failed_open_keeps_the_document(open_window, photo_file, qtbot, tmp_path, kind: str) -> None:
    window = open_window(photo=photo_file)
    drag(window.canvas, (100, 100), (150, 100))
    document, steps = window.session.document, window.session.undo_stack.count()
    window.files.open_path(broken_file(tmp_path, kind))
    qtbot.waitUntil(lambda: window.messages.isVisible() and window.messages.kind is Kind.ERROR, timeout=WAIT)
    assert window.session.document is document
    assert window.session.undo_stack.count() == steps
    assert "broken.jpg" in window.messages.text.text()
    assert "still open" in window.messages.text.text()


def test_that_a_dropped_photo_opens(open_window, photo_file, qtbot) -> None:
    window = open_window()
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(photo_file))])
    event = QDropEvent(
        QPointF(50, 50), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    window.dropEvent(event)
    qtbot.waitUntil(lambda: window.session.document is not None, timeout=WAIT)
    assert window.windowTitle().startswith("photo.png")


def test_that_a_label_map_is_loaded_as_a_step_and_a_wrong_one_refused(open_window, photo_file, qtbot, tmp_path) -> None:
    window = open_window(photo=photo_file)
    document = window.session.document
    good, alien, small = tmp_path / "good.png", tmp_path / "alien.png", tmp_path / "small.png"
    Image.fromarray(np.full((300, 440), 11, np.uint8)).save(good)
    Image.fromarray(np.full((300, 440), 99, np.uint8)).save(alien)
    Image.fromarray(np.full((30, 44), 1, np.uint8)).save(small)
    window.files.load_labels(good)
    qtbot.waitUntil(lambda: (document.start == 11).all(), timeout=WAIT)
    for wrong in (alien, small):
        window.messages.clear()
        window.files.load_labels(wrong)
        qtbot.waitUntil(lambda: window.messages.isVisible(), timeout=WAIT)
        assert window.messages.kind is Kind.ERROR
        assert (document.start == 11).all()
    window.session.undo()
    assert not (document.start == 11).any()


def test_that_a_failed_export_keeps_the_picture_unexported(open_window, photo_file, qtbot, tmp_path) -> None:
    window = open_window(photo=photo_file)
    paint_and_generate(window, qtbot)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    window.gallery.apply_chosen()
    window.files.export(tmp_path / "no such folder" / "out.png")
    qtbot.waitUntil(lambda: window.messages.isVisible() and window.messages.kind is Kind.ERROR, timeout=WAIT)
    assert window.session.document.unexported


@pytest.mark.parametrize(("answer", "closes"), [("stay", False), ("drop", True)])
def test_that_closing_with_unexported_edits_asks(open_window, photo_file, qtbot, monkeypatch, answer, closes) -> None:
    window = open_window(photo=photo_file)
    paint_and_generate(window, qtbot)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    window.gallery.apply_chosen()
    asked = []
    monkeypatch.setattr(files, "ask_about_edits", lambda w: asked.append(w) or answer)
    window.close()
    assert len(asked) == 1
    assert window.isVisible() is not closes


def test_that_closing_an_untouched_photo_does_not_ask(open_window, photo_file, monkeypatch) -> None:
    window = open_window(photo=photo_file)
    drag(window.canvas, (100, 100), (150, 100))
    window.session.undo()
    monkeypatch.setattr(files, "ask_about_edits", lambda w: pytest.fail("asked"))
    window.close()
    assert not window.isVisible()


def test_that_saving_from_the_question_closes_afterwards(open_window, photo_file, qtbot, monkeypatch, tmp_path) -> None:
    window = open_window(photo=photo_file)
    paint_and_generate(window, qtbot)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    window.gallery.apply_chosen()
    target = tmp_path / "work.scenebrush"
    monkeypatch.setattr(files, "ask_about_edits", lambda w: "save")
    monkeypatch.setattr(files.QFileDialog, "getSaveFileName", lambda *a: (str(target), ""))
    window.close()
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=WAIT)
    assert target.exists()


def test_that_a_missing_model_leaves_a_viewer(open_window, photo_file, qtbot) -> None:
    def no_model() -> FakeEngine:
        raise CheckpointError("checkpoints/default: card.json is missing; download it again")

    window = open_window(photo=photo_file, open_engine=no_model, wait=False)
    qtbot.waitUntil(lambda: window.messages.isVisible() and window.messages.kind is Kind.ERROR, timeout=WAIT)
    assert "card.json is missing" in window.messages.text.text()
    assert window.session.document is not None
    assert not window.panel.generate.isEnabled()


def test_that_closing_in_the_middle_of_a_run_takes_less_than_two_seconds(open_window, photo_file, qtbot) -> None:
    window = open_window(FakeEngine(step_seconds=0.1, steps=1000), photo_file)
    paint_and_generate(window, qtbot)
    qtbot.waitUntil(lambda: window.generation.queue.running is not None, timeout=WAIT)
    qtbot.wait(100)
    started = time.perf_counter()
    window.close()
    assert window.shut_down()
    print(f"{(time.perf_counter() - started) * 1000:.0f} ms")


def test_that_a_closed_document_is_freed(open_window, photo_file, qtbot, tmp_path) -> None:
    window = open_window(photo=photo_file)
    paint_and_generate(window, qtbot)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    window.gallery.apply_chosen()
    gone = weakref.ref(window.session.document)
    number = window.session.document_number
    window.files.open_path(photo_file)
    qtbot.waitUntil(lambda: window.session.document_number > number, timeout=WAIT)
    qtbot.waitUntil(lambda: not window.tasks.busy, timeout=WAIT)
    gc.collect()
    assert gone() is None


def test_that_labels_suggested_anew_can_be_undone(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    document = window.session.document
    qtbot.waitUntil(document.start.any, timeout=WAIT)
    window.session.set_label(7)
    window.files.start_uniform()
    own = document.start.copy()
    window.files.suggest_again()
    qtbot.waitUntil(lambda: "suggested" in window.messages.text.text(), timeout=WAIT)
    assert sorted(np.unique(document.start)) == [1, 3]
    window.session.undo()
    assert np.array_equal(document.start, own)
