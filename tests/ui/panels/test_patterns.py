"""Patterns, legend and hidden labels: what is what without colour."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from app.document.geometry import Rect
from app.ui.panels.label_palette import eye_box
from app.ui.panels.patterns import ink, patterns
from models.request import NOT_PAINTED
from tests.ui.window_fixtures import WAIT, drag


def test_that_twenty_labels_have_patterns_of_their_own() -> None:
    table = patterns()
    assert not table[NOT_PAINTED].any()
    assert len({table[label].tobytes() for label in range(20)}) == 20
    assert all(0.02 < table[label].mean() < 0.6 for label in range(20))


def test_that_ink_shows_on_every_colour() -> None:
    rng = np.random.default_rng(0)
    for color in (*((int(v),) * 3 for v in range(0, 256, 15)), *map(tuple, rng.integers(0, 256, (50, 3)).tolist())):
        assert max(abs(a - b) for a, b in zip(ink(color), color, strict=True)) >= 40


def test_that_patterns_are_drawn_where_painted_and_line_up_between_tiles(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    overlay, document = window.canvas.overlay, window.session.document
    document.paint[50:250, 50:350] = 15
    plain = overlay.render(document.bounds, 0)
    overlay.patterns = True
    drawn = overlay.render(document.bounds, 0)
    changed = drawn != plain
    assert changed[60:240, 60:340].mean() > 0.05 and not changed[document.paint == NOT_PAINTED].any()
    part = Rect(100, 100, 64, 48)
    assert np.array_equal(overlay.render(part, 0), drawn[part.slices])
    assert overlay.render(document.bounds, 1).shape == (150, 220)


def test_that_a_hidden_label_leaves_the_overlay_and_stays_painted(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    session, palette = window.session, window.palette_panel
    session.set_label(palette.label_in_slot(0))
    drag(window.canvas, (100, 100), (200, 110))
    paint = session.document.paint.copy()
    row = palette.list.visualRect(palette.list.model().index(0, 0))
    QTest.mouseClick(
        palette.list.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, eye_box(row).center()
    )
    assert session.hidden == {session.label}
    overlay = window.canvas.overlay.render(Rect(110, 95, 60, 12), 0)
    assert not (overlay >> 24 > 200).any()
    assert np.array_equal(session.document.paint, paint)
    window.grab()
    session.toggle_hidden(session.label)
    assert not session.hidden


def test_that_the_legend_lists_what_is_seen_largest_first(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    qtbot.waitUntil(lambda: (window.session.document.start == 3).any(), timeout=WAIT)
    QTest.keyClick(window, Qt.Key.Key_L, Qt.KeyboardModifier.ShiftModifier)
    assert window.legend.isVisible() and set(window.legend.labels) == {1, 3}
    window.session.set_label(15)
    drag(window.canvas, (100, 100), (250, 110))
    qtbot.waitUntil(lambda: 15 in window.legend.labels, timeout=WAIT)
    assert window.legend.labels[-1] == 15
    window.grab()
    place = window.legend.mapTo(window, QPoint(5, 5))
    assert window.childAt(place) is not window.legend, "the mouse goes through it"
    window.legend.toggle()
