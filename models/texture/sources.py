"""What an area may be copied from: the photo itself, and exemplars in the colours of the edit."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

MARGIN = 4  # pixels from other labels that are left out: label maps are soft there
OUTLIER = 4.0  # robust deviations from the label's usual colour
PADDING = 8  # pixels between the sources of an atlas


@dataclass(frozen=True)
class Source:
    """Pixels (h, w, 3) float32 Lab, which of them may be used (h, w) bool, and their heights in a photo (h, w) 0–1."""

    picture: np.ndarray
    mask: np.ndarray
    rows: np.ndarray
    name: str


@dataclass(frozen=True)
class Look:
    """Colour of an area: mean and spread (3,) of Lab."""

    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, picture: np.ndarray, mask: np.ndarray) -> Look:
        values = picture[mask]
        return cls(values.mean(0), values.std(0))

    def mixed(self, other: Look, share: float) -> Look:
        """This look with a share (0–1) of another."""
        return Look(self.mean + share * (other.mean - self.mean), self.spread + share * (other.spread - self.spread))


def to_lab(picture: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 sRGB -> float32 Lab, lightness 0–100."""
    return cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def to_rgb(picture: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32 Lab -> uint8 sRGB."""
    rgb = cv2.cvtColor(np.ascontiguousarray(picture, np.float32), cv2.COLOR_LAB2RGB)
    return np.clip(np.rint(rgb * 255), 0, 255).astype(np.uint8)


def own_mask(lab: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Of the pixels (h, w) bool that a label map gives a label, those that show it: without borders and outliers.

    Label maps err: a rock in the sea that the map calls sea would be copied into the edit as sea.
    """
    inner = cv2.erode(same.astype(np.uint8), np.ones((2 * MARGIN + 1,) * 2, np.uint8)) > 0
    if not inner.any():
        return inner
    broad = cv2.GaussianBlur(lab, (0, 0), 6)
    values = broad[inner]
    middle = np.median(values, 0)
    spread = np.maximum(1.48 * np.median(np.abs(values - middle), 0), 4)
    odd = (np.abs(broad - middle) / spread).max(2) > OUTLIER
    return inner & ~(cv2.dilate((odd & inner).astype(np.uint8), np.ones((15, 15), np.uint8)) > 0)


def in_the_look(picture: np.ndarray, mask: np.ndarray, look: Look, share: float = 0.8) -> np.ndarray:
    """An exemplar's Lab with mean and spread moved to those of a look; the gain is bounded, so grain stays grain."""
    own = Look.of(picture, mask)
    gain = np.clip(look.spread / np.maximum(own.spread, 1e-3), (0.65, 0.3, 0.3), 1.5)
    gain = 1 + share * (gain - 1)
    return ((picture - own.mean) * gain + own.mean + share * (look.mean - own.mean)).astype(np.float32)


def atlas(sources: list[Source]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All sources side by side: pictures (H, W, 3), masks (H, W), rows (H, W)."""
    height = max(source.picture.shape[0] for source in sources)

    def joined(parts: list[np.ndarray], mode: str) -> np.ndarray:
        padded = []
        for part in parts:
            widths = [(0, height - part.shape[0]), (0, PADDING)] + [(0, 0)] * (part.ndim - 2)
            padded.append(np.pad(part, widths, mode=mode))  # type: ignore[call-overload]
        return np.concatenate(padded, 1)

    return (
        joined([source.picture for source in sources], "edge"),
        joined([source.mask for source in sources], "constant"),
        joined([source.rows for source in sources], "edge"),
    )
