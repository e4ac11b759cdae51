"""The gallery: the candidates of a run, most likely first, filling while they finish."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QPersistentModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QListView, QPushButton, QToolButton, QVBoxLayout, QWidget

from app.worker.jobs import JobState
from models.request import Candidate

from .gallery_items import ENTRY_ROLE, CandidateDelegate, CandidateModel
from .icons import icon
from .runs import Entry, Run

_Index = QModelIndex | QPersistentModelIndex


class _View(QListView):
    """A horizontal strip; tells when the mouse leaves and what its own keys ask for."""

    mouse_left = Signal()
    accepted = Signal()
    discarded = Signal()
    left = Signal()
    original_held = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(False)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionRectVisible(False)
        self.setViewportMargins(7, 0, 7, 0)  # the first thumbnail stands under the header's first letter
        self.setAccessibleName("Candidates")

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.mouse_left.emit()

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Tab:
            if not event.isAutoRepeat():
                self.original_held.emit(event.type() == QEvent.Type.KeyPress)
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        signals = {
            Qt.Key.Key_Return: self.accepted,
            Qt.Key.Key_Enter: self.accepted,
            Qt.Key.Key_Delete: self.discarded,
            Qt.Key.Key_Escape: self.left,
        }
        if event.key() in signals:
            signals[Qt.Key(event.key())].emit()
        elif event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            event.ignore()
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        bar = self.horizontalScrollBar()
        bar.setValue(bar.value() - (event.angleDelta().y() or event.angleDelta().x()))
        event.accept()


class Gallery(QWidget):
    """Shows one run at a time, with arrows to the earlier ones."""

    previewed = Signal(object)  # Entry to show on the canvas, None for none
    apply_asked = Signal(object)  # Entry
    discard_asked = Signal(object)  # Entry
    original_held = Signal(bool)
    run_step_asked = Signal(int)  # -1 older, +1 newer

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._run: Run | None = None
        self._chosen: Entry | None = None
        self._hovered: Entry | None = None
        self.model = CandidateModel(self)
        self.view = _View()
        self.view.setModel(self.model)
        self.view.setItemDelegate(CandidateDelegate(self))
        self.view.clicked.connect(self._choose)
        self.view.doubleClicked.connect(self._on_double_click)
        self.view.entered.connect(self._on_entered)
        self.view.mouse_left.connect(lambda: self._hover(None))
        self.view.accepted.connect(self.apply_chosen)
        self.view.discarded.connect(self.discard_chosen)
        self.view.left.connect(self.leave_preview)
        self.view.original_held.connect(self.original_held)
        self.view.selectionModel().currentChanged.connect(lambda index, _: self._choose(index))
        self._title = QLabel("Results")
        self._title.setStyleSheet("font-weight: 600;")
        self._facts = QLabel()
        self._facts.setProperty("quiet", True)
        self.older = self._arrow("chevron-left", "Earlier run", -1)
        self.newer = self._arrow("chevron-right", "Later run", +1)
        self._place = QLabel()
        self._place.setProperty("quiet", True)
        self.discard_button = QPushButton("Discard")
        self.discard_button.setToolTip("Take this version out of the gallery (Del)")
        self.discard_button.clicked.connect(self.discard_chosen)
        self.apply_button = QPushButton("Apply")
        self.apply_button.setToolTip("Put this version into the picture (Enter or double-click)")
        self.apply_button.setProperty("primary", True)
        self.apply_button.clicked.connect(self.apply_chosen)
        self._empty = QLabel(
            "Paint what should be there, then press Generate. Versions appear here, most likely first."
        )
        self._empty.setProperty("quiet", True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._lay_out()
        self.set_run(None, 0, 0)

    def _lay_out(self) -> None:
        header = QHBoxLayout()
        header.setContentsMargins(14, 6, 14, 2)
        header.setSpacing(8)
        header.addWidget(self._title)
        header.addWidget(self._facts)
        header.addStretch(1)
        for widget in (self.older, self._place, self.newer):
            header.addWidget(widget)
        header.addSpacing(8)
        header.addWidget(self.discard_button)
        header.addWidget(self.apply_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(header)
        layout.addWidget(self._empty, 1)
        layout.addWidget(self.view, 1)

    def _arrow(self, name: str, tip: str, step: int) -> QToolButton:
        button = QToolButton()
        button.setIcon(icon(name))
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.clicked.connect(lambda: self.run_step_asked.emit(step))
        return button

    def sizeHint(self) -> QSize:
        return QSize(600, 226)

    # contents -----------------------------------------------------------------------------------------------------

    @property
    def run(self) -> Run | None:
        return self._run

    @property
    def chosen(self) -> Entry | None:
        """The candidate that stays on the canvas when the mouse leaves."""
        return self._chosen

    def set_run(self, run: Run | None, place: int, total: int) -> None:
        """Show a run; place: 1 for the oldest of `total` runs kept."""
        if run is not self._run:
            self._chosen = self._hovered = None
            self._run = run
        self._empty.setVisible(run is None)
        self.view.setVisible(run is not None)
        several = total > 1
        for widget in (self.older, self.newer, self._place):
            widget.setVisible(several)
        self._place.setText(f"Run {place} of {total}")
        self.older.setEnabled(place > 1)
        self.newer.setEnabled(place < total)
        self.refresh(())

    def refresh(self, picture_state: tuple[int, ...]) -> None:
        """The run has changed: new candidates, progress, end, applied or undone."""
        self.model.show(self._run, picture_state)
        self._facts.setText("" if self._run is None else describe(self._run))
        self._select_chosen()
        self._update_buttons()

    def choose(self, candidate: Candidate | None) -> None:
        """Select a candidate and preview it; None to deselect."""
        entries = self._run.entries if self._run is not None else []
        self._chosen = next((e for e in entries if e.candidate is candidate), None)
        self._select_chosen()
        self._update_buttons()
        self.previewed.emit(self._hovered or self._chosen)

    def leave_preview(self) -> None:
        self._hovered = None
        self.choose(None)

    def apply_chosen(self) -> None:
        if self._chosen is not None:
            self.apply_asked.emit(self._chosen)

    def discard_chosen(self) -> None:
        if self._chosen is not None:
            self.discard_asked.emit(self._chosen)

    # events -------------------------------------------------------------------------------------------------------

    def _select_chosen(self) -> None:
        entries = self._run.entries if self._run is not None else []
        selection = self.view.selectionModel()
        selection.blockSignals(True)
        if self._chosen in entries:
            index = self.model.index(entries.index(self._chosen))
            if self.view.currentIndex() != index or not selection.isSelected(index):
                self.view.setCurrentIndex(index)  # also scrolls there: not at every report of progress
        else:
            self._chosen = None
            selection.clear()
        selection.blockSignals(False)
        self.view.viewport().update()

    def _update_buttons(self) -> None:
        self.apply_button.setEnabled(self._chosen is not None)
        self.discard_button.setEnabled(self._chosen is not None)

    def _choose(self, index: _Index) -> None:
        entry = index.data(ENTRY_ROLE) if index.isValid() else None
        if entry is not None:
            self.choose(entry.candidate)

    def _on_double_click(self, index: _Index) -> None:
        self._choose(index)
        self.apply_chosen()

    def _on_entered(self, index: _Index) -> None:
        self._hover(index.data(ENTRY_ROLE))

    def _hover(self, entry: Entry | None) -> None:
        if entry is not self._hovered:
            self._hovered = entry
            self.previewed.emit(entry or self._chosen)


def describe(run: Run) -> str:
    """The line beside the gallery's title."""
    parts = [run.title]
    done, wanted = len(run.entries), run.settings.samples
    if run.state is JobState.QUEUED:
        parts.append("waiting")
    elif run.state is JobState.RUNNING:
        parts.append(f"{done} of {wanted} versions")
    elif run.state is JobState.CANCELLED:
        parts.append(f"cancelled, {done} of {wanted} versions kept")
    elif run.state is JobState.FAILED:
        parts.append(f"failed, {done} of {wanted} versions kept")
    else:
        parts.append(f"{done} version" + ("s" if done != 1 else ""))
    if done > 1:
        parts.append("most likely first")
    return "  ·  ".join(parts)
