"""The runs of this session and their candidates, as the gallery shows them."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np

from app.document.document import Document
from app.document.geometry import Rect
from app.document.reduced import reduced
from app.io.pictures.maps import packed, unpacked
from app.worker.jobs import JobState
from models.candidate import Candidate, Patch
from models.request import NOT_PAINTED, EditRequest, Reference, SamplingSettings

THUMBNAIL_RATIO = 4 / 3
_KEPT_WIDTH = 640  # pixels: enough for a thumbnail on a display of three device pixels per logical pixel
_KEPT_BYTES = 500_000_000  # of older runs


class RunKind(enum.StrEnum):
    FULL = "full"
    DRAFT = "draft"
    REROLL = "re-roll"


@dataclass(eq=False)
class Entry:
    """One candidate in the gallery. picture: its crop (h, w, 3) uint8 sRGB. step: the undo step that applied it.

    starred: the user marked it. ticked: a draft that is to be drawn in full. discarded: later ones have larger numbers.
    """

    candidate: Candidate
    picture: np.ndarray
    step: int | None = None
    starred: bool = False
    ticked: bool = False
    discarded: int = 0


@dataclass(eq=False)
class Run:
    """One job as the gallery shows it. paint: of its request. entries: ranked, best first.

    count: candidates asked for. window: as in EditRequest. before: the labels before the edit, packed (`packed`);
    with them more of the run can be drawn without keeping a copy of the photo. previews: crops (h, w, 3) uint8 sRGB of
    candidates that are not finished yet, by candidate number.
    """

    job: int
    title: str
    paint: np.ndarray
    settings: SamplingSettings
    tokens: int
    crop: Rect
    state: JobState = JobState.QUEUED
    fraction: float = 0.0
    batch: int = 1  # candidates being drawn side by side
    entries: list[Entry] = field(default_factory=list)
    discarded: list[Entry] = field(default_factory=list)  # the last one last
    count: int = 0
    window: int | None = None
    before: bytes = b""
    kind: RunKind = RunKind.FULL
    previews: dict[int, np.ndarray] = field(default_factory=dict)
    reference: Reference | None = None  # whose textures the run has; a project does not keep it

    @classmethod
    def of(cls, job: int, title: str, request: EditRequest, tokens: int, bounds: Rect, kind: RunKind) -> Run:
        """The run of a request that was handed in as `job`. tokens: that one candidate draws."""
        crop, before = crop_around(request.paint, bounds), packed(request.labels)
        settings, count, window = request.settings, request.count, request.window
        return cls(
            job, title, request.paint, settings, tokens, crop, count=count, window=window, before=before, kind=kind,
            reference=request.reference,
        )  # fmt: skip

    def request_on(self, document: Document) -> EditRequest:
        """What was asked, on the picture as it is now."""
        labels = unpacked(self.before, self.paint.shape)
        settings = self.settings
        if settings.texture == "reference" and self.reference is None:
            settings = replace(settings, texture="auto")
        return EditRequest(
            document.lend_picture(), labels, self.paint, settings, self.window,
            colors=document.photo.drawing_colors, reference=self.reference,
        )  # fmt: skip

    @property
    def facts(self) -> str:
        """The line beside the gallery's title."""
        parts = [self.title]
        done, wanted = len(self.entries), self.count
        noun = "draft" if self.kind is RunKind.DRAFT else "version"
        if self.kind is RunKind.REROLL:
            parts.append("drawn again in part")
        if self.state is JobState.QUEUED:
            parts.append("waiting")
        elif self.state is JobState.RUNNING:
            parts.append(f"{done} of {wanted} {noun}s")
        elif self.state is JobState.CANCELLED:
            parts.append(f"cancelled, {done} of {wanted} {noun}s kept")
        elif self.state is JobState.FAILED:
            parts.append(f"failed, {done} of {wanted} {noun}s kept")
        else:
            parts.append(f"{done} {noun}" + ("s" if done != 1 else ""))
        return "  ·  ".join(parts)

    @cached_property
    def labels(self) -> list[int]:
        """The painted labels, most painted first."""
        return painted_labels(self.paint)

    @property
    def missing(self) -> int:
        """Candidates still to come."""
        if self.state.terminal:
            return 0
        return max(0, self.count - len(self.entries) - len(self.discarded))

    @property
    def pending_previews(self) -> list[np.ndarray | None]:
        """A preview, if there is one, for each candidate still to come, in drawing order."""
        shown = [self.previews[number] for number in sorted(self.previews)][: self.missing]
        return [*shown, *[None] * (self.missing - len(shown))]

    @property
    def batch_fraction(self) -> float:
        """How far the candidates being drawn now are, 0–1."""
        finished = len(self.entries) + len(self.discarded)
        return min(1.0, max(0.0, (self.fraction * self.count - finished) / self.batch))

    @property
    def nbytes(self) -> int:
        held = [*self.entries, *self.discarded]
        patches = (patch for entry in held for patch in entry.candidate.patches)
        pictures = sum(entry.picture.nbytes for entry in held)
        return self.paint.nbytes + pictures + sum(_bytes(patch) for patch in patches)

    def add(self, candidate: Candidate, document: Document) -> Entry:
        """Put a finished candidate at its rank."""
        self.previews.pop(candidate.index, None)
        entry = Entry(candidate, self._thumbnail(candidate.patches, document))
        self._rank([*self.entries, entry])
        return entry

    def swap_texture(self, entry: Entry, document: Document) -> None:
        """Show a version with its other texture: as drawn, or from photographs."""
        entry.candidate = entry.candidate.swapped()
        entry.picture = self._thumbnail(entry.candidate.patches, document)

    def _rank(self, entries: list[Entry]) -> None:
        from models.drawing.ranking import rank  # here: it loads torch, which the engine thread has done by now

        by_candidate = {id(entry.candidate): entry for entry in entries}
        self.entries = [by_candidate[id(candidate)] for candidate in rank([entry.candidate for entry in entries])]

    def preview(self, index: int, patch: Patch, document: Document) -> None:
        """Show a sketch of candidate `index` in its place until it is finished."""
        self.previews[index] = self._thumbnail((patch,), document)

    def _thumbnail(self, patches: Sequence[Patch], document: Document) -> np.ndarray:
        region = document.region_with(patches, self.paint, self.crop)
        small = reduced(region, max(0, (region.shape[1] // _KEPT_WIDTH).bit_length() - 1))
        return document.photo.screen_colors.convert(small)

    def discard(self, entry: Entry, number: int) -> None:
        """Take a version out; number: larger than that of any before."""
        entry.discarded = number
        self.entries.remove(entry)
        self.discarded.append(entry)

    def bring_back(self) -> Entry:
        """Undo the last `discard`."""
        entry = self.discarded.pop()
        self._rank([*self.entries, entry])
        return entry

    def applied(self, state: tuple[int, ...]) -> Entry | None:
        """The candidate of this run that is in the picture; state: the document's `picture_state`."""
        steps = [entry for entry in self.entries if entry.step in state]
        return max(steps, key=lambda entry: state.index(entry.step), default=None)


def _bytes(patch: Patch) -> int:
    return patch.pixels.nbytes + patch.mask.nbytes + (0 if patch.other is None else patch.other.nbytes)


def painted_labels(paint: np.ndarray) -> list[int]:
    """The labels in a paint (H, W) uint8, most painted first."""
    counts = cv2.calcHist([paint], [0], None, [256], [0, 256]).ravel()[:NOT_PAINTED]
    return [int(label) for label in np.argsort(-counts, kind="stable") if counts[label]]


def pruned(runs: list[Run]) -> list[Run]:
    """The newest runs that fit into memory, at least the last one; runs with a star are kept in any case."""
    kept: list[Run] = []
    total = 0
    for run in reversed(runs):
        total += run.nbytes
        if not kept or total <= _KEPT_BYTES or any(entry.starred for entry in run.entries):
            kept.insert(0, run)
    return kept


def crop_around(paint: np.ndarray, bounds: Rect) -> Rect:
    """What a thumbnail shows: the painted area with some surroundings, in the thumbnail's shape where it fits."""
    box = Rect.of_mask(paint != NOT_PAINTED)
    width = max(box.width * 1.3, box.height * 1.3 * THUMBNAIL_RATIO, 160)
    width = min(width, bounds.width, bounds.height * THUMBNAIL_RATIO)
    height = width / THUMBNAIL_RATIO
    x = box.x + box.width / 2 - width / 2
    y = box.y + box.height / 2 - height / 2
    left = round(min(max(0.0, x), bounds.width - width))
    top = round(min(max(0.0, y), bounds.height - height))
    return Rect(left, top, max(1, round(width)), max(1, round(height))).intersected(bounds)
