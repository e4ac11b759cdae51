"""Which exemplars suit an area: by label, colour, distance, light and how much of them there is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .exemplars import DISTANCES, Exemplar
from .sources import Look, Source, in_the_look, to_lab

KIN = {
    "mountain": ("rock",), "rock": ("mountain",), "lake": ("river", "sea"), "river": ("lake",), "sea": ("lake",),
    "hill": ("field", "grass"), "field": ("grass",), "grass": ("field",), "plant": ("tree", "grass"),
    "earth": ("sand",), "sand": ("earth",),
}  # fmt: skip


@dataclass(frozen=True)
class Sought:
    """What exemplars are sought for. label: name; look: colours to be had; size: pixels to cover; distance: 0 near,
    1 middle, 2 far; exclude: sources that may not be used."""

    label: str
    look: Look
    size: int
    distance: float
    exclude: str = ""


@dataclass(frozen=True)
class Offer:
    """An exemplar that could be used and what speaks against it."""

    exemplar: Exemplar
    cost: float
    look: Look
    usable: int


def offers(library: tuple[Exemplar, ...], sought: Sought) -> list[Offer]:
    """Exemplars of the label, or of its kin where there are none, best first."""
    for labels in ((sought.label,), KIN.get(sought.label, ())):
        found = [_offer(e, sought) for e in library if e.label in labels and (not sought.exclude or e.source != sought.exclude)]
        if found:
            return sorted(found, key=lambda offer: offer.cost)
    return []


def _offer(exemplar: Exemplar, sought: Sought) -> Offer:
    pixels, mask = exemplar.load()
    look = Look.of(to_lab(pixels), mask) if mask.any() else sought.look
    apart = np.abs(look.mean - sought.look.mean) * np.array([0.5, 1.0, 1.0])
    flat = max(0.0, 1 - look.spread[0] / max(1.0, sought.look.spread[0]))  # cannot be stretched to that contrast
    far = abs(DISTANCES.index(exemplar.distance) - sought.distance)
    usable = int(mask.sum())
    small = max(0.0, np.log2(sought.size / max(1, usable)))
    return Offer(exemplar, float(apart.sum() / 12 + flat + 0.7 * far + 0.4 * small), look, usable)


def picked(ranked: list[Offer], sought: Sought, rng: np.random.Generator, count: int = 3) -> list[Source]:
    """One of the best offers first (which one is chance: versions differ), more where it is small."""
    if not ranked:
        return []
    near = [offer for offer in ranked if offer.cost < ranked[0].cost + 1.0][:4]
    first = near[int(rng.integers(len(near)))]
    chosen, covered = [first], first.usable
    for offer in ranked:
        if len(chosen) >= count or covered > 2.0 * sought.size:
            break
        if offer is not first:
            chosen.append(offer)
            covered += offer.usable
    return [_source(offer, sought, bool(rng.integers(2))) for offer in chosen]


def _source(offer: Offer, sought: Sought, mirrored: bool) -> Source:
    pixels, mask = offer.exemplar.load()
    picture = in_the_look(to_lab(pixels), mask, sought.look)
    if mirrored:
        picture, mask = picture[:, ::-1], mask[:, ::-1]
    height = mask.shape[0]
    rows = np.full(mask.shape, offer.exemplar.position, np.float32)
    rows += ((np.arange(height) / height - 0.5) * 0.3)[:, None].astype(np.float32)
    return Source(np.ascontiguousarray(picture), np.ascontiguousarray(mask), rows, offer.exemplar.name)
