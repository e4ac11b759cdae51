"""The Generate panel: how many versions, how they are drawn, what it will cost, and how far it is."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from models.candidate import Window
from models.request import USUAL, Reference, SamplingSettings

from ..look.icons import icon
from .queue_list import QueueList

MAX_SEED = 2**31 - 1  # what a spin box holds
MAX_VERSIONS = 64
_ALL = "All"
_A_REFERENCE = "From a reference…"
TEXTURES = {
    "Automatic": "auto",
    "As drawn": "drawn",
    "From this photo": "photo",
    "From photographs": "library",
    _A_REFERENCE: "reference",
}
FIELD_MARGINS = (6, 0, 0, 0)  # inside number fields; style sheets cannot set it


@dataclass(frozen=True)
class Estimate:
    """What a run would draw. windows: as planned, () when nothing is painted. seconds: None before one was measured."""

    windows: tuple[Window, ...] = ()
    tokens: int = 0
    seconds: float | None = None


_STAGES = {
    "encode": "Reading the photo",
    "guide": "Sketching",
    "sketch": "Sketching",
    "sga": "Drawing",
    "decode": "Developing",
    "texture": "Texturing",
    "blend": "Blending",
}


class GeneratePanel(QWidget):
    """Settings and buttons; knows nothing of the engine."""

    generate_clicked = Signal()
    drafts_clicked = Signal()
    cancel_clicked = Signal()
    window_changed = Signal()
    count_changed = Signal()
    reference_asked = Signal()  # another photo is to be chosen

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.count = _spin(1, MAX_VERSIONS, 4, "How many versions to draw")
        self.seed = _spin(0, MAX_SEED, fresh_seed(), "Version k is drawn with seed + k")
        self.dice = _button("dice", "New random seed")
        self.dice.clicked.connect(lambda: self.seed.setValue(fresh_seed()))
        self.lock = _button("unlock", "")
        self.lock.setCheckable(True)
        self.lock.toggled.connect(self._on_lock)
        self.resolution = QComboBox()
        self.resolution.setToolTip(
            "The square of the photo that is generated: its size in pixels. Auto fits it to the paint"
        )
        self.set_resolutions(())
        self.resolution.currentIndexChanged.connect(lambda _: self.window_changed.emit())
        self.count.valueChanged.connect(lambda _: self.count_changed.emit())
        self.temperature = QDoubleSpinBox()
        self.temperature.lineEdit().setTextMargins(*FIELD_MARGINS)
        self.temperature.setRange(0.1, 3.0)
        self.temperature.setSingleStep(0.05)
        self.temperature.setValue(USUAL.temperature)
        self.temperature.setToolTip("Lower: safer and plainer. Higher: bolder and rougher")
        self.top_k = _spin(0, 4096, USUAL.top_k or 0, "Draw each token from the k most likely ones only")
        self.top_k.setSpecialValueText(_ALL)
        self.strength = QDoubleSpinBox()
        self.strength.lineEdit().setTextMargins(*FIELD_MARGINS)
        self.strength.setRange(1.0, 10.0)
        self.strength.setDecimals(1)
        self.strength.setSingleStep(0.5)
        self.strength.setValue(USUAL.label_strength)
        self.strength.setToolTip("How strongly the labels are insisted on. 1: as learned, and twice as fast")
        self.outline = QComboBox()
        self.outline.addItem("Natural", USUAL.outline)
        self.outline.addItem("As painted", 0.0)
        self.outline.setToolTip(
            "Natural: strokes that cut through a region get a rough outline of their own, inside the paint. "
            "As painted: the outline is that of the paint"
        )
        self.reference: Reference | None = None
        self.texture = QComboBox()
        for text, source in TEXTURES.items():
            self.texture.addItem(text, source)
        self.texture.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.texture.setMinimumContentsLength(6)
        self.texture.setToolTip(
            "What textures are made of. Automatic: real photographs where that suits the label. As drawn: the model's "
            "own. From this photo: its own pixels of the same label. From a reference: other photos that you choose"
        )
        self.texture.activated.connect(self._on_texture)
        self.estimate = QLabel()
        self.estimate.setWordWrap(True)
        self.estimate.setProperty("quiet", True)
        self.estimate.setFixedHeight(2 * self.estimate.fontMetrics().lineSpacing() + 2)
        self.estimate.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.generate = QPushButton("Generate")
        self.generate.setProperty("primary", True)
        self.generate.setMinimumHeight(30)
        self.generate.clicked.connect(self.generate_clicked)
        self.drafts = QPushButton("Drafts")
        self.drafts.setMinimumHeight(30)
        self.drafts.clicked.connect(self.drafts_clicked)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.status = QLabel()
        self.status.setProperty("quiet", True)
        self.cancel = QPushButton("Cancel")
        self.cancel.clicked.connect(self.cancel_clicked)
        self.queue = QueueList()
        self._lay_out()
        self._on_lock(False)
        self.set_estimate(Estimate())
        self.show_idle()

    def _lay_out(self) -> None:
        form = QGridLayout()
        form.setHorizontalSpacing(8)
        form.setVerticalSpacing(4)
        seed = QHBoxLayout()
        seed.setSpacing(2)
        for widget in (self.seed, self.dice, self.lock):
            seed.addWidget(widget, int(widget is self.seed))
        places: tuple[tuple[str, QWidget, int, int], ...] = (
            ("&Versions", self.count, 0, 0),
            ("&Temperature", self.temperature, 0, 1),
            ("Top-&k", self.top_k, 0, 2),
            ("&Window", self.resolution, 3, 0),
            ("Label s&trength", self.strength, 3, 1),
            ("&Outline", self.outline, 3, 2),
            ("Te&xture", self.texture, 6, 0),
            ("&Seed", self.seed, 6, 1),
        )
        for text, field, row, column in places:
            form.addWidget(_caption(text, field), row, column)
            field.setAccessibleName(text.replace("&", ""))
            if field is self.seed:
                form.addLayout(seed, row + 1, column, 1, 2)
            else:
                form.addWidget(field, row + 1, column)
        form.setRowMinimumHeight(2, 4)
        form.setRowMinimumHeight(5, 4)
        for column in range(3):
            form.setColumnMinimumWidth(column, 86)
            form.setColumnStretch(column, 1)
        running = QHBoxLayout()
        running.addWidget(self.status, 1)
        running.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 10, 14, 12)
        layout.setSpacing(9)
        layout.addLayout(form)
        layout.addWidget(self.estimate)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self.drafts, 1)
        buttons.addWidget(self.generate, 2)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addLayout(running)
        layout.addWidget(self.queue)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    def show_keys(self, with_key: Callable[[str, str], str]) -> None:
        """Tool tips that name the keys; with_key: adds the key of a command to a tip."""
        self.generate.setToolTip(with_key("Draw the versions", "generate"))
        self.drafts.setToolTip(with_key("Quick sketches at 256 px: tick those that deserve the full drawing", "drafts"))
        self.cancel.setToolTip(with_key("Stop this run and keep the versions that are finished", "cancel"))

    # settings -----------------------------------------------------------------------------------------------------

    def set_resolutions(self, resolutions: Sequence[int]) -> None:
        """The window sizes that the checkpoint can draw; the choice stays if it is one of them."""
        chosen = self.resolution.currentData()
        self.resolution.blockSignals(True)
        self.resolution.clear()
        self.resolution.addItem("Auto", None)
        for side in resolutions:
            self.resolution.addItem(f"{side} px", side)
        self.resolution.setCurrentIndex(max(0, self.resolution.findData(chosen)))
        self.resolution.blockSignals(False)

    def window_choice(self) -> int | None:
        return self.resolution.currentData()

    def choose_window(self, window: int) -> None:
        """Set the window as the user would; sizes that the checkpoint cannot draw change nothing."""
        if self.resolution.findData(window) >= 0:
            self.resolution.setCurrentIndex(self.resolution.findData(window))

    def take_settings(self) -> SamplingSettings:
        """The settings for the next run; draws a fresh seed first unless it is locked."""
        if not self.lock.isChecked():
            self.seed.setValue(fresh_seed())
        return replace(
            USUAL,
            samples=self.count.value(),
            seed=self.seed.value(),
            temperature=round(self.temperature.value(), 3),
            top_k=self.top_k.value() or None,
            label_strength=round(self.strength.value(), 1),
            outline=self.outline.currentData(),
            texture=self.texture.currentData(),
        )

    def show_settings(self, settings: SamplingSettings) -> None:
        """Put the settings of an earlier run back, its seed locked."""
        self.count.setValue(settings.samples)
        self.temperature.setValue(settings.temperature)
        self.top_k.setValue(settings.top_k or 0)
        self.strength.setValue(settings.label_strength)
        self.outline.setCurrentIndex(0 if settings.outline else 1)
        lost = settings.texture == "reference" and self.reference is None
        self.texture.setCurrentIndex(0 if lost else self.texture.findData(settings.texture))
        self.seed.setValue(settings.seed)
        self.lock.setChecked(True)

    def set_reference(self, reference: Reference | None) -> None:
        """Choose another photo for textures; None: none, and Automatic if there was to be one."""
        self.reference = reference
        place = self.texture.findData("reference")
        self.texture.setItemText(place, _A_REFERENCE if reference is None else f"From {reference.name}…")
        self.texture.setCurrentIndex(0 if reference is None else place)

    def _on_texture(self, place: int) -> None:
        """Ask for a photo whenever the reference is chosen by hand: it may be another one."""
        if self.texture.itemData(place) == "reference":
            if self.reference is None:
                self.texture.setCurrentIndex(0)
            self.reference_asked.emit()

    def _on_lock(self, locked: bool) -> None:
        self.lock.setIcon(icon("lock" if locked else "unlock"))
        tip = "Seed locked: the same versions again" if locked else "Seed not locked: a new one for every run"
        self.lock.setToolTip(tip)
        self.lock.setAccessibleName(tip)

    # what it would cost, how far it is ------------------------------------------------------------------------------

    def set_estimate(self, estimate: Estimate, hint: str = "Paint an area that should change.") -> None:
        """Show the cost of the next run; without windows the hint says what is missing and Generate is off."""
        self.generate.setEnabled(bool(estimate.windows))
        self.drafts.setEnabled(bool(estimate.windows))
        if not estimate.windows:
            self.estimate.setText(hint)
            return
        sides = sorted({window.resolution for window in estimate.windows})
        size = " and ".join(str(side) for side in sides) + "\u00a0px"
        count = len(estimate.windows)
        windows = f"one window of {size}" if count == 1 else f"{count} windows of {size}"
        text = f"{estimate.tokens:,} tokens in {windows}"
        if any(window.scaled for window in estimate.windows):
            text += ", scaled to fit"
        if estimate.seconds is not None:
            text += f", about {spoken_seconds(estimate.seconds)}"
        self.estimate.setText(text + ".")

    def show_running(self, fraction: float, stage: str, stopping: bool, waiting: int) -> None:
        """stage: of the engine's Progress; waiting: runs behind this one."""
        text = "Stopping…" if stopping else f"{_STAGES.get(stage, 'Starting')} · {fraction:.0%}"
        self.bar.setValue(round(fraction * 1000))
        self.status.setText(f"{text} · {waiting} waiting" if waiting else text)
        self.cancel.setEnabled(True)

    def show_idle(self, text: str = "") -> None:
        self.bar.setValue(0)
        self.status.setText(text)
        self.cancel.setEnabled(False)


def fresh_seed() -> int:
    return secrets.randbelow(1_000_000)


def spoken_seconds(seconds: float) -> str:
    """ "1 s", "25 s", "2 min": as exact as an estimate can be; number and unit stay on one line."""
    if seconds < 90:
        return f"{max(1, round(seconds))}\u00a0s"
    return f"{round(seconds / 60)}\u00a0min"


def _spin(low: int, high: int, value: int, tip: str) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(low, high)
    spin.setValue(value)
    spin.setToolTip(tip)
    spin.lineEdit().setTextMargins(*FIELD_MARGINS)
    return spin


def _caption(text: str, field: QWidget) -> QLabel:
    """A small label over a field, with its access key."""
    label = QLabel(text)
    label.setProperty("quiet", True)
    label.setStyleSheet("font-size: 11px;")
    label.setBuddy(field)
    return label


def _button(name: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setIcon(icon(name))
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    return button
