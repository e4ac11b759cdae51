"""All that crosses the border between the engine and whoever drives it (command line, worker thread)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from .candidate import Candidate, Patch
from .errors import RequestError

BATCH = 4  # candidates drawn side by side; larger batches gain little on a CPU and delay the first result
WINDOWS = (256, 512, 1024)  # resolutions that an edit can be asked for at
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


class PhotoColors(Protocol):
    """How a photo's values relate to sRGB, which the model draws in; arrays are (h, w, 3) uint8."""

    def convert(self, rgb: np.ndarray) -> np.ndarray: ...  # the photo's values -> sRGB

    def restore(self, rgb: np.ndarray) -> np.ndarray: ...  # sRGB -> the photo's values


TEXTURES = ("auto", "drawn", "photo", "library", "reference")


@dataclass(frozen=True, eq=False)
class Reference:
    """Another photo whose textures an edit is to have ("make the lake like in this one").

    picture: (H, W, 3) uint8 sRGB; labels: (H, W) uint8; name: for people. others: more photos to choose from.
    """

    picture: np.ndarray
    labels: np.ndarray
    name: str
    others: tuple[Reference, ...] = ()

    @classmethod
    def of(
        cls, pictures: Sequence[tuple[str, np.ndarray]], suggest_labels: Callable[[np.ndarray], np.ndarray]
    ) -> Reference:
        """Of named pictures (H, W, 3) uint8 sRGB, one at least, with the labels that are suggested for them."""
        first, *others = (cls(picture, np.array(suggest_labels(picture)), name) for name, picture in pictures)
        return replace(first, others=tuple(others))

    @property
    def all(self) -> tuple[Reference, ...]:
        return (self, *self.others)


@dataclass(frozen=True)
class SamplingSettings:
    """How candidates are drawn.

    samples: candidates to draw, >= 1. keep: how many of the best to return (None: all).
    seed: candidate k uses seed + k. temperature > 0. top_k: keep the k most likely codes (None: all).
    top_p: nucleus in (0, 1] (None: off). label_strength: 1 draws as the model has learned; above 1 pushes further
    away from what it would draw under the old labels, at twice the time (see models.drawing.steering). sketch_strength:
    how closely the drawing above 256 follows the colours of the guide's sketch; 0: not at all. Neither changes how
    candidates are ranked. outline: how far what is painted may recede from the strokes that cut through a label, so
    that it gets an outline of its own (see models.drawing.outline); 0: exactly as painted, 1: by up to two tokens.
    Raises RequestError on a value out of range.
    """

    samples: int = 4
    keep: int | None = None
    seed: int = 0
    temperature: float = 1.0
    top_k: int | None = 100
    top_p: float | None = None
    label_strength: float = 1.0
    sketch_strength: float = 0.0
    outline: float = 0.0
    texture: str = "drawn"
    grain: bool = True

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise RequestError(f"samples is {self.samples}; ask for at least 1")
        if self.keep is not None and self.keep < 1:
            raise RequestError(f"keep is {self.keep}; keep at least 1 candidate")
        if not 0 <= self.seed <= 2**62:
            raise RequestError(f"seed is {self.seed}; use a whole number from 0 to 2^62")
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise RequestError(f"temperature is {self.temperature}; use a number above 0 (1.3 is usual)")
        if self.top_k is not None and self.top_k < 1:
            raise RequestError(f"top-k is {self.top_k}; use at least 1")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise RequestError(f"top-p is {self.top_p}; use a number above 0 and at most 1")
        if not 1 <= self.label_strength <= 10:
            raise RequestError(f"label strength is {self.label_strength}; use a number from 1 (off) to 10")
        if not 0 <= self.sketch_strength <= 10:
            raise RequestError(f"sketch strength is {self.sketch_strength}; use a number from 0 (off) to 10")
        if not 0 <= self.outline <= 4:
            raise RequestError(f"outline is {self.outline}; use a number from 0 (as painted) to 4")
        if self.texture not in TEXTURES:
            raise RequestError(f"texture is {self.texture!r}; use {', '.join(TEXTURES[:-1])} or {TEXTURES[-1]}")


# How editor and command line draw unless told otherwise (docs/training-log.md has the figures).
USUAL = SamplingSettings(
    temperature=1.3, top_k=300, label_strength=1.5, sketch_strength=0.4, outline=1.0, texture="auto"
)


@dataclass(frozen=True)
class Progress:
    """Where a job is. stage: "encode", "guide", "sketch", "sga", "decode", "texture". done/total: steps of this stage.

    candidates: indices of the candidates that the step belongs to (empty: all). previews: one patch for each of
    them when there is something new to see (the guide's sketch), else empty.
    """

    stage: str
    done: int
    total: int
    candidates: tuple[int, ...] = ()
    previews: tuple[Patch, ...] = ()


@dataclass(frozen=True)
class Speed:
    """How fast this machine draws at one resolution: seconds = fixed * batches + per_token * tokens * candidates."""

    fixed: float
    per_token: float


@dataclass(frozen=True)
class Full:
    """New candidates, drawn in full."""


@dataclass(frozen=True)
class Draft:
    """New candidates, quick sketches of the guide at 256."""


@dataclass(frozen=True, eq=False)
class InFull:
    """Drafts of this very edit, drawn in full; they stand for the settings' number of candidates and their seed.

    Raises RequestError when there is none.
    """

    drafts: tuple[Candidate, ...]

    def __post_init__(self) -> None:
        if not self.drafts:
            raise RequestError("no draft is chosen; choose one to draw in full")


@dataclass(frozen=True, eq=False)
class Reroll:
    """Part of a candidate that is drawn again while all else of it is kept.

    tokens: per window, (side, side) bool raster, True where a drawn token is to be drawn again.
    Raises RequestError when the masks do not fit the candidate or choose nothing.
    """

    candidate: Candidate
    tokens: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        grids = [window.surprise for window in self.candidate.windows]
        if [t.shape for t in self.tokens] != [s.shape for s in grids]:
            raise RequestError("the chosen tokens are of another edit; choose them on this candidate")
        if not any((t & np.isfinite(s)).any() for t, s in zip(self.tokens, grids, strict=True)):
            raise RequestError("no drawn token is chosen; choose part of what was generated")

    @classmethod
    def worst(cls, candidate: Candidate, share: float) -> Reroll:
        """The least likely share (0–1) of a candidate's drawn tokens, at least one."""
        grids = [window.surprise for window in candidate.windows]
        known = np.concatenate([s[np.isfinite(s)] for s in grids])
        count = min(len(known), max(1, round(share * len(known))))
        limit = np.partition(known, len(known) - count)[len(known) - count]
        with np.errstate(invalid="ignore"):
            return cls(candidate, tuple(s >= limit for s in grids))

    @classmethod
    def inside(cls, candidate: Candidate, region: np.ndarray) -> Reroll:
        """The drawn tokens that a region (H, W) bool of the photo touches."""
        masks = []
        for drawn in candidate.windows:
            window, surprise = drawn.place, drawn.surprise
            mask = np.zeros(surprise.shape, bool)
            rows, columns = np.nonzero(region[max(0, window.y) : window.y + window.side,
                                              max(0, window.x) : window.x + window.side])  # fmt: skip
            cell = window.side / len(surprise)
            rows, columns = rows + max(0, window.y) - window.y, columns + max(0, window.x) - window.x
            mask[(rows / cell).astype(int), (columns / cell).astype(int)] = True
            masks.append(mask & np.isfinite(surprise))
        return cls(candidate, tuple(masks))


Way = Full | Draft | InFull | Reroll
FULL = Full()


@dataclass(frozen=True)
class EditRequest:
    """One edit of one photo.

    photo: (H, W, 3) uint8, upright. labels: (H, W) uint8 label indices before the edit.
    paint: (H, W) uint8, label index where painted, NOT_PAINTED elsewhere.
    window: 256, 512 or 1024, the resolution that the edit is generated at; None: chosen by its size.
    way: what is to be drawn: new candidates, drafts, drafts in full, or part of a candidate again.
    colors: of a photo whose values are not sRGB; what is drawn is given its values.
    reference: the photo that settings.texture "reference" asks for.
    Raises RequestError when the arrays do not fit each other or nothing is painted.
    """

    photo: np.ndarray
    labels: np.ndarray
    paint: np.ndarray
    settings: SamplingSettings = field(default_factory=SamplingSettings)
    window: int | None = None
    way: Way = FULL
    colors: PhotoColors | None = None
    reference: Reference | None = None

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
        if self.window not in (None, *WINDOWS):
            raise RequestError(f"window is {self.window}; use auto, 256, 512 or 1024")
        if not (self.paint != NOT_PAINTED).any():
            raise RequestError("nothing is painted; paint the area that should change")
        if self.settings.texture == "reference" and self.reference is None:
            raise RequestError("texture is to come from a reference, but there is none; choose a reference photo")

    @property
    def draft(self) -> bool:
        """Whether drafts are asked for."""
        return isinstance(self.way, Draft)

    @property
    def count(self) -> int:
        """How many candidates will be drawn."""
        return len(self.way.drafts) if isinstance(self.way, InFull) else self.settings.samples

    @property
    def textured(self) -> bool:
        """Whether textures are to be made from photographs; drafts are as drawn."""
        return self.settings.texture != "drawn" and not self.draft

    @property
    def bases(self) -> tuple[Candidate, ...]:
        """The candidates that it goes on from."""
        match self.way:
            case InFull(drafts):
                return drafts
            case Reroll(candidate=candidate):
                return (candidate,)
        return ()

    def sketches(self, window: int, batch: Sequence[int]) -> np.ndarray | None:
        """The guide's codes (N, 16, 16) int64 to start from in a window; None: the guide has yet to draw them."""
        bases = self.bases
        if not bases:
            return None
        return np.stack([bases[k if len(bases) > 1 else 0].windows[window].guide_codes for k in batch])

    def seed(self, index: int) -> int:
        """The seed of candidate number `index`."""
        return self.way.drafts[index].seed if isinstance(self.way, InFull) else self.settings.seed + index
