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
AREA = 32  # pixels; each area counts alike, since a mesh shows most where the picture is smooth
FAINT = 0.004  # of -1 to 1, half a level of 255: contrast that no one sees
AXES = (2, 3)


def grid_loss(pictures: Tensor, period: int = COARSEST) -> Tensor:
    """How strong the grid of a batch of pictures (B, C, H, W) is; H and W at least AREA + 1.

    0.1: the contrast at a place in the period is 10 % off on average, beside that of all places.
    """
    return torch.stack([(contrast(pictures, axis, period) - 1).abs().mean() for axis in AXES]).mean()


def grid_strength(pictures: Iterable[Tensor], period: int = 4) -> float:
    """Largest - smallest contrast of a place over all pictures (B, C, H, W), beside the mean; of rows and columns."""
    found = [torch.stack([contrast(picture, axis, period) for axis in AXES]) for picture in pictures]
    places = torch.stack(found).mean(0)
    return float((places.amax(1) - places.amin(1)).mean())


def contrast(pictures: Tensor, axis: int, period: int) -> Tensor:
    """(period,): mean difference of neighbours along an axis by the place of the first of them, beside that of all."""
    found = pictures.float().diff(dim=axis).abs().mean(1)
    if axis == 2:
        found = found.transpose(1, 2)
    found = found[:, : found.shape[1] // AREA * AREA, : found.shape[2] // AREA * AREA]
    found = found.unflatten(2, (-1, AREA // period, period)).unflatten(1, (-1, AREA)).mean((2, 4))
    found = (found / (found.mean(3, keepdim=True) + FAINT)).mean((0, 1, 2))
    return found / (found.mean() + 1e-6)
