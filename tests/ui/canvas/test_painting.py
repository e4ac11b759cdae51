"""Painting in the real window with the mouse and the keyboard."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColorSpace, QImage, QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.document.atoms import Layer
from app.document.document import Document
from app.studio.session import Tool
from app.ui.look.images import to_rgb
from models.request import NOT_PAINTED
from tests.document.documents import make_photo
from tests.ui.fake_engine import FakeEngine
from tests.ui.window_fixtures import WAIT, drag, on_canvas

LEFT, NO = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def test_that_one_drag_is_one_undo_step(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    drag(window.canvas, (100, 100), (150, 120), (200, 90))
    assert window.session.undo_stack.count() == 1
    assert window.session.document.paint[100, 100] == window.session.label
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not window.session.document.anything_painted
    QTest.keyClick(window, Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    assert window.session.document.anything_painted


def test_that_escape_takes_a_stroke_back_without_a_trace(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    drag(window.canvas, (100, 100), (150, 120), release=False)
    assert window.session.document.anything_painted
    QTest.keyClick(window.canvas, Qt.Key.Key_Escape)
    QTest.mouseRelease(window.canvas, LEFT, NO, on_canvas(window.canvas, 150, 120))
    assert not window.session.document.anything_painted
    assert window.session.undo_stack.count() == 0


def test_that_shift_click_draws_a_straight_line(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    window.session.set_brush_size(5)
    drag(window.canvas, (50, 50))
    QTest.mouseClick(window.canvas, LEFT, Qt.KeyboardModifier.ShiftModifier, on_canvas(window.canvas, 250, 150))
    assert window.session.document.paint[100, 150] == window.session.label


def test_that_keys_choose_tools_labels_and_sizes(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    session = window.session
    QTest.keyClick(window, Qt.Key.Key_E)
    assert session.tool is Tool.ERASER
    QTest.keyClick(window, Qt.Key.Key_3)
    assert session.label_name(session.label) == "mountain"
    assert session.tool is Tool.BRUSH
    QTest.keyClick(window, Qt.Key.Key_2)
    QTest.keyClick(window, Qt.Key.Key_X)
    assert session.label_name(session.label) == "mountain"
    QTest.keyClick(window, Qt.Key.Key_X)
    assert session.label_name(session.label) == "clouds"
    size = session.brush_size
    QTest.keyClick(window, Qt.Key.Key_BracketRight)
    assert session.brush_size > size
    QTest.keyClick(window, Qt.Key.Key_BracketLeft)
    QTest.keyClick(window, Qt.Key.Key_BracketLeft)
    assert session.brush_size < size
    QTest.keyClick(window, Qt.Key.Key_H)
    assert session.tool is Tool.HAND


def test_that_the_eraser_takes_paint_away(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    drag(window.canvas, (100, 100), (150, 100))
    window.session.set_tool(Tool.ERASER)
    drag(window.canvas, (100, 100), (150, 100))
    assert not window.session.document.anything_painted
    assert window.session.undo_stack.count() == 2


def test_that_alt_click_picks_the_label_under_the_mouse(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    window.session.document.start[:] = 9
    QTest.mouseClick(window.canvas, LEFT, Qt.KeyboardModifier.AltModifier, on_canvas(window.canvas, 60, 60))
    assert window.session.label_name(window.session.label) == "grass"
    assert not window.session.document.anything_painted


def test_that_space_drag_moves_the_picture(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    before = window.canvas.view
    QTest.keyPress(window.canvas, Qt.Key.Key_Space)
    QTest.mousePress(window.canvas, LEFT, NO, QPoint(200, 200))
    QTest.mouseMove(window.canvas, QPoint(230, 210))
    QTest.mouseRelease(window.canvas, LEFT, NO, QPoint(230, 210))
    QTest.keyRelease(window.canvas, Qt.Key.Key_Space)
    after = window.canvas.view
    assert (after.x - before.x, after.y - before.y) == (30, 10)
    assert not window.session.document.anything_painted


def test_that_ctrl_wheel_zooms_at_the_mouse(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    canvas = window.canvas
    position = QPointF(on_canvas(canvas, 100, 80))
    before = canvas.photo_point(position)
    event = QWheelEvent(
        position, canvas.mapToGlobal(position), QPoint(), QPoint(0, 240), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.ControlModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(canvas, event)
    after = canvas.photo_point(position)
    assert canvas.view.scale > 1
    assert after.x == pytest.approx(before.x, abs=1) and after.y == pytest.approx(before.y, abs=1)
    QTest.keyClick(window, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
    assert canvas.view.scale == 1


def test_that_holding_tab_shows_the_original(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    canvas = window.canvas
    canvas.setFocus()

    def pixel() -> tuple[int, ...]:
        spot = on_canvas(canvas, 120, 105)
        return tuple(to_rgb(canvas.grab().toImage().convertToFormat(QImage.Format.Format_RGB32))[spot.y(), spot.x()])

    clean = pixel()
    drag(canvas, (100, 100), (150, 100))
    QTest.mouseMove(canvas, QPoint(5, 5))
    assert pixel() != clean
    QTest.keyPress(canvas, Qt.Key.Key_Tab)
    assert pixel() == clean
    QTest.keyRelease(canvas, Qt.Key.Key_Tab)
    assert pixel() != clean


def test_that_painting_is_impossible_before_labels_are_known(open_window, photo_file, qtbot) -> None:
    gate = threading.Event()

    def slowly() -> FakeEngine:
        gate.wait(5)
        return FakeEngine()

    window = open_window(photo=photo_file, open_engine=slowly, wait=False)
    drag(window.canvas, (100, 100), (150, 100))
    assert not window.session.document.anything_painted
    gate.set()
    qtbot.waitUntil(lambda: window.session.label_set is not None, timeout=WAIT)
    drag(window.canvas, (100, 100), (150, 100))
    assert window.session.document.anything_painted


def test_that_suggested_labels_arrive_and_the_users_own_ones_stay(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    document = window.session.document
    qtbot.waitUntil(lambda: document.start[0, 0] == 1, timeout=WAIT)
    window.files.start_uniform()
    assert (document.start == window.session.label).all()
    window.session.suggest_labels(window.session.document_number, np.full(document.start.shape, 9, np.uint8))
    assert (document.start == window.session.label).all()
    window.session.undo()
    assert document.start[0, 0] == 1


@pytest.mark.parametrize("space", [None, QColorSpace.NamedColorSpace.AdobeRgb])
def test_that_a_stroke_on_a_large_photo_is_painted(open_window, qtbot, space) -> None:
    """Prints the time of mouse event, stamp and repaint of a 4096² photo, fitted, brush 200 px."""
    window = open_window()
    icc = None if space is None else bytes(QColorSpace(space).iccProfile().data())
    window.session.set_document(Document(replace(make_photo(4096, 4096), icc=icc)))
    window.session.set_brush_size(200)
    qtbot.wait(300)
    canvas = window.canvas
    drag(canvas, (500, 500), release=False)
    times = []
    for k in range(60):
        position = QPointF(on_canvas(canvas, 500 + 30 * k, 500 + 20 * k))
        event = QMouseEvent(QEvent.Type.MouseMove, position, canvas.mapToGlobal(position), LEFT, LEFT, NO)
        started = time.perf_counter()
        QApplication.sendEvent(canvas, event)
        QApplication.processEvents()
        times.append(time.perf_counter() - started)
    QTest.mouseRelease(canvas, LEFT, NO, on_canvas(canvas, 500, 500))
    times.sort()
    kind = "4096²" if icc is None else "4096², wide gamut"
    print(f"stroke event with repaint on {kind}: median {times[30] * 1000:.1f} ms, slowest {times[-1] * 1000:.1f} ms")
    assert (window.session.document.paint != NOT_PAINTED).any()


def test_that_the_compare_slider_shows_the_original_at_its_left(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    canvas, document = window.canvas, window.session.document
    document._writable(Layer.PICTURE)[:] = 255
    canvas._on_document()
    QTest.keyClick(window, Qt.Key.Key_M)
    assert canvas.compare.shown

    def color(x: int, y: int) -> int:
        place = on_canvas(canvas, x, y)
        return canvas.grab().toImage().pixelColor(place).lightness()

    middle = canvas.width() // 2
    left_x, right_x = canvas.photo_point(QPointF(middle - 40, 0)).x, canvas.photo_point(QPointF(middle + 40, 0)).x
    assert color(int(left_x), 60) < 250 and color(int(right_x), 60) == 255
    paint = document.paint.copy()
    QTest.mousePress(canvas, LEFT, NO, QPoint(middle, 200))
    QTest.mouseMove(canvas, QPoint(middle + 90, 200))
    QTest.mouseRelease(canvas, LEFT, NO, QPoint(middle + 90, 200))
    assert color(int(right_x), 60) < 250
    assert np.array_equal(document.paint, paint), "dragging the divider paints nothing"
    QTest.keyClick(window, Qt.Key.Key_M)
    assert color(int(left_x), 60) == 255
