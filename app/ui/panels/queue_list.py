"""The runs that wait or are being drawn, each with its own cancel button."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app.studio.runs import Run, RunKind
from app.worker.jobs import JobState

from ..look.icons import icon

_SHOWN = 4  # rows; more are told as a number
_KINDS = {RunKind.FULL: "", RunKind.DRAFT: "drafts", RunKind.REROLL: "re-roll"}


class QueueList(QWidget):
    """Knows nothing of the queue: shows what it is given, tells which run is to be cancelled."""

    cancel_asked = Signal(int)  # job number

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows = QVBoxLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(2)
        self._shown: tuple[tuple[int, str], ...] = ()
        self.setVisible(False)

    @property
    def texts(self) -> list[str]:
        """What the rows say, in order."""
        return [text for _, text in self._shown]

    def show_runs(self, runs: Sequence[Run]) -> None:
        """Show the runs that have not ended; nothing while there is only the one being drawn."""
        open_runs = [run for run in runs if not run.state.terminal]
        rows = [(run.job, _said(run)) for run in open_runs[:_SHOWN]]
        if len(open_runs) > _SHOWN:
            rows.append((0, f"and {len(open_runs) - _SHOWN} more"))
        shown = tuple(rows) if len(open_runs) > 1 else ()
        if shown == self._shown:
            return
        self._shown = shown
        while (item := self._rows.takeAt(0)) is not None:
            if (row := item.widget()) is not None:
                row.deleteLater()
        for job, text in shown:
            self._rows.addWidget(self._row(job, text))
        self.setVisible(bool(shown))

    def _row(self, job: int, text: str) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        label = QLabel(text)
        label.setProperty("quiet", True)
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        label.setToolTip(text)
        layout.addWidget(label, 1)
        if job:
            button = QToolButton()
            button.setIcon(icon("close"))
            button.setToolTip(f"Cancel: {text}")
            button.setAccessibleName(button.toolTip())
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(lambda: self.cancel_asked.emit(job))
            layout.addWidget(button)
        return row


def _said(run: Run) -> str:
    parts = [run.title, _KINDS[run.kind], "drawing" if run.state is JobState.RUNNING else "waiting"]
    return "  ·  ".join(part for part in parts if part)
