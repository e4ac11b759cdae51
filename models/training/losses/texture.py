"""Texture distance: how differently features are distributed within small parts of two pictures.

A picture whose codes say "grass, about here" cannot have each blade where the original has it, so losses that
compare place by place make it blur. This one compares the sorted projections of the features of each part on random
directions: the sliced Wasserstein distance (Heitz et al., "A Sliced Wasserstein Loss for Neural Texture Synthesis",
CVPR 2021), here within windows of 16 pixels or a little more, so that each region keeps its own texture and edges.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW = 16  # pixels, and
CELLS = 8  # positions of the feature map a window is wide at least
DIRECTIONS = 24


def texture_distance(first: list[Tensor], second: list[Tensor], side: int, directions: int = DIRECTIONS) -> Tensor:
    """Mean over feature maps of the distance of their distributions within windows; gradients flow to `first`.

    first, second: feature maps (B, C, h, w) of two batches of pictures of `side` pixels, at any scales.
    """
    total = torch.zeros((), device=first[0].device)
    for a, b in zip(first, second, strict=True):
        a, b = a.float(), b.float()
        scale = b.std((0, 2, 3), keepdim=True) + 1e-4
        axes = F.normalize(torch.randn(directions, a.shape[1], 1, 1, device=a.device), dim=1)
        cells = max(CELLS, WINDOW * a.shape[2] // side)
        drawn, wanted = (_sorted(F.conv2d(x / scale, axes), cells) for x in (a, b))
        total = total + (drawn - wanted).abs().mean()
    return total / len(first)


def mean_distance(first: list[Tensor], second: list[Tensor]) -> Tensor:
    """How differently features are on average over each picture, in standard deviations; gradients flow to `first`.

    What windows of a few pixels cannot tell from chance, a bias of all of them, shows in the whole picture.
    """
    total = torch.zeros((), device=first[0].device)
    for a, b in zip(first, second, strict=True):
        a, b = a.float(), b.float()
        scale = b.std((0, 2, 3)) + 1e-4
        apart = (a.mean((2, 3)) - b.mean((2, 3))) / scale
        total = total + (apart.square().mean(1) + 1e-6).sqrt().mean()
    return total / len(first)


def grain(picture: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 9, H, W): differences to the right and lower neighbour, and to the mean of the 3x3 around."""
    padded = F.pad(picture, (0, 1, 0, 1), mode="replicate")
    right, below = padded[..., :-1, 1:] - picture, padded[..., 1:, :-1] - picture
    around = F.avg_pool2d(F.pad(picture, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return torch.cat([right, below, picture - around], 1)


def _sorted(x: Tensor, cells: int) -> Tensor:
    """(B, D, h, w) -> (B * windows * D, cells**2), each row in rising order."""
    batch, axes, height, width = x.shape
    x = x.reshape(batch, axes, height // cells, cells, width // cells, cells)
    return x.permute(0, 1, 2, 4, 3, 5).reshape(-1, cells * cells).sort(1).values
