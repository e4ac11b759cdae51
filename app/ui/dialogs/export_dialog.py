"""How to export: the format and what it can hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.io.pictures.save import ExportOptions

from ..panels.generate_panel import FIELD_MARGINS

_ABOUT = {
    ".png": "Lossless. Opens everywhere.",
    ".tif": "Lossless, for print and other editors.",
    ".jpg": "Small, with slight losses everywhere in the picture, also outside the paint.",
    ".ora": "Layers for Krita and GIMP: original, edit and label map.",
}
_NAMES = {".png": "PNG", ".tif": "TIFF", ".jpg": "JPEG", ".ora": "OpenRaster, layered"}


@dataclass(frozen=True)
class ExportChoice:
    """suffix: ".png", ".tif", ".jpg" or ".ora"."""

    suffix: str = ".png"
    options: ExportOptions = field(default_factory=ExportOptions)


class ExportDialog(QDialog):
    """Asks for format and options; shows only what matters for the format and the photo."""

    def __init__(self, choice: ExportChoice, sixteen_bit: bool, private: bool, parent: QWidget | None = None) -> None:
        """sixteen_bit: the photo has 16 bits a channel. private: it has EXIF data that tells place or owner."""
        super().__init__(parent)
        self.setWindowTitle("Export the picture")
        self._private = private
        self.format = QComboBox()
        for suffix, name in _NAMES.items():
            self.format.addItem(name, suffix)
        self.format.setCurrentIndex(self.format.findData(choice.suffix))
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.about.setProperty("quiet", True)
        self.quality = QSpinBox()
        self.quality.lineEdit().setTextMargins(*FIELD_MARGINS)
        self.quality.setRange(1, 100)
        self.quality.setValue(choice.options.quality)
        self.bits = QComboBox()
        own, other = (16, 8) if sixteen_bit else (8, 16)
        self.bits.addItem(f"{own} bits a channel, as the photo", 0)
        self.bits.addItem(f"{other} bits a channel", other)
        self.bits.setCurrentIndex(max(0, self.bits.findData(choice.options.bits)))
        # never ticked from the last time: telling where a photo was taken is decided for each file
        self.keep_private = QCheckBox("Keep place, owner, serial numbers and the old thumbnail")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        export = buttons.addButton("Export…", QDialogButtonBox.ButtonRole.AcceptRole)
        export.setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self._form = QFormLayout()
        self._form.addRow("&Format", self.format)
        self._form.addRow("", self.about)
        self._form.addRow("&Quality", self.quality)
        self._form.addRow("&Depth", self.bits)
        self._form.addRow("", self.keep_private)
        layout = QVBoxLayout(self)
        layout.addLayout(self._form)
        layout.addWidget(buttons)
        self.setMinimumWidth(420)
        self.format.currentIndexChanged.connect(lambda _: self._on_format())
        self._on_format()

    def _on_format(self) -> None:
        suffix = self.format.currentData()
        self.about.setText(_ABOUT[suffix])
        self._form.setRowVisible(self.quality, suffix == ".jpg")
        self._form.setRowVisible(self.bits, suffix != ".jpg")
        self._form.setRowVisible(self.keep_private, self._private and suffix != ".ora")

    @property
    def choice(self) -> ExportChoice:
        private = self.keep_private.isChecked() and not self.keep_private.isHidden()
        options = ExportOptions(self.quality.value(), self.bits.currentData(), private)
        return ExportChoice(self.format.currentData(), options)


def ask_export(choice: ExportChoice, sixteen_bit: bool, private: bool, parent: QWidget) -> ExportChoice | None:
    """Show the dialog; None when it was left."""
    dialog = ExportDialog(choice, sixteen_bit, private, parent)
    accepted = dialog.exec() == QDialog.DialogCode.Accepted
    chosen = dialog.choice
    dialog.deleteLater()
    return chosen if accepted else None
