"""Which place of the sources each place of an edit is copied from, found by PatchMatch.

A field holds for every target place the flat index of a source place. It is improved by trying what the neighbours
copy from, moved along with them, and random places ever nearer to the present one (Barnes et al., "PatchMatch", 2009).
What a place costs has four parts: how the patch looks, how its surroundings agree with the plan (Hertzmann et al.,
"Image Analogies", 2001), how often the source place is used already (Kaspar et al., "Self Tuning Texture
Optimization", 2015, section 4.2), and whether the neighbours copy the same piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

PART = 200_000  # places
AROUND = ((0, 1), (1, 0), (0, -1), (-1, 0))


class Places:
    """The target places of one level: coordinates and neighbours, as lists.

    area: (h, w) bool. `rows`, `columns` (N,) int64; `number` (h, w) int64, -1 outside the area.
    """

    def __init__(self, area: Tensor) -> None:
        self.height, self.width = area.shape
        self.rows, self.columns = area.nonzero(as_tuple=True)
        self.number = torch.full(area.shape, -1, dtype=torch.int64, device=area.device)
        self.number[self.rows, self.columns] = torch.arange(len(self.rows), device=area.device)

    def __len__(self) -> int:
        return len(self.rows)

    def moved(self, dy: int, dx: int, chosen: Tensor | slice = slice(None)) -> Tensor:
        """(n,) list number of the place dy below and dx to the right of the chosen places, -1 where there is none."""
        rows, columns = self.rows[chosen] + dy, self.columns[chosen] + dx
        inside = (rows >= 0) & (rows < self.height) & (columns >= 0) & (columns < self.width)
        number = self.number[rows.clamp_(0, self.height - 1), columns.clamp_(0, self.width - 1)]
        return number.masked_fill_(~inside, -1)

    def parts(self) -> Iterator[slice]:
        """Slices of the list that are worked on one after the other: what is in between needs little memory."""
        for first in range(0, len(self), PART):
            yield slice(first, first + PART)


@dataclass(frozen=True)
class Weights:
    """What the parts of a place's cost count. Looks count 1."""

    use: float  # for each use of a source place beyond its fair share, times the usual cost of looks
    coherence: float  # for each of four neighbours that copies another piece, times the same


@dataclass(frozen=True)
class Looks:
    """What is compared: (N, F) of the target places and (H * W, F) of the source places; `valid` (H * W,) bool."""

    target: Tensor
    source: Tensor
    valid: Tensor
    width: int  # W of the sources

    def cost(self, numbers: Tensor, sources: Tensor) -> Tensor:
        return (self.target[numbers] - self.source[sources]).square().sum(1)


class Field:
    """The field of one level and its search."""

    def __init__(self, places: Places, sources: Tensor, generator: torch.Generator) -> None:
        self.places, self.sources, self.generator = places, sources, generator
        self.near = [(places.moved(dy, dx), dy, dx) for dy, dx in AROUND]

    def improve(self, looks: Looks, weights: Weights, rounds: int, reach: int) -> None:
        """Search in place. reach: pixels within which random places are tried first."""
        everyone = torch.arange(len(self.places), device=self.sources.device)
        for turn in range(rounds):
            seen = looks.cost(everyone, self.sources)
            unit = float(seen.median())
            price = unit * weights.use * self._uses(looks)
            self.unit = unit * weights.coherence
            best = seen + price[self.sources] + self._apart(self.sources, looks)
            for jump in (1, 1, 4) if turn == 0 else (1, 2):
                for dy, dx in AROUND:
                    self._try_neighbours(dy * jump, dx * jump, looks, price, best)
            radius = reach
            while radius >= 1:
                self._try(self._shifted(radius, looks), looks, price, best)
                radius //= 3

    def _try_neighbours(self, dy: int, dx: int, looks: Looks, price: Tensor, best: Tensor) -> None:
        number = self.places.moved(dy, dx)
        candidate = self.sources[number.clamp(min=0)] - dy * looks.width - dx
        candidate = torch.where(number >= 0, candidate, -1)
        self._try(candidate, looks, price, best)

    def _shifted(self, radius: int, looks: Looks) -> Tensor:
        steps = torch.randint(-radius, radius + 1, (2, len(self.places)), generator=self.generator).to(
            self.sources.device
        )
        columns = self.sources % looks.width + steps[1]
        inside = (columns >= 0) & (columns < looks.width)
        return torch.where(inside, self.sources + steps[0] * looks.width + steps[1], -1)

    def _try(self, candidate: Tensor, looks: Looks, price: Tensor, best: Tensor) -> None:
        """Take over the candidates (N,) that cost less; those outside the sources are passed over."""
        inside = (candidate >= 0) & (candidate < len(looks.valid))
        usable = inside & looks.valid[candidate.clamp(0, len(looks.valid) - 1)] & (candidate != self.sources)
        numbers = usable.nonzero()[:, 0]
        if not len(numbers):
            return
        chosen = candidate[numbers]
        cost = looks.cost(numbers, chosen) + price[chosen] + self._apart(chosen, looks, numbers)
        better = cost < best[numbers]
        numbers, chosen = numbers[better], chosen[better]
        self.sources[numbers], best[numbers] = chosen, cost[better]

    def _apart(self, sources: Tensor, looks: Looks, numbers: Tensor | None = None) -> Tensor:
        """What it costs that neighbours copy other pieces."""
        count = torch.zeros(len(sources), device=sources.device)
        for near, dy, dx in self.near:
            there = near if numbers is None else near[numbers]
            other = self.sources[there.clamp(min=0)] - dy * looks.width - dx
            count += (there >= 0) & (other != sources)
        return self.unit * count

    def _uses(self, looks: Looks) -> Tensor:
        """(H * W,) how many times more often than its fair share each source place is used, at least 0."""
        height = len(looks.valid) // looks.width
        uses = torch.bincount(self.sources, minlength=len(looks.valid)).float().view(1, 1, height, looks.width)
        uses = F.avg_pool2d(uses, 5, stride=1, padding=2).flatten()
        fair = max(1.0, len(self.places) / max(1, int(looks.valid.sum())))
        return (uses / fair - 1).clamp(min=0)
