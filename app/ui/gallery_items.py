"""Model and drawing of the gallery's thumbnails."""

from __future__ import annotations

import cv2
import numpy as np
from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from . import theme
from .icons import pixmap
from .images import rgb_image
from .runs import THUMBNAIL_RATIO, Entry, Run

ENTRY_ROLE = Qt.ItemDataRole.UserRole + 1  # Entry, None for one still to come
_WIDTH = 168
_HEIGHT = round(_WIDTH / THUMBNAIL_RATIO)
_PAD = 7
_TEXT = 38
_Index = QModelIndex | QPersistentModelIndex


class CandidateModel(QAbstractListModel):
    """The entries of a run in rank order, then a place for each one still to come."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.run: Run | None = None
        self.applied: Entry | None = None
        self._shown: list[Entry | None] = []

    def show(self, run: Run | None, picture_state: tuple[int, ...]) -> None:
        entries: list[Entry | None] = [] if run is None else [*run.entries, *[None] * run.missing]
        if run is not self.run or len(entries) != len(self._shown):
            self.beginResetModel()
            self.run, self._shown = run, entries
            self.endResetModel()
        self.run, self._shown = run, entries
        self.applied = None if run is None else run.applied(picture_state)
        if entries:
            self.dataChanged.emit(self.index(0), self.index(len(entries) - 1))

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 (Qt's own default)
        return 0 if parent.isValid() else len(self._shown)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        entry = self._shown[index.row()]
        if role == ENTRY_ROLE:
            return entry
        if role == Qt.ItemDataRole.ToolTipRole and entry is not None:
            c = entry.candidate
            return (
                f"Rank {index.row() + 1}: {c.nats_per_token:.3f} nats per token (lower is more likely), seed {c.seed}\n"
                f"Log-likelihood {c.log_likelihood:.1f} over {len(c.tokens)} tokens"
            )
        if role == Qt.ItemDataRole.AccessibleTextRole and entry is not None:
            return f"Version {index.row() + 1}, {entry.candidate.nats_per_token:.3f} nats per token"
        return None

    def flags(self, index: _Index) -> Qt.ItemFlag:
        here = self._shown[index.row()] is not None
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable if here else Qt.ItemFlag.NoItemFlags


class CandidateDelegate(QStyledItemDelegate):
    """Thumbnail with rank, likelihood and seed; sharp at the display's own resolution."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        return QSize(_WIDTH + 2 * _PAD, _HEIGHT + 2 * _PAD + _TEXT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        model: CandidateModel = index.model()  # type: ignore[assignment]
        entry: Entry | None = index.data(ENTRY_ROLE)
        box: QRectF = QRectF(option.rect)  # type: ignore[attr-defined]
        state = option.state  # type: ignore[attr-defined]
        frame = QRectF(box.left() + _PAD, box.top() + _PAD, _WIDTH, _HEIGHT)
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        if entry is None:
            self._paint_missing(painter, frame, model, index.row())
        else:
            self._paint_entry(painter, frame, entry, index.row(), model.applied is entry)
            selected = bool(state & QStyle.StateFlag.State_Selected)
            if selected or state & QStyle.StateFlag.State_MouseOver:
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(QPen(QColor(theme.ACCENT if selected else theme.QUIET), 2))
                painter.drawRoundedRect(frame.adjusted(-2, -2, 2, 2), 5, 5)
        painter.restore()

    def _paint_missing(self, painter: QPainter, frame: QRectF, model: CandidateModel, row: int) -> None:
        painter.setBrush(QColor(theme.FIELD))
        painter.setPen(QPen(QColor(theme.EDGE), 1))
        painter.drawRoundedRect(frame.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        run = model.run
        if run is not None and run.fraction > 0 and row < len(run.entries) + run.batch:
            bar = QRectF(frame.left() + 40, frame.center().y() - 2, frame.width() - 80, 4)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.EDGE))
            painter.drawRoundedRect(bar, 2, 2)
            painter.setBrush(QColor(theme.ACCENT))
            bar.setWidth(bar.width() * run.batch_fraction)
            painter.drawRoundedRect(bar, 2, 2)

    def _paint_entry(self, painter: QPainter, frame: QRectF, entry: Entry, row: int, applied: bool) -> None:
        ratio = painter.device().devicePixelRatioF()
        path = QPainterPath()
        path.addRoundedRect(frame, 4, 4)
        painter.save()
        painter.setClipPath(path)
        painter.drawImage(frame, thumbnail(entry.picture, round(_WIDTH * ratio), round(_HEIGHT * ratio)))
        painter.restore()
        self._badge(painter, frame, str(row + 1))
        if applied:
            plate = QRectF(frame.right() - 28, frame.top() + 6, 22, 20)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor("#2f6f3e"))
            painter.drawRoundedRect(plate, 4, 4)
            painter.drawPixmap(plate.adjusted(3, 2, -3, -2).topLeft(), pixmap("check", 16, ratio, "#ffffff"))
        text = QRectF(frame.left() + 1, frame.bottom() + 6, frame.width() - 2, 16)
        painter.setPen(QColor(theme.TEXT))
        painter.drawText(text, Qt.AlignmentFlag.AlignLeft, f"{entry.candidate.nats_per_token:.3f} nats/token")
        font = painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        painter.setPen(QColor(theme.QUIET))
        note = "  ·  applied" if applied else ""
        painter.drawText(text.translated(0, 17), Qt.AlignmentFlag.AlignLeft, f"seed {entry.candidate.seed}{note}")

    def _badge(self, painter: QPainter, frame: QRectF, text: str) -> None:
        plate = QRectF(frame.left() + 6, frame.top() + 6, 12 + 8 * len(text), 20)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(15, 15, 15, 205))
        painter.drawRoundedRect(plate, 4, 4)
        painter.setPen(QColor("white"))
        painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)


def thumbnail(picture: np.ndarray, width: int, height: int) -> QImage:
    """(h, w, 3) uint8 cut to the shape of width × height round its middle and scaled to exactly that size."""
    rows, columns = picture.shape[:2]
    scale = max(width / columns, height / rows)
    keep_w, keep_h = min(columns, round(width / scale)), min(rows, round(height / scale))
    left, top = (columns - keep_w) // 2, (rows - keep_h) // 2
    part = np.ascontiguousarray(picture[top : top + keep_h, left : left + keep_w])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return rgb_image(cv2.resize(part, (width, height), interpolation=method))
