"""What an edit gives: candidates, the windows that they were drawn in, and their pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Window:
    """A square of the photo that is generated as one picture.

    x, y: left and top in photo pixels (negative or beyond the photo where it is reflected-padded).
    side: its width and height in photo pixels. resolution: the side it is generated at (256, 512 or 1024);
    the square is scaled when the two differ.
    """

    x: int
    y: int
    side: int
    resolution: int

    @property
    def scaled(self) -> bool:
        return self.side != self.resolution


@dataclass(frozen=True, eq=False)
class Patch:
    """The generated pixels of one window, blended: rows y.. and columns x.. of the photo.

    pixels: (h, w, 3) uint8, equal to the photo where this window edits nothing.
    mask: (h, w) bool, the painted pixels that this window edits.
    other: (h, w, 3) uint8, the pixels with the drawing's own texture where `pixels` are textured from photographs (and
    the other way round when `as_drawn`); None: there is no other. textured: names of the labels that were.
    """

    x: int
    y: int
    pixels: np.ndarray
    mask: np.ndarray
    other: np.ndarray | None = None
    textured: tuple[str, ...] = ()
    as_drawn: bool = False

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """All that it holds."""
        return self.pixels, self.mask, *(() if self.other is None else (self.other,))

    def swapped(self) -> Patch:
        """The other texture in front; itself where there is no other."""
        if self.other is None:
            return self
        return replace(self, pixels=self.other, other=self.pixels, as_drawn=not self.as_drawn)


@dataclass(frozen=True, eq=False)
class DrawnWindow:
    """What a candidate holds of one window.

    place: where it was generated. patch: its pixels. codes: the whole token grid (h, w) int64, drawn and known.
    surprise: (h, w) float32 negative log-likelihood of each drawn token, NaN at known ones. guide_codes: the guide's
    codes (16, 16) int64 that it was drawn from.
    """

    place: Window
    patch: Patch
    codes: np.ndarray
    surprise: np.ndarray
    guide_codes: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """All that it holds."""
        return self.codes, self.surprise, self.guide_codes, *self.patch.arrays


@dataclass(frozen=True, eq=False)
class Candidate:
    """One drawn version of an edit.

    index: k = 0… in drawing order; seed: base seed + k. tokens: drawn codes in drawing order, int64 (n,),
    window after window. token_log_likelihoods: natural log of the model's own probability (no temperature,
    no truncation) of each, float64 (n,). log_likelihood: their sum (the joint log-likelihood).
    truncated_log_likelihood: the sum under the tempered, filtered distribution that was drawn from.
    windows: what was drawn in each. draft: a sketch of the guide, decoded at 256.
    """

    index: int
    seed: int
    tokens: np.ndarray
    token_log_likelihoods: np.ndarray
    truncated_log_likelihood: float
    windows: tuple[DrawnWindow, ...]
    draft: bool = False

    @property
    def patches(self) -> tuple[Patch, ...]:
        """The pixels of each window."""
        return tuple(window.patch for window in self.windows)

    @property
    def places(self) -> tuple[Window, ...]:
        """Where the windows lie."""
        return tuple(window.place for window in self.windows)

    @property
    def textured(self) -> bool:
        """Whether it can be shown both as drawn and with texture from photographs."""
        return any(patch.other is not None for patch in self.patches)

    @property
    def as_drawn(self) -> bool:
        """Whether it is shown with the drawing's own texture."""
        return all(patch.as_drawn or patch.other is None for patch in self.patches)

    def swapped(self) -> Candidate:
        """The same candidate with its other texture in front."""
        return replace(self, windows=tuple(replace(w, patch=w.patch.swapped()) for w in self.windows))

    @property
    def log_likelihood(self) -> float:
        return float(self.token_log_likelihoods.sum())

    @property
    def nats_per_token(self) -> float:
        """Mean negative log-likelihood per drawn token; lower is more likely."""
        return -self.log_likelihood / max(1, len(self.tokens))

    def apply(self, photo: np.ndarray) -> np.ndarray:
        """The whole photo (H, W, 3) uint8 with this candidate in it; pixels that were not painted are bit-identical."""
        result = photo.copy()
        for patch in self.patches:
            height, width = patch.pixels.shape[:2]
            target = result[patch.y : patch.y + height, patch.x : patch.x + width]
            target[patch.mask] = patch.pixels[patch.mask]
        return result
