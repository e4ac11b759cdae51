"""Moment matching: features vary among drawn pictures as they do among photos.

A loss that compares each drawn picture with its own original leaves it nearer to the average picture than photos are,
since what the codes do not say is best guessed in the middle. Over many pictures that shows: means are off and
deviations too small. Here both are followed as moving averages, and each batch is pushed to where they would agree
(dos Santos et al., "Learning Implicit Generative Models by Matching Perceptual Features", ICCV 2019, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .. import team

DECAY = 0.99
ENOUGH = 0.5  # of the moving averages' weight, before anything is pushed


class Moments(nn.Module):
    """Moving averages of pooled features, of pictures drawn and of pictures wanted: (2, C), mean and mean square."""

    drawn: Tensor
    wanted: Tensor
    weight: Tensor

    def __init__(self, channels: Sequence[int]) -> None:
        """channels: of the feature maps that will be compared."""
        super().__init__()
        self.register_buffer("drawn", torch.zeros(2, sum(channels)))
        self.register_buffer("wanted", torch.zeros(2, sum(channels)))
        self.register_buffer("weight", torch.zeros(()))

    def forward(self, drawn: Sequence[Tensor], wanted: Sequence[Tensor]) -> tuple[Tensor, float]:
        """Feature maps [(B, C, h, w)] of both batches -> a loss whose gradient flows to `drawn`, and the distance now.

        The distance is that of two Gaussians with independent channels, a channel, in deviations of the wanted ones.
        Its gradient is the loss's; the loss's own value means nothing.
        """
        a, b = (torch.cat([x.float().mean((2, 3)) for x in maps], 1) for maps in (drawn, wanted))
        with torch.no_grad():
            for kept, new in ((self.drawn, a), (self.wanted, b)):
                kept.lerp_(team.total(torch.stack([new.mean(0), new.square().mean(0)])) / team.size(), 1 - DECAY)
            self.weight.lerp_(torch.ones_like(self.weight), 1 - DECAY)
            (mean, spread), (right, scale) = (self._gaussian(kept) for kept in (self.drawn, self.wanted))
            apart, narrow = (mean - right) / scale, spread / scale - 1
        distance = float((apart.square() + narrow.square()).mean())
        if self.weight < ENOUGH:
            return a.sum() * 0, distance
        push = 2 * apart * a / scale + narrow * (a - mean).square() / (scale * spread)
        return push.mean(), distance

    def _gaussian(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (C,) of what was followed."""
        mean, square = kept / self.weight
        return mean, (square - mean.square()).clamp(min=1e-8).sqrt() + 1e-4
