"""The preferences: a page of settings and a page of keys."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QKeySequenceEdit,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from app.io.settings import Settings

from .actions import Actions
from .generate_panel import FIELD_MARGINS
from .shortcuts import conflict

_DEVICES = {"auto": "Automatic: a CUDA GPU where there is one", "cpu": "CPU", "cuda": "CUDA GPU"}


class Preferences(QDialog):
    """Edits a copy of the settings; `result_settings` holds it when the dialog was accepted."""

    def __init__(self, settings: Settings, actions: Actions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Preferences")
        self.result_settings = settings.model_copy(deep=True)
        self._actions = actions
        tabs = QTabWidget()
        tabs.addTab(self._general(settings), "General")
        tabs.addTab(self._keys(), "Keyboard")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self._on_ok)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(tabs)
        layout.addWidget(buttons)
        self.resize(620, 560)

    def _general(self, settings: Settings) -> QWidget:
        page = QWidget()
        form = QFormLayout(page)
        self.device = QComboBox()
        for value, text in _DEVICES.items():
            self.device.addItem(text, value)
        self.device.setCurrentIndex(self.device.findData(settings.device))
        self.checkpoint = QLineEdit("" if settings.checkpoint is None else str(settings.checkpoint))
        self.checkpoint.setPlaceholderText("The one that comes with Scenebrush")
        browse = QPushButton("Choose…")
        browse.clicked.connect(self._browse)
        row = QHBoxLayout()
        row.addWidget(self.checkpoint, 1)
        row.addWidget(browse)
        self.versions = _spin(1, 64, settings.versions)
        self.megapixels = QDoubleSpinBox()
        self.megapixels.lineEdit().setTextMargins(*FIELD_MARGINS)
        self.megapixels.setRange(1, 2000)
        self.megapixels.setDecimals(0)
        self.megapixels.setSuffix(" megapixels")
        self.megapixels.setValue(settings.max_megapixels)
        self.autosave = _spin(1, 600, settings.autosave_seconds, " s")
        restart = QLabel("Device and checkpoint are used after a restart.")
        restart.setProperty("quiet", True)
        form.addRow("&Device", self.device)
        caption = QLabel("&Checkpoint folder")
        caption.setBuddy(self.checkpoint)
        form.addRow(caption, row)
        form.addRow("", restart)
        form.addRow("&Versions of a run", self.versions)
        form.addRow("&Largest photo", self.megapixels)
        form.addRow("&Safety copy after", self.autosave)
        return page

    def _browse(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder of a checkpoint", self.checkpoint.text())
        if name:
            self.checkpoint.setText(name)

    # keys -----------------------------------------------------------------------------------------------------------

    def _keys(self) -> QWidget:
        page = QWidget()
        names = [name for group in self._actions.groups.values() for name in group]
        self.table = QTableWidget(len(names), 2)
        self.table.setHorizontalHeaderLabels(["Command", "Key"])
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.setColumnWidth(1, 190)
        self.table.verticalHeader().setVisible(False)
        self.edits: dict[str, QKeySequenceEdit] = {}
        for row, name in enumerate(names):
            action = self._actions[name]
            item = QTableWidgetItem(action.text().replace("&", "").rstrip("…"))
            item.setFlags(Qt.ItemFlag.ItemIsEnabled)
            self.table.setItem(row, 0, item)
            edit = QKeySequenceEdit(action.shortcut())
            edit.setClearButtonEnabled(True)
            edit.setMaximumSequenceLength(1)
            edit.editingFinished.connect(lambda name=name: self._check(name))
            self.table.setCellWidget(row, 1, edit)
            self.edits[name] = edit
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        reset = QPushButton("Usual keys")
        reset.clicked.connect(self._reset)
        below = QHBoxLayout()
        below.addWidget(self.problem, 1)
        below.addWidget(reset)
        layout = QVBoxLayout(page)
        layout.addWidget(self.table)
        layout.addLayout(below)
        return page

    def _check(self, name: str) -> None:
        """Refuse a key that another command has."""
        edit = self.edits[name]
        sequence = edit.keySequence()
        taken = next((other for other, e in self.edits.items() if other != name and e.keySequence() == sequence), None)
        # the second key of a command is not in the table
        by_other = conflict(self._actions, name, sequence) if taken is None else ""
        if sequence.isEmpty() or (taken is None and not by_other):
            self.problem.setText("")
            return
        owner = by_other if taken is None else self._actions[taken].text().replace("&", "").rstrip("…")
        if taken is None and self._moved_away(owner, sequence):
            self.problem.setText("")
            return
        text = sequence.toString(QKeySequence.SequenceFormat.NativeText)
        self.problem.setText(f"{text} belongs to “{owner}”. Give that another key first.")
        edit.setKeySequence(self._actions[name].shortcut())

    def _moved_away(self, owner: str, sequence: QKeySequence) -> bool:
        """Whether the command that has the key is given another one in this dialog."""
        for name, edit in self.edits.items():
            action = self._actions[name]
            if action.text().replace("&", "").rstrip("…") == owner and action.shortcut() == sequence:
                return edit.keySequence() != sequence
        return False

    def _reset(self) -> None:
        for name, edit in self.edits.items():
            usual = self._actions.usual[name]
            edit.setKeySequence(QKeySequence(usual[0]) if usual else QKeySequence())
        self.problem.setText("")

    # ------------------------------------------------------------------------------------------------------------------

    def _on_ok(self) -> None:
        folder = self.checkpoint.text().strip()
        new = self.result_settings
        new.device = self.device.currentData()
        new.checkpoint = Path(folder) if folder else None
        new.versions = self.versions.value()
        new.max_megapixels = self.megapixels.value()
        new.autosave_seconds = self.autosave.value()
        new.shortcuts = self._changed_keys()
        self.accept()

    def _changed_keys(self) -> dict[str, list[str]]:
        """Keys that are not the usual ones; a command that keeps its first key keeps its others too."""
        changed = {}
        for name, edit in self.edits.items():
            usual = self._actions.usual[name]
            key = edit.keySequence()
            if key != (QKeySequence(usual[0]) if usual else QKeySequence()):
                changed[name] = [] if key.isEmpty() else [key.toString()]
        return changed


def _spin(low: int, high: int, value: int, suffix: str = "") -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(low, high)
    spin.setValue(value)
    spin.setSuffix(suffix)
    spin.lineEdit().setTextMargins(*FIELD_MARGINS)
    return spin
