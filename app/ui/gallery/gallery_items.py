"""Model and drawing of the gallery's thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import cv2
import numpy as np
from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app.studio.arrange import Order, Stack, arranged
from app.studio.runs import THUMBNAIL_RATIO, Entry, Run

from ..look import theme
from ..look.icons import pixmap
from ..look.images import rgb_image
from .search import Match

ENTRY_ROLE = Qt.ItemDataRole.UserRole + 1  # Entry, None for one still to come
_WIDTH = 168
_HEIGHT = round(_WIDTH / THUMBNAIL_RATIO)
_PAD = 7
_TEXT = 38
_Index = QModelIndex | QPersistentModelIndex


class CandidateModel(QAbstractListModel):
    """The candidates of a run in the chosen order, then a place for each one still to come."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.run: Run | None = None  # the one that is shown; None while versions of several were searched for
        self.applied: list[Entry] = []
        self.order = Order.LIKELY
        self.opened: set[int] = set()  # stacks whose hidden candidates are shown, by id of the front entry
        self.behind: dict[int, int] = {}  # how many stand behind an entry, by its id
        self._matches: Sequence[Match] = ()
        self._runs: dict[int, Run] = {}  # by id of the entry
        self._shown: list[Entry | None] = []

    def show(self, matches: Sequence[Match], run: Run | None, picture_state: tuple[int, ...]) -> None:
        """Show all versions of a run, or (run: None) those found in several, runs newest first."""
        same = run is self.run
        self._matches, self.run = matches, run
        self._runs = {id(match.entry): match.run for match in matches}
        runs = {id(match.run): match.run for match in matches}
        self.applied = [entry for one in runs.values() if (entry := one.applied(picture_state)) is not None]
        self._put(self._arranged(), reset=not same)

    def arrange_again(self) -> None:
        """The order, a star or a tick has changed."""
        self._put(self._arranged(), reset=False)

    def _put(self, entries: list[Entry | None], reset: bool) -> None:
        if reset or len(entries) != len(self._shown):
            self.beginResetModel()
            self._shown = entries
            self.endResetModel()
        self._shown = entries
        if entries:
            self.dataChanged.emit(self.index(0), self.index(len(entries) - 1))

    def _arranged(self) -> list[Entry | None]:
        shown: list[Entry | None] = []
        self.behind = {}
        for stack in self._stacks():
            shown.append(stack.front)
            if stack.behind and id(stack.front) in self.opened:
                shown += stack.behind
            elif stack.behind:
                self.behind[id(stack.front)] = len(stack.behind)
        return shown if self.run is None else [*shown, *[None] * self.run.missing]

    def _stacks(self) -> list[Stack]:
        entries = [match.entry for match in self._matches]
        if self.run is not None:
            return arranged(entries, self.order)
        if self.order is Order.NEWEST:
            by_run = groupby(self._matches, key=lambda match: id(match.run))
            return [stack for _, part in by_run for stack in arranged([m.entry for m in part], self.order)]
        # masks differ: only the likelihood of a token can be compared
        return arranged(sorted(entries, key=lambda entry: entry.candidate.nats_per_token), self.order)

    @property
    def shown(self) -> list[Entry]:
        """The candidates that can be seen, in order."""
        return [entry for entry in self._shown if entry is not None]

    def row(self, entry: Entry) -> int | None:
        return next((row for row, shown in enumerate(self._shown) if shown is entry), None)

    def rank(self, entry: Entry) -> int:
        """1 for the most likely of its run."""
        return self._runs[id(entry)].entries.index(entry) + 1

    def title(self, entry: Entry) -> str:
        """Of the run that a version was found in, "" while only that run is shown."""
        return "" if self.run is not None else self._runs[id(entry)].title

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 (Qt's own default)
        return 0 if parent.isValid() else len(self._shown)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        entry = self._shown[index.row()]
        if role == ENTRY_ROLE:
            return entry
        if role == Qt.ItemDataRole.ToolTipRole and entry is not None:
            c, alike = entry.candidate, self.behind.get(id(entry), 0)
            stacked = f"\n{alike} more look nearly the same; click the number to see them" if alike else ""
            rank = self.rank(entry)
            return (
                f"Rank {rank}: {c.nats_per_token:.3f} nats per token (lower is more likely), seed {c.seed}\n"
                f"Log-likelihood {c.log_likelihood:.1f} over {len(c.tokens)} tokens{stacked}"
            )
        if role == Qt.ItemDataRole.AccessibleTextRole and entry is not None:
            star = ", starred" if entry.starred else ""
            return f"Version {self.rank(entry)}, {entry.candidate.nats_per_token:.3f} nats per token{star}"
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
        box: QRectF = QRectF(option.rect)
        state = option.state
        frame = frame_of(box)
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        if entry is None:
            self._paint_missing(painter, frame, model, index.row())
        else:
            self._paint_entry(painter, frame, entry, model)
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
        run, waiting = model.run, row - len(model.shown)
        if run is None:
            return
        sketch = run.pending_previews[waiting] if waiting < run.missing else None
        if sketch is not None:
            painter.setOpacity(0.75)
            self._paint_picture(painter, frame, sketch)
            painter.setOpacity(1.0)
            self._badge(painter, frame, "sketch", 52)
        if run.fraction > 0 and waiting < run.batch:
            bar = QRectF(frame.left() + 40, frame.center().y() - 2, frame.width() - 80, 4)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.EDGE))
            painter.drawRoundedRect(bar, 2, 2)
            painter.setBrush(QColor(theme.ACCENT))
            bar.setWidth(bar.width() * run.batch_fraction)
            painter.drawRoundedRect(bar, 2, 2)

    def _paint_picture(self, painter: QPainter, frame: QRectF, picture: np.ndarray) -> None:
        ratio = painter.device().devicePixelRatioF()
        path = QPainterPath()
        path.addRoundedRect(frame, 4, 4)
        painter.save()
        painter.setClipPath(path)
        painter.drawImage(frame, thumbnail(picture, round(_WIDTH * ratio), round(_HEIGHT * ratio)))
        painter.restore()

    def _paint_entry(self, painter: QPainter, frame: QRectF, entry: Entry, model: CandidateModel) -> None:
        ratio, applied, draft = painter.device().devicePixelRatioF(), entry in model.applied, entry.candidate.draft
        behind = model.behind.get(id(entry), 0)
        if behind:
            painter.setPen(QPen(QColor(theme.QUIET), 1))
            painter.setBrush(QColor(theme.FIELD))
            for shift in (5, 2.5):
                painter.drawRoundedRect(frame.adjusted(shift, -shift, shift, -frame.height() + 12), 4, 4)
        self._paint_picture(painter, frame, entry.picture)
        self._badge(painter, frame, str(model.rank(entry)))
        if behind:
            self._plate(painter, stack_box(frame), f"+{behind}")
        if draft:
            self._mark(painter, mark_box(frame), "check" if entry.ticked else "", "#2c6fb3", ratio)
        else:
            name, color = ("star-on", "#f2c14e") if entry.starred else ("star", "#ffffff")
            box = mark_box(frame)
            self._plate(painter, box, "")
            painter.drawPixmap(box.adjusted(4, 3, 0, 0).topLeft(), pixmap(name, 16, ratio, color))
        text = QRectF(frame.left() + 1, frame.bottom() + 6, frame.width() - 2, 16)
        nats, title = f"{entry.candidate.nats_per_token:.3f} nats/token", model.title(entry)
        painter.setPen(QColor(theme.TEXT))
        painter.drawText(text, Qt.AlignmentFlag.AlignLeft, nats)
        taken, font = painter.fontMetrics().horizontalAdvance(nats), painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        painter.setPen(QColor(theme.GOOD if applied else theme.QUIET))
        note = "  ·  applied" if applied else "  ·  draft" if draft else ""
        painter.drawText(text.translated(0, 17), Qt.AlignmentFlag.AlignLeft, f"seed {entry.candidate.seed}{note}")
        painter.setPen(QColor(theme.QUIET))
        room = round(text.width()) - taken - 8
        title = painter.fontMetrics().elidedText(title, Qt.TextElideMode.ElideRight, room)
        painter.drawText(text, Qt.AlignmentFlag.AlignRight, title)

    def _mark(self, painter: QPainter, box: QRectF, name: str, color: str, ratio: float) -> None:
        """A tick box."""
        painter.setPen(QPen(QColor("#e8e8e8"), 1.2))
        painter.setBrush(QColor(color) if name else QColor(15, 15, 15, 205))
        painter.drawRoundedRect(box.adjusted(1, 0, -1, 0), 4, 4)
        if name:
            painter.drawPixmap(box.adjusted(4, 2, 0, 0).topLeft(), pixmap(name, 16, ratio, "#ffffff"))

    def _badge(self, painter: QPainter, frame: QRectF, text: str, width: float | None = None) -> None:
        self._plate(painter, QRectF(frame.left() + 6, frame.top() + 6, width or 12 + 8 * len(text), 20), text)

    def _plate(self, painter: QPainter, plate: QRectF, text: str) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(15, 15, 15, 205))
        painter.drawRoundedRect(plate, 4, 4)
        painter.setPen(QColor("white"))
        painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)


def frame_of(item: QRectF) -> QRectF:
    """The picture of an item."""
    return QRectF(item.left() + _PAD, item.top() + _PAD, _WIDTH, _HEIGHT)


def mark_box(frame: QRectF) -> QRectF:
    """Where the star (or a draft's tick) is drawn and clicked."""
    return QRectF(frame.right() - 30, frame.top() + 6, 24, 22)


def stack_box(frame: QRectF) -> QRectF:
    """Where the number of those behind is drawn and clicked."""
    return QRectF(frame.right() - 38, frame.bottom() - 26, 32, 20)


def thumbnail(picture: np.ndarray, width: int, height: int) -> QImage:
    """(h, w, 3) uint8 cut to the shape of width × height round its middle and scaled to exactly that size."""
    rows, columns = picture.shape[:2]
    scale = max(width / columns, height / rows)
    keep_w, keep_h = min(columns, round(width / scale)), min(rows, round(height / scale))
    left, top = (columns - keep_w) // 2, (rows - keep_h) // 2
    part = np.ascontiguousarray(picture[top : top + keep_h, left : left + keep_w])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return rgb_image(cv2.resize(part, (width, height), interpolation=method))
