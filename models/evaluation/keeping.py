"""What tells a picture that an artist keeps from another: texture like the photo's, as sharp, without repetition.

All measures take edits with what they were made of (`Edited`); pictures are at the photo's own resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

PATCH = 64
PATCHES = 10  # of each kind and photo
OCTAVES = 3
SHARP = (0.8, 1.25)  # the ratio of energies that counts as right
FOLDS = 5
RIDGE = 30.0
NEAREST = 12  # pixels; a shift must be larger to count as repetition
OVERLAP = 0.3  # of the area that must still overlap

Look = Callable[[np.ndarray], np.ndarray]  # (64, 64, 3) uint8 -> features (d,)


@dataclass(frozen=True, eq=False)
class Edited:
    """One edit. photo, result: (H, W, 3) uint8; area: (H, W) bool, what was painted; labels: (H, W) uint8 after it.

    source: the photo's id, by which folds are split.
    """

    photo: np.ndarray
    result: np.ndarray
    area: np.ndarray
    labels: np.ndarray
    source: str

    @property
    def label(self) -> int:
        """The label that is painted most."""
        return int(np.bincount(self.labels[self.area]).argmax())

    @property
    def same(self) -> np.ndarray:
        """(H, W) bool: the same label outside, away from the paint."""
        grown = cv2.dilate(self.area.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        return (self.labels == self.label) & ~grown


def told_apart(edits: Sequence[Edited], look: Look, real: bool = False, seed: int = 0) -> float | None:
    """Cross-validated accuracy (0.5: cannot be told) of a linear probe between edited and real patches of a label.

    Real patches are of the same label outside the paint; where a photo has none, of other photos' same label, so that
    the two kinds show the same things. real: both kinds from outside, half by half, which says what chance gives.
    Photos, not patches, are split into folds. None when there are too few patches.
    """
    rng = np.random.default_rng(seed)
    outside = {id(edit): _patches(edit.photo, edit.same, rng, 2 * PATCHES) for edit in edits}
    pool: dict[int, list[np.ndarray]] = {}
    for edit in edits:
        pool.setdefault(edit.label, []).extend(outside[id(edit)])
    features, kinds, groups = [], [], []
    for edit in edits:
        own = outside[id(edit)]
        if real:
            shown = own if len(own) > 1 else _patches(edit.photo, ~edit.area, rng, 2 * PATCHES)
            made, true = shown[::2], shown[1::2]
        else:
            made = _patches(edit.result, edit.area, rng, PATCHES)
            spare = pool[edit.label]
            true = own[:PATCHES] or [spare[int(k)] for k in rng.integers(len(spare), size=PATCHES)] if spare else []
        count = min(len(made), len(true), PATCHES)
        for kind, patches in ((1.0, made), (-1.0, true)):
            features += [look(patch) for patch in patches[:count]]
            kinds += [kind] * count
            groups += [edit.source] * count
    if len(set(groups)) < FOLDS or len(kinds) < 40:
        return None
    return _probe(np.stack(features), np.array(kinds), np.array(groups))


def _probe(features: np.ndarray, kinds: np.ndarray, groups: np.ndarray) -> float:
    """Accuracy of ridge regression on the sign, photos of each fifth in turn held out."""
    names = np.unique(groups)
    fold = {name: number % FOLDS for number, name in enumerate(names)}
    folds = np.array([fold[group] for group in groups])
    right = np.zeros(len(kinds), bool)
    for number in range(FOLDS):
        train, test = folds != number, folds == number
        mean, scale = features[train].mean(0), features[train].std(0) + 1e-6
        x, y = (features[train] - mean) / scale, kinds[train]
        gram = x @ x.T + RIDGE * len(mean) / 100 * np.eye(len(x))
        weights = x.T @ np.linalg.solve(gram, y - y.mean())
        right[test] = np.sign((features[test] - mean) / scale @ weights + y.mean()) == kinds[test]
    return float(right.mean())


def _patches(picture: np.ndarray, mask: np.ndarray, rng: np.random.Generator, most: int) -> list[np.ndarray]:
    """Up to `most` squares of 64 px that lie in the mask (95 % of them), at random, hardly overlapping."""
    share = cv2.boxFilter(mask.astype(np.float32), -1, (PATCH, PATCH), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    share[-PATCH + 1 :], share[:, -PATCH + 1 :] = 0, 0
    found: list[np.ndarray] = []
    while len(found) < most:
        rows, columns = np.nonzero(share >= 0.95)
        if not len(rows):
            break
        pick = int(rng.integers(len(rows)))
        row, column = int(rows[pick]), int(columns[pick])
        found.append(np.ascontiguousarray(picture[row : row + PATCH, column : column + PATCH]))
        half = PATCH // 2
        share[max(0, row - half) : row + half, max(0, column - half) : column + half] = 0
    return found


def sharpness(edit: Edited) -> float | None:
    """Energy of three octaves inside the paint to that of the same label outside (else of all surroundings).

    The geometric mean of the octaves' ratios of standard deviations; 1 is right. None where there is too little.
    """
    inside = cv2.erode(edit.area.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    outside = edit.same if edit.same.sum() > 2_000 else ~edit.area
    if min(inside.sum(), outside.sum()) < 500:
        return None
    made, real = _octaves(edit.result, inside), _octaves(edit.photo, outside)
    return float(np.exp(np.mean(np.log(made) - np.log(real))))


def _octaves(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(3,) standard deviation of each octave of lightness in the mask."""
    grey: np.ndarray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    share: np.ndarray = mask.astype(np.float32)
    found = []
    for _ in range(OCTAVES):
        small = cv2.pyrDown(grey)
        band = grey - cv2.pyrUp(small, dstsize=(grey.shape[1], grey.shape[0]))
        chosen = share > 0.9 if (share > 0.9).sum() > 50 else share > 0
        found.append(float(band[chosen].std()) + 0.05)
        grey, share = np.asarray(small), np.asarray(cv2.pyrDown(share))
    return np.array(found)


def repetition(picture: np.ndarray, area: np.ndarray) -> float:
    """Largest normalised autocorrelation of fine detail in an area at shifts of more than 12 px, 0 to 1."""
    rows, columns = np.flatnonzero(area.any(1)), np.flatnonzero(area.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    grey = cv2.cvtColor(np.ascontiguousarray(picture[box]), cv2.COLOR_RGB2GRAY).astype(np.float32)
    mask = area[box].astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 6)
    fine = (fine - fine[mask > 0].mean()) * mask
    size = tuple(int(2 ** np.ceil(np.log2(2 * side))) for side in fine.shape)

    def correlate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.fft.irfft2(np.fft.rfft2(a, size).conj() * np.fft.rfft2(b, size), size)

    overlap = correlate(mask, mask)
    energy = correlate(mask, fine**2) * correlate(fine**2, mask)
    ratio = correlate(fine, fine) / np.sqrt(np.maximum(energy, 1e-6))
    ratio[overlap < OVERLAP * mask.sum()] = 0
    near = np.minimum(np.arange(size[0]), size[0] - np.arange(size[0]))[:, None]
    far = np.minimum(np.arange(size[1]), size[1] - np.arange(size[1]))[None]
    ratio[np.hypot(near, far) <= NEAREST] = 0
    return float(ratio.max())


def summary(edits: Iterable[Edited], look: Look) -> dict[str, float | None]:
    """The measures over many edits, by name."""
    found = list(edits)
    ratios = [ratio for ratio in map(sharpness, found) if ratio is not None]
    right = [SHARP[0] <= ratio <= SHARP[1] for ratio in ratios]
    return {
        "told apart": told_apart(found, look),
        "sharpness": float(np.median(ratios)) if ratios else None,
        "as sharp": float(np.mean(right)) if right else None,
        "repetition": float(np.median([repetition(edit.result, edit.area) for edit in found])) if found else None,
    }
