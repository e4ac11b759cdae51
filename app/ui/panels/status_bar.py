"""The status bar: where the mouse is, how close the view, and the promise that is counted."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QStatusBar, QWidget

from app.document.brush import Point
from app.studio.session import Session

from ..canvas.view_transform import ViewTransform
from ..look import theme


class StatusBar(QStatusBar):
    """Zoom, pixel and label on the left; changed pixels and device on the right."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setSizeGripEnabled(False)
        self.photo_size = self._field(96, "Size of the photo in pixels")
        self.zoom = self._field(64, "Zoom: screen pixels per photo pixel")
        self.pixel = self._field(104, "Photo pixel under the mouse")
        self.swatch = QLabel()
        self.swatch.setFixedSize(14, 12)
        self.label = QLabel()
        self.label.setToolTip("Label under the mouse")
        self.locality = self._field(0, "Pixels that differ from the opened photo although nothing was painted there")
        self.device = self._field(0, "Where the model runs")
        left = QWidget()
        row = QHBoxLayout(left)
        row.setContentsMargins(8, 0, 0, 0)
        row.setSpacing(2)
        for widget in (self.zoom, self.photo_size, self.pixel, self.swatch, self.label):
            row.addWidget(widget)
        row.addStretch(1)
        self.addWidget(left, 1)
        self.addPermanentWidget(self.locality)
        self.addPermanentWidget(self.device)

    def _field(self, width: int, tip: str) -> QLabel:
        label = QLabel()
        label.setMinimumWidth(width)
        label.setToolTip(tip)
        return label

    def show_view(self, view: ViewTransform) -> None:
        document = self._session.document
        percent = view.scale * 100
        self.zoom.setText("" if document is None else f"{percent:.0f} %" if percent >= 10 else f"{percent:.1f} %")
        self.photo_size.setText("" if document is None else f"{document.bounds.width} × {document.bounds.height}")

    def show_point(self, point: Point | None) -> None:
        """The pixel and the label there; nothing outside the photo."""
        document = self._session.document
        x, y = (-1, -1) if point is None else (int(point.x // 1), int(point.y // 1))
        if document is None or not (0 <= x < document.bounds.width and 0 <= y < document.bounds.height):
            self.pixel.setText("")
            self.label.setText("")
            self.swatch.setStyleSheet("")
            return
        self.pixel.setText(f"x {x}, y {y}")
        label = document.label_at(x, y)
        self.label.setText(self._session.label_name(label))
        label_set = self._session.label_set
        if label_set is not None and label < len(label_set):
            red, green, blue = label_set.labels[label].color
            self.swatch.setStyleSheet(f"background: rgb({red},{green},{blue}); border: 1px solid #111; padding: 0;")

    def show_locality(self, count: int | None) -> None:
        """How many unpainted pixels differ from the photo; None without a photo."""
        if count is None:
            self.locality.setText("")
            return
        color = theme.GOOD if count == 0 else theme.ERROR
        self.locality.setText(f'<span style="color:{color}">{count:,} px changed outside the paint</span>')
        self.locality.setTextFormat(Qt.TextFormat.RichText)

    def show_device(self, line: str) -> None:
        self.device.setText(line)
