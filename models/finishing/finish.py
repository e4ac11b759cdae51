"""From drawn codes to patches: decode, place, match colours, blend, texture."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from ..candidate import Patch
from ..config import TOKEN_PIXELS, Semantics
from ..drawing.context import Watch
from ..drawing.picture import PictureDecoder
from ..drawing.scene import Level, Scene
from ..drawing.windows import Plan, drawn_part, place_back
from ..networks.pictures import to_pixels
from ..request import EditRequest, Progress
from ..texture.maker import TextureMaker
from ..texture.stage import DrawnArea
from .blend import BLEND_MARGIN, blend
from .color_match import match_colors


@dataclass(frozen=True)
class Finisher:
    """Finishes the windows of one request. texture: None leaves all as drawn."""

    request: EditRequest
    plan: Plan
    pictures: PictureDecoder
    semantics: Semantics
    watch: Watch
    texture: TextureMaker | None = None

    @torch.inference_mode()
    def patches(self, scene: Scene, level: Level, codes: Tensor, batch: tuple[int, ...] | None) -> list[Patch]:
        """One patch for each row of codes (N, L), one decoded after the other.

        batch: the candidates' numbers, for reports and textures; None: pictures to be seen while drawing goes on.
        """
        region = self.plan.region(scene.planned, BLEND_MARGIN)
        edited = self.plan.edited_by(scene.planned, region)
        original = self.request.photo[region.rows, region.columns]
        share = None if self.plan.outline is None else self.plan.outline.share_in(region.rows, region.columns)
        scale = scene.planned.window.side / (TOKEN_PIXELS * level.grid.side)
        part = drawn_part(scene.planned.window, region, TOKEN_PIXELS * level.grid.side)
        timings, patches = self.watch.timings, []
        for row in range(len(codes)):
            if batch is not None:
                self.watch.cancel.check()
                self.watch.report(Progress("decode", row, len(codes), (batch[row],)))
            started = time.perf_counter()
            picture = self.pictures.decode(level, codes[row : row + 1], part)
            generated = place_back(to_pixels(picture, self.semantics), scene.planned.window, region)
            if self.request.colors is not None:
                generated = self.request.colors.restore(generated)
            started = timings.add("decode", started)
            generated = match_colors(generated, original, edited, scale)
            patch = Patch(region.left, region.top, blend(generated, original, edited, share), edited)
            started = timings.add("blend", started)
            if batch is not None and self.texture is not None:
                self.watch.report(Progress("texture", row, len(codes), (batch[row],)))
                area = DrawnArea(generated, self.request.paint[region.rows, region.columns], edited, scale, share)
                seed = self.request.seed(batch[row])
                patch = self.texture.textured(patch, area, region, scene, seed, self.watch.cancel.check)
                timings.add("texture", started)
            patches.append(patch)
        return patches
