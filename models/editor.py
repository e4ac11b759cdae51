"""SceneEditor: one photo's way through the engine.

photo -> labels -> mask -> tokens -> guiding attention -> block lists -> SGA sampling -> candidates -> blend.
`Scene` holds what is computed once per window; `SceneEditor.run` draws batches of candidates over it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .blend import BLEND_MARGIN, blend
from .blocks import BlockLists
from .checkpoint import Checkpoint, default_checkpoint_folder, load_checkpoint
from .config import GUIDE_RESOLUTION, LabelSet, Semantics
from .device import DeviceChoice, choose_device, estimate_bytes, out_of_memory
from .errors import CheckpointError, DeviceError, RequestError
from .grid import TokenGrid
from .guiding import guide_block_lists
from .masks import encoder_mask, one_hot, shrink_any, to_picture, to_pixels, token_mask
from .networks import Networks, empty_networks
from .request import NOT_PAINTED, CancelToken, Candidate, EditRequest, Patch, Progress, SamplingSettings, Window
from .sampling import Drawn, DrawTask, draw, uniforms
from .transformer import Transformer, Visible
from .windows import Plan, PlannedWindow, cut, place_back, plan_windows, scale_labels, scale_photo

Report = Callable[[Progress], None]
ChooseLists = Callable[[Transformer, Tensor, Tensor, Tensor, int, Semantics], BlockLists | None]  # None: dense
BATCH = 4  # candidates side by side; larger batches gain little on a CPU and delay the first result


@dataclass(frozen=True)
class Level:
    """One resolution of a window: grid, known codes, label codes and what is to be drawn (raster order)."""

    grid: TokenGrid
    codes: Tensor  # (L,) int64
    condition: Tensor  # (L,) int64
    mask: Tensor  # (L,) bool
    features: Tensor  # (1, embed, side, side), unquantised
    labels: Tensor | None  # what the decoder reads of the edited label map (VQGAN.label_shares)

    @property
    def drawn(self) -> int:
        return int(self.mask.sum())


@dataclass(frozen=True)
class Scene:
    """A window of a photo, encoded once for all candidates."""

    planned: PlannedWindow
    number: int
    low: Level
    high: Level | None
    guide_encoded: Tensor

    @property
    def final(self) -> Level:
        return self.low if self.high is None else self.high


@dataclass
class Timings:
    """Seconds per stage of one run."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, started: float) -> float:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - started
        return now


class SceneEditor:
    """Loads once, then draws candidates for any number of requests. Not thread-safe: one job at a time."""

    def __init__(
        self,
        networks: Networks,
        label_set: LabelSet,
        device: DeviceChoice,
        sha256: str = "",
        choose_lists: ChooseLists | None = None,
    ) -> None:
        self.choose_lists = choose_lists  # None: from the guide's attention
        self.networks = networks.to(device.device)
        self.config = networks.config
        self.semantics = self.config.semantics
        self.label_set = label_set
        self.resolutions = self.config.resolutions
        self.device = device
        self.device_line = device.line
        self.checkpoint_sha256 = sha256
        self.timings = Timings()
        if not device.cuda:
            networks.guiding_transformer.pack()
            if networks.transformer is not None:
                networks.transformer.pack()

    def suggest_labels(self, photo: np.ndarray) -> np.ndarray:
        """Photo (H, W, 3) uint8 -> label map (H, W) uint8; all "unknown" (index 0) without a segmenter."""
        if self.networks.segmenter is None:
            return np.zeros(photo.shape[:2], np.uint8)
        return self.networks.segmenter.label_map(photo)

    def plan(self, paint: np.ndarray, window: str | int = "auto") -> tuple[Window, ...]:
        """The windows that an edit would be generated in; empty when nothing is painted."""
        return tuple(planned.window for planned in self._plan(paint, window).windows)

    def count_tokens(self, paint: np.ndarray, window: str | int = "auto") -> int:
        """How many tokens one candidate of this edit would draw at the final resolution."""
        painted = paint != NOT_PAINTED
        windows = self.plan(paint, window)
        return sum(int(self._tokens(cut(painted, w), w.resolution)[1].sum()) for w in windows)

    def estimate_bytes(self, paint: np.ndarray, window: str | int = "auto", samples: int = 4) -> int:
        """About how much memory, beyond the loaded weights, an edit takes; 0 when nothing is painted."""
        largest = max((w.resolution for w in self.plan(paint, window)), default=0)
        return estimate_bytes(self.config, largest, min(BATCH, samples)) if largest else 0

    def run(
        self, request: EditRequest, cancel: CancelToken | None = None, progress: Report | None = None
    ) -> Iterator[Candidate]:
        """Draw the candidates of a request; each is yielded when its batch is finished, in drawing order.

        Raises Cancelled between two tokens after cancel.cancel(), DeviceError when memory runs out on every step
        of the ladder, RequestError when a label is unknown to this checkpoint.
        """
        cancel = CancelToken() if cancel is None else cancel
        report: Report = (lambda _: None) if progress is None else progress
        self._check_labels(request)
        self.timings = Timings()
        plan = self._plan(request.paint, request.window)
        edited = np.where(request.paint == NOT_PAINTED, request.labels, request.paint)
        started = time.perf_counter()
        scenes = []
        for number, planned in enumerate(plan.windows):
            cancel.check()
            report(Progress("encode", number, len(plan.windows)))
            scenes.append(self._encode_or_retry(request, edited, planned, number))
        self.timings.add("encode", started)
        pending, size = list(range(request.settings.samples)), self._batch_size(plan, request.settings.samples)
        while pending:
            batch = pending[:size]
            try:
                candidates = self._draw_batch(request, plan, scenes, batch, cancel, report)
            except Exception as error:
                if not out_of_memory(error):
                    raise
                size = self._after_out_of_memory(size, error)
                continue
            pending = pending[len(batch) :]
            yield from candidates

    def _encode_or_retry(self, request: EditRequest, edited: np.ndarray, planned: PlannedWindow, number: int) -> Scene:
        while True:
            try:
                return self._encode(request, edited, planned, number)
            except Exception as error:
                if not out_of_memory(error):
                    raise
                self._after_out_of_memory(1, error)

    # --- stages ------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def _encode(self, request: EditRequest, edited: np.ndarray, planned: PlannedWindow, number: int) -> Scene:
        """Codes, label codes and masks of a window at 256 and, if larger, at its own resolution."""
        window = planned.window
        photo, labels = cut(request.photo, window), cut(edited, window)
        painted = cut(request.paint != NOT_PAINTED, window)
        high = None
        if window.resolution > GUIDE_RESOLUTION and self.networks.transformer is not None:
            high = self._level(photo, labels, painted, window.resolution)
        low = self._level(photo, labels, painted, GUIDE_RESOLUTION)
        encoded = self._encode_tokens(self.networks.guiding_transformer, low, None)
        return Scene(planned, number, low, high, encoded)

    def _level(self, photo: np.ndarray, labels: np.ndarray, painted: np.ndarray, side: int) -> Level:
        vqgan, label_vqgan, device = self.networks.first_stage_model, self.networks.cond_stage_model, self.device.device
        mask, tokens = self._tokens(painted, side)
        hidden = encoder_mask(mask, tokens, self.semantics).to(device)
        picture = to_picture(scale_photo(photo, side)).to(device)
        hot = one_hot(scale_labels(labels, side), self.config.label_vqgan.in_channels).to(device)
        with self.device.autocast():
            features = vqgan.encode(picture, hidden, known_only=self.semantics is Semantics.CLEAN).float()
            condition = label_vqgan.quantize.indices(label_vqgan.encode(hot).float())[0]
        codes = vqgan.quantize.indices(features)[0]
        flat = torch.from_numpy(tokens.reshape(-1)).to(device)
        return Level(TokenGrid.of_resolution(side), codes, condition, flat, features, vqgan.label_shares(hot))

    def _tokens(self, painted: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
        """The edit mask (side, side) of a window and its token mask (side/16, side/16), both bool."""
        mask = shrink_any(painted, side) if painted.shape[0] > side else painted
        return mask, token_mask(mask, self.semantics)

    def _encode_tokens(self, transformer: Transformer, level: Level, visible: Visible | None) -> Tensor:
        hidden = level.codes.masked_fill(level.mask, transformer.config.mask_token)
        seen = None if visible is None else visible.encoder
        with self.device.autocast():
            return transformer.encode(hidden[None], level.condition[None], level.grid, seen).float()

    def _draw_batch(
        self,
        request: EditRequest,
        plan: Plan,
        scenes: list[Scene],
        batch: list[int],
        cancel: CancelToken,
        report: Report,
    ) -> list[Candidate]:
        """Draw, decode and blend some candidates over all windows."""
        seeds = [request.settings.seed + index for index in batch]
        drawn, patches = [], []
        for scene in scenes:
            result = self._draw_scene(scene, request.settings, seeds, batch, cancel, report)
            drawn.append(result)
            patches.append(self._finish(request, plan, scene, result, batch, cancel, report))
        return [
            Candidate(
                index=index,
                seed=seeds[row],
                tokens=torch.cat([d.tokens[row] for d in drawn]).cpu().numpy(),
                token_log_likelihoods=torch.cat([d.log_likelihoods[row] for d in drawn]).cpu().numpy(),
                truncated_log_likelihood=float(sum(d.truncated[row].sum() for d in drawn)),
                patches=tuple(window[row] for window in patches),
                codes=tuple(_square(d.codes[row]) for d in drawn),
            )
            for row, index in enumerate(batch)
        ]

    @torch.inference_mode()
    def _draw_scene(
        self,
        scene: Scene,
        settings: SamplingSettings,
        seeds: list[int],
        batch: list[int],
        cancel: CancelToken,
        report: Report,
    ) -> Drawn:
        """Guide first; above 256 its attention over its own sample gives the block lists, and SGA draws."""
        guide, sga = self.networks.guiding_transformer, self.networks.transformer
        started = time.perf_counter()
        stage = "guide"

        def run(transformer: Transformer, encoded: Tensor, level: Level, visible: Visible | None) -> Drawn:
            numbers = uniforms(seeds, level.drawn, 2 * scene.number + (level is scene.high))
            task = DrawTask(level.codes, level.mask, level.condition, level.grid, settings, numbers)
            with self.device.autocast():
                steps = draw(transformer, encoded, task, self.semantics, visible)
                while True:
                    cancel.check()
                    try:
                        report(Progress(stage, next(steps), level.drawn, tuple(batch)))
                    except StopIteration as stop:
                        drawn: Drawn = stop.value
                        return drawn

        result = run(guide, scene.guide_encoded, scene.low, None)
        started = self.timings.add("guide", started)
        if scene.high is None or sga is None:
            return result
        cancel.check()
        stage = "sga"
        low, count = scene.low, sga.config.top_k_blocks
        choose = self.choose_lists or guide_block_lists
        lists = choose(guide, result.codes, low.mask, low.condition, count, self.semantics)
        visible = None if lists is None else Visible.of(lists)
        encoded = self._encode_tokens(sga, scene.high, visible)
        started = self.timings.add("block lists", started)
        result = run(sga, encoded, scene.high, visible)
        self.timings.add("sga", started)
        return result

    @torch.inference_mode()
    def _finish(
        self,
        request: EditRequest,
        plan: Plan,
        scene: Scene,
        drawn: Drawn,
        batch: list[int],
        cancel: CancelToken,
        report: Report,
    ) -> list[Patch]:
        """Decode one candidate after the other and blend it into the photo."""
        level, vqgan = scene.final, self.networks.first_stage_model
        side = level.grid.side
        mask = level.mask.view(1, 1, side, side).float()
        region = plan.region(scene.planned, BLEND_MARGIN)
        edited = plan.edited_by(scene.planned, region)
        original = request.photo[region.rows, region.columns]
        patches = []
        for row, index in enumerate(batch):
            cancel.check()
            report(Progress("decode", row, len(batch), (index,)))
            started = time.perf_counter()
            codes = drawn.codes[row : row + 1]
            with self.device.autocast():
                if vqgan.config.known_features:
                    picture = vqgan.decode(vqgan.mix(codes, level.features, mask), level.labels)
                else:
                    picture = vqgan.decode_tokens(codes, side, side, level.labels)
            generated = place_back(to_pixels(picture, self.semantics), scene.planned.window, region)
            started = self.timings.add("decode", started)
            patches.append(Patch(region.left, region.top, blend(generated, original, edited), edited))
            self.timings.add("blend", started)
        return patches

    # --- limits ------------------------------------------------------------------------------------------

    def _plan(self, paint: np.ndarray, window: str | int) -> Plan:
        if self.networks.transformer is None:  # the guide alone draws at its own resolution
            return plan_windows(paint, "auto", (GUIDE_RESOLUTION,))
        return plan_windows(paint, window, self.resolutions)

    def _check_labels(self, request: EditRequest) -> None:
        for name, values in (("paint", request.paint[request.paint != NOT_PAINTED]), ("label map", request.labels)):
            largest = int(values.max(initial=0))
            if largest >= len(self.label_set):
                raise RequestError(
                    f"{name}: label index {largest} is unknown to this checkpoint, which has "
                    f"{len(self.label_set)} labels (0 to {len(self.label_set) - 1}); see `main.py labels`"
                )

    def _batch_size(self, plan: Plan, samples: int) -> int:
        """How many candidates to draw side by side in the memory that is free."""
        size = min(BATCH, samples)
        largest = max(planned.window.resolution for planned in plan.windows)
        while size > 1 and estimate_bytes(self.config, largest, size) > 0.8 * self.device.free_bytes:
            size //= 2
        return size

    def _after_out_of_memory(self, size: int, error: BaseException) -> int:
        """The next step of the ladder: a smaller batch, then decoding in strips, then an error."""
        if self.device.cuda:
            torch.cuda.empty_cache()
        if size > 1:
            return size // 2
        if self.networks.first_stage_model.use_strips():
            return 1
        raise DeviceError(
            f"memory ran out on {self.device_line} even for one candidate at a time; finished candidates are kept: "
            "choose a smaller window (--window 512 or 256) or --device cpu"
        ) from error


def _square(codes: Tensor) -> np.ndarray:
    side = int(codes.shape[0] ** 0.5)
    return codes.view(side, side).cpu().numpy()


def open_editor(checkpoint: Path | None = None, device: str = "auto") -> SceneEditor:
    """Load a checkpoint (the default one when None) onto a device; CheckpointError or DeviceError on failure."""
    choice = choose_device(device)
    loaded = load_checkpoint(default_checkpoint_folder() if checkpoint is None else checkpoint)
    return editor_of(loaded, choice)


def editor_of(checkpoint: Checkpoint, device: DeviceChoice) -> SceneEditor:
    known = checkpoint.config.label_vqgan.in_channels
    if len(checkpoint.label_set) != known:
        raise CheckpointError(
            f"{checkpoint.folder}: the card names {len(checkpoint.label_set)} labels but the networks know {known}; "
            "copy the whole folder again"
        )
    networks = empty_networks(checkpoint.config).load(checkpoint.tensors)
    return SceneEditor(networks, checkpoint.label_set, device, checkpoint.sha256)
