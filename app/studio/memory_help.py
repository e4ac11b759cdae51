"""What may help after memory ran out: the same run with less, or elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.candidate import Window
from models.request import EditRequest, Full, InFull


@dataclass(frozen=True, eq=False)
class Remedy:
    """text: of the button. request: what to try. window, count: what it sets in the panel. cpu: on the CPU then."""

    text: str
    request: EditRequest
    window: int | None = None
    count: int | None = None
    cpu: bool = False


def remedies(
    request: EditRequest, windows: Sequence[Window], resolutions: Sequence[int], can_use_cpu: bool
) -> list[Remedy]:
    """What can be tried with a request that memory ran out for, the best first; [] when nothing is left.

    windows: that it was drawn in. resolutions: of the checkpoint.
    """
    result = []
    used = max((window.resolution for window in windows), default=0)
    smaller = max((side for side in resolutions if side < used), default=None)
    free = isinstance(request.way, Full)  # the others keep to their windows
    if free and smaller is not None:
        result.append(Remedy(f"Smaller window ({smaller} px)", replace(request, window=smaller), window=smaller))
    if request.count > 1:
        way = InFull(request.way.drafts[:1]) if isinstance(request.way, InFull) else request.way
        one = replace(request, settings=replace(request.settings, samples=1), way=way)
        result.append(Remedy("One version", one, count=1))
    if can_use_cpu:
        result.append(Remedy("Use the CPU", request, cpu=True))
    return result
