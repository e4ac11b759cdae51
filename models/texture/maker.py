"""The texture stage of one request: what its versions have in common is prepared once, window by window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import torch

from ..candidate import Patch, Window
from ..drawing.scene import Scene
from ..drawing.windows import Box
from ..finishing.blend import blend
from ..request import NOT_PAINTED, EditRequest, Reference, Reroll
from .exemplars import Exemplar
from .sources import own_mask, to_lab
from .stage import DrawnArea, Scenery, Textured, TextureStage

CONTEXT = 0.75  # of an edit's longer side: how far around it the photo is looked at
LARGEST = 6_000_000  # pixels of photo that are looked at
FINEST = 3_000_000  # pixels of a window's region; a larger one is textured at half the size
REFERENCE_SIDE = 2_000  # pixels; larger references are made smaller
REFERENCE_SOME = 2_000  # pixels of a label that make it an exemplar


class TextureMaker:
    """Textures what was drawn for a request's windows."""

    def __init__(
        self, request: EditRequest, names: tuple[str, ...], device: torch.device, exemplars: tuple[Exemplar, ...]
    ) -> None:
        """exemplars: of other photos, used unless the request asks for something else."""
        self.request, self.names, self.device = request, names, device
        source = request.settings.texture
        self.own = source in ("auto", "photo")
        self.any_label = source in ("library", "reference")  # asked for, whatever suits the label
        self.exemplars: tuple[Exemplar, ...] = ()
        if source in ("auto", "library"):
            self.exemplars = exemplars
        elif request.reference is not None and source == "reference":
            self.exemplars = tuple(e for one in request.reference.all for e in exemplars_of(one, names))
        self._stages: dict[Box, tuple[TextureStage, Box, int]] = {}

    def textured(
        self, patch: Patch, drawn: DrawnArea, region: Box, scene: Scene, seed: int, check: Callable[[], None]
    ) -> Patch:
        """A patch with texture from photographs in front and the drawing's as `other`; as it is where nothing fits.

        drawn: plan in the photo's values, without paint and box. check: called between steps, may raise to stop.
        """
        original = self.request.photo[region.rows, region.columns]
        paint = self.request.paint[region.rows, region.columns]
        reroll, base, edited = self.request.way, None, drawn.edited
        if isinstance(reroll, Reroll):  # only what is drawn again is made anew, beside what is kept
            base = reroll.candidate.patches[scene.number].pixels
            edited = edited & _token_area(reroll.tokens[scene.number], scene.planned.window, region)
        plan = drawn.plan if self.request.colors is None else self.request.colors.convert(drawn.plan)
        whole = replace(drawn, plan=plan, paint=paint, edited=edited)
        made = self._made(whole, region, base, seed * 64 + scene.number, check)
        kept = reroll.candidate.patches[scene.number].textured if isinstance(reroll, Reroll) else ()
        if not made.labels and not kept:
            return patch
        picture = made.picture if self.request.colors is None else self.request.colors.restore(made.picture)
        pixels = blend(picture, original if base is None else base, edited, made.share)
        return replace(patch, pixels=pixels, other=patch.pixels, textured=tuple(dict.fromkeys((*kept, *made.labels))))

    def _made(
        self, drawn: DrawnArea, region: Box, base: np.ndarray | None, seed: int, check: Callable[[], None]
    ) -> Textured:
        """base: (h, w, 3) uint8, what is seen round drawn.edited when that is not the photo."""
        stage, around, halvings = self._stage(region, base, drawn.edited)
        top, left = region.top - around.top, region.left - around.left
        if not halvings:
            height, width = drawn.edited.shape
            box = (slice(top, top + height), slice(left, left + width))
            return stage.texture(replace(drawn, box=box), seed, check)
        factor = 2**halvings
        height, width = (max(1, size // factor) for size in drawn.edited.shape)
        box = (slice(top // factor, top // factor + height), slice(left // factor, left // factor + width))
        result = stage.texture(_shrunk(drawn, box, factor), seed, check)
        size = drawn.edited.shape[::-1]
        picture = cv2.resize(result.picture, size, interpolation=cv2.INTER_CUBIC)
        share = None if result.share is None else cv2.resize(result.share, size)
        return Textured(picture, share, result.labels)

    def _stage(self, region: Box, base: np.ndarray | None, edited: np.ndarray) -> tuple[TextureStage, Box, int]:
        key = region
        if base is None and key in self._stages:
            return self._stages[key]
        height, width = self.request.labels.shape
        around = _around(region, height, width)
        box = (slice(around.top, around.bottom), slice(around.left, around.right))
        photo, labels = np.ascontiguousarray(self.request.photo[box]), self.request.labels[box]
        painted = self.request.paint[box] != NOT_PAINTED
        if base is not None:
            inner = (
                slice(region.top - around.top, region.bottom - around.top),
                slice(region.left - around.left, region.right - around.left),
            )
            photo, labels, painted = photo.copy(), labels.copy(), painted.copy()
            photo[inner] = base
            asked = self.request.paint[region.rows, region.columns]
            labels[inner] = np.where(asked == NOT_PAINTED, labels[inner], asked)
            painted[inner] = edited
        if self.request.colors is not None:
            photo = self.request.colors.convert(photo)
        halvings = 0
        while (region.right - region.left) * (region.bottom - region.top) > FINEST * 4**halvings:
            halvings += 1
        if halvings:
            size = (max(1, photo.shape[1] // 2**halvings), max(1, photo.shape[0] // 2**halvings))
            photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
            labels = cv2.resize(np.ascontiguousarray(labels), size, interpolation=cv2.INTER_NEAREST)
            painted = cv2.resize(painted.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
        scenery = Scenery(
            photo, labels, painted, self.names, around.top / height, (around.bottom - around.top) / height,
            _horizon(self.request.labels, self.names),
        )  # fmt: skip
        stage = TextureStage(
            scenery, self.exemplars, self.own, self.request.settings.grain, any_label=self.any_label, device=self.device
        )
        if base is None:
            self._stages[key] = (stage, around, halvings)
        return stage, around, halvings


def exemplars_of(reference: Reference, names: tuple[str, ...]) -> tuple[Exemplar, ...]:
    """One exemplar a label of a reference photo, of the labels that it shows enough of."""
    picture, labels = reference.picture, reference.labels
    longer = max(labels.shape)
    if longer > REFERENCE_SIDE:
        size = (labels.shape[1] * REFERENCE_SIDE // longer, labels.shape[0] * REFERENCE_SIDE // longer)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    lab, found = to_lab(picture), []
    for label in np.unique(labels):
        mask = own_mask(lab, labels == label)
        if int(mask.sum()) < REFERENCE_SOME:
            continue
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        position = float(rows.mean()) / len(mask)
        loaded = (np.ascontiguousarray(picture[box]), np.ascontiguousarray(mask[box]))
        found.append(Exemplar(f"{names[label]} of {reference.name}", names[label], position=position, loaded=loaded))
    return tuple(found)


def _around(region: Box, height: int, width: int) -> Box:
    """The region with what is looked at round it, inside the photo."""
    margin = int(CONTEXT * max(region.right - region.left, region.bottom - region.top)) + 256
    while True:
        box = Box(
            max(0, region.left - margin), max(0, region.top - margin),
            min(width, region.right + margin), min(height, region.bottom + margin),
        )  # fmt: skip
        if margin <= 64 or (box.right - box.left) * (box.bottom - box.top) <= LARGEST:
            return box
        margin = int(margin * 0.8)


def _horizon(labels: np.ndarray, names: tuple[str, ...]) -> float:
    """Share of the height at which the sky ends; 0.35 where there is none."""
    step = max(1, max(labels.shape) // 500)
    sky = np.isin(labels[::step, ::step], [n for n, name in enumerate(names) if name in ("sky", "clouds")])
    return float(np.quantile(np.nonzero(sky)[0], 0.95)) / len(sky) if sky.mean() > 0.02 else 0.35


def _token_area(tokens: np.ndarray, window: Window, region: Box) -> np.ndarray:
    """(h, w) bool: the pixels of a region that some tokens (side, side) bool of a window cover."""
    rows = (np.arange(region.top, region.bottom) - window.y) * len(tokens) // window.side
    columns = (np.arange(region.left, region.right) - window.x) * len(tokens) // window.side
    return tokens[rows[:, None], columns[None]]


def _shrunk(drawn: DrawnArea, box: tuple[slice, slice], factor: int) -> DrawnArea:
    size = (box[1].stop - box[1].start, box[0].stop - box[0].start)

    def nearest(x: np.ndarray) -> np.ndarray:
        return cv2.resize(np.ascontiguousarray(x), size, interpolation=cv2.INTER_NEAREST)

    return DrawnArea(
        plan=cv2.resize(drawn.plan, size, interpolation=cv2.INTER_AREA),
        asked=nearest(drawn.asked),
        edited=nearest(drawn.edited.astype(np.uint8)) > 0,
        scale=drawn.scale / factor,
        share=None if drawn.share is None else cv2.resize(drawn.share, size, interpolation=cv2.INTER_AREA),
        paint=nearest(drawn.paint),
        box=box,
    )
