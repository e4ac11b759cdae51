"""The photo's grain, put on what was made, tone by tone."""

from __future__ import annotations

import cv2
import numpy as np

TONES = 4
FLAT = 0.35  # the share of a tone's pixels with the least structure, where grain is measured


def grain_of(grey: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(TONES,) standard deviation of the grain at each tone of lightness 0–100, NaN where there is too little of it.

    Of each tone the flattest places count: what varies there is grain, not structure (the median of absolute
    differences to the mean of four neighbours, of which a factor of 1.118 is the mean's own grain).
    """
    around = cv2.blur(grey, (3, 3))
    fine = (grey - around) * 1.061  # the mean of nine holds a ninth of the pixel itself
    structure = cv2.blur(np.abs(cv2.GaussianBlur(grey, (0, 0), 1.5) - cv2.GaussianBlur(grey, (0, 0), 4)), (9, 9))
    result = np.full(TONES, np.nan, np.float32)
    for tone in range(TONES):
        here = mask & (around >= 100 / TONES * tone) & (around < 100 / TONES * (tone + 1))
        if here.sum() < 400:
            continue
        flat = here & (structure <= np.quantile(structure[here], FLAT))
        result[tone] = 1.4826 * float(np.median(np.abs(fine[flat])))
    return result


def with_grain(made: np.ndarray, photo: np.ndarray, area: np.ndarray, seed: int) -> np.ndarray:
    """`made` (h, w, 3) float32 Lab with as much grain inside `area` as the photo has round it, tone by tone."""
    around = ~area
    wanted, present = grain_of(photo[..., 0], around), grain_of(made[..., 0], area)
    known = np.flatnonzero(np.isfinite(wanted))
    if not len(known):
        return made
    tones = (np.arange(TONES) + 0.5) * 100 / TONES
    want = np.interp(tones, tones[known], wanted[known])
    have = np.where(np.isfinite(present), present, want)
    missing = np.sqrt(np.maximum(want**2 - have**2, 0))
    amount = np.interp(made[..., 0], tones, missing).astype(np.float32)
    noise = np.random.Generator(np.random.Philox(key=[seed, 1])).standard_normal(area.shape).astype(np.float32)
    result = made.copy()
    result[..., 0] += np.where(area, noise * amount, 0)
    return result
