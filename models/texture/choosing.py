"""Which exemplars suit an area: by label, colour, distance, light and how much of them there is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ..errors import RequestError
from .exemplars import DISTANCES, Exemplar
from .sources import Look, Source, in_the_look, to_lab

KIN = {
    "mountain": ("rock",), "rock": ("mountain",), "lake": ("river", "sea"), "river": ("lake",), "sea": ("lake",),
    "hill": ("field", "grass"), "field": ("grass",), "grass": ("field",), "plant": ("tree", "grass"),
    "earth": ("sand",), "sand": ("earth",),
}  # fmt: skip
STRANGE = 1.6  # exemplars that go together worse are not mixed


@dataclass(frozen=True)
class Sought:
    """What exemplars are sought for. label: name; look: colours to be had; size: pixels to cover; distance: 0 near,
    1 middle, 2 far."""

    label: str
    look: Look
    size: int
    distance: float


@dataclass(frozen=True)
class Offer:
    """An exemplar that could be used and what speaks against it."""

    exemplar: Exemplar
    cost: float
    look: Look
    usable: int
    detail: float  # how much of its contrast is finer than four pixels


def offers(library: tuple[Exemplar, ...], sought: Sought) -> list[Offer]:
    """Exemplars of the label, or of its kin where there are none, best first."""
    for labels in ((sought.label,), KIN.get(sought.label, ())):
        found = [_offer(exemplar, sought) for exemplar in library if exemplar.label in labels]
        if found:
            return sorted(found, key=lambda offer: offer.cost)
    return []


def _offer(exemplar: Exemplar, sought: Sought) -> Offer:
    look, usable, detail = _facts(exemplar)
    apart = np.abs(look.mean - sought.look.mean) * np.array([0.5, 1.0, 1.0])
    flat = max(0.0, 1 - look.spread[0] / max(1.0, sought.look.spread[0]))  # cannot be stretched to that contrast
    far = abs(DISTANCES.index(exemplar.distance) - sought.distance)
    small = max(0.0, np.log2(sought.size / max(1, usable)))
    return Offer(exemplar, min(2.5, float(apart.sum()) / 12) + flat + 0.7 * far + 0.8 * small, look, usable, detail)


@lru_cache(maxsize=512)
def _facts(exemplar: Exemplar) -> tuple[Look, int, float]:
    """Its look, how many pixels may be used, and its detail."""
    pixels, mask = exemplar.load()
    if not mask.any():
        raise RequestError(f"{exemplar.mask}: nothing is marked as usable; mark it or remove the exemplar")
    lab = to_lab(pixels)
    fine = lab[..., 0] - cv2.GaussianBlur(lab[..., 0], (0, 0), 2)
    return Look.of(lab, mask), int(mask.sum()), float(fine[mask].std() / max(1.0, lab[..., 0][mask].std()))


def picked(ranked: list[Offer], sought: Sought, rng: np.random.Generator, count: int = 3) -> list[Source]:
    """One of the best offers first (which one is chance: versions differ), more where it is small."""
    if not ranked:
        return []
    near = [offer for offer in ranked if offer.cost < ranked[0].cost + 1.0][:4]
    first = near[int(rng.integers(len(near)))]
    chosen, covered = [first], first.usable
    for offer in sorted(ranked, key=lambda other: _strange(first, other)):
        if len(chosen) >= count or covered > 2.0 * sought.size:
            break
        if offer is not first and _strange(first, offer) < STRANGE:
            chosen.append(offer)
            covered += offer.usable
    return [_source(offer, sought, bool(rng.integers(2))) for offer in chosen]


def _strange(first: Offer, other: Offer) -> float:
    """How ill a second exemplar goes with the first: other distance, other fineness, or ill with the edit."""
    distances = [DISTANCES.index(offer.exemplar.distance) for offer in (first, other)]
    finer = abs(float(np.log2(max(0.01, other.detail) / max(0.01, first.detail))))
    return abs(distances[0] - distances[1]) + finer + 0.5 * max(0.0, other.cost - first.cost)


def _source(offer: Offer, sought: Sought, mirrored: bool) -> Source:
    pixels, mask = offer.exemplar.load()
    picture = in_the_look(to_lab(pixels), mask, sought.look)
    if mirrored:
        picture, mask = picture[:, ::-1], mask[:, ::-1]
    height = mask.shape[0]
    rows = np.full(mask.shape, offer.exemplar.position, np.float32)
    rows += ((np.arange(height) / height - 0.5) * 0.3)[:, None].astype(np.float32)
    return Source(np.ascontiguousarray(picture), np.ascontiguousarray(mask), rows, offer.exemplar.name)
