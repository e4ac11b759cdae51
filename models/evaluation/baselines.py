"""Classical ways to fill a hidden region: mean colour of the label, Telea inpainting, best-matching patch."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..training.data.pairs import DataError, Pair
from .cases import Case

_SMALL = 32  # side at which patches are compared


def mean_colors(pairs: Sequence[Pair], labels: int, count: int = 300) -> np.ndarray:
    """(labels, 3) uint8: mean colour of each label over `count` training photos; grey where a label is absent."""
    sums, totals = np.zeros((labels, 3)), np.zeros(labels)
    for pair in pairs[:: max(1, len(pairs) // count)]:
        try:
            photo, names = pair.load()
        except DataError:
            continue
        totals += np.bincount(names.reshape(-1), minlength=labels)[:labels]
        for channel in range(3):
            sums[:, channel] += np.bincount(names.reshape(-1), photo[..., channel].reshape(-1), labels)[:labels]
    return np.where(totals[:, None] > 0, sums / totals.clip(1)[:, None], 128).round().astype(np.uint8)


def fill_mean_color(case: Case, colors: np.ndarray) -> np.ndarray:
    result = case.photo.copy()
    result[case.hidden] = colors[case.labels[case.hidden]]
    return result


def fill_telea(case: Case) -> np.ndarray:
    """OpenCV's fast-marching inpainting (Telea 2004), radius 5; it does not know the labels."""
    return np.asarray(cv2.inpaint(case.photo, case.hidden.astype(np.uint8), 5, cv2.INPAINT_TELEA))


class PatchRetrieval:
    """Fills from the training photo whose labels match best in the hidden region and whose colours match around it."""

    def __init__(self, pairs: Sequence[Pair], side: int, count: int = 400) -> None:
        self.side = side
        self.pairs, photos, maps = [], [], []
        for pair in pairs[:: max(1, len(pairs) // count)]:
            try:
                photo, labels = self._square(pair)
            except DataError:
                continue
            self.pairs.append(pair)
            photos.append(cv2.resize(photo, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA).astype(np.float32))
            maps.append(cv2.resize(labels, (_SMALL, _SMALL), interpolation=cv2.INTER_NEAREST))
        self._photos, self._maps = np.stack(photos), np.stack(maps)

    def _square(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        photo, labels = pair.load()
        size = (self.side, self.side)
        return cv2.resize(photo, size, interpolation=cv2.INTER_AREA), cv2.resize(
            labels, size, interpolation=cv2.INTER_NEAREST
        )

    def fill(self, case: Case) -> np.ndarray:
        size = (_SMALL, _SMALL)
        photo = cv2.resize(case.photo, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        labels = cv2.resize(case.labels, size, interpolation=cv2.INTER_NEAREST)
        hidden = cv2.resize(case.hidden.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        hidden = hidden if hidden.any() else np.ones(size, bool)
        known = ~hidden if not hidden.all() else hidden
        wrong = (self._maps != labels)[:, hidden].mean(1)
        far = np.abs(self._photos - photo)[:, known].mean((1, 2)) / 255
        source, _ = self._square(self.pairs[int((wrong + far).argmin())])
        result = case.photo.copy()
        result[case.hidden] = source[case.hidden]
        return result
