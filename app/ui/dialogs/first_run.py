"""The three steps, shown the first time: label, paint, Generate; each ticks itself off."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QToolButton, QWidget

from app.studio.session import Session

from ..look import theme
from ..look.icons import icon, pixmap

_STEPS = (
    "Choose a label at the right, for example lake or mountain (keys 1 to 9)",
    "Paint where it should be: drag over the photo",
    "Press Generate, then pick a version below: Enter puts it into the picture",
)


class FirstRun(QFrame):
    """Lies over the canvas from `begin` until all is done or it is closed."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setObjectName("firstrun")
        self.setStyleSheet(
            f"#firstrun {{ background: rgba(24,24,24,235); border: 1px solid {theme.EDGE}; border-radius: 8px;"
            " margin-bottom: 16px; }"
        )
        self.ticked = [False] * len(_STEPS)
        grid = QGridLayout(self)
        grid.setContentsMargins(16, 12, 10, 14)
        grid.setHorizontalSpacing(10)
        head = QLabel("Your first edit")
        head.setStyleSheet("font-weight: 600;")
        grid.addWidget(head, 0, 0, 1, 2)
        close = QToolButton()
        close.setIcon(icon("close", theme.QUIET))
        close.setToolTip("Close these hints")
        close.setAccessibleName("Close these hints")
        close.clicked.connect(self.hide)
        grid.addWidget(close, 0, 2, Qt.AlignmentFlag.AlignTop)
        self._marks = []
        for row, text in enumerate(_STEPS, 1):
            mark = QLabel()
            mark.setFixedWidth(18)
            mark.setProperty("quiet", True)
            self._marks.append(mark)
            grid.addWidget(mark, row, 0)
            grid.addWidget(QLabel(text), row, 1)
        session.label_chosen.connect(lambda: self._tick(0))
        session.settled.connect(self._on_settled)

    def begin(self) -> None:
        """Show the steps, none of them done."""
        self.ticked = [False] * len(_STEPS)
        for row, mark in enumerate(self._marks, 1):
            mark.setText(str(row))
        self.show()

    def _on_settled(self) -> None:
        document = self._session.document
        if document is not None and document.anything_painted:
            self._tick(0)
            self._tick(1)

    def generated(self) -> None:
        """A run was handed in."""
        self._tick(2)

    def _tick(self, step: int) -> None:
        if not self.isVisible() or self.ticked[step]:
            return
        self.ticked[step] = True
        self._marks[step].setPixmap(pixmap("check", 16, self.devicePixelRatioF(), theme.GOOD))
        if all(self.ticked):
            self.hide()
