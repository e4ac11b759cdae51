"""The first steps: shown once, ticking themselves off, and again when asked for."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QToolButton

from app.io.settings import SettingsStore
from tests.ui.window_fixtures import WAIT, drag


def take_the_steps(window, qtbot) -> None:
    window.session.set_label(5)
    assert window.first_run.ticked == [True, False, False]
    drag(window.canvas, (100, 60), (160, 70))
    assert window.first_run.ticked == [True, True, False]
    qtbot.waitUntil(window.panel.generate.isEnabled, timeout=WAIT)
    window.generation.generate()
    assert not window.first_run.isVisible()
    qtbot.waitUntil(lambda: window.generation.runs[-1].state.terminal, timeout=WAIT)


def test_that_the_steps_tick_themselves_off(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    assert not window.first_run.isVisible(), "only when a user starts it"
    window.help.start()
    assert window.first_run.isVisible()
    take_the_steps(window, qtbot)


def test_that_no_step_is_done_before_the_user_does_it(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    window.first_run.begin()
    palette = window.palette_panel
    window.session.begin_with(7)
    window.session.set_label_set(window.session.label_set)  # as when the model is open
    assert window.session.label == palette.label_in_slot(0) and window.first_run.ticked == [False, False, False]
    window.session.set_label(window.session.label)  # the one that is current already
    assert window.first_run.ticked == [True, False, False]


def test_that_the_steps_are_shown_at_the_first_start_only(open_window, tmp_path) -> None:
    first = open_window(store=SettingsStore(tmp_path / "settings.json"))
    first.help.start()
    assert first.first_run.isVisible()
    second = open_window(store=SettingsStore(tmp_path / "settings.json"))
    second.help.start()
    assert not second.first_run.isVisible()


def test_that_the_help_menu_starts_them_again(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    window.help.start()
    take_the_steps(window, qtbot)
    window.actions_table["first-run"].trigger()
    assert window.first_run.isVisible() and not any(window.first_run.ticked)
    window.session.set_label(6)
    assert window.first_run.ticked == [True, False, False]


def test_that_they_can_be_closed_and_stay_out_of_the_way(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    window.help.start()
    QTest.mouseClick(window.first_run.findChild(QToolButton), Qt.MouseButton.LeftButton)
    assert not window.first_run.isVisible()
    window.session.set_label(5)
    assert not any(window.first_run.ticked)


@pytest.mark.parametrize("first", [True, False])
def test_that_the_steps_do_not_widen_a_small_window(open_window, first: bool) -> None:
    store = SettingsStore()
    store.settings.first_run = first
    window = open_window(store=store)
    window.help.start()
    assert window.minimumSizeHint().width() <= 1000
