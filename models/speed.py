"""How fast this machine draws, measured on small edits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from .candidate import Candidate
from .config import TOKEN_PIXELS
from .request import NOT_PAINTED, USUAL, EditRequest, Speed

Draw = Callable[[EditRequest], Iterator[Candidate]]


def measure(draw: Draw, resolutions: Sequence[int], label: int) -> dict[int, Speed]:
    """Draw small edits of a label at each resolution up to 512 and take the time; larger ones are taken to be as
    fast."""
    speeds: dict[int, Speed] = {}
    for resolution in resolutions:
        if resolution > 512:
            speeds[resolution] = speeds[max(speeds)]
            continue
        (few, short), (many, long) = (_time_an_edit(draw, resolution, label, tokens) for tokens in (2, 6))
        per_token = max(0.0, long - short) / (many - few)
        speeds[resolution] = Speed(max(0.0, long - per_token * many), per_token)
    return speeds


def _time_an_edit(draw: Draw, resolution: int, label: int, side: int) -> tuple[int, float]:
    """Tokens drawn (of both candidates) and seconds of an edit of side x side tokens."""
    photo = np.full((resolution, resolution, 3), 128, np.uint8)
    labels, paint = np.zeros(photo.shape[:2], np.uint8), np.full(photo.shape[:2], NOT_PAINTED, np.uint8)
    middle = slice(resolution // 2, resolution // 2 + side * TOKEN_PIXELS)  # known tokens before it cost time too
    paint[middle, middle] = label
    settings = replace(USUAL, samples=2, outline=0.0)  # an outline would leave out tokens
    started = time.perf_counter()
    candidates = list(draw(EditRequest(photo, labels, paint, settings, resolution)))
    return sum(len(c.tokens) for c in candidates), time.perf_counter() - started
