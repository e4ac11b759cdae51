"""The texture of an edit made anew from photographs: what was drawn is the plan, real pixels are the material.

Label by label: sources are chosen (the photo's own pixels of that label first, else exemplars), the area is put
together from them under the guidance of the drawing, and its border is worked out. Where nothing fits, the drawing
stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
import torch

from ..drawing.outline import noise
from .choosing import KIN, Sought, offers, picked
from .exemplars import Exemplar
from .light import with_grain
from .profiles import PROFILES, Profile
from .pyramid import filled
from .sources import Look, Source, atlas, own_mask, to_lab, to_rgb
from .synthesis import Task, synthesise

OWN_ENOUGH = 0.35  # of an area; with less of its own material a photo repeats itself
MOST_REPEATED = 5  # times that sources may be used over; an area that needs more stays as drawn
OWN_SOME = 4_000  # pixels of its own whose colours are worth following
OWN_SHARE = 0.6  # of those colours, beside the drawing's
OWN_LARGEST = 1_600_000  # pixels of the photo that are offered as source
SMALLEST = 100  # pixels; smaller areas stay as drawn
TOO_FAR = 35.0  # mean difference to the plan (Lab) at which a result is thrown away
RAGGED = 5.0  # pixels by which small shapes move a border
SOFT = 1.0  # tokens across which soft borders fade into the drawing
OWN = "the photo"
Box = tuple[slice, slice]


@dataclass(frozen=True)
class Scenery:
    """The part of a photo that is looked at: pixels (H, W, 3) uint8 sRGB, labels (H, W) uint8, painted (H, W) bool.

    names: of the labels. top, height: where the part begins and how high it is, as shares of the photo's height;
    horizon: where the sky ends, as such a share.
    """

    photo: np.ndarray
    labels: np.ndarray
    painted: np.ndarray
    names: tuple[str, ...]
    top: float
    height: float
    horizon: float

    @cached_property
    def lab(self) -> np.ndarray:
        return to_lab(self.photo)

    def rows(self, first: int, last: int) -> np.ndarray:
        """(last - first, 1) float32: heights in the photo of rows of this part."""
        return (self.top + self.height * np.arange(first, last, dtype=np.float32) / len(self.labels))[:, None]


@dataclass(frozen=True)
class DrawnArea:
    """What was drawn for a box of the photo.

    plan: (h, w, 3) uint8 at the photo's scale, sRGB. asked: (h, w) uint8 label asked of the model, which differs from
    the painted one where the outline recedes. edited: (h, w) bool, the painted pixels of this window. scale: photo
    pixels to one of the drawing. share: (h, w) how much of the plan may show, or None. paint: (h, w) uint8 label
    painted, NOT_PAINTED elsewhere; rows, columns: of the box in what is looked at.
    """

    plan: np.ndarray
    asked: np.ndarray
    edited: np.ndarray
    scale: float
    share: np.ndarray | None = None
    paint: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    box: Box = (slice(0), slice(0))

    @cached_property
    def receded(self) -> np.ndarray:
        """(h, w) bool: painted, but the outline asked for the old label again."""
        return self.edited & (self.asked != self.paint)


@dataclass(frozen=True)
class Textured:
    """picture: (h, w, 3) uint8 in place of the plan; share: as `DrawnArea.share`; labels: those that were made anew."""

    picture: np.ndarray
    share: np.ndarray | None
    labels: tuple[str, ...]


class TextureStage:
    """Textures the versions of one edit: what they have in common is prepared once."""

    def __init__(
        self, scenery: Scenery, exemplars: tuple[Exemplar, ...] = (), own: bool = True, grain: bool = True,
        any_label: bool = False, device: torch.device | None = None,
    ) -> None:  # fmt: skip
        """own: whether the photo itself is a source; any_label: exemplars are used for every label."""
        self.scenery, self.exemplars, self.own, self.grain = scenery, exemplars, own, grain
        self.any_label, self.device = any_label, device or torch.device("cpu")
        self._own_masks: dict[int, np.ndarray] = {}

    def texture(self, drawn: DrawnArea, seed: int, check: Callable[[], None] = lambda: None) -> Textured:
        """Deterministic for a seed. `check` is called between steps and may raise to stop."""
        plan, photo = to_lab(drawn.plan), self.scenery.lab[drawn.box]
        made, share, done = plan, drawn.share, []
        for label in np.unique(drawn.paint[drawn.edited]):
            name = self.scenery.names[label]
            area = drawn.edited & (drawn.paint == label)
            core = area & ~drawn.receded
            profile = PROFILES.get(name)
            if profile is None or core.sum() < SMALLEST:
                continue
            check()
            guide = plan if profile.edge == "soft" else _spread(plan, core, area)
            picture = self._area(drawn, guide, int(label), area, profile, seed)
            if picture is None:
                continue
            if profile.fine is not None:
                picture = _finest(picture, guide, profile.fine * drawn.scale)
            made, share = _laid_in(made, share, picture, photo, drawn, area, profile, seed)
            done.append(name)
        if done and self.grain:
            made = with_grain(made, photo, drawn.edited, seed)
        picture = np.where(drawn.edited[..., None], to_rgb(made), drawn.plan) if done else drawn.plan
        return Textured(picture, share, tuple(done))

    def _area(
        self, drawn: DrawnArea, plan: np.ndarray, label: int, area: np.ndarray, profile: Profile, seed: int
    ) -> np.ndarray | None:
        """(h, w, 3) Lab with `area` made anew, or None where nothing fits."""
        photo = self.scenery.lab[drawn.box]
        sources = self._sources(plan, label, area, drawn, profile, seed)
        if not sources:
            return None
        pictures, masks, rows = atlas(sources)
        if all(source.name != OWN for source in sources[:1]):  # its colours are not only the drawing's
            plan = plan + (self._look(plan, label, area).mean - plan[area].mean(0)).astype(np.float32)
        here = self.scenery.rows(drawn.box[0].start, drawn.box[0].stop)
        to = self._tensor
        task = Task(
            plan=to(plan.transpose(2, 0, 1)), photo=to(photo.transpose(2, 0, 1)), area=to(area),
            alike=to(self._alike(label)[drawn.box]), source=to(pictures.transpose(2, 0, 1)), valid=to(masks),
            rows=to(np.broadcast_to(here, area.shape)), source_rows=to(rows), row_weight=40.0 / profile.reach,
            plan_weight=profile.plan_weight, plan_sigma=profile.plan_detail * drawn.scale, shading=profile.shading,
        )  # fmt: skip
        with torch.inference_mode():
            result = synthesise(task, torch.Generator().manual_seed(seed * 32 + label))
        picture = result.permute(1, 2, 0).cpu().numpy()
        apart = _broad(picture, area) - _broad(plan, area)
        return picture if float(np.linalg.norm(apart, axis=1).mean()) < TOO_FAR else None

    def _sources(
        self, plan: np.ndarray, label: int, area: np.ndarray, drawn: DrawnArea, profile: Profile, seed: int
    ) -> list[Source]:
        size, own = int(area.sum()), self._own(label)
        have = int(own.sum()) if self.own else 0
        source = self._own_source(own, drawn, label) if have > SMALLEST else None
        foreign = drawn.scale >= profile.library or self.any_label
        if source is not None and (have > OWN_ENOUGH * size or not (self.exemplars and foreign)):
            return [source] if have > 0.1 * size else []
        sought = Sought(self.scenery.names[label], self._look(plan, label, area), size, self._distance(drawn, area))
        rng = np.random.Generator(np.random.Philox(key=[seed, label]))
        found = picked(offers(self.exemplars, sought), sought, rng) if foreign else []
        if found and source is not None and have > OWN_SOME:
            found.append(source)
        return found if sum(int(each.mask.sum()) for each in found) * MOST_REPEATED > size else []

    def _look(self, plan: np.ndarray, label: int, area: np.ndarray) -> Look:
        """The colours that foreign texture is to have: the drawing's, and mostly the photo's own where it has some."""
        own, look = self._own(label), Look.of(plan, area)
        if not self.own or own.sum() <= OWN_SOME:
            return look
        return look.mixed(Look.of(self.scenery.lab, own), OWN_SHARE)

    def _own(self, label: int) -> np.ndarray:
        if label not in self._own_masks:
            same = (self.scenery.labels == label) & ~self.scenery.painted
            self._own_masks[label] = own_mask(self.scenery.lab, same)
        return self._own_masks[label]

    def _alike(self, label: int) -> np.ndarray:
        """(H, W) bool: unpainted pixels that the area should continue where it meets them."""
        kin = (self.scenery.names[label], *KIN.get(self.scenery.names[label], ()))
        alike = [number for number, name in enumerate(self.scenery.names) if name in kin]
        return np.isin(self.scenery.labels, alike) & ~self.scenery.painted

    def _own_source(self, mask: np.ndarray, drawn: DrawnArea, label: int) -> Source:
        """The photo as a source, cut to what is nearest to the edit when it is large."""
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        middle_row = (drawn.box[0].start + drawn.box[0].stop) // 2
        middle_column = (drawn.box[1].start + drawn.box[1].stop) // 2
        while (bottom - top) * (right - left) > OWN_LARGEST:
            if (bottom - top) > 0.6 * (right - left):
                top, bottom = _narrowed(top, bottom, middle_row)
            else:
                left, right = _narrowed(left, right, middle_column)
        box = (slice(top, bottom), slice(left, right))
        heights = self.scenery.rows(top, bottom)
        picture = self.scenery.lab[box]
        return Source(picture, mask[box], np.broadcast_to(heights, mask[box].shape).copy(), OWN)

    def _distance(self, drawn: DrawnArea, area: np.ndarray) -> float:
        """How far away an area is: 0 near (the lower border) to 2 far (the horizon and above)."""
        middle = drawn.box[0].start + int(np.nonzero(area)[0].mean())
        row = float(self.scenery.rows(middle, middle + 1)[0, 0])
        below = (row - self.scenery.horizon) / max(0.1, 1 - self.scenery.horizon)
        return float(np.clip(2.2 * (1 - below), 0.3, 2))

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def _narrowed(first: int, last: int, middle: int) -> tuple[int, int]:
    """A tenth less, taken from the end that is farther from the middle."""
    cut = max(1, (last - first) // 10)
    return (first + cut, last) if middle - first > last - middle else (first, last - cut)


def _broad(picture: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(n, 3): the colours of an area in cells of about 24 pixels."""
    size = (max(1, area.shape[1] // 24), max(1, area.shape[0] // 24))
    share = cv2.resize(area.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    sums = cv2.resize(picture * area[..., None], size, interpolation=cv2.INTER_AREA).reshape(*size[::-1], 3)
    return sums[share > 0.02] / share[share > 0.02][:, None]


def _spread(plan: np.ndarray, core: np.ndarray, area: np.ndarray) -> np.ndarray:
    """The plan with the area's rim, where it shows the old label, in the colours of the core beside it."""
    to = lambda x: torch.from_numpy(np.ascontiguousarray(x))  # noqa: E731
    rim = area & ~core
    if not rim.any():
        return plan
    spread = filled(to(plan.transpose(2, 0, 1)), to(core[None].astype(np.float32)))
    return np.where(rim[..., None], spread.permute(1, 2, 0).numpy(), plan)


def _finest(picture: np.ndarray, plan: np.ndarray, sigma: float) -> np.ndarray:
    """The plan's shapes of more than `sigma` pixels, with all that is finer from the picture."""
    difference = np.ascontiguousarray(plan - picture)
    return picture + np.asarray(cv2.GaussianBlur(difference, (0, 0), sigma))


def _laid_in(
    made: np.ndarray,
    share: np.ndarray | None,
    picture: np.ndarray,
    photo: np.ndarray,
    drawn: DrawnArea,
    area: np.ndarray,
    profile: Profile,
    seed: int,
) -> tuple[np.ndarray, np.ndarray | None]:
    """The new picture in its area, with the border of its profile; the share that goes with it."""
    token = 16 * drawn.scale
    if profile.edge == "soft":
        depth = _depth(area & ~drawn.receded)
        way = np.clip(depth / (SOFT * token), 0, 1)[..., None]
        return made + way * way * (3 - 2 * way) * (picture - made), share
    cut = area & drawn.receded
    if not cut.any():
        return np.where(area[..., None], picture, made), share
    # Where the outline recedes the border is ours to choose: near the stroke, roughened by what is seen there.
    limit = (token * (0.55 + 0.35 * noise(area.shape, token, seed))).astype(np.float32)
    if profile.edge == "ragged":
        small = cv2.GaussianBlur(picture[..., 0], (0, 0), 1.5) - cv2.GaussianBlur(picture[..., 0], (0, 0), 8)
        small = np.clip(small / max(1.0, float(small[area].std())), -2, 2).astype(np.float32)
        limit = np.maximum(limit + min(RAGGED, token / 6) * small, 1.5)
    weight = np.clip((_depth(area) - limit) / 1.5 + 0.5, 0, 1)
    near = cv2.dilate(cut.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    weight = np.where(near | (weight < 1) & _beside(cut, token), weight, 1.0)
    weight = cv2.GaussianBlur(weight.astype(np.float32), (0, 0), 0.7)
    result = np.where(area[..., None], photo + weight[..., None] * (picture - photo), made)
    return result, None if share is None else np.where(area, 1.0, share).astype(np.float32)


def _depth(area: np.ndarray) -> np.ndarray:
    """(h, w) float32: pixels to the nearest one outside the area; beyond the box counts as inside."""
    return cv2.distanceTransform(np.pad(area, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]


def _beside(cut: np.ndarray, pixels: float) -> np.ndarray:
    return cv2.distanceTransform((~cut).astype(np.uint8), cv2.DIST_L2, 5) < pixels
