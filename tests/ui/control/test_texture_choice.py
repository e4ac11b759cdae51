"""Texture in the window: chosen, shown both ways, applied as it is shown, kept in projects, from a reference."""

from __future__ import annotations

import numpy as np
from PySide6.QtWidgets import QFileDialog

from models.request import Reference
from tests.ui.fake_engine import FakeEngine
from tests.ui.gallery.test_gallery import generated
from tests.ui.window_fixtures import WAIT


def test_that_the_usual_texture_is_automatic_and_is_asked_for(open_window, photo_file, qtbot) -> None:
    engine = FakeEngine()
    window = generated(open_window, photo_file, qtbot, 1, engine)
    assert engine.runs[-1].settings.texture == "auto" and engine.runs[-1].settings.grain
    window.panel.texture.setCurrentIndex(window.panel.texture.findData("drawn"))
    assert window.panel.take_settings().texture == "drawn"


def test_that_a_version_is_shown_and_applied_the_other_way(open_window, photo_file, qtbot) -> None:
    window = generated(open_window, photo_file, qtbot, 2, FakeEngine(textured=True))
    entry = window.gallery.chosen
    before, thumbnail = entry.candidate.patches[0].pixels, entry.picture
    window.actions_table["swap-texture"].trigger()
    assert window.gallery.chosen is entry and entry.candidate.as_drawn
    assert np.array_equal(entry.candidate.patches[0].pixels, 255 - before)
    assert not np.array_equal(entry.picture, thumbnail)
    window.gallery.apply_chosen()
    patch = entry.candidate.patches[0]
    rows, columns = np.nonzero(patch.mask)
    there = window.session.document.picture[rows + patch.y, columns + patch.x]
    assert np.array_equal(there, patch.pixels[rows, columns])
    window.gallery.choose(entry.candidate)
    window.actions_table["swap-texture"].trigger()
    assert np.array_equal(entry.candidate.patches[0].pixels, before)


def test_that_a_version_with_one_texture_says_so(open_window, photo_file, qtbot) -> None:
    window = generated(open_window, photo_file, qtbot, 1)
    window.actions_table["swap-texture"].trigger()
    assert "own texture only" in window.messages.text.text()


def test_that_a_reference_is_read_and_used(open_window, photo_file, qtbot, monkeypatch) -> None:
    engine = FakeEngine()
    window = open_window(engine, photo=photo_file)
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(photo_file)] * 2, ""))
    window.panel.texture.setCurrentIndex(window.panel.texture.findData("reference"))
    window.panel.texture.activated.emit(window.panel.texture.currentIndex())
    assert window.panel.take_settings().texture == "auto", "not before it is read"
    qtbot.waitUntil(lambda: window.panel.reference is not None, timeout=WAIT)
    assert window.panel.take_settings().texture == "reference"
    assert photo_file.name in window.panel.texture.currentText()


def test_that_no_choice_leaves_the_texture_automatic(open_window, photo_file, qtbot, monkeypatch) -> None:
    window = open_window(photo=photo_file)
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([], ""))
    window.panel.texture.setCurrentIndex(window.panel.texture.findData("reference"))
    window.panel.texture.activated.emit(window.panel.texture.currentIndex())
    assert window.panel.take_settings().texture == "auto"


def test_that_recall_brings_texture_and_reference_back(open_window, photo_file, qtbot) -> None:
    engine = FakeEngine()
    window = open_window(engine, photo=photo_file)
    reference = Reference(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), "holiday.jpg")
    window.panel.set_reference(reference)
    settings = window.panel.take_settings()
    window.panel.set_reference(None)
    window.panel.show_settings(settings)
    assert window.panel.texture.currentData() == "auto", "the photo is not there any more"
    window.panel.set_reference(reference)
    window.panel.show_settings(settings)
    assert window.panel.texture.currentData() == "reference"
