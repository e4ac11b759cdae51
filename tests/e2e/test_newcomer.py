"""A first visit, from the sample photo to a finished file, with the checkpoint that ships."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.io.pictures.save import ExportOptions
from app.io.settings import SettingsStore
from app.studio.runs import RunKind
from app.ui.dialogs.export_dialog import ExportChoice
from app.ui.gallery.gallery import Gallery
from app.ui.main_window import MainWindow
from models.request import NOT_PAINTED
from tests.e2e.test_paint_and_export import LONG, open_engine
from tests.ui.window_fixtures import WAIT, drag

CTRL, SHIFT, NO = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier


def wait_for_run(window: MainWindow, number: int, qtbot) -> None:
    qtbot.waitUntil(lambda: len(window.generation.runs) == number, timeout=WAIT)
    qtbot.waitUntil(lambda: window.generation.runs[-1].state.terminal, timeout=LONG)
    assert window.generation.runs[-1].entries, "versions came out"


@pytest.mark.slow
def test_that_a_newcomer_gets_from_the_sample_to_a_finished_file(open_window, qtbot, tmp_path) -> None:
    store = SettingsStore(tmp_path / "settings.json")
    window: MainWindow = open_window(open_engine=open_engine, wait=False, home=tmp_path / "home", store=store)
    window.help.start()
    session, gallery = window.session, window.gallery
    assert window.first_run.isVisible()

    # the sample photo opens, the model loads
    assert window.files.open_sample()
    qtbot.waitUntil(lambda: session.document is not None and session.label_set is not None, timeout=LONG)
    qtbot.waitUntil(lambda: not session.labels_awaited, timeout=LONG)
    document, original = session.document, session.document.photo.rgb8.copy()

    # paint a stretch of grass along the shore
    session.set_label(session.label_set.index("grass"))
    session.set_brush_size(110)
    height, width = original.shape[:2]
    drag(window.canvas, (width * 0.15, height * 0.86), (width * 0.24, height * 0.88), (width * 0.3, height * 0.9))
    asked = document.paint != NOT_PAINTED
    assert asked.any()

    # quick drafts, two of them in full
    qtbot.waitUntil(lambda: window.panel.drafts.isEnabled() and "about" in window.panel.estimate.text(), timeout=LONG)
    window.panel.resolution.setCurrentIndex(window.panel.resolution.findData(512))
    window.panel.count.setValue(4)
    qtbot.waitUntil(lambda: "512" in window.panel.estimate.text(), timeout=WAIT)
    QTest.mouseClick(window.panel.drafts, Qt.MouseButton.LeftButton)
    wait_for_run(window, 1, qtbot)
    assert gallery.run.kind is RunKind.DRAFT and len(gallery.run.entries) == 4
    assert not window.first_run.isVisible(), "the three steps are done"
    window.grab().save(str(tmp_path / "drafts.png"))
    for entry in gallery.run.entries[:2]:
        gallery.view.marked.emit(gallery.model.index(gallery.model.row(entry)))
    seeds = {entry.candidate.seed for entry in gallery.ticked}
    QTest.mouseClick(gallery.apply_button, Qt.MouseButton.LeftButton)
    wait_for_run(window, 2, qtbot)
    assert {entry.candidate.seed for entry in gallery.run.entries} == seeds

    # star the best, draw its least likely fifth again
    gallery.choose(gallery.run.entries[0].candidate)
    focus(gallery)
    QTest.keyClick(gallery.view, Qt.Key.Key_Period)
    assert gallery.run.entries[0].starred
    window.panel.count.setValue(2)
    QTest.keyClick(window, Qt.Key.Key_R)
    wait_for_run(window, 3, qtbot)
    assert gallery.run.kind is RunKind.REROLL

    # apply, undo, redo
    gallery.choose(gallery.run.entries[0].candidate)
    focus(gallery)
    QTest.keyClick(gallery.view, Qt.Key.Key_Return)
    applied = document.picture.copy()
    assert not np.array_equal(applied, original) and np.array_equal(applied[~asked], original[~asked])
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    assert np.array_equal(document.picture, original)
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL | SHIFT)
    assert np.array_equal(document.picture, applied)
    assert ">0 px changed outside the paint<" in window.status.locality.text()
    window.grab().save(str(tmp_path / "applied.png"))

    # layers for Krita, a 16-bit TIFF for print
    window.files.export_choice = ExportChoice(".tif", ExportOptions(bits=16))
    for name in ("shore.ora", "shore.tif"):
        with qtbot.waitSignal(window.files.exported, timeout=LONG):
            window.files.export(tmp_path / name)
    assert np.array_equal(tifffile.imread(tmp_path / "shore.tif"), applied.astype(np.uint16) * 257)
    with zipfile.ZipFile(tmp_path / "shore.ora") as pack:
        assert pack.read("mimetype") == b"image/openraster"

    # save, and open again in another window
    window.projects.save_to(tmp_path / "shore.scenebrush")
    qtbot.waitUntil(lambda: not window.projects.dirty, timeout=LONG)
    again: MainWindow = open_window(home=tmp_path / "other")
    again.files.open_path(tmp_path / "shore.scenebrush")
    qtbot.waitUntil(lambda: again.session.document is not None, timeout=LONG)
    assert np.array_equal(again.session.document.picture, applied)
    assert [run.kind for run in again.generation.runs] == [RunKind.DRAFT, RunKind.FULL, RunKind.REROLL]
    assert again.generation.runs[1].entries[0].starred
    assert not again.projects.dirty


def focus(gallery: Gallery) -> None:
    gallery.view.setFocus()
