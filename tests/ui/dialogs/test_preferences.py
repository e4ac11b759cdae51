"""Preferences and help in the real window."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QDockWidget, QMessageBox

from app.io.pictures.save import ExportOptions
from app.io.settings import SettingsStore
from app.ui.dialogs.diagnostics import own_version, without_home
from app.ui.dialogs.export_dialog import ExportChoice
from app.ui.dialogs.preferences import Preferences
from app.ui.panels.message_bar import Kind
from tests.ui.window_fixtures import WAIT


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


def test_that_the_choices_of_this_visit_outlive_a_look_at_the_preferences(open_window, monkeypatch) -> None:
    window = open_window()
    window.panel.count.setValue(7)
    chosen = ExportChoice(".jpg", ExportOptions(quality=61, keep_private=True))
    window.files.export_choice = chosen
    monkeypatch.setattr(Preferences, "exec", lambda dialog: dialog._on_ok() or Preferences.DialogCode.Accepted)
    window.help.show_preferences()
    assert window.panel.count.value() == 7
    kept = window.files.export_choice
    assert (kept.suffix, kept.options.quality) == (".jpg", 61)


def test_that_the_quality_set_in_the_preferences_is_the_next_one_offered(dialog) -> None:
    window, preferences = dialog
    preferences.quality.setValue(42)
    preferences._on_ok()
    window.help.take(preferences.result_settings)
    assert window.files.export_choice.options.quality == 42


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


def test_that_diagnostics_tell_versions_and_no_home_folder(open_window, qtbot, tmp_path, monkeypatch) -> None:
    log = tmp_path / "log"
    log.mkdir()
    (log / "scenebrush.log").write_text(f"could not open {Path.home()}/secret/photo.jpg\n")
    window = open_window(home=tmp_path)
    window.help.copy_diagnostics()
    text = QGuiApplication.clipboard().text()
    assert "Qt 6" in text and "CPU, 2 threads" in text and "~/secret" in text
    assert str(Path.home()) not in text


def test_that_diagnostics_hide_every_spelling_of_the_home_folder(monkeypatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: PureWindowsPath("C:\\Users\\Anna"))
    monkeypatch.setattr(PureWindowsPath, "resolve", lambda path: path, raising=False)
    told = without_home("C:\\Users\\Anna\\a.jpg, C:/Users/Anna/b.jpg, 'C:\\\\Users\\\\Anna\\\\c.jpg'")
    assert "Anna" not in told and told.count("~") == 3
    monkeypatch.setattr(Path, "home", lambda: PurePosixPath("/"))
    monkeypatch.setattr(PurePosixPath, "resolve", lambda path: path, raising=False)
    assert without_home("/srv/photos") == "/srv/photos"


def test_that_about_tells_the_version(open_window, monkeypatch) -> None:
    told = []
    monkeypatch.setattr(QMessageBox, "about", lambda window, title, text: told.append(text))
    window = open_window()
    window.actions_table["about"].trigger()
    assert own_version() in told[0]


def test_that_without_a_log_or_a_file_manager_help_says_so(open_window, tmp_path, monkeypatch) -> None:
    window = open_window(home=tmp_path)
    window.actions_table["open-log"].trigger()
    assert "no log yet" in window.messages.text.text()
    (tmp_path / "log").mkdir()
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: bool(opened.append(url.toLocalFile())))
    window.actions_table["open-log"].trigger()
    assert opened == [str(tmp_path / "log")] and opened[0] in window.messages.text.text()
