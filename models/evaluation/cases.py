"""The cases of an evaluation: validation photos, each with a random semantic component hidden (ASSET, section 4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..request import NOT_PAINTED
from ..training.data.masks import MAX_RATIO, component_mask, half
from ..training.data.pairs import DataSet


@dataclass(frozen=True)
class Case:
    """A square photo (side, side, 3) uint8 with its labels (side, side) uint8 and what is hidden, bool."""

    id: str
    photo: np.ndarray
    labels: np.ndarray
    hidden: np.ndarray

    @property
    def paint(self) -> np.ndarray:
        return np.where(self.hidden, self.labels, NOT_PAINTED).astype(np.uint8)


def cases(data: DataSet, side: int, count: int) -> Iterator[Case]:
    """Up to `count` cases, evenly over the validation photos of at least `side` pixels; always the same ones.

    Whole views of photos of which another pack holds crops (`wal_`) are left out: training may have seen them.
    """
    pairs = tuple(p for p in data.only(side).val if not p.id.startswith("wal_"))
    step = max(1, len(pairs) // max(1, count))
    data = DataSet(data.train, pairs)
    for number, (pair, photo, labels) in enumerate(data.validation(step)):
        if number >= count:
            return
        rng = np.random.default_rng((31, number))
        photo, labels = _middle(photo, labels, side)
        hidden = component_mask(labels, rng)
        if hidden.mean() >= MAX_RATIO[side]:
            hidden = hidden & ~half(labels.shape, rng)
        yield Case(pair.id, photo, labels, hidden)


def _middle(photo: np.ndarray, labels: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The middle square, scaled down to `side` pixels."""
    height, width = labels.shape
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    photo, labels = (part[top : top + short, left : left + short] for part in (photo, labels))
    if short != side:
        photo = np.asarray(Image.fromarray(photo).resize((side, side), Image.Resampling.BICUBIC))
        labels = np.asarray(Image.fromarray(labels).resize((side, side), Image.Resampling.NEAREST))
    return photo.copy(), labels.copy()
