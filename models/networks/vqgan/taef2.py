"""The decoder of TAEF2, a tiny pretrained autoencoder of photographs (MIT; layers as its page in ../shared/parts/taef2
gives them): latents (B, 32, H/8, W/8) -> pictures (B, 3, H, W) in 0…1."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, LATENT = 64, 32


def _conv(inputs: int = WIDTH, outputs: int = WIDTH, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=bias)


class Block(nn.Module):
    """Three convolutions beside the identity; `pooled` adds what a wide normalised layer says first."""

    def __init__(self, pooled: bool = False) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(), nn.ReLU(), _conv(), nn.ReLU(), _conv())
        self.pool = None
        if pooled:
            self.pool = nn.Sequential(
                nn.Conv2d(WIDTH, 4 * WIDTH, 1, bias=False), nn.GroupNorm(4, 4 * WIDTH), nn.ReLU(),
                nn.Conv2d(4 * WIDTH, WIDTH, 1, bias=False),
            )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        if self.pool is not None:
            x = x + self.pool(x)
        return F.relu(self.conv(x) + x)


class Squash(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 3 * torch.tanh(x / 3)


def latent_to_picture() -> nn.Sequential:
    """TAEF2's decoder without weights."""
    layers: list[nn.Module] = [Squash(), _conv(LATENT), nn.ReLU()]
    for blocks, pooled in ((3, True), (3, False), (3, False)):
        layers += [*(Block(pooled) for _ in range(blocks)), nn.Upsample(scale_factor=2), _conv(bias=False)]
    return nn.Sequential(*layers, Block(), _conv(outputs=3))
