"""In which order the gallery shows the candidates of a run, and which look too much alike to stand side by side."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .runs import Entry

_SIZE = (24, 18)  # pixels of the small pictures that are compared
ALIKE = 7.0  # root mean square difference of them in grey levels (0–255), below which two count as one


class Order(enum.StrEnum):
    LIKELY = "likely"
    VARIED = "varied"
    NEWEST = "newest"


@dataclass(frozen=True, eq=False)
class Stack:
    """A candidate with those behind it that look nearly the same."""

    front: Entry
    behind: tuple[Entry, ...] = ()


def arranged(entries: Sequence[Entry], order: Order) -> list[Stack]:
    """Entries (ranked, best first) as the gallery shows them.

    Likely: by rank. Newest: last drawn first. Varied: by farthest point from all shown before, the most likely one
    first, near-duplicates stacked behind the more likely one (never hidden for good: a stack opens).
    """
    if order is Order.NEWEST:
        return [Stack(entry) for entry in sorted(entries, key=lambda e: -e.candidate.index)]
    if order is Order.LIKELY or not entries:
        return [Stack(entry) for entry in entries]
    return _varied(entries)


def _varied(entries: Sequence[Entry]) -> list[Stack]:
    small = np.stack([cv2.resize(e.picture, _SIZE, interpolation=cv2.INTER_AREA).astype(np.float64) for e in entries])
    flat = small.reshape(len(entries), -1)
    squares = (flat**2).sum(1)
    # by the binomial: all differences at once would fill the memory when a search finds hundreds
    distance = np.sqrt((squares[:, None] + squares[None] - 2 * flat @ flat.T).clip(min=0) / flat.shape[1])
    fronts: list[int] = []
    behind: dict[int, list[Entry]] = {}
    for row in range(len(entries)):  # the more likely of two alike stands in front
        near = [front for front in fronts if distance[row, front] < ALIKE]
        if near:
            behind[min(near, key=lambda front: distance[row, front])].append(entries[row])
        else:
            fronts.append(row)
            behind[row] = []
    order = [fronts.pop(0)]
    while fronts:
        farthest = max(fronts, key=lambda row: distance[row, order].min())
        fronts.remove(farthest)
        order.append(farthest)
    return [Stack(entries[row], tuple(behind[row])) for row in order]
