from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.worker.progress import ProgressMeter
from models.request import Progress


def reports(samples: int, resolutions: list[int], batch: int, textured: bool) -> Iterator[Progress | None]:
    """What the engine reports; None for a finished candidate."""
    for window in range(len(resolutions)):
        yield Progress("encode", window, len(resolutions))
    for first in range(0, samples, batch):
        drawn = tuple(range(first, min(samples, first + batch)))
        for resolution in resolutions:
            for step in range(10):
                yield Progress("guide", step + 1, 10, drawn)
            for step in range(10 if resolution > 256 else 0):
                yield Progress("sga", step + 1, 10, drawn)
            for place, candidate in enumerate(drawn):
                yield Progress("decode", place, len(drawn), (candidate,))
                if textured:
                    yield Progress("texture", place, len(drawn), (candidate,))
        for _ in drawn:
            yield None


@given(st.integers(1, 9), st.lists(st.sampled_from([256, 512, 1024]), min_size=1, max_size=3), st.integers(1, 4))
@pytest.mark.parametrize("textured", [False, True])
def test_that_the_bar_never_falls_or_leaps(textured: bool, samples: int, resolutions: list[int], batch: int) -> None:
    meter = ProgressMeter(samples, resolutions, textured)
    seen = [0.0]
    for report in reports(samples, resolutions, batch, textured):
        if report is None:
            meter.finished_one()
        else:
            seen.append(meter.update(report))
    assert seen == sorted(seen)
    assert seen[-1] > (0.75 if textured else 0.9)
    steps = [after - before for before, after in pairwise(seen)]
    assert max(steps) < 0.25
