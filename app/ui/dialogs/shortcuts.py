"""All commands with their keys, and what the mouse does, on one sheet."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from ..control.actions import Actions
from .keys import shown

_MOUSE = (
    ("Left drag", "Use the tool"),
    ("Shift + click", "Straight line from the last stroke"),
    ("Alt + click", "Pick the label under the mouse"),
    ("Middle button", "Move the picture"),
    ("Wheel", "Move the picture; sideways with Shift"),
    ("Ctrl + wheel", "Zoom at the mouse"),
    ("Ctrl + close a lasso", "Erase its inside"),
    ("Esc", "Take the stroke back, leave a preview"),
)
_COLUMNS = 3
_KEY_WIDTH = 130
_NO_KEY = "–"


class ShortcutSheet(QDialog):
    """All commands with their keys, by menu, and what the mouse does."""

    def __init__(self, actions: Actions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard and mouse")
        groups = [(title, _rows(actions, names)) for title, names in actions.groups.items()]
        groups.append(("Mouse and more", list(_MOUSE)))
        inside = QWidget()
        columns = QHBoxLayout(inside)
        columns.setSpacing(28)
        stacks = [QVBoxLayout() for _ in range(_COLUMNS)]
        heights = [0] * _COLUMNS
        for title, rows in sorted(groups, key=lambda group: -len(group[1])):
            column = heights.index(min(heights))
            stacks[column].addWidget(_group(title, rows))
            heights[column] += len(rows) + 2
        for stack in stacks:
            stack.setSpacing(18)
            stack.addStretch(1)
            columns.addLayout(stack, 1)
        area = QScrollArea()
        area.setWidget(inside)
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 10, 10)
        layout.addWidget(area)
        self.resize(1240, 640)


def _rows(actions: Actions, names: list[str]) -> list[tuple[str, str]]:
    if [actions[name].shortcut().toString() for name in names] == [str(slot + 1) for slot in range(len(names))]:
        return [(f"1 to {len(names)}", "Take a label of the palette")]
    keys = [shown(actions[name].shortcut().toString()) for name in names]
    return [(key or _NO_KEY, actions.titles[name]) for key, name in zip(keys, names, strict=True)]


def _group(title: str, rows: list[tuple[str, str]]) -> QWidget:
    widget = QWidget()
    grid = QGridLayout(widget)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setVerticalSpacing(4)
    grid.setColumnMinimumWidth(0, _KEY_WIDTH)
    head = QLabel(title)
    head.setStyleSheet("font-weight: 600;")
    grid.addWidget(head, 0, 0, 1, 2)
    for row, (keys, text) in enumerate(rows, 1):
        quiet = QLabel(keys)
        quiet.setProperty("quiet", True)
        grid.addWidget(quiet, row, 0)
        grid.addWidget(QLabel(text), row, 1, Qt.AlignmentFlag.AlignLeft)
    grid.setColumnStretch(1, 1)
    return widget
