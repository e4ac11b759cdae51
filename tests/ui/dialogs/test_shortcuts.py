"""Keys of one's own: given, refused, exchanged, put back; and the sheet that lists them."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from app.io.settings import Settings, SettingsStore
from app.studio.session import Tool
from app.ui.dialogs.keys import RESERVED, KeyTable, effective, portable
from app.ui.dialogs.preferences import Preferences
from app.ui.dialogs.shortcuts import ShortcutSheet
from tests.ui.control.test_generating import finished, paint_and_generate
from tests.ui.window_fixtures import WAIT

USUAL = {"brush": ("B",), "eraser": ("E",), "redo": ("Ctrl+Shift+Z", "Ctrl+Y"), "about": ()}
TITLES = {name: name.title() for name in USUAL}


def table(**changed: list[str]) -> KeyTable:
    return KeyTable(TITLES, USUAL, changed, {})


def keys_are_apart(keys: dict[str, tuple[str, ...]]) -> bool:
    every = [key for some in keys.values() for key in some]
    return len(every) == len(set(every))


def test_that_a_key_never_gets_two_owners_whatever_the_order() -> None:
    keys = table()
    assert keys.assign("brush", "Q") == "" and keys.assign("eraser", "B") == ""
    assert "Eraser" in keys.assign("brush", "B"), "it was given away a moment ago"
    assert keys.keys("brush") == ("Q",) and keys.keys("eraser") == ("B",)


def test_that_a_second_key_is_refused_until_its_command_lets_go() -> None:
    keys = table()
    assert "Redo" in keys.assign("about", "Ctrl+Y")
    assert keys.assign("redo", "Alt+Z") == "" and keys.assign("about", "Ctrl+Y") == ""


@pytest.mark.parametrize("key", RESERVED)
def test_that_the_keys_that_always_leave_cannot_be_taken(key: str) -> None:
    assert portable(key) == key, "named as Qt does"
    assert RESERVED[key] in table().assign("brush", key)


def test_that_only_what_differs_is_kept_and_reset_forgets_it() -> None:
    keys = table()
    keys.assign("about", "F2")
    keys.assign("brush", "")
    assert keys.changed == {"about": ["F2"], "brush": []}
    keys.assign("brush", "B")
    assert keys.changed == {"about": ["F2"]}
    keys.reset()
    assert keys.changed == {}


def test_that_the_users_key_goes_before_a_usual_one_and_nonsense_does_nothing() -> None:
    keys = effective(USUAL, {"about": ["E", "Esc"], "brush": ["no such key", "Q"], "gone": ["F5"]}, {})
    assert keys["about"] == ("E",) and keys["eraser"] == (), "as after an update that brings a new usual key"
    assert keys["brush"] == ("Q",) and "gone" not in keys and keys_are_apart(keys)


# in the real window -------------------------------------------------------------------------------------------------


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


def test_that_no_usual_key_is_given_twice_or_reserved(open_window) -> None:
    actions = open_window().actions_table
    usual = {name: tuple(portable(key) for key in keys) for name, keys in actions.usual.items()}
    assert effective(usual, {}, actions.places) == usual


def test_that_the_sheet_shows_every_command_with_its_key(open_window) -> None:
    window = open_window()
    sheet = ShortcutSheet(window.actions_table, window)
    said = [label.text() for label in sheet.findChildren(QLabel)]
    listed = [name for names in window.actions_table.groups.values() for name in names]
    assert set(listed) == set(window.actions_table.by_name)
    for name in listed:
        if not name.startswith("label-"):  # nine of a kind share a row
            assert window.actions_table.titles[name] in said
    assert "Ctrl + wheel" in said and "1 to 9" in said
    sheet.deleteLater()


def test_that_a_command_can_be_left_without_a_key(dialog) -> None:
    window, preferences = dialog
    preferences.edits["tool-eraser"].clear()
    preferences._on_ok()
    window.help.take(preferences.result_settings)
    QTest.keyClick(window, Qt.Key.Key_E)
    assert window.session.tool is Tool.BRUSH
    assert "(" not in window.actions_table["tool-eraser"].toolTip()


def test_that_a_taken_key_typed_last_keeps_the_dialog_open(dialog) -> None:
    _, preferences = dialog
    preferences.show()
    preferences.edits["tool-eraser"].setKeySequence(QKeySequence("B"))
    preferences._on_ok()
    assert preferences.isVisible() and preferences.tabs.currentIndex() == 1
    assert "Brush" in preferences.problem.text()
    preferences.close()


def test_that_keys_are_found_by_typing_a_part_of_the_name(dialog) -> None:
    _, preferences = dialog
    preferences.search.setText("ERAS")
    rows = [row for row in range(preferences.table.rowCount()) if not preferences.table.isRowHidden(row)]
    assert [preferences.table.item(row, 0).text() for row in rows] == ["Eraser"]


def test_that_names_of_commands_do_not_change_with_the_history(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    window.session.set_start_labels(3, "Start labels: all mountain")
    assert "mountain" in window.actions_table["undo"].text()
    assert window.actions_table.titles["undo"] == "Undo"


def test_that_tool_tips_of_buttons_tell_the_users_key(open_window) -> None:
    store = SettingsStore()
    store.settings = Settings(shortcuts={"generate": ["F5"], "cancel": []})
    panel = open_window(store=store).panel
    assert "(F5)" in panel.generate.toolTip() and "(" not in panel.cancel.toolTip()
    assert "Shift+" in panel.drafts.toolTip()


def test_that_the_question_mark_shows_the_sheet(open_window, monkeypatch) -> None:
    shown = []
    monkeypatch.setattr(ShortcutSheet, "exec", lambda sheet: shown.append(sheet.windowTitle()))
    window = open_window()
    QTest.keyClick(window, Qt.Key.Key_Question)
    assert shown == ["Keyboard and mouse"]


# keys of the canvas and the gallery ---------------------------------------------------------------------------------


def with_keys(open_window, photo, **keys: str):
    store = SettingsStore()
    store.settings = Settings(shortcuts={name.replace("_", "-"): [key] for name, key in keys.items()})
    return open_window(photo=photo, store=store)


def test_that_the_keys_of_the_gallery_can_be_changed(open_window, photo_file, qtbot) -> None:
    window = with_keys(
        open_window, photo_file, version_after="N", version_before="Shift+N", apply="A", discard="F8", tick="T",
        run_before="PgUp",
    )  # fmt: skip
    for _ in range(2):
        paint_and_generate(window, qtbot, 3)
        qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    gallery, view = window.gallery, window.gallery.view
    first, second, _ = gallery.run.entries
    for old in (Qt.Key.Key_Right, Qt.Key.Key_Delete, Qt.Key.Key_Space, Qt.Key.Key_Up, Qt.Key.Key_Return):
        QTest.keyClick(view, old)
    assert gallery.chosen is first and len(gallery.run.entries) == 3 and not first.starred
    assert gallery.run is window.generation.runs[1] and not window.session.document.unexported
    QTest.keyClick(view, Qt.Key.Key_N)
    assert gallery.chosen is second
    QTest.keyClick(view, Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClick(view, Qt.Key.Key_T)
    assert gallery.chosen is first and first.starred
    QTest.keyClick(view, Qt.Key.Key_F8)
    assert first not in gallery.run.entries and gallery.chosen is second
    assert "(F8)" in gallery.discard_button.toolTip() and "A applies" in window.canvas._caption
    QTest.keyClick(window.canvas, Qt.Key.Key_A)
    assert window.session.document.unexported
    QTest.keyClick(view, Qt.Key.Key_PageUp)
    assert gallery.run is window.generation.runs[0]


def test_that_the_usual_keys_of_the_gallery_do_what_the_sheet_says(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    for _ in range(2):
        paint_and_generate(window, qtbot, 2)
        qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    gallery, view = window.gallery, window.gallery.view
    QTest.keyClick(view, Qt.Key.Key_Space)
    assert gallery.run.entries[0].starred
    QTest.keyClick(view, Qt.Key.Key_Right)
    QTest.keyClick(view, Qt.Key.Key_Right)
    assert gallery.chosen is gallery.run.entries[1], "the last one stays chosen"
    QTest.keyClick(view, Qt.Key.Key_Up)
    assert gallery.run is window.generation.runs[0]
    QTest.keyClick(view, Qt.Key.Key_Down)
    assert gallery.run is window.generation.runs[1]


def test_that_the_keys_to_hold_can_be_changed_and_end_when_the_focus_goes(open_window, photo_file) -> None:
    window = with_keys(open_window, photo_file, hold_original="O", hold_hand="F6")
    canvas = window.canvas
    canvas.setFocus()
    QTest.keyPress(canvas, Qt.Key.Key_Space)
    assert not canvas._space
    QTest.keyPress(canvas, Qt.Key.Key_F6, Qt.KeyboardModifier.ShiftModifier)
    assert canvas._space, "also while another key is down for something else"
    QTest.keyRelease(canvas, Qt.Key.Key_F6)
    QTest.keyPress(canvas, Qt.Key.Key_O)
    assert canvas._original_held and not canvas._space
    assert "(O)" in window.options.compare.toolTip()
    window.palette_panel.search.setFocus()
    assert not canvas._original_held
    QTest.keyPress(window.gallery.view, Qt.Key.Key_O)
    assert canvas._original_held
    QTest.keyRelease(window.gallery.view, Qt.Key.Key_O)
    assert not canvas._original_held


def test_that_one_key_may_serve_the_canvas_and_the_gallery_but_not_both_and_the_window() -> None:
    usual = {"hand": ("Space",), "tick": ("Space",), "apply": ("Enter",), "brush": ("B",)}
    places = {"hand": ("canvas",), "tick": ("gallery",), "apply": ("canvas", "gallery")}
    keys = KeyTable({name: name.title() for name in usual}, usual, {}, places)
    assert keys.keys("hand") == keys.keys("tick") == ("Space",)
    assert "Hand" in keys.assign("brush", "Space"), "a key of the window would count there too"
    assert "Tick" in keys.assign("apply", "Space") or "Hand" in keys.assign("apply", "Space")
    assert keys.assign("tick", "Q") == "" and keys.assign("hand", "Q") == ""
    assert "Brush" in keys.assign("tick", "B")


def test_that_typing_in_a_field_uses_no_key_of_the_gallery(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    paint_and_generate(window, qtbot, 2)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    search = window.gallery.search
    search.setFocus()
    search.setText("lakes")
    for key in (Qt.Key.Key_Left, Qt.Key.Key_Delete, Qt.Key.Key_Space):
        QTest.keyClick(search, key)
    assert search.text() == "lake " and len(window.gallery.run.entries) == 2


def test_that_hiding_paint_and_labels_keeps_how_strong_they_were(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    for slider, toggle, strong in (
        (window.options.paint_opacity, window._toggle_paint, 30),
        (window.options.labels_opacity, window._toggle_labels, 20),
    ):
        slider.setValue(strong)
        toggle()
        assert slider.value() == 0
        toggle()
        assert slider.value() == strong


def test_that_menus_mark_what_is_on_however_it_came_about(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    names = [name for name, action in window.actions_table.by_name.items() if action.isCheckable()]
    toggles = [name for name in names if not name.startswith("tool-") and name != "attention"]
    assert len(toggles) == 7
    menus = [action.menu() for action in window.menuBar().actions()]

    def marked() -> set[str]:
        for menu in menus:
            menu.aboutToShow.emit()
        return {name for name in toggles if window.actions_table[name].isChecked()}

    assert marked() == {"toggle-paint"} | ({"patterns"} if window.canvas.overlay.patterns else set())
    window.options.paint_opacity.setValue(0)
    window.options.snap.click()
    window.actions_table["compare"].trigger()
    window.canvas.toggle_compare()
    assert "snap" in marked() and not {"toggle-paint", "compare"} & marked()
    for name in toggles:
        before = name in marked()
        window.actions_table[name].trigger()
        assert (name in marked()) is not before, name
