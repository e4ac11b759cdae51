"""Progress of an edit on a terminal; nothing at all in a pipe."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from models.request import Progress as Step

NAMES = {"encode": "reading the photo", "guide": "guide", "sga": "full resolution", "decode": "painting"}


class ProgressBar:
    """Shows each stage of each batch as a bar."""

    def __init__(self, samples: int, shown: bool) -> None:
        self._samples = samples
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(), console=console, transient=True, disable=not (shown and sys.stderr.isatty()),
        )  # fmt: skip
        self._task: TaskID | None = None
        self._stage: tuple[str, tuple[int, ...]] | None = None

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, step: Step) -> None:
        stage = (step.stage, step.candidates if step.stage != "decode" else ())
        if stage != self._stage or self._task is None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            of = (
                f", candidates {step.candidates[0] + 1}-{step.candidates[-1] + 1} of {self._samples}"
                if stage[1]
                else ""
            )
            self._task = self._bar.add_task(NAMES.get(step.stage, step.stage) + of, total=step.total)
            self._stage = stage
        self._bar.update(self._task, completed=step.done)
