"""SceneEditor: one photo's way through the engine.

photo -> labels -> mask -> tokens -> guiding attention -> block lists -> SGA sampling -> candidates -> blend.
`Scene` holds what is computed once per window; `SceneEditor.run` draws batches of candidates over it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .checkpoints.read import Checkpoint, default_checkpoint_folder, load_checkpoint
from .config import GUIDE_RESOLUTION, TOKEN_PIXELS, LabelSet, Semantics
from .device import DeviceChoice, choose_device, estimate_bytes, out_of_memory
from .drawing.blocks import BlockLists
from .drawing.guiding import attention_rollout, guide_block_lists
from .drawing.masks import to_pixels
from .drawing.outline import natural_outline
from .drawing.ranking import score
from .drawing.sampling import Drawn, DrawTask, Partial, draw, uniforms
from .drawing.scene import Level, Scene, SceneEncoder
from .drawing.steering import Sketch, Steering, code_colors
from .drawing.windows import Plan, PlannedWindow, cut, place_back, plan_windows
from .errors import CheckpointError, DeviceError, RequestError
from .finishing.blend import BLEND_MARGIN, blend
from .finishing.color_match import match_colors
from .finishing.preview import Pace, over_sketch
from .networks.assembly import Networks, empty_networks
from .networks.transformer import Transformer, Visible
from .request import (
    BATCH,
    NOT_PAINTED,
    USUAL,
    CancelToken,
    Candidate,
    EditRequest,
    Patch,
    Progress,
    SamplingSettings,
    Speed,
    Window,
)
from .texture.exemplars import Exemplar, library
from .texture.maker import TextureMaker
from .texture.stage import DrawnArea

Report = Callable[[Progress], None]
ChooseLists = Callable[[Transformer, Tensor, Tensor, Tensor, int, Semantics], BlockLists | None]  # None: dense


@dataclass
class Timings:
    """Seconds per stage of one run."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, started: float) -> float:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - started
        return now


@dataclass(frozen=True)
class Job:
    """How a run is stopped and watched."""

    cancel: CancelToken
    report: Report
    preview_share: float = 0.0  # of the time of the full drawing, for previews
    texture: TextureMaker | None = None


@dataclass(frozen=True)
class DrawnScene:
    """A window's drawn codes at its final resolution, and the guide's (N, 256) that they were drawn from."""

    drawn: Drawn
    guide_codes: Tensor


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
        self.exemplars: tuple[Exemplar, ...] | None = None  # that textures are made of; None: those that ship
        self.networks = networks.to(device.device)
        self.config = networks.config
        self.semantics = self.config.semantics
        self.label_set = label_set
        self.resolutions = self.config.resolutions
        self.device = device
        self.device_line = device.line
        self.on_cuda = device.cuda
        self.checkpoint_sha256 = sha256
        self.timings = Timings()
        self.encoder = SceneEncoder(self.networks, device)
        self._code_colors: Tensor | None = None  # (V, 3), made when first needed
        if not device.cuda:
            networks.guiding_transformer.pack()
            if networks.transformer is not None:
                networks.transformer.pack()

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.label_set.labels)

    @property
    def can_suggest(self) -> bool:
        """Whether the checkpoint has a segmenter; converted ones have none."""
        return self.networks.segmenter is not None

    def suggest_labels(self, photo: np.ndarray) -> np.ndarray:
        """Photo (H, W, 3) uint8 -> label map (H, W) uint8; all label 0 without a segmenter (`can_suggest`)."""
        if self.networks.segmenter is None:
            return np.zeros(photo.shape[:2], np.uint8)
        return self.networks.segmenter.label_map(photo, self.label_set.exclusive())

    def plan(self, paint: np.ndarray, window: str | int = "auto") -> tuple[Window, ...]:
        """The windows that an edit would be generated in; empty when nothing is painted."""
        return tuple(planned.window for planned in self._plan(paint, window).windows)

    def count_tokens(self, paint: np.ndarray, window: str | int = "auto") -> int:
        """How many tokens one candidate of this edit would draw at the final resolution."""
        painted = paint != NOT_PAINTED
        windows = self.plan(paint, window)
        return sum(int(self.encoder.tokens(cut(painted, w), w.resolution)[1].sum()) for w in windows)

    @torch.inference_mode()
    def attention(self, request: EditRequest, candidate: Candidate) -> tuple[np.ndarray, ...]:
        """Per window, (256, 256) float32: where each place of the guide's grid looked (guiding.attention_rollout)."""
        request, plan = _outlined(request, self._plan(request.paint, request.window))
        result = []
        for number, planned in enumerate(plan.windows):
            low = self.encoder.encode(replace(request, draft=True, drafts=(), reroll=None), planned, number).low
            codes = torch.from_numpy(candidate.guide_codes[number].reshape(-1).copy()).to(low.codes.device)
            seen = attention_rollout(self.networks.guiding_transformer, codes, low.edit, low.condition)
            result.append(seen.cpu().numpy())
        return tuple(result)

    def measure(self) -> dict[int, Speed]:
        """Draw small edits at each resolution up to 512 and take the time; larger ones are taken to be as fast."""
        speeds: dict[int, Speed] = {}
        for resolution in self.resolutions:
            if resolution > 512:
                speeds[resolution] = speeds[max(speeds)]
                continue
            (few, short), (many, long) = (self._time_an_edit(resolution, tokens) for tokens in (2, 6))
            per_token = max(0.0, long - short) / (many - few)
            speeds[resolution] = Speed(max(0.0, long - per_token * many), per_token)
        return speeds

    def _time_an_edit(self, resolution: int, side: int) -> tuple[int, float]:
        """Tokens drawn (of both candidates) and seconds of an edit of side x side tokens."""
        photo = np.full((resolution, resolution, 3), 128, np.uint8)
        labels, paint = np.zeros(photo.shape[:2], np.uint8), np.full(photo.shape[:2], NOT_PAINTED, np.uint8)
        middle = slice(resolution // 2, resolution // 2 + side * TOKEN_PIXELS)  # known tokens before it cost time too
        paint[middle, middle] = len(self.label_set) - 1
        settings = replace(USUAL, samples=2, outline=0.0)  # an outline would leave out tokens
        started = time.perf_counter()
        candidates = list(self.run(EditRequest(photo, labels, paint, settings, resolution)))
        return sum(len(c.tokens) for c in candidates), time.perf_counter() - started

    def estimate_bytes(self, paint: np.ndarray, window: str | int = "auto", samples: int = 4) -> int:
        """About how much memory, beyond the loaded weights, an edit takes; 0 when nothing is painted."""
        largest = max((w.resolution for w in self.plan(paint, window)), default=0)
        return estimate_bytes(self.config, largest, min(BATCH, samples)) if largest else 0

    def run(
        self,
        request: EditRequest,
        cancel: CancelToken | None = None,
        progress: Report | None = None,
        preview_share: float = 0.0,
    ) -> Iterator[Candidate]:
        """Draw the candidates of a request; each is yielded when its batch is finished, in drawing order.

        preview_share: so much (0–1) of the time of the full drawing may go into previews of it; 0: only the guide's
        sketch is reported.

        Raises Cancelled between two tokens after cancel.cancel(), DeviceError when memory runs out on every step
        of the ladder, RequestError when a label is unknown to this checkpoint.
        """
        self._check_labels(request)
        maker = None
        if request.textured:
            exemplars = library() if self.exemplars is None else self.exemplars
            maker = TextureMaker(request, self.label_names, self.device.device, exemplars)
        job = Job(CancelToken() if cancel is None else cancel, progress or (lambda _: None), preview_share, maker)
        self.timings = Timings()
        plan = self._plan(request.paint, request.window)
        self._check_basis(request, plan)
        started = time.perf_counter()
        request, plan = _outlined(request, plan)
        scenes = []
        for number, planned in enumerate(plan.windows):
            job.cancel.check()
            job.report(Progress("encode", number, len(plan.windows)))
            scenes.append(self._encode_or_retry(request, planned, number))
        self.timings.add("encode", started)
        pending, size = list(range(request.count)), self._batch_size(plan, request)
        while pending:
            batch = pending[:size]
            try:
                candidates = self._draw_batch(request, plan, scenes, batch, job)
            except Exception as error:
                if not out_of_memory(error):
                    raise
                size = self._after_out_of_memory(size, error)
                continue
            pending = pending[len(batch) :]
            yield from candidates

    def _encode_or_retry(self, request: EditRequest, planned: PlannedWindow, number: int) -> Scene:
        while True:
            try:
                return self.encoder.encode(request, planned, number)
            except Exception as error:
                if not out_of_memory(error):
                    raise
                self._after_out_of_memory(1, error)

    # --- stages ------------------------------------------------------------------------------------------

    def _condition(
        self, transformer: Transformer, level: Level, visible: Visible | None, label_codes: Tensor
    ) -> Tensor:
        """Encoder output (1, L, d): the known codes under some label codes."""
        hidden = level.codes.masked_fill(level.mask, transformer.config.mask_token)
        seen = None if visible is None else visible.encoder
        with self.device.autocast():
            return transformer.encode(hidden[None], label_codes[None], level.grid, seen).float()

    def _draw_batch(
        self, request: EditRequest, plan: Plan, scenes: list[Scene], batch: list[int], job: Job
    ) -> list[Candidate]:
        """Draw, decode and blend some candidates over all windows."""
        drawn = []
        patches = []
        for scene in scenes:
            result = self._draw_scene(request, plan, scene, batch, job)
            drawn.append(result)
            patches.append(self._finish(request, plan, scene, scene.final, result.drawn.codes, batch, job))
        return [
            Candidate(
                index=index,
                seed=request.seed(index),
                tokens=torch.cat([d.drawn.tokens[row] for d in drawn]).cpu().numpy(),
                token_log_likelihoods=torch.cat([d.drawn.log_likelihoods[row] for d in drawn]).cpu().numpy(),
                truncated_log_likelihood=float(sum(d.drawn.truncated[row].sum() for d in drawn)),
                patches=tuple(window[row] for window in patches),
                codes=tuple(_square(d.drawn.codes[row]) for d in drawn),
                windows=tuple(scene.planned.window for scene in scenes),
                surprise=tuple(_surprise(scene.final, d.drawn, row) for scene, d in zip(scenes, drawn, strict=True)),
                guide_codes=tuple(_square(d.guide_codes[row]) for d in drawn),
                draft=request.draft,
            )
            for row, index in enumerate(batch)
        ]

    @torch.inference_mode()
    def _draw_scene(self, request: EditRequest, plan: Plan, scene: Scene, batch: list[int], job: Job) -> DrawnScene:
        """Guide first; above 256 its attention over its own sample gives the block lists, and SGA draws."""
        guide, sga = self.networks.guiding_transformer, self.networks.transformer
        started = time.perf_counter()
        sketches = request.sketches(scene.number, batch)
        if scene.high is None or sga is None:
            given = sketches if request.drafts else None
            drawn = self._draw_level(guide, request, scene, scene.low, batch, job, "guide", given=given)
            self.timings.add("guide", started)
            return DrawnScene(drawn, drawn.codes)
        if sketches is None:
            codes = self._draw_level(guide, request, scene, scene.low, batch, job, "guide").codes
        else:
            codes = torch.from_numpy(sketches).flatten(1).to(scene.low.codes.device)
        started = self.timings.add("guide", started)
        job.cancel.check()
        shown = self._finish(request, plan, scene, scene.low, codes, batch, None)
        job.report(Progress("sketch", 1, 1, tuple(batch), tuple(shown)))
        started = time.perf_counter()  # decoding and blending have noted their own
        choose = self.choose_lists or guide_block_lists
        lists = choose(guide, codes, scene.low.edit, scene.low.condition, sga.config.top_k_blocks, self.semantics)
        visible = None if lists is None else Visible.of(lists)
        started = self.timings.add("block lists", started)

        def peek(partial: Partial) -> tuple[Patch, ...]:
            return self._peek(request, plan, scene, partial, shown)

        drawn = self._draw_level(sga, request, scene, scene.high, batch, job, "sga", visible, codes, peek=peek)
        self.timings.add("sga", started)
        return DrawnScene(drawn, codes)

    def _draw_level(
        self,
        transformer: Transformer,
        request: EditRequest,
        scene: Scene,
        level: Level,
        batch: list[int],
        job: Job,
        stage: str,
        visible: Visible | None = None,
        sketch: Tensor | None = None,
        given: np.ndarray | None = None,
        peek: Callable[[Partial], tuple[Patch, ...]] | None = None,
    ) -> Drawn:
        """Draw the tokens of one level.

        sketch: (N, 256) codes whose colours to follow; given: codes to take; peek: makes previews when there is time.
        """
        settings = request.settings
        numbers = uniforms([request.seed(k) for k in batch], level.drawn, 2 * scene.number + (level is scene.high))
        encoded = self._condition(transformer, level, visible, level.condition)
        against = None
        if settings.label_strength > 1 and not torch.equal(level.condition, level.before):
            against = self._condition(transformer, level, visible, level.before)
        steering = Steering(against, settings.label_strength, self._sketch(scene, level, sketch, settings))
        forced = None
        if given is not None:
            codes = torch.from_numpy(given).flatten(1).to(level.codes.device)
            forced = level.grid.to_strip(codes)[:, _strip_positions(level)]
        task = DrawTask(level.codes, level.mask, level.condition, level.grid, settings, numbers, forced, steering)
        with self.device.autocast():
            steps = draw(transformer, encoded, task, self.semantics, visible)
            pace = Pace(0.0 if peek is None else job.preview_share)
            while True:
                job.cancel.check()
                try:
                    partial = next(steps)
                except StopIteration as stop:
                    drawn: Drawn = stop.value
                    break
                previews: tuple[Patch, ...] = ()
                if peek is not None and pace.due and partial.count < level.drawn:
                    started = time.perf_counter()
                    previews = peek(partial)
                    pace.took(time.perf_counter() - started)
                job.report(Progress(stage, partial.count, level.drawn, tuple(batch), previews))
        return drawn if level.mask is level.edit else self._scored(transformer, level, visible, drawn)

    def _peek(
        self, request: EditRequest, plan: Plan, scene: Scene, partial: Partial, sketches: list[Patch]
    ) -> tuple[Patch, ...]:
        """One preview for each candidate of a batch: what is drawn, over its sketch."""
        level, window = scene.final, scene.planned.window
        drawn = torch.ones(1, level.grid.tokens, dtype=torch.bool)
        drawn[0, _strip_positions(level).cpu()[partial.count :]] = False
        mask = level.grid.to_raster(drawn)[0].view(level.grid.side, -1).numpy()
        codes = level.grid.to_raster(partial.codes)
        finished = self._finish(request, plan, scene, level, codes, list(range(len(codes))), None)
        return tuple(over_sketch(f, s, mask, window) for f, s in zip(finished, sketches, strict=True))

    def _sketch(self, scene: Scene, level: Level, codes: Tensor | None, settings: SamplingSettings) -> Sketch | None:
        """What the full drawing is to follow: the colours (N, n, 3) of the decoded sketches at its tokens."""
        if codes is None or settings.sketch_strength == 0:
            return None
        if self._code_colors is None:
            self._code_colors = code_colors(self.networks.first_stage_model)
        pictures = self._decode(scene.low, codes)
        colors = F.interpolate(pictures, size=(level.grid.side,) * 2, mode="area").flatten(2).transpose(1, 2)
        targets = level.grid.to_strip(colors)[:, _strip_positions(level)]
        return Sketch(targets, self._code_colors, settings.sketch_strength)

    def _scored(self, transformer: Transformer, level: Level, visible: Visible | None, drawn: Drawn) -> Drawn:
        """After a partial drawing: the likelihood of the whole edit, as for the candidates drawn in one go."""
        whole = replace(level, mask=level.edit)
        encoded = self._condition(transformer, whole, visible, level.condition)
        with self.device.autocast():
            scores = score(transformer, encoded, drawn.codes, level.edit, level.grid, visible)
        tokens = level.grid.to_strip(drawn.codes)[:, _strip_positions(whole)]
        return replace(drawn, tokens=tokens, log_likelihoods=scores)

    def _decode(self, level: Level, codes: Tensor) -> Tensor:
        """Codes (N, L) raster -> pictures (N, 3, H, W), -1…1; what is known is decoded from its features."""
        vqgan, side = self.networks.first_stage_model, level.grid.side
        with self.device.autocast():
            if vqgan.config.known_features:
                edit = level.edit.view(1, 1, side, side).float()
                return vqgan.decode(vqgan.mix(codes, level.features, edit), level.labels).float()
            return vqgan.decode_tokens(codes, side, side, level.labels).float()

    @torch.inference_mode()
    def _finish(
        self,
        request: EditRequest,
        plan: Plan,
        scene: Scene,
        level: Level,
        codes: Tensor,
        batch: list[int],
        job: Job | None,
    ) -> list[Patch]:
        """Decode one candidate after the other and blend it into the photo; job None: without reports."""
        region = plan.region(scene.planned, BLEND_MARGIN)
        edited = plan.edited_by(scene.planned, region)
        original = request.photo[region.rows, region.columns]
        share = None if plan.outline is None else plan.outline.share_in(region.rows, region.columns)
        scale = scene.planned.window.side / (TOKEN_PIXELS * level.grid.side)
        patches = []
        for row, index in enumerate(batch):
            if job is not None:
                job.cancel.check()
                job.report(Progress("decode", row, len(batch), (index,)))
            started = time.perf_counter()
            picture = self._decode(level, codes[row : row + 1])
            generated = place_back(to_pixels(picture, self.semantics), scene.planned.window, region)
            if request.colors is not None:
                generated = request.colors.restore(generated)
            started = self.timings.add("decode", started)
            generated = match_colors(generated, original, edited, scale)
            patch = Patch(region.left, region.top, blend(generated, original, edited, share), edited)
            started = self.timings.add("blend", started)
            if job is not None and job.texture is not None:
                job.report(Progress("texture", row, len(batch), (index,)))
                area = DrawnArea(generated, request.paint[region.rows, region.columns], edited, scale, share)
                patch = job.texture.textured(patch, area, region, scene, request.seed(index), job.cancel.check)
                self.timings.add("texture", started)
            patches.append(patch)
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

    def _check_basis(self, request: EditRequest, plan: Plan) -> None:
        """Drafts and re-rolled candidates must be of the same windows as the request."""
        bases = [*request.drafts, *([] if request.reroll is None else [request.reroll.candidate])]
        windows = tuple(planned.window for planned in plan.windows)
        if any(base.windows != windows for base in bases):
            raise RequestError("the chosen candidate is of another edit; use one drawn for this paint and window")
        if request.reroll is not None and request.reroll.candidate.draft:
            raise RequestError("a draft cannot be drawn again in part; draw it in full first")

    def _batch_size(self, plan: Plan, request: EditRequest) -> int:
        """How many candidates to draw side by side in the memory that is free."""
        size = min(BATCH, request.count)
        largest = GUIDE_RESOLUTION if request.draft else max(planned.window.resolution for planned in plan.windows)
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


def _outlined(request: EditRequest, plan: Plan) -> tuple[EditRequest, Plan]:
    """The request as it is asked of the model, with outlines of their own for what is painted."""
    if not request.settings.outline or not plan.windows:
        return request, plan
    token = TOKEN_PIXELS * max(p.window.side / p.window.resolution for p in plan.windows)
    outline = natural_outline(request.labels, request.paint, request.settings.outline, token)
    return replace(request, paint=outline.paint), replace(plan, outline=outline)


def _strip_positions(level: Level) -> Tensor:
    """Strip positions (n,) of the tokens to draw."""
    return level.grid.to_strip(level.mask[None])[0].nonzero()[:, 0]


def _surprise(level: Level, drawn: Drawn, row: int) -> np.ndarray:
    """(side, side) float32 negative log-likelihood of each token of the edit, NaN elsewhere."""
    strip = torch.full((1, level.grid.tokens), float("nan"))
    strip[0, _strip_positions(replace(level, mask=level.edit)).cpu()] = -drawn.log_likelihoods[row].float().cpu()
    side = level.grid.side
    return level.grid.to_raster(strip)[0].view(side, side).numpy()


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
