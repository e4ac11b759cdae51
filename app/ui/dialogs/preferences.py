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

from ..control.actions import Actions
from ..panels.generate_panel import FIELD_MARGINS
from .keys import KeyTable

_DEVICES = {"auto": "Automatic: a CUDA GPU where there is one", "cpu": "CPU", "cuda": "CUDA GPU"}


class Preferences(QDialog):
    """Edits a copy of the settings; `result_settings` holds it when the dialog was accepted."""

    def __init__(self, settings: Settings, actions: Actions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Preferences")
        self.result_settings = settings.model_copy(deep=True)
        self._actions = actions
        self.tabs = QTabWidget()
        self.tabs.addTab(self._general(settings), "General")
        self.tabs.addTab(self._keyboard(settings), "Keyboard")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self._on_ok)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tabs)
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
        self.quality = _spin(1, 100, settings.export_quality)
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
        form.addRow("&JPEG quality", self.quality)
        return page

    def _browse(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder of a checkpoint", self.checkpoint.text())
        if name:
            self.checkpoint.setText(name)

    # keys -----------------------------------------------------------------------------------------------------------

    def _keyboard(self, settings: Settings) -> QWidget:
        page = QWidget()
        names = [name for group in self._actions.groups.values() for name in group]
        actions = self._actions
        self.keys = KeyTable(actions.titles, actions.usual, settings.shortcuts, actions.places)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search commands")
        self.search.setAccessibleName("Search commands")
        self.search.textChanged.connect(self._filter)
        self.table = QTableWidget(len(names), 2)
        self.table.setHorizontalHeaderLabels(["Command", "Key"])
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.setColumnWidth(1, 190)
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(34)
        self.table.setShowGrid(False)
        self.edits: dict[str, QKeySequenceEdit] = {}
        for row, name in enumerate(names):
            item = QTableWidgetItem(self._actions.titles[name])
            item.setFlags(Qt.ItemFlag.ItemIsEnabled)
            self.table.setItem(row, 0, item)
            edit = QKeySequenceEdit(QKeySequence(self.keys.first(name)))
            edit.setAccessibleName(f"Key of {self._actions.titles[name]}")
            edit.setClearButtonEnabled(True)
            edit.setMaximumSequenceLength(1)
            edit.editingFinished.connect(lambda name=name: self._check(name))
            edit.keySequenceChanged.connect(lambda key, name=name: key.isEmpty() and self._check(name))
            self.table.setCellWidget(row, 1, edit)
            self.edits[name] = edit
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        reset = QPushButton("Usual keys")
        reset.setToolTip("Give every command the key it came with")
        reset.clicked.connect(self._reset)
        below = QHBoxLayout()
        below.addWidget(self.problem, 1)
        below.addWidget(reset)
        layout = QVBoxLayout(page)
        layout.addWidget(self.search)
        layout.addWidget(self.table)
        layout.addLayout(below)
        return page

    def _filter(self, text: str) -> None:
        for row in range(self.table.rowCount()):
            item = self.table.item(row, 0)
            self.table.setRowHidden(row, item is None or text.strip().lower() not in item.text().lower())

    def _check(self, name: str) -> bool:
        """Take the key that was typed, or say whose it is and show the old one again."""
        edit = self.edits[name]
        refusal = self.keys.assign(name, edit.keySequence().toString())
        self.problem.setText(refusal)
        if refusal:
            edit.setKeySequence(QKeySequence(self.keys.first(name)))
        return not refusal

    def _reset(self) -> None:
        self.keys.reset()
        for name, edit in self.edits.items():
            edit.setKeySequence(QKeySequence(self.keys.first(name)))
        self.problem.setText("")

    # ------------------------------------------------------------------------------------------------------------------

    def _on_ok(self) -> None:
        if not all(self._check(name) for name in self.edits):  # a key that was typed last
            self.tabs.setCurrentIndex(1)
            return
        folder = self.checkpoint.text().strip()
        new = self.result_settings
        new.device = self.device.currentData()
        new.checkpoint = Path(folder) if folder else None
        new.versions = self.versions.value()
        new.max_megapixels = self.megapixels.value()
        new.autosave_seconds = self.autosave.value()
        new.export_quality = self.quality.value()
        new.shortcuts = self.keys.changed
        self.accept()


def _spin(low: int, high: int, value: int, suffix: str = "") -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(low, high)
    spin.setValue(value)
    spin.setSuffix(suffix)
    spin.lineEdit().setTextMargins(*FIELD_MARGINS)
    return spin
