"""Mosaics: large training pictures put together from small ones, without enlarging them.

SGA learns at 512, where few photos are sharp; a small photo enlarged twice is sharp nowhere, and teaches haze.
In a mosaic each piece keeps its own scale, as in the mosaics that detectors train on (Bochkovskiy et al., YOLOv4,
2020, section 3.3). The seams lie anywhere, on multiples of a token, so that no token holds two photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .data import Pair, random_crop

TOKEN = 16  # pixels
ACROSS = 3  # pieces of half the mosaic's side, of which a square of two by two is cut


@dataclass(frozen=True)
class Mosaic:
    """Nine pairs, row by row, and where the cut lies (tokens); loads like a `Pair` of `side` pixels."""

    pieces: tuple[Pair, ...]
    side: int
    top: int
    left: int

    @property
    def id(self) -> str:
        return "+".join(piece.id for piece in self.pieces)

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """Photo (side, side, 3) and labels (side, side), uint8; raises DataError naming a piece that is broken."""
        half = self.side // 2
        rng = np.random.default_rng((self.top, self.left))
        loaded = [random_crop(*piece.load(), half, rng) for piece in self.pieces]
        cut = np.s_[TOKEN * self.top : TOKEN * self.top + self.side, TOKEN * self.left : TOKEN * self.left + self.side]
        whole = []
        for part in range(2):
            rows = [np.hstack([x[part] for x in loaded[i : i + ACROSS]]) for i in range(0, ACROSS**2, ACROSS)]
            whole.append(np.ascontiguousarray(np.vstack(rows)[cut]))
        return whole[0], whole[1]


def mosaics(pairs: Sequence[Pair], count: int, side: int, seed: int = 0) -> tuple[Mosaic, ...]:
    """`count` mosaics of `side` pixels from shuffled pairs, each used as often as the next."""
    if not pairs or not count:
        return ()
    rng = np.random.default_rng((seed, 17))
    rounds = -(-count * ACROSS**2 // len(pairs))
    order = np.concatenate([rng.permutation(len(pairs)) for _ in range(rounds)])
    made = []
    for number in range(count):
        pieces = tuple(pairs[i] for i in order[number * ACROSS**2 : (number + 1) * ACROSS**2])
        top, left = (int(v) for v in rng.integers(side // 2 // TOKEN + 1, size=2))
        made.append(Mosaic(pieces, side, top, left))
    return tuple(made)
