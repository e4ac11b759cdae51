"""One calm line above the canvas instead of boxes in the way."""

from __future__ import annotations

import enum
from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QWidget

from . import theme
from .icons import icon, pixmap


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
        self.action = QPushButton()
        self._on_action: Callable[[], None] | None = None
        self.action.clicked.connect(self._act)
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
        layout.addWidget(self.action)
        layout.addWidget(close)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.clear)
        self.kind = Kind.INFO
        self.hide()

    def say(
        self, kind: Kind, text: str, action: str = "", on_action: Callable[[], None] | None = None, sticky: bool = False
    ) -> None:
        """Show a message, with a button when `action` names one."""
        self.kind = kind
        name, color, ground = _LOOK[kind]
        self._icon.setPixmap(pixmap(name, 20, self.devicePixelRatioF(), color))
        self.text.setText(text)
        self.action.setText(action)
        self.action.setVisible(bool(action))
        self._on_action = on_action
        self.setStyleSheet(
            f"#message {{ background: {ground}; border: none; border-bottom: 1px solid {theme.LINE};"
            f" border-left: 3px solid {color}; }}"
        )
        self.show()
        self._timer.stop()
        if kind is Kind.INFO and not sticky:
            self._timer.start(_INFO_SECONDS * 1000)

    def clear(self) -> None:
        self._timer.stop()
        self._on_action = None
        self.hide()

    def _act(self) -> None:
        act = self._on_action
        self.clear()
        if act is not None:
            act()
