"""The legend: which labels are in the picture, with colour and pattern, in a corner of the canvas."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.studio.session import Session

from ..look import theme
from .patterns import paint_swatch

_ROW, _PAD, _WIDTH = 20, 9, 132
_SHOWN = 14
_SAMPLES = 400  # rows and columns that are looked at: enough to miss nothing that can be seen


class Legend(QWidget):
    """Lists the labels of paint and label map, the largest first; follows changes with a short delay."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.labels: list[int] = []
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(150)
        self._timer.timeout.connect(self.refresh)
        for signal in (session.settled, session.pixels_changed, session.labels_known, session.document_replaced):
            signal.connect(self._later)
        self.hide()

    def toggle(self) -> None:
        self.setVisible(not self.isVisible())
        self.refresh()

    def _later(self, *_: object) -> None:
        if self.isVisible() and not self._timer.isActive():
            self._timer.start()

    def refresh(self) -> None:
        """Look at what is painted and what the picture's labels are."""
        document, label_set = self._session.document, self._session.label_set
        self.labels = []
        if document is not None and label_set is not None:
            stride = max(1, min(document.paint.shape) // _SAMPLES)
            seen = document.seen_labels(document.bounds)[::stride, ::stride]
            counts = np.bincount(seen.ravel(), minlength=256)[: len(label_set)]
            self.labels = [int(label) for label in np.argsort(-counts, kind="stable") if counts[label]][:_SHOWN]
        self.setFixedSize(self.sizeHint())
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(_WIDTH, max(1, len(self.labels)) * _ROW + 2 * _PAD)

    def paintEvent(self, event: QPaintEvent) -> None:
        label_set = self._session.label_set
        if label_set is None or not self.labels:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(20, 20, 20, 215))
        painter.drawRoundedRect(QRectF(self.rect()), 6, 6)
        for row, label in enumerate(self.labels):
            top = _PAD + row * _ROW
            paint_swatch(painter, QRectF(_PAD, top + 3.5, 22, 13), label_set.labels[label].color, label)
            hidden = label in self._session.hidden
            painter.setPen(QColor(theme.FAINT if hidden else theme.TEXT))
            text = QRectF(_PAD + 31, top, _WIDTH - _PAD - 31, _ROW)
            painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, label_set.labels[label].name.capitalize())
