"""One steady bar out of the engine's reports, which start again for every batch, window and stage."""

from __future__ import annotations

from collections.abc import Sequence

from models.config import GUIDE_RESOLUTION
from models.request import Progress

# Rough shares of the time that a batch of candidates spends on one window; only the bar's evenness depends on them.
_SPANS = {
    "encode": (0.0, 0.02),
    "guide": (0.02, 0.25),
    "sketch": (0.25, 0.25),
    "sga": (0.25, 0.93),
    "decode": (0.93, 1.0),
}
_SPANS_GUIDE_ONLY = {**_SPANS, "guide": (0.02, 0.93)}
_TEXTURED = {"decode": (0.76, 0.8), "texture": (0.8, 1.0)}
_SPANS_TEXTURED = {**_SPANS, "sga": (0.25, 0.76), **_TEXTURED}
_SPANS_GUIDE_TEXTURED = {**_SPANS, "guide": (0.02, 0.76), **_TEXTURED}


class ProgressMeter:
    """Turns reports into a fraction of the whole job that never falls and stays below 1 until the end.

    samples: candidates of the job. resolutions: of its windows, in the engine's order. textured: whether textures are
    made from photographs.
    """

    def __init__(self, samples: int, resolutions: Sequence[int], textured: bool = False) -> None:
        self._samples = samples
        self._resolutions = resolutions or (GUIDE_RESOLUTION,)
        self._spans = _SPANS_TEXTURED if textured else _SPANS
        self._guide_only = _SPANS_GUIDE_TEXTURED if textured else _SPANS_GUIDE_ONLY
        self._finished = 0
        self._batch = 1
        self._window = 0
        self._last_stage = ""
        self._fraction = 0.0

    def finished_one(self) -> None:
        """A candidate has come out."""
        self._finished += 1
        self._window = 0
        self._last_stage = ""
        self._raise_to(self._finished / self._samples)

    def update(self, step: Progress) -> float:
        """The fraction after a report."""
        if step.stage in ("guide", "sga"):
            self._batch = max(1, len(step.candidates))
            if self._last_stage in ("decode", "texture"):
                self._window = min(self._window + 1, len(self._resolutions) - 1)
        self._last_stage = step.stage
        only_guide = self._resolutions[self._window] <= GUIDE_RESOLUTION
        start, end = (self._guide_only if only_guide else self._spans).get(step.stage, (1.0, 1.0))
        inner = (self._window + start + (end - start) * step.done / max(1, step.total)) / len(self._resolutions)
        batch = min(self._batch, self._samples - self._finished)
        return self._raise_to((self._finished + inner * batch) / self._samples)

    def _raise_to(self, fraction: float) -> float:
        self._fraction = max(self._fraction, min(0.99, fraction))
        return self._fraction
