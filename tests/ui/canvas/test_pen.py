"""A tablet pen on the canvas."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QInputDevice, QPointingDevice, QPointingDeviceUniqueId, QTabletEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.ui.canvas.canvas import Canvas
from models.request import NOT_PAINTED
from tests.ui.window_fixtures import WAIT, drag, on_canvas


def pen(kind: QPointingDevice.PointerType = QPointingDevice.PointerType.Pen) -> QPointingDevice:
    capabilities = QInputDevice.Capability.Position | QInputDevice.Capability.Pressure
    return QPointingDevice(
        "pen", 7, QInputDevice.DeviceType.Stylus, kind, capabilities, 1, 1, "seat", QPointingDeviceUniqueId()
    )


def send(canvas: Canvas, device: QPointingDevice, kind: QEvent.Type, point: tuple[int, int], pressure: float) -> bool:
    place = QPointF(on_canvas(canvas, *point))
    held = Qt.MouseButton.NoButton if kind == QEvent.Type.TabletRelease else Qt.MouseButton.LeftButton
    button = Qt.MouseButton.NoButton if kind == QEvent.Type.TabletMove else Qt.MouseButton.LeftButton
    event = QTabletEvent(
        kind, device, place, QPointF(canvas.mapToGlobal(place)), pressure, 0, 0, 0, 0, 0,
        Qt.KeyboardModifier.NoModifier, button, held,
    )  # fmt: skip
    QApplication.sendEvent(canvas, event)
    return event.isAccepted()


def stroke(canvas: Canvas, device: QPointingDevice, pressure: float, *points: tuple[int, int]) -> None:
    send(canvas, device, QEvent.Type.TabletPress, points[0], pressure)
    for point in points[1:]:
        send(canvas, device, QEvent.Type.TabletMove, point, pressure)
    send(canvas, device, QEvent.Type.TabletRelease, points[-1], 0.0)


def test_that_pressure_changes_the_width_and_a_stroke_is_one_step(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    window.session.set_brush_size(50)
    painted = {}
    for pressure in (0.0, 0.5, 1.0):
        window.session.clear_paint()
        before = window.session.undo_stack.count()
        stroke(window.canvas, pen(), pressure, (100, 150), (200, 150), (250, 150))
        assert window.session.undo_stack.count() == before + 1
        painted[pressure] = int((window.session.document.paint[:, 180] != NOT_PAINTED).sum())
    assert painted == {0.0: 10, 0.5: 30, 1.0: 50}


def test_that_pressure_can_be_switched_off(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    window.session.set_brush_size(50)
    window.options.pressure.click()
    stroke(window.canvas, pen(), 0.1, (100, 150), (250, 150))
    assert (window.session.document.paint[:, 180] != NOT_PAINTED).sum() == 50


def test_that_the_other_end_of_the_pen_erases(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    drag(window.canvas, (100, 150), (250, 150))
    stroke(window.canvas, pen(QPointingDevice.PointerType.Eraser), 1.0, (80, 150), (280, 150))
    assert not window.session.document.anything_painted


def test_that_mouse_events_during_a_pen_stroke_are_ignored(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    canvas, device = window.canvas, pen()
    send(canvas, device, QEvent.Type.TabletPress, (100, 150), 1.0)
    QTest.mouseMove(canvas, on_canvas(canvas, 300, 250))
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, on_canvas(canvas, 300, 250))
    send(canvas, device, QEvent.Type.TabletMove, (140, 150), 1.0)
    send(canvas, device, QEvent.Type.TabletRelease, (140, 150), 0.0)
    assert window.session.document.paint[250, 300] == NOT_PAINTED
    assert window.session.undo_stack.count() == 1
    drag(canvas, (300, 250), (310, 250))
    assert window.session.document.paint[250, 300] != NOT_PAINTED, "the mouse works again"


def test_that_other_tools_are_left_to_the_mouse(open_window, photo_file) -> None:
    window = open_window(photo=photo_file)
    QTest.keyClick(window, Qt.Key.Key_H)
    assert not send(window.canvas, pen(), QEvent.Type.TabletPress, (100, 150), 1.0)


def test_that_the_brush_snaps_to_edges_once_they_are_found(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    document = window.session.document
    QTest.keyClick(window, Qt.Key.Key_S)
    assert window.options.snap.isChecked() and "edges" in window.messages.text.text()
    qtbot.waitUntil(lambda: document.superpixels is not None, timeout=WAIT)
    window.session.set_brush_size(30)
    drag(window.canvas, (150, 150), (200, 150))
    rect, mask = document.superpixels.region(np.array([document.superpixels.labels[150, 150]]))
    assert (document.paint[rect.slices][mask] != NOT_PAINTED).all()
    assert window.session.undo_stack.count() == 1
    window.session.undo()
    assert not document.anything_painted
