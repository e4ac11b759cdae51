"""An engine with the real signature and no model: quick, seeded, and slow or broken on demand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from models.candidate import Candidate, DrawnWindow, Patch, Window
from models.config import Label, LabelSet
from models.errors import DeviceError
from models.request import NOT_PAINTED, CancelToken, EditRequest, Progress, Speed

LABELS = LabelSet(
    "landscape-20",
    tuple(
        Label(name, color, name in ("flower", "waterfall", "road"))
        for name, color in (
            ("other", (60, 60, 60)),
            ("sky", (110, 170, 230)),
            ("clouds", (225, 230, 240)),
            ("mountain", (134, 115, 100)),
            ("hill", (150, 160, 90)),
            ("rock", (112, 112, 120)),
            ("snow", (250, 250, 255)),
            ("sand", (240, 220, 150)),
            ("earth", (150, 95, 50)),
            ("grass", (90, 180, 60)),
            ("field", (200, 200, 80)),
            ("tree", (25, 100, 35)),
            ("plant", (60, 150, 90)),
            ("flower", (235, 70, 160)),
            ("river", (60, 140, 200)),
            ("lake", (40, 90, 180)),
            ("sea", (20, 50, 130)),
            ("waterfall", (160, 220, 250)),
            ("road", (120, 80, 130)),
            ("building", (190, 60, 50)),
        )
    ),
)


@dataclass
class FakeEngine:
    """step_seconds: time of one token step. steps: of a candidate. fail_with: raised in the middle of a run."""

    step_seconds: float = 0.0
    steps: int = 8
    fail_with: Exception | None = None
    suggestion_seconds: float = 0.0
    label_set: LabelSet = LABELS
    device_line: str = "CPU, 2 threads (no CUDA device found)"
    on_cuda: bool = False
    textured: bool = False  # versions have a second texture
    resolutions: tuple[int, ...] = (256, 512, 1024)
    runs: list[EditRequest] = field(default_factory=list)

    def suggest_labels(self, photo: np.ndarray) -> np.ndarray:
        time.sleep(self.suggestion_seconds)
        labels = np.full(photo.shape[:2], 3, np.uint8)
        labels[: photo.shape[0] // 2] = 1
        return labels

    def plan(self, paint: np.ndarray, window: int | None = None) -> tuple[Window, ...]:
        rows, columns = np.nonzero(paint != NOT_PAINTED)
        if len(rows) == 0:
            return ()
        extent = max(np.ptp(rows), np.ptp(columns)) + 1
        side = window if window is not None else next((s for s in self.resolutions if s >= 1.4 * extent), 1024)
        photo_side = max(side, int(extent * 1.2))
        x, y = (
            int(min(max(0, (np.max(v) + np.min(v)) // 2 - photo_side // 2), max(0, size - photo_side)))
            for v, size in ((columns, paint.shape[1]), (rows, paint.shape[0]))
        )
        return (Window(x, y, photo_side, side),)

    def count_tokens(self, paint: np.ndarray, window: int | None = None) -> int:
        total = 0
        for w in self.plan(paint, window):
            part = paint[max(0, w.y) : w.y + w.side, max(0, w.x) : w.x + w.side] != NOT_PAINTED
            cells = cv2.resize(part.astype(np.float32), (w.resolution // 16,) * 2, interpolation=cv2.INTER_AREA)
            total += int((cells > 0).sum())
        return total

    def attention(self, request: EditRequest, candidate: Candidate) -> tuple[np.ndarray, ...]:
        return tuple(np.random.default_rng(1).random((256, 256)).astype(np.float32) for _ in candidate.windows)

    def measure(self) -> dict[int, Speed]:
        return {side: Speed(0.1, self.step_seconds + 0.01) for side in self.resolutions}

    def run(
        self, request: EditRequest, cancel: CancelToken, progress: Callable[[Progress], None], preview_share: float
    ) -> Iterator[Candidate]:
        self.runs.append(request)
        progress(Progress("encode", 1, 1))
        if not request.draft:
            sketches = tuple(self._candidate(request, k).patches[0] for k in range(request.count))
            progress(Progress("sketch", 1, 1, tuple(range(request.count)), sketches))
        for k in range(request.count):
            for step in range(self.steps):
                cancel.check()
                if self.fail_with is not None and step == self.steps // 2:
                    raise self.fail_with
                time.sleep(self.step_seconds)
                progress(Progress("sga", step + 1, self.steps, (k,)))
            yield self._candidate(request, k)

    def _candidate(self, request: EditRequest, k: int) -> Candidate:
        seed = request.seed(k)
        rng = np.random.default_rng(seed)
        patches = []
        for w in self.plan(request.paint, request.window):
            x, y = max(0, w.x), max(0, w.y)
            box = (slice(y, min(w.y + w.side, request.paint.shape[0])), slice(x, w.x + w.side))
            photo, paint = request.photo[box], request.paint[box]
            shape = (photo.shape[0] // 24 + 2, photo.shape[1] // 12 + 2)
            noise = cv2.resize(rng.normal(0, 26, shape), photo.shape[1::-1], interpolation=cv2.INTER_CUBIC)
            table = np.zeros((256, 3))
            table[: len(self.label_set)] = [entry.color for entry in self.label_set.labels]
            color = table[paint] * rng.uniform(0.75, 1.1, 3) + noise[..., None]
            generated = np.clip(color, 0, 255).astype(np.uint8)
            pixels = np.where((paint != NOT_PAINTED)[..., None], generated, photo)
            other = 255 - pixels if request.textured and self.textured else None
            labels = () if other is None else ("lake",)
            patches.append(Patch(x, y, pixels, paint != NOT_PAINTED, other, labels))
        tokens = rng.integers(0, 1024, max(1, self.count_tokens(request.paint, request.window)))
        likelihoods = -rng.uniform(3.5, 6.5) - rng.random(len(tokens))
        windows, rng = self.plan(request.paint, request.window), np.random.default_rng(seed)
        sides = [(256 if request.draft else w.resolution) // 16 for w in windows]
        drawn = []
        for w, side, patch in zip(windows, sides, patches, strict=True):
            part = np.zeros((w.side, w.side), np.float32)
            inside = request.paint[max(0, w.y) : w.y + w.side, max(0, w.x) : w.x + w.side] != NOT_PAINTED
            part[: inside.shape[0], : inside.shape[1]] = inside
            cells = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA) > 0
            surprise = np.where(cells, rng.uniform(0, 9, (side, side)), np.nan).astype(np.float32)
            codes, guide_codes = np.zeros((side, side), np.int64), np.zeros((16, 16), np.int64)
            drawn.append(DrawnWindow(w, patch, codes, surprise, guide_codes))
        return Candidate(
            k,
            seed,
            tokens,
            likelihoods,
            float(likelihoods.sum()) * 0.9,
            tuple(drawn),
            request.draft,
        )


def out_of_memory() -> DeviceError:
    return DeviceError("out of memory while drawing; ask for fewer versions or a smaller window")
