"""One calm line above the canvas instead of boxes in the way."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QWidget

from ..look import theme
from ..look.icons import icon, pixmap


class Kind(enum.StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


_LOOK = {
    Kind.INFO: ("info", theme.ACCENT, "#26333f"),
    Kind.WARNING: ("warning", theme.WARNING, "#3a3327"),
    Kind.ERROR: ("warning", theme.ERROR, "#3d2a28"),
}
_INFO_SECONDS = 7
MAX_ACTIONS = 3
Action = tuple[str, Callable[[], object]]  # text of a button and what it does


class MessageBar(QFrame):
    """Shows the newest message; infos go by themselves, warnings and errors stay until closed or replaced."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("message")
        self._icon = QLabel()
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.buttons: list[QPushButton] = []
        self._actions: Sequence[Action] = ()
        for place in range(MAX_ACTIONS):
            button = QPushButton()
            button.clicked.connect(lambda _=False, place=place: self._act(place))
            self.buttons.append(button)
        close = QToolButton()
        close.setIcon(icon("close", theme.QUIET))
        close.setToolTip("Close this message")
        close.setAccessibleName("Close this message")
        close.clicked.connect(self.clear)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 6, 8, 6)
        layout.setSpacing(10)
        layout.addWidget(self._icon)
        layout.addWidget(self.text, 1)
        for button in self.buttons:
            layout.addWidget(button)
        layout.addWidget(close)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.clear)
        self.kind = Kind.INFO
        self.hide()

    def say(self, kind: Kind, text: str, actions: Sequence[Action] = (), sticky: bool = False) -> None:
        """Show a message with a button for each of at most MAX_ACTIONS actions; sticky: also an info stays."""
        self.kind = kind
        name, color, ground = _LOOK[kind]
        self._icon.setPixmap(pixmap(name, 20, self.devicePixelRatioF(), color))
        self.text.setText(text)
        self._actions = actions[:MAX_ACTIONS]
        for place, button in enumerate(self.buttons):
            button.setVisible(place < len(self._actions))
            button.setText(self._actions[place][0] if place < len(self._actions) else "")
        self.setStyleSheet(
            f"#message {{ background: {ground}; border: none; border-bottom: 1px solid {theme.LINE};"
            f" border-left: 3px solid {color}; }}"
        )
        self.show()
        self._timer.stop()
        if kind is Kind.INFO and not sticky:
            self._timer.start(_INFO_SECONDS * 1000)

    @property
    def offers(self) -> bool:
        """Whether a message with buttons is shown."""
        return bool(self._actions)

    def clear(self) -> None:
        self._timer.stop()
        self._actions = ()
        self.hide()

    def _act(self, place: int) -> None:
        _, act = self._actions[place]
        self.clear()
        act()
