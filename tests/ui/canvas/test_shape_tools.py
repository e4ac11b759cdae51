"""Fill, lasso, "only over" and the padlocks, with mouse and keyboard in the real window."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.studio.session import Tool
from app.ui.panels.label_palette import lock_box
from models.request import NOT_PAINTED
from tests.ui.window_fixtures import drag, on_canvas

LEFT, NO, CTRL = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier


def halves(window) -> np.ndarray:
    """Start labels: 1 in the left half, 2 in the right one."""
    document = window.session.document
    labels = np.ones(document.paint.shape, np.uint8)
    labels[:, labels.shape[1] // 2 :] = 2
    window.session.set_start_labels(labels, "Labels")
    window.session.set_label(4)
    return labels


def click(window, x: float, y: float, modifiers: Qt.KeyboardModifier = NO) -> None:
    QTest.mouseClick(window.canvas, LEFT, modifiers, on_canvas(window.canvas, x, y))


def test_that_g_fills_the_region_under_the_mouse(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    labels = halves(window)
    QTest.keyClick(window, Qt.Key.Key_G)
    assert window.session.tool is Tool.FILL
    click(window, 400, 50)
    assert np.array_equal(window.session.document.paint == 4, labels == 2)
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    assert not window.session.document.anything_painted


def test_that_a_lasso_drag_paints_its_inside_and_ctrl_erases(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    halves(window)
    QTest.keyClick(window, Qt.Key.Key_L)
    drag(window.canvas, (100, 100), (200, 100), (200, 200), (100, 200))
    paint = window.session.document.paint
    assert (paint[110:190, 110:190] == 4).all() and (paint[:90] == NOT_PAINTED).all()
    steps = window.session.undo_stack.count()
    positions = [on_canvas(window.canvas, *p) for p in ((50, 120), (250, 120), (250, 150), (50, 150))]
    QTest.mousePress(window.canvas, LEFT, CTRL, positions[0])
    for position in positions[1:]:
        QTest.mouseMove(window.canvas, position)
    QTest.mouseRelease(window.canvas, LEFT, CTRL, positions[-1])
    assert (paint[125:145, 110:190] == NOT_PAINTED).all() and (paint[160:190, 110:190] == 4).all()
    assert window.session.undo_stack.count() == steps + 1


def test_that_lasso_clicks_set_corners_until_enter(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    halves(window)
    QTest.keyClick(window, Qt.Key.Key_L)
    for x, y in ((100, 50), (300, 50), (300, 250), (10, 290)):
        click(window, x, y)
    QTest.keyClick(window.canvas, Qt.Key.Key_Backspace)  # the last corner was a mistake
    assert not window.session.document.anything_painted
    QTest.keyClick(window.canvas, Qt.Key.Key_Return)
    paint = window.session.document.paint
    assert paint[70, 250] == 4 and paint[240, 20] == NOT_PAINTED and paint[240, 295] == 4
    for x, y in ((20, 20), (60, 20), (60, 40)):
        click(window, x, y)
    QTest.keyClick(window.canvas, Qt.Key.Key_Escape)
    QTest.keyClick(window.canvas, Qt.Key.Key_Return)
    assert paint[25, 55] == NOT_PAINTED


def test_that_a_click_on_the_first_corner_closes_the_lasso(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    halves(window)
    QTest.keyClick(window, Qt.Key.Key_L)
    for x, y in ((100, 50), (300, 50), (300, 250), (100, 50)):
        click(window, x, y)
    assert window.session.document.paint[70, 280] == 4
    assert window.session.undo_stack.undoText().startswith("Shape of")


def test_that_only_over_keeps_paint_on_one_label(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    labels = halves(window)
    window.options.only_over.setCurrentIndex(1 + 2)
    window.session.set_brush_size(60)
    drag(window.canvas, (150, 150), (300, 150))
    painted = window.session.document.paint != NOT_PAINTED
    assert painted.any() and (labels[painted] == 2).all()
    window.options.only_over.setCurrentIndex(0)
    drag(window.canvas, (150, 150), (160, 150))
    assert window.session.document.paint[150, 150] == 4


def test_that_a_padlock_protects_a_label_and_chooses_nothing(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    labels = halves(window)
    view = window.palette_panel.list
    row = view.visualRect(view.model().index(1, 0)).adjusted(6, 1, -6, -1)
    QTest.mouseClick(view.viewport(), LEFT, NO, lock_box(row).center())
    locked = view.model().index(1, 0).data(Qt.ItemDataRole.UserRole + 1)
    assert window.session.locked == {locked} and window.session.label == 4
    QTest.keyClick(window, Qt.Key.Key_L)
    drag(window.canvas, (10, 10), (430, 10), (430, 290), (10, 290))
    painted = window.session.document.paint != NOT_PAINTED
    assert painted.any() and not (labels[painted] == locked).any()
    QTest.mouseClick(view.viewport(), LEFT, NO, lock_box(row).center())
    assert window.session.locked == frozenset()
