"""Searching the results: which versions of all runs answer to what was typed, and the field to type it in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QMenu, QWidget

from app.studio.runs import Entry, Run

from ..look import theme
from ..look.icons import icon

_KINDS = {"Starred": "starred", "Applied": "applied", "Drafts": "drafts"}  # menu text: word
_SMALL_TALK = ("seed",)  # may be typed and narrows nothing


@dataclass(frozen=True, eq=False)
class Match:
    """A version with the run that it belongs to."""

    run: Run
    entry: Entry


def found(
    runs: Sequence[Run], query: str, picture_state: tuple[int, ...], label_name: Callable[[int], str]
) -> list[Match]:
    """The versions that answer to every word of `query`: runs newest first, each ranked best first.

    A word is a part of the name of a painted label, the beginning of a seed, or the beginning of "starred", "applied"
    or "drafts". picture_state: of the document, see `Run.applied`.
    """
    words = [word for word in query.lower().split() if word not in _SMALL_TALK]
    matches = []
    for run in reversed(runs):
        names = [label_name(label).lower() for label in run.labels]
        applied = run.applied(picture_state)
        for entry in run.entries:
            facts = (("starred", entry.starred), ("applied", entry is applied), ("drafts", entry.candidate.draft))
            begins = [str(entry.candidate.seed), *(fact for fact, true in facts if true)]
            if all(any(word in name for name in names) or any(b.startswith(word) for b in begins) for word in words):
                matches.append(Match(run, entry))
    return matches


class SearchField(QLineEdit):
    """A search field whose glass offers what cannot be guessed."""

    left = Signal()  # to the versions found, by key

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText("Search results")
        self.setToolTip("Versions of all runs by label, seed, starred, applied or drafts")
        self.setAccessibleName("Search results")
        self.setClearButtonEnabled(True)
        self.setMinimumWidth(110)
        self.setMaximumWidth(176)
        self._menu = QMenu(self)
        for text, word in _KINDS.items():
            self._menu.addAction(text).triggered.connect(lambda _=False, word=word: self.setText(word))
        glass = self.addAction(icon("search", theme.QUIET), QLineEdit.ActionPosition.LeadingPosition)
        glass.setToolTip("Starred, applied, drafts…")
        glass.triggered.connect(lambda: self._menu.popup(self.mapToGlobal(QPoint(0, self.height()))))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.clear()
            self.left.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Down):
            self.left.emit()
        else:
            super().keyPressEvent(event)
