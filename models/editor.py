"""SceneEditor: one photo's way through the engine.

photo -> labels -> windows -> outline -> tokens -> drawing (guide, block lists, SGA) -> finishing -> ranked candidates.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from .candidate import Candidate, Patch, Window
from .config import GUIDE_RESOLUTION, LabelSet
from .device import DeviceChoice, estimate_bytes
from .drawing.candidates import candidate_of, check, outlined
from .drawing.context import Report, Run, Timings, Watch, WindowContext
from .drawing.guiding import seen_places
from .drawing.picture import PictureDecoder
from .drawing.samplers.asset import AssetSampler
from .drawing.samplers.base import Sampler
from .drawing.scene import Level, Scene, SceneEncoder
from .drawing.windows import Plan, cut, plan_windows
from .finishing.finish import Finisher
from .memory import MemoryLadder
from .networks.assembly import Networks
from .request import BATCH, NOT_PAINTED, CancelToken, EditRequest, Progress, Speed
from .speed import measure
from .texture.exemplars import Exemplar, library
from .texture.maker import TextureMaker


class SceneEditor:
    """Loads once, then draws candidates for any number of requests. Not thread-safe: one request at a time."""

    def __init__(self, networks: Networks, label_set: LabelSet, device: DeviceChoice, sha256: str = "") -> None:
        self.networks = networks.to(device.device)
        self.config = networks.config
        self.semantics = self.config.semantics
        self.label_set, self.label_names = label_set, tuple(label.name for label in label_set.labels)
        self.resolutions = self.config.resolutions
        self.device, self.device_line, self.on_cuda = device, device.line, device.cuda
        self.checkpoint_sha256 = sha256
        self.exemplars: tuple[Exemplar, ...] | None = None  # that textures are made of; None: those that ship
        self.encoder = SceneEncoder(self.networks, device)
        self.pictures = PictureDecoder(self.networks, device)
        self.sampler: Sampler = AssetSampler(self.networks, device, self.pictures)
        if not device.cuda:
            networks.guiding_transformer.pack()
            if networks.transformer is not None:
                networks.transformer.pack()

    @property
    def can_suggest(self) -> bool:
        """Whether the checkpoint has a segmenter; converted ones have none."""
        return self.networks.segmenter is not None

    def suggest_labels(self, photo: np.ndarray) -> np.ndarray:
        """Photo (H, W, 3) uint8 -> label map (H, W) uint8; all label 0 without a segmenter (`can_suggest`)."""
        if self.networks.segmenter is None:
            return np.zeros(photo.shape[:2], np.uint8)
        return self.networks.segmenter.label_map(photo, self.label_set.exclusive())

    def plan(self, paint: np.ndarray, window: int | None = None) -> tuple[Window, ...]:
        """The windows that an edit would be generated in; empty when nothing is painted."""
        return tuple(planned.window for planned in self._plan(paint, window).windows)

    def count_tokens(self, paint: np.ndarray, window: int | None = None) -> int:
        """How many tokens one candidate of this edit would draw at the final resolution."""
        painted = paint != NOT_PAINTED
        windows = self.plan(paint, window)
        return sum(int(self.encoder.tokens(cut(painted, w), w.resolution)[1].sum()) for w in windows)

    def attention(self, request: EditRequest, candidate: Candidate) -> tuple[np.ndarray, ...]:
        """Per window, (256, 256) float32: where each place of the guide's grid looked (guiding.attention_rollout)."""
        request, plan = outlined(request, self._plan(request.paint, request.window))
        return seen_places(self.networks.guiding_transformer, self.encoder, request, plan, candidate)

    def measure(self) -> dict[int, Speed]:
        """How fast this machine draws, by resolution."""
        return measure(self.run, self.resolutions, len(self.label_set) - 1)

    def estimate_bytes(self, paint: np.ndarray, window: int | None = None, samples: int = 4) -> int:
        """About how much memory, beyond the loaded weights, an edit takes; 0 when nothing is painted."""
        largest = max((w.resolution for w in self.plan(paint, window)), default=0)
        return estimate_bytes(self.config, largest, min(BATCH, samples)) if largest else 0

    def run(
        self, request: EditRequest, cancel: CancelToken | None = None, progress: Report | None = None,
        preview_share: float = 0.0,
    ) -> Run:  # fmt: skip
        """Draw the candidates of a request.

        preview_share: so much (0–1) of the time of the full drawing may go into previews of it; 0: only the guide's
        sketch is reported. While they are drawn it raises Cancelled between two tokens after cancel.cancel(),
        DeviceError when memory runs out on every step of the ladder, RequestError when a label is unknown to this
        checkpoint.
        """
        timings = Timings()
        watch = Watch(CancelToken() if cancel is None else cancel, progress or (lambda _: None), timings, preview_share)
        return Run(self._candidates(request, watch), timings)

    def _candidates(self, request: EditRequest, watch: Watch) -> Iterator[Candidate]:
        plan = self._plan(request.paint, request.window)
        check(request, plan, len(self.label_set))
        texture = None
        if request.textured:
            exemplars = library() if self.exemplars is None else self.exemplars
            texture = TextureMaker(request, self.label_names, self.device.device, exemplars)
        ladder, started = MemoryLadder(self.networks, self.device), time.perf_counter()
        request, plan = outlined(request, plan)
        scenes = []
        for number, planned in enumerate(plan.windows):
            watch.cancel.check()
            watch.report(Progress("encode", number, len(plan.windows)))
            scenes.append(ladder.climb(lambda p=planned, n=number: self.encoder.encode(request, p, n)))  # type: ignore[misc]
        watch.timings.add("encode", started)
        finisher = Finisher(request, plan, self.pictures, self.semantics, watch, texture)
        pending, size = tuple(range(request.count)), ladder.batch_size(plan, request)
        while pending:
            batch = pending[:size]
            try:
                candidates = self._draw_batch(finisher, scenes, batch)
            except Exception as error:
                size = ladder.after(error, size)
                continue
            pending = pending[len(batch) :]
            yield from candidates

    def _draw_batch(self, finisher: Finisher, scenes: list[Scene], batch: tuple[int, ...]) -> list[Candidate]:
        """Draw and finish some candidates over all windows."""
        request, watch = finisher.request, finisher.watch
        drawn, patches = [], []
        for scene in scenes:

            def show(level: Level, codes: Tensor, scene: Scene = scene) -> list[Patch]:
                return finisher.patches(scene, level, codes, None)

            context = WindowContext(request, finisher.plan, scene, batch, watch, show)
            result = self.sampler.draw_window(context)
            drawn.append(result)
            patches.append(finisher.patches(scene, scene.final, result.drawn.codes, batch))
        return [candidate_of(request, scenes, drawn, patches, row, index) for row, index in enumerate(batch)]

    def _plan(self, paint: np.ndarray, window: int | None) -> Plan:
        if self.networks.transformer is None:  # the guide alone draws at its own resolution
            return plan_windows(paint, None, (GUIDE_RESOLUTION,))
        return plan_windows(paint, window, self.resolutions)
