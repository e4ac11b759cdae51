"""A decoder's grid: contrast that depends on the place within its cells.

A decoder draws from cells of 16, 8, 4 and 2 pixels. Losses of texture ask for contrast but not for where it is, and
within a cell it is had more cheaply than across its border: then neighbouring pixels differ less there than elsewhere,
which shows as a faint mesh. In photos every place is like every other, save for the blocks of JPEG.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

COARSEST = 16  # pixels
AXES = (2, 3)


def grid_distance(first: Tensor, second: Tensor, period: int = COARSEST) -> Tensor:
    """How far the grids of two batches of pictures (B, C, H, W) are apart; gradients flow to `first`.

    0.1: the contrast at a place in the period is 10 % off on average, beside that of all places.
    """
    apart = [(contrast(first, axis, period) - contrast(second, axis, period)).abs().mean() for axis in AXES]
    return torch.stack(apart).mean()


def grid_strength(pictures: Iterable[Tensor], period: int = 4) -> float:
    """(largest - smallest contrast of a place) / mean over all pictures (B, C, H, W), in rows and in columns."""
    found = [torch.stack([contrast(picture, axis, period) for axis in AXES]) for picture in pictures]
    places = torch.stack(found).mean((0, 1))
    return float(places.max() - places.min())


def contrast(pictures: Tensor, axis: int, period: int) -> Tensor:
    """(period,): mean difference of neighbours along an axis by the place of the first of them, beside that of all."""
    found = pictures.float().diff(dim=axis).abs().transpose(axis, 0).flatten(1).mean(1)
    found = found[: len(found) // period * period].reshape(-1, period).mean(0)
    return found / (found.mean() + 1e-6)
