"""From codes to the latents of a pretrained autoencoder: what they leave open is told by labels and noise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .masking import PositionNorm

WIDTHS = (256, 192)


class Residual(nn.Module):
    """Two normalised convolutions beside the identity; zero-initialised, so that it starts as the identity."""

    def __init__(self, width: int, hints: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = PositionNorm(width), PositionNorm(width)
        self.conv_1, self.conv_2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.hint = nn.Conv2d(hints, width, 1, bias=False)
        nn.init.zeros_(self.conv_2.weight)
        nn.init.zeros_(self.hint.weight)

    def forward(self, x: Tensor, hints: Tensor) -> Tensor:
        inner = self.conv_1(F.silu(self.norm_1(x))) + self.hint(hints)
        result: Tensor = x + self.conv_2(F.silu(self.norm_2(inner)))
        return result


class LatentDecoder(nn.Module):
    """Features (B, embed, h, w) of codes or known places -> latents (B, latent, 2h, 2w).

    labels: (B or 1, labels, any, any) share of each label, pooled to each size; noise: channels of Gaussian noise at
    the finer size. widths: channels at the codes' size and at twice that; blocks: of each.
    """

    def __init__(
        self, embed: int, latent: int, labels: int, noise: int = 8, widths: tuple[int, int] = WIDTHS,
        blocks: tuple[int, int] = (4, 3),
    ) -> None:  # fmt: skip
        super().__init__()
        self.noise, self.labels = noise, labels
        self.conv_in = nn.Conv2d(embed, widths[0], 3, padding=1)
        self.coarse = nn.ModuleList(Residual(widths[0], labels) for _ in range(blocks[0]))
        self.grow = nn.Conv2d(widths[0], widths[1], 3, padding=1)
        self.fine = nn.ModuleList(Residual(widths[1], labels + noise) for _ in range(blocks[1]))
        self.norm_out = PositionNorm(widths[1])
        self.conv_out = nn.Conv2d(widths[1], latent, 3, padding=1)

    def forward(self, features: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        """noise: (B, noise, 2h, 2w); None: new noise."""
        x = self.conv_in(features)
        hints = F.adaptive_avg_pool2d(labels, x.shape[2:]).expand(len(x), -1, -1, -1)
        for block in self.coarse:
            x = block(x, hints)
        x = self.grow(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        if noise is None:
            noise = torch.randn(len(x), self.noise, *x.shape[2:], device=x.device, dtype=x.dtype)
        hints = F.adaptive_avg_pool2d(labels, x.shape[2:]).expand(len(x), -1, -1, -1)
        hints = torch.cat([hints, noise], 1)
        for block in self.fine:
            x = block(x, hints)
        result: Tensor = self.conv_out(F.silu(self.norm_out(x)))
        return result
