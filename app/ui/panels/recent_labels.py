"""The labels last painted with, as a row of swatches; a click takes one up again."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QLabel, QWidget

from app.studio.session import Session

from ..look import theme
from .patterns import paint_swatch

SHOWN = 5


class RecentLabels(QWidget):
    """A label in the row keeps its place, so that going to and fro between labels finds them where they were.

    A new one comes in at the left; the one not used for the longest time leaves. Hidden while there is none.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._names: list[str] = []  # as shown; names, because a checkpoint may number its labels differently
        self._by_use: list[str] = []  # the one used last at the end
        self.buttons: list[_Swatch] = []
        caption = QLabel("Recent")
        caption.setProperty("quiet", True)
        caption.setStyleSheet("font-size: 11px;")
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(2, 0, 0, 0)
        self._row.setSpacing(4)
        self._row.addWidget(caption)
        self._row.addSpacing(4)
        self._row.addStretch(1)
        session.labels_known.connect(self._rebuild)
        session.label_used.connect(self._on_used)
        session.label_changed.connect(lambda _: self._update())
        self.hide()

    @property
    def names(self) -> list[str]:
        """What the row holds, from left to right, for the next start."""
        return list(self._names)

    def restore(self, names: Sequence[str]) -> None:
        """The row of an earlier start; names that the checkpoint does not know are left out of the view."""
        self._names = list(dict.fromkeys(names))[:SHOWN]
        self._by_use = self._names[::-1]
        self._rebuild()

    def _on_used(self, label: int) -> None:
        name = self._session.label_name(label)
        if name in self._by_use:
            self._by_use.remove(name)
        self._by_use.append(name)
        if name in self._names:
            return
        if len(self._names) >= SHOWN:
            self._names.remove(self._by_use.pop(0))
        self._names.insert(0, name)
        self._rebuild()

    def _rebuild(self) -> None:
        for button in self.buttons:
            self._row.removeWidget(button)
            button.hide()  # it is deleted later, and must not lie under the new ones until then
            button.deleteLater()
        labels = () if self._session.label_set is None else self._session.label_set.labels
        index = {entry.name: k for k, entry in enumerate(labels)}
        self.buttons = [_Swatch(self._session, index[name]) for name in self._names if name in index]
        for place, button in enumerate(self.buttons):
            self._row.insertWidget(2 + place, button)  # after the caption and its gap
        self.setVisible(bool(self.buttons))

    def _update(self) -> None:
        for button in self.buttons:
            button.update()


class _Swatch(QAbstractButton):
    """One label, by colour and pattern; framed while it is the current one."""

    def __init__(self, session: Session, label: int) -> None:
        super().__init__()
        self._session = session
        self.label = label
        self.setFixedSize(36, 26)
        self.setToolTip(f"Paint {session.label_name(label)}")
        self.setAccessibleName(self.toolTip())
        self.clicked.connect(lambda: session.set_label(label))

    def paintEvent(self, event: QEvent) -> None:
        if self._session.label_set is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        current = self.label == self._session.label
        if current or self.underMouse() or self.hasFocus():
            painter.setPen(QPen(QColor(theme.ACCENT if current or self.hasFocus() else theme.FAINT), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(frame, 5, 5)
        color = self._session.label_set.labels[self.label].color
        paint_swatch(painter, frame.adjusted(3.5, 3.5, -3.5, -3.5), color, self.label)
