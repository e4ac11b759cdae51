"""Preferences, keys, help and first steps in the real window."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDockWidget, QLabel

from app.io.settings import SettingsStore
from app.ui.app import _reporter
from app.ui.message_bar import Kind
from app.ui.preferences import Preferences
from app.ui.session import Tool
from app.ui.shortcuts import ShortcutSheet, conflict
from tests.ui.window_fixtures import WAIT, drag


@pytest.fixture
def dialog(open_window, qtbot):
    window = open_window()
    preferences = Preferences(window.store.settings, window.actions_table, window)
    yield window, preferences
    preferences.deleteLater()


def press(preferences: Preferences, name: str, key: str) -> None:
    preferences.edits[name].setKeySequence(QKeySequence(key))
    preferences.edits[name].editingFinished.emit()


def test_that_a_command_gets_another_key(dialog) -> None:
    window, preferences = dialog
    press(preferences, "tool-eraser", "Q")
    preferences._on_ok()
    window.help.take(preferences.result_settings)
    QTest.keyClick(window, Qt.Key.Key_Q)
    assert window.session.tool is Tool.ERASER
    QTest.keyClick(window, Qt.Key.Key_B)
    QTest.keyClick(window, Qt.Key.Key_E)
    assert window.session.tool is Tool.BRUSH, "the usual key is free now"
    assert "(Q)" in window.actions_table["tool-eraser"].toolTip()
    assert window.store.settings.shortcuts == {"tool-eraser": ["Q"]}


def test_that_a_key_of_another_command_is_refused_with_its_name(dialog) -> None:
    _, preferences = dialog
    press(preferences, "tool-eraser", "B")
    assert "Brush" in preferences.problem.text()
    assert preferences.edits["tool-eraser"].keySequence() == QKeySequence("E")


def test_that_keys_can_be_exchanged_and_put_back(dialog) -> None:
    window, preferences = dialog
    press(preferences, "tool-brush", "Q")
    press(preferences, "tool-eraser", "B")
    assert preferences.problem.text() == ""
    preferences._on_ok()
    window.help.take(preferences.result_settings)
    QTest.keyClick(window, Qt.Key.Key_B)
    assert window.session.tool is Tool.ERASER
    preferences._reset()
    preferences._on_ok()
    window.help.take(preferences.result_settings)
    QTest.keyClick(window, Qt.Key.Key_B)
    assert window.session.tool is Tool.BRUSH and window.store.settings.shortcuts == {}


def test_that_every_command_has_a_key_of_its_own(open_window) -> None:
    window = open_window()
    for name, action in window.actions_table.by_name.items():
        for sequence in action.shortcuts():
            assert conflict(window.actions_table, name, sequence) == "", f"{name}: {sequence.toString()}"


def test_that_the_sheet_shows_every_command_that_has_a_key(open_window, qtbot) -> None:
    window = open_window()
    sheet = ShortcutSheet(window.actions_table, window)
    said = " ".join(label.text() for label in sheet.findChildren(QLabel))
    for name in (n for names in window.actions_table.groups.values() for n in names):
        action = window.actions_table[name]
        if action.shortcuts():
            assert action.text().replace("&", "").rstrip("…") in said
    assert "Ctrl + wheel" in said
    sheet.deleteLater()


def test_that_settings_are_used_at_once(dialog) -> None:
    window, preferences = dialog
    preferences.versions.setValue(9)
    preferences.megapixels.setValue(2)
    preferences.autosave.setValue(33)
    preferences._on_ok()
    window.help.take(preferences.result_settings)
    assert window.panel.count.value() == 9
    assert window.files.max_megapixels == 2
    assert window.projects._timer.interval() == 33_000


def test_that_a_photo_above_the_limit_is_refused_from_its_header(open_window, photo_file, qtbot) -> None:
    window = open_window()
    window.files.max_megapixels = 0.1
    window.files.open_path(photo_file)
    qtbot.waitUntil(lambda: window.messages.isVisible() and window.messages.kind is Kind.ERROR, timeout=WAIT)
    assert "megapixels" in window.messages.text.text()


def test_that_the_arrangement_survives_a_restart_and_a_broken_one_does_no_harm(open_window, tmp_path) -> None:
    store = SettingsStore(tmp_path / "settings.json")
    window = open_window(store=store)
    dock = window.findChild(QDockWidget, "labels")
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
    window.close()
    again = open_window(store=SettingsStore(tmp_path / "settings.json"))
    again.help.start()
    dock = again.findChild(QDockWidget, "labels")
    assert again.dockWidgetArea(dock) == Qt.DockWidgetArea.LeftDockWidgetArea
    broken = SettingsStore()
    broken.settings.window = broken.settings.geometry = "no base64 é"
    broken.settings.first_run = False
    open_window(store=broken).help.start()


def test_that_the_first_steps_tick_themselves_off_and_come_once(open_window, photo_file, qtbot, tmp_path) -> None:
    store = SettingsStore(tmp_path / "settings.json")
    window = open_window(photo=photo_file, store=store)
    assert not window.first_run.isVisible(), "only when a user starts it"
    window.help.start()
    assert window.first_run.isVisible()
    window.grab()
    window.session.set_label(5)
    drag(window.canvas, (100, 60), (160, 70))
    assert window.first_run.ticked == [True, True, False]
    qtbot.waitUntil(window.panel.generate.isEnabled, timeout=WAIT)
    window.generation.generate()
    assert not window.first_run.isVisible()
    assert SettingsStore(tmp_path / "settings.json").settings.first_run is False
    qtbot.waitUntil(lambda: window.generation.runs[-1].state.terminal, timeout=WAIT)


def test_that_diagnostics_tell_versions_and_no_home_folder(open_window, qtbot, tmp_path, monkeypatch) -> None:
    log = tmp_path / "log"
    log.mkdir()
    (log / "scenebrush.log").write_text(f"could not open {Path.home()}/secret/photo.jpg\n")
    window = open_window(home=tmp_path)
    window.help.copy_diagnostics()
    text = QGuiApplication.clipboard().text()
    assert "Qt 6" in text and "CPU, 2 threads" in text and "~/secret" in text
    assert str(Path.home()) not in text


def test_that_an_unexpected_error_is_one_calm_line(open_window, caplog) -> None:
    window = open_window()
    try:
        raise KeyError("lake")
    except KeyError as error:
        _reporter(window)(KeyError, error, error.__traceback__)
    assert window.messages.isVisible() and "still here" in window.messages.text.text()
    assert "KeyError" in caplog.text
