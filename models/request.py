"""All that crosses the border between the engine and whoever drives it (command line, worker thread)."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np

from .errors import RequestError

NOT_PAINTED = 255  # value of `EditRequest.paint` where nothing was painted


class Cancelled(Exception):
    """Raised inside the engine, between two tokens, after `CancelToken.cancel()`."""


class CancelToken:
    """A thread-safe flag; one per job, so that cancelling one job can never stop another."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        self._event.set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise Cancelled when `cancel()` has been called."""
        if self._event.is_set():
            raise Cancelled


@dataclass(frozen=True)
class SamplingSettings:
    """How candidates are drawn.

    samples: candidates to draw, >= 1. keep: how many of the best to return (None: all).
    seed: candidate k uses seed + k. temperature > 0. top_k: keep the k most likely codes (None: all).
    top_p: nucleus in (0, 1] (None: off).
    Raises RequestError on a value out of range.
    """

    samples: int = 4
    keep: int | None = None
    seed: int = 0
    temperature: float = 1.0
    top_k: int | None = 100
    top_p: float | None = None

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise RequestError(f"samples is {self.samples}; ask for at least 1")
        if self.keep is not None and self.keep < 1:
            raise RequestError(f"keep is {self.keep}; keep at least 1 candidate")
        if not 0 <= self.seed <= 2**62:
            raise RequestError(f"seed is {self.seed}; use a whole number from 0 to 2^62")
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise RequestError(f"temperature is {self.temperature}; use a number above 0 (1.0 is usual)")
        if self.top_k is not None and self.top_k < 1:
            raise RequestError(f"top-k is {self.top_k}; use at least 1")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise RequestError(f"top-p is {self.top_p}; use a number above 0 and at most 1")


@dataclass(frozen=True)
class EditRequest:
    """One edit of one photo.

    photo: (H, W, 3) uint8 sRGB, upright. labels: (H, W) uint8 label indices before the edit.
    paint: (H, W) uint8, label index where painted, NOT_PAINTED elsewhere.
    window: "auto", 256, 512 or 1024, the resolution the edit is generated at.
    Raises RequestError when the arrays do not fit each other or nothing is painted.
    """

    photo: np.ndarray
    labels: np.ndarray
    paint: np.ndarray
    settings: SamplingSettings = field(default_factory=SamplingSettings)
    window: str | int = "auto"

    def __post_init__(self) -> None:
        if self.photo.ndim != 3 or self.photo.shape[2] != 3 or self.photo.dtype != np.uint8:
            raise RequestError(f"photo is {self.photo.dtype} {self.photo.shape}; expected 8-bit RGB")
        size = self.photo.shape[:2]
        for name, array in (("label map", self.labels), ("paint", self.paint)):
            if array.dtype != np.uint8 or array.ndim != 2:
                raise RequestError(f"{name} is {array.dtype} {array.shape}; expected one 8-bit index per pixel")
            if array.shape != size:
                raise RequestError(
                    f"{name} is {array.shape[1]}x{array.shape[0]} but the photo is {size[1]}x{size[0]}; "
                    "use a map of the photo's size"
                )
        if self.window not in ("auto", 256, 512, 1024):
            raise RequestError(f"window is {self.window}; use auto, 256, 512 or 1024")
        if not (self.paint != NOT_PAINTED).any():
            raise RequestError("nothing is painted; paint the area that should change")


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


@dataclass(frozen=True)
class Progress:
    """Where a job is. stage: "encode", "guide", "sga", "decode", "blend". done/total: steps of this stage.

    candidates: indices of the candidates that the step belongs to (empty: all).
    """

    stage: str
    done: int
    total: int
    candidates: tuple[int, ...] = ()


@dataclass(frozen=True)
class Patch:
    """The generated pixels of one window, blended: rows y.. and columns x.. of the photo.

    pixels: (h, w, 3) uint8, equal to the photo where this window edits nothing.
    mask: (h, w) bool, the painted pixels that this window edits.
    """

    x: int
    y: int
    pixels: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Candidate:
    """One drawn version of an edit.

    index: k = 0… in drawing order; seed: base seed + k. tokens: drawn codes in drawing order, int64 (n,),
    window after window. token_log_likelihoods: natural log of the model's own probability (no temperature,
    no truncation) of each, float64 (n,). log_likelihood: their sum (the joint log-likelihood).
    truncated_log_likelihood: the sum under the tempered, filtered distribution that was drawn from.
    patches: one per window.
    """

    index: int
    seed: int
    tokens: np.ndarray
    token_log_likelihoods: np.ndarray
    truncated_log_likelihood: float
    patches: tuple[Patch, ...]
    codes: tuple[np.ndarray, ...]  # per window, the whole token grid (h, w) int64, drawn and known

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
