"""Keys: changing them, keeping them apart, showing them all on one sheet."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QDialog, QGridLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from .actions import Actions

_MOUSE = (
    ("Left drag", "Use the tool"),
    ("Shift + click", "Straight line from the last stroke"),
    ("Alt + click", "Pick the label under the mouse"),
    ("Space + drag, middle drag", "Move the picture"),
    ("Ctrl + wheel", "Zoom at the mouse"),
    ("Ctrl while closing a lasso", "Erase its inside"),
    ("Hold Tab", "Show the original photo"),
    ("Esc", "Take the stroke back, leave a preview"),
    ("Enter", "Apply the version shown"),
)
_COLUMNS = 3


def conflict(actions: Actions, name: str, sequence: QKeySequence) -> str:
    """The command that already has a key, "" when it is free."""
    if sequence.isEmpty():
        return ""
    for other, action in actions.by_name.items():
        if other != name and sequence in action.shortcuts():
            return action.text().replace("&", "").rstrip("…")
    return ""


class ShortcutSheet(QDialog):
    """All commands with their keys, by menu, and what the mouse does."""

    def __init__(self, actions: Actions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard and mouse")
        listed = [(title, _rows(actions, names)) for title, names in actions.groups.items()]
        groups = [group for group in listed if group[1]] + [("Mouse", list(_MOUSE))]
        inside = QWidget()
        grid = QGridLayout(inside)
        grid.setHorizontalSpacing(36)
        grid.setVerticalSpacing(18)
        heights = [0] * _COLUMNS
        for title, rows in groups:
            column = heights.index(min(heights))
            grid.addWidget(_group(title, rows), heights[column], column, len(rows) + 2, 1, Qt.AlignmentFlag.AlignTop)
            heights[column] += len(rows) + 2
        area = QScrollArea()
        area.setWidget(inside)
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 10, 10)
        layout.addWidget(area)
        self.resize(1100, 640)


def _rows(actions: Actions, names: list[str]) -> list[tuple[str, str]]:
    rows = []
    for name in names:
        action = actions[name]
        keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        if keys:
            rows.append((keys, action.text().replace("&", "").rstrip("…")))
    return rows


def _group(title: str, rows: list[tuple[str, str]]) -> QWidget:
    widget = QWidget()
    grid = QGridLayout(widget)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setVerticalSpacing(4)
    head = QLabel(title)
    head.setStyleSheet("font-weight: 600;")
    grid.addWidget(head, 0, 0, 1, 2)
    for row, (keys, text) in enumerate(rows, 1):
        quiet = QLabel(keys)
        quiet.setProperty("quiet", True)
        grid.addWidget(quiet, row, 0)
        grid.addWidget(QLabel(text), row, 1)
    grid.setColumnStretch(1, 1)
    return widget
