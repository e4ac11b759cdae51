"""What goes round one window while it is drawn: the request, the encoded scene, and who watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from torch import Tensor

from ..candidate import Candidate, Patch
from ..request import CancelToken, EditRequest, Progress
from .sampling import Drawn
from .scene import Level, Scene
from .windows import Plan

Report = Callable[[Progress], None]


@dataclass
class Timings:
    """Seconds per stage of one run."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, started: float) -> float:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - started
        return now


class Run(Iterator[Candidate]):
    """The candidates of a request, each when its batch is finished, in drawing order; and where the time went."""

    def __init__(self, candidates: Iterator[Candidate], timings: Timings) -> None:
        self._candidates, self._timings = candidates, timings

    def __next__(self) -> Candidate:
        return next(self._candidates)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each stage so far."""
        return dict(self._timings.seconds)


@dataclass(frozen=True)
class Watch:
    """How a run is stopped, watched and timed. preview_share: of the time of the full drawing, for previews."""

    cancel: CancelToken
    report: Report
    timings: Timings
    preview_share: float = 0.0


@dataclass(frozen=True)
class WindowContext:
    """One window of a request, for some of its candidates.

    request, plan: as asked of the model (outlined). batch: the candidates' numbers. show: codes (N, L) at a level ->
    a patch each, to be seen while drawing goes on.
    """

    request: EditRequest
    plan: Plan
    scene: Scene
    batch: tuple[int, ...]
    watch: Watch
    show: Callable[[Level, Tensor], list[Patch]]

    @property
    def seeds(self) -> list[int]:
        return [self.request.seed(index) for index in self.batch]


@dataclass(frozen=True)
class DrawnScene:
    """A window's drawn codes at its final resolution, and the guide's (N, 256) that they were drawn from."""

    drawn: Drawn
    guide_codes: Tensor
