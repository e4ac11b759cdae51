"""Palette, Generate panel and message bar by themselves."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.io.settings import SettingsStore
from app.studio.session import Tool
from app.ui.panels.generate_panel import Estimate
from app.ui.panels.label_palette import LABEL_ROLE
from app.ui.panels.message_bar import Kind
from app.ui.panels.recent_labels import SHOWN
from models.candidate import Window
from tests.ui.window_fixtures import drag


def test_that_search_finds_labels_and_enter_takes_the_first(open_window) -> None:
    window = open_window()
    palette = window.palette_panel
    QTest.keyClicks(palette.search, "wat")
    assert [palette.list.model().index(r, 0).data() for r in range(palette.list.model().rowCount())] == ["waterfall"]
    QTest.keyClick(palette.search, Qt.Key.Key_Return)
    assert window.session.label_name(window.session.label) == "waterfall"
    assert palette.list.model().rowCount() == 20


def test_that_a_click_takes_a_label_and_rare_ones_say_so(open_window) -> None:
    window = open_window()
    view, model = window.palette_panel.list, window.palette_panel.list.model()
    row = next(r for r in range(model.rowCount()) if model.index(r, 0).data() == "flower")
    view.scrollTo(model.index(row, 0))
    spot = view.visualRect(model.index(row, 0)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, spot)
    assert window.session.label == model.index(row, 0).data(LABEL_ROLE)
    assert "Rare" in model.index(row, 0).data(Qt.ItemDataRole.ToolTipRole)


def paint_with(window, *names: str) -> None:
    for name in names:
        window.session.set_label(window.session.label_set.index(name))
        drag(window.canvas, (100, 100), (150, 120))


def test_that_labels_painted_with_stand_in_the_recent_row_and_a_click_takes_one_up(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    recent = window.palette_panel.recent
    assert not recent.isVisible()
    paint_with(window, "lake", "tree")
    window.session.set_label(window.session.label_set.index("snow"))
    assert recent.isVisible() and recent.names == ["tree", "lake"], "what was only chosen was not used"
    QTest.mouseClick(recent.buttons[1], Qt.MouseButton.LeftButton)
    assert window.session.label_name(window.session.label) == "lake"
    assert "lake" in recent.buttons[1].toolTip()
    window.grab()


def test_that_recent_labels_keep_their_place_and_the_longest_unused_one_leaves(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    names = ["lake", "tree", "snow", "sand", "grass"]
    paint_with(window, *names)
    recent = window.palette_panel.recent
    assert recent.names == names[::-1] and len(names) == SHOWN
    paint_with(window, "lake")
    assert recent.names == names[::-1], "going back to a label moves nothing"
    paint_with(window, "river")
    assert recent.names == ["river", "grass", "sand", "snow", "lake"]
    window.session.set_tool(Tool.ERASER)
    drag(window.canvas, (100, 100), (150, 120))
    assert recent.names[0] == "river", "the eraser paints with no label"


def test_that_recent_labels_outlive_a_restart_and_unknown_ones_are_not_shown(open_window, photo_file, tmp_path) -> None:
    window = open_window(photo=photo_file, store=SettingsStore(tmp_path / "settings.json"))
    paint_with(window, "lake", "tree")
    window.close()
    store = SettingsStore(tmp_path / "settings.json")
    store.settings.recent_labels.insert(0, "of another checkpoint")
    again = open_window(store=store)
    again.help.start()
    assert [again.session.label_name(b.label) for b in again.palette_panel.recent.buttons] == ["tree", "lake"]


def test_that_the_estimate_says_windows_tokens_and_time(open_window) -> None:
    panel = open_window().panel
    panel.set_estimate(Estimate((Window(0, 0, 512, 512),), 1234, 8.4))
    assert panel.estimate.text() == "1,234 tokens in one window of 512\u00a0px, about 8\u00a0s."
    panel.set_estimate(Estimate((Window(0, 0, 2048, 1024), Window(0, 0, 256, 256)), 40))
    assert panel.estimate.text() == "40 tokens in 2 windows of 256 and 1024\u00a0px, scaled to fit."


def test_that_top_k_zero_means_all_and_settings_are_taken_over(open_window) -> None:
    panel = open_window().panel
    panel.top_k.setValue(0)
    panel.temperature.setValue(0.85)
    panel.count.setValue(7)
    panel.lock.setChecked(True)
    settings = panel.take_settings()
    assert (settings.samples, settings.top_k, settings.temperature) == (7, None, 0.85)
    assert settings.seed == panel.seed.value()


def test_that_messages_can_offer_an_action_and_be_closed(open_window) -> None:
    messages = open_window().messages
    done = []
    messages.say(Kind.WARNING, "Something", [("Do it", lambda: done.append(1)), ("Leave it", lambda: done.append(2))])
    assert [button.text() for button in messages.buttons if button.isVisible()] == ["Do it", "Leave it"]
    QTest.mouseClick(messages.buttons[1], Qt.MouseButton.LeftButton)
    assert done == [2]
    assert not messages.isVisible()
    messages.say(Kind.WARNING, "Something else")
    assert not any(button.isVisible() for button in messages.buttons), "those of the message before are gone"
