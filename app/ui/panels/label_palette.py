"""The palette: every label with colour, name and key; a search field; the recent ones; rare ones marked."""

from __future__ import annotations

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    QSortFilterProxyModel,
    Qt,
)
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import (
    QAbstractButton,
    QLabel,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.studio.session import Session

from ..look import theme
from ..look.icons import icon, pixmap
from .patterns import paint_swatch
from .recent_labels import RecentLabels

LABEL_ROLE = Qt.ItemDataRole.UserRole + 1
_SLOTS = 9
_ROW_HEIGHT = 27
_Index = QModelIndex | QPersistentModelIndex


class _LabelModel(QAbstractListModel):
    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self.session = session
        self.order: list[int] = []

    def reload(self) -> None:
        """Labels in index order, the catch-all "other" last."""
        self.beginResetModel()
        names = [] if self.session.label_set is None else [entry.name for entry in self.session.label_set.labels]
        self.order = sorted(range(len(names)), key=lambda i: (names[i].lower() in ("other", "unlabeled"), i))
        self.endResetModel()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 (Qt's own default)
        return 0 if parent.isValid() else len(self.order)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        label = self.order[index.row()]
        assert self.session.label_set is not None
        entry = self.session.label_set.labels[label]
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.name
        if role == LABEL_ROLE:
            return label
        if role == Qt.ItemDataRole.ToolTipRole:
            key = f"  (key {index.row() + 1})" if index.row() < _SLOTS else ""
            rare = "\nRare: the checkpoint has learned it from few pictures, expect less" if entry.rare else ""
            return f"Paint {entry.name}{key}{rare}\nThe padlock protects it from paint, the eye hides its colour"
        return None


class _LabelDelegate(QStyledItemDelegate):
    """Swatch, name, "rare", key."""

    def __init__(self, model: _LabelModel, parent: QObject) -> None:
        super().__init__(parent)
        self._model = model

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        return QSize(160, _ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        label_set = self._model.session.label_set
        if label_set is None:
            return
        label = index.data(LABEL_ROLE)
        entry = label_set.labels[label]
        box: QRect = option.rect.adjusted(6, 1, -6, -1)
        state = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if label == self._model.session.label:
            painter.setBrush(QColor("#2a4a6b"))
            painter.drawRoundedRect(box, 4, 4)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(QColor(theme.HOVER))
            painter.drawRoundedRect(box, 4, 4)
        paint_swatch(painter, QRectF(box.left() + 8, box.top() + 4.5, 24, box.height() - 9), entry.color, label)
        painter.setPen(QColor(theme.TEXT))
        text = box.adjusted(42, 0, -76, 0)
        session, over = self._model.session, bool(state & QStyle.StateFlag.State_MouseOver)
        for on, place, names in (
            (label in session.locked, lock_box(box), ("lock", "unlock")),
            (label in session.hidden, eye_box(box), ("eye-off", "eye")),
        ):
            if on or over:
                color = theme.TEXT if on else theme.FAINT
                painter.drawPixmap(place.topLeft(), pixmap(names[0] if on else names[1], 16, 1, color))
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, entry.name.capitalize())
        font = painter.font()
        font.setPixelSize(11)
        if entry.rare:
            left = text.left() + painter.fontMetrics().horizontalAdvance(entry.name.capitalize()) + 9
            painter.setFont(font)
            painter.setPen(QColor(theme.QUIET))
            painter.drawText(text.adjusted(left - text.left(), 1, 0, 0), Qt.AlignmentFlag.AlignVCenter, "rare")
        slot = self._model.order.index(label)
        if slot < _SLOTS:
            key = QRectF(box.right() - 25, box.center().y() - 8, 18, 17)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(theme.EDGE), 1))
            painter.drawRoundedRect(key, 3, 3)
            painter.setFont(font)
            painter.setPen(QColor(theme.QUIET))
            painter.drawText(key, Qt.AlignmentFlag.AlignCenter, str(slot + 1))
        painter.restore()


def lock_box(row: QRect) -> QRect:
    """Where the padlock of a row is drawn and clicked."""
    return QRect(row.right() - 48, row.center().y() - 8, 17, 17)


def eye_box(row: QRect) -> QRect:
    """Where the eye of a row is drawn and clicked."""
    return lock_box(row).translated(-21, 0)


class LabelPalette(QWidget):
    """Chooses the session's label."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._model = _LabelModel(session, self)
        self._filter = QSortFilterProxyModel(self)
        self._filter.setSourceModel(self._model)
        self._filter.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.search = QLineEdit(placeholderText="Search labels", clearButtonEnabled=True)
        self.search.addAction(icon("search", theme.QUIET), QLineEdit.ActionPosition.LeadingPosition)
        self.search.setAccessibleName("Search labels")
        self.search.textChanged.connect(self._filter.setFilterFixedString)
        self.search.returnPressed.connect(self._take_first)
        self.search.installEventFilter(self)
        self.recent = RecentLabels(session)
        self.list = QListView()
        self.list.setModel(self._filter)
        self.list.setItemDelegate(_LabelDelegate(self._model, self))
        self.list.setMouseTracking(True)
        self.list.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setAccessibleName("Labels")
        self.list.viewport().installEventFilter(self)
        session.guard_changed.connect(self.list.viewport().update)
        session.hidden_changed.connect(self.list.viewport().update)
        self.list.clicked.connect(self._take)
        self.list.activated.connect(self._take)
        self.list.selectionModel().currentChanged.connect(lambda index, _: self._take(index))
        self._waiting = QLabel("Loading the model…")
        self._waiting.setProperty("quiet", True)
        self._waiting.setContentsMargins(14, 6, 14, 0)
        self._waiting.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 10, 0, 6)
        layout.setSpacing(6)
        row = QVBoxLayout()
        row.setContentsMargins(12, 0, 12, 0)
        row.addWidget(self.search)
        row.addWidget(self.recent)
        layout.addLayout(row)
        layout.addWidget(self._waiting)
        layout.addWidget(self.list, 1)
        session.labels_known.connect(self._on_labels)
        session.label_changed.connect(self._on_label)

    def label_in_slot(self, slot: int) -> int | None:
        """The label under key slot + 1."""
        return self._model.order[slot] if slot < len(self._model.order) else None

    def say_unavailable(self, text: str) -> None:
        """There is no model: say so where the labels would be."""
        self._waiting.setText(text)

    def _on_labels(self) -> None:
        self._model.reload()
        self._waiting.setVisible(False)
        if self._model.order:
            self._session.begin_with(self._model.order[0])
            self._session.previous_label = self._model.order[min(1, len(self._model.order) - 1)]
            self._on_label(self._session.label)

    def _on_label(self, label: int) -> None:
        if label in self._model.order:
            index = self._filter.mapFromSource(self._model.index(self._model.order.index(label)))
            self.list.scrollTo(index)
        self.list.viewport().update()

    def _take(self, index: QModelIndex) -> None:
        if index.isValid():
            self._session.set_label(index.data(LABEL_ROLE))

    def _take_first(self) -> None:
        if self._filter.rowCount():
            self._take(self._filter.index(0, 0))
            self.search.clear()

    def _click_mark(self, event: QMouseEvent) -> bool:
        """Whether a press on the list was on a padlock or an eye (it turns that over, and chooses nothing)."""
        place = event.position().toPoint()
        index = self.list.indexAt(place)
        if not index.isValid():
            return False
        row, label = self.list.visualRect(index), index.data(LABEL_ROLE)
        for box, turn in (
            (lock_box(row), self._session.toggle_lock),
            (eye_box(row), self._session.toggle_hidden),
        ):
            if box.contains(place):
                turn(label)
                return True
        return False

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.list.viewport() and isinstance(event, QMouseEvent):
            return event.type() == QEvent.Type.MouseButtonPress and self._click_mark(event)
        if watched is self.search and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() == Qt.Key.Key_Escape:
                self.search.clear()
                self.search.clearFocus()
                return True
            if event.key() == Qt.Key.Key_Down:
                self.list.setFocus()
                return True
        return super().eventFilter(watched, event)


class LabelSwatch(QAbstractButton):
    """The current label over the previous one, as in paint programs; a click swaps them."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setFixedSize(38, 38)
        self.clicked.connect(session.swap_labels)
        session.label_changed.connect(self._on_change)
        session.labels_known.connect(self._on_change)

    def _on_change(self) -> None:
        name, other = (self._session.label_name(v) for v in (self._session.label, self._session.previous_label))
        self.setToolTip(f"Painting {name}. Click or press X for {other}")
        self.setAccessibleName(self.toolTip())
        self.update()

    def paintEvent(self, event: QEvent) -> None:
        if self._session.label_set is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        labels = self._session.label_set.labels
        previous, current = self._session.previous_label, self._session.label
        paint_swatch(painter, QRectF(15, 15, 20, 20), labels[previous].color, previous)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.WINDOW))
        painter.drawRoundedRect(QRectF(1.5, 1.5, 25, 25), 5, 5)
        paint_swatch(painter, QRectF(3.5, 3.5, 21, 21), labels[current].color, current)
