"""ASSET: the guide draws at 256, its attention says where SGA looks at the window's own resolution (section 3)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...candidate import Patch
from ...config import Semantics
from ...device import DeviceChoice
from ...networks.assembly import Networks
from ...networks.transformers.blocks import BlockLists
from ...networks.transformers.transformer import Transformer, Visible
from ...request import InFull, Progress
from ..context import DrawnScene, WindowContext
from ..guiding import guide_block_lists
from ..picture import PictureDecoder
from ..previews import Pace, over_sketch
from ..ranking import score
from ..sampling import Drawn, DrawTask, Partial, draw, uniforms
from ..scene import Level
from ..steering import Sketch, Steering

ChooseLists = Callable[[Transformer, Tensor, Tensor, Tensor, int, Semantics], BlockLists | None]  # None: dense


def known_condition(
    device: DeviceChoice, transformer: Transformer, level: Level, visible: Visible | None, label_codes: Tensor
) -> Tensor:
    """Encoder output (1, L, d): the known codes under some label codes."""
    hidden = level.codes.masked_fill(level.mask, transformer.config.mask_token)
    seen = None if visible is None else visible.encoder
    with device.autocast():
        return transformer.encode(hidden[None], label_codes[None], level.grid, seen).float()


@dataclass(frozen=True)
class _Pass:
    """One level's drawing. visible: block lists; sketch: (N, 256) codes whose colours to follow; given: codes
    (N, h, w) to take; shown: sketches that previews are laid over."""

    transformer: Transformer
    level: Level
    stage: str
    visible: Visible | None = None
    sketch: Tensor | None = None
    given: np.ndarray | None = None
    shown: list[Patch] | None = None


class AssetSampler:
    """Guide and SGA of a checkpoint; without SGA, or for drafts, the guide alone."""

    def __init__(
        self, networks: Networks, device: DeviceChoice, pictures: PictureDecoder,
        choose_lists: ChooseLists = guide_block_lists,
    ) -> None:  # fmt: skip
        self.networks, self.device, self.pictures, self.choose_lists = networks, device, pictures, choose_lists
        self.semantics = networks.config.semantics

    @torch.inference_mode()
    def draw_window(self, context: WindowContext) -> DrawnScene:
        guide, sga = self.networks.guiding_transformer, self.networks.transformer
        scene, timings = context.scene, context.watch.timings
        started = time.perf_counter()
        sketches = context.request.sketches(scene.number, context.batch)
        if scene.high is None or sga is None:
            given = sketches if isinstance(context.request.way, InFull) else None
            drawn = self._draw(context, _Pass(guide, scene.low, "guide", given=given))
            timings.add("guide", started)
            return DrawnScene(drawn, drawn.codes)
        if sketches is None:
            codes = self._draw(context, _Pass(guide, scene.low, "guide")).codes
        else:
            codes = torch.from_numpy(sketches).flatten(1).to(scene.low.codes.device)
        timings.add("guide", started)
        context.watch.cancel.check()
        shown = context.show(scene.low, codes)
        context.watch.report(Progress("sketch", 1, 1, context.batch, tuple(shown)))
        started = time.perf_counter()  # showing has noted its own time
        low = scene.low
        lists = self.choose_lists(guide, codes, low.edit, low.condition, sga.config.top_k_blocks, self.semantics)
        visible = None if lists is None else Visible.of(lists)
        started = timings.add("block lists", started)
        drawn = self._draw(context, _Pass(sga, scene.high, "sga", visible, codes, shown=shown))
        timings.add("sga", started)
        return DrawnScene(drawn, codes)

    def _draw(self, context: WindowContext, one: _Pass) -> Drawn:
        """Draw the tokens of one level, with previews when there is time."""
        level, watch = one.level, context.watch
        task = self._task(context, one)
        encoded = known_condition(self.device, one.transformer, level, one.visible, level.condition)
        with self.device.autocast():
            steps = draw(one.transformer, encoded, task, self.semantics, one.visible)
            pace = Pace(0.0 if one.shown is None else watch.preview_share)
            while True:
                watch.cancel.check()
                try:
                    partial = next(steps)
                except StopIteration as stop:
                    drawn: Drawn = stop.value
                    break
                previews: tuple[Patch, ...] = ()
                if one.shown is not None and pace.due and partial.count < level.drawn:
                    started = time.perf_counter()
                    previews = _previews(context, partial, one.shown)
                    pace.took(time.perf_counter() - started)
                watch.report(Progress(one.stage, partial.count, level.drawn, context.batch, previews))
        return drawn if level.mask is level.edit else self._scored(one, drawn)

    def _task(self, context: WindowContext, one: _Pass) -> DrawTask:
        level, settings, scene = one.level, context.request.settings, context.scene
        numbers = uniforms(context.seeds, level.drawn, 2 * scene.number + (level is scene.high))
        against = None
        if settings.label_strength > 1 and not torch.equal(level.condition, level.before):
            against = known_condition(self.device, one.transformer, level, one.visible, level.before)
        steering = Steering(against, settings.label_strength, self._sketch(context, one))
        forced = None
        if one.given is not None:
            codes = torch.from_numpy(one.given).flatten(1).to(level.codes.device)
            forced = level.grid.to_strip(codes)[:, level.strip_positions]
        return DrawTask(level.codes, level.mask, level.condition, level.grid, settings, numbers, forced, steering)

    def _sketch(self, context: WindowContext, one: _Pass) -> Sketch | None:
        """What the full drawing is to follow: the colours (N, n, 3) of the decoded sketches at its tokens."""
        strength = context.request.settings.sketch_strength
        if one.sketch is None or strength == 0:
            return None
        pictures, level = self.pictures.decode(context.scene.low, one.sketch, exact=True), one.level
        colors = F.interpolate(pictures, size=(level.grid.side,) * 2, mode="area").flatten(2).transpose(1, 2)
        targets = level.grid.to_strip(colors)[:, level.strip_positions]
        return Sketch(targets, self.pictures.code_colors, strength)

    def _scored(self, one: _Pass, drawn: Drawn) -> Drawn:
        """After a partial drawing: the likelihood of the whole edit, as for the candidates drawn in one go."""
        whole = replace(one.level, mask=one.level.edit)
        encoded = known_condition(self.device, one.transformer, whole, one.visible, whole.condition)
        with self.device.autocast():
            scores = score(one.transformer, encoded, drawn.codes, whole.edit, whole.grid, one.visible)
        tokens = whole.grid.to_strip(drawn.codes)[:, whole.strip_positions]
        return replace(drawn, tokens=tokens, log_likelihoods=scores)


def _previews(context: WindowContext, partial: Partial, sketches: list[Patch]) -> tuple[Patch, ...]:
    """One preview for each candidate of a batch: what is drawn, over its sketch."""
    level, window = context.scene.final, context.scene.planned.window
    drawn = torch.ones(1, level.grid.tokens, dtype=torch.bool)
    drawn[0, level.strip_positions.cpu()[partial.count :]] = False
    mask = level.grid.to_raster(drawn)[0].view(level.grid.side, -1).numpy()
    finished = context.show(level, level.grid.to_raster(partial.codes))
    return tuple(over_sketch(f, s, mask, window) for f, s in zip(finished, sketches, strict=True))
