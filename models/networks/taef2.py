"""TAEF2, a tiny pretrained autoencoder of photographs (MIT; layers as its page in ../shared/parts/taef2 gives them).

Pictures are (B, 3, H, W) in 0…1, H and W multiples of 8; latents (B, 32, H/8, W/8). The encoder has a global norm, so
it makes training targets only: it must never see what is to stay hidden.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import CheckpointError

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


class TAEF2(nn.Module):
    """`encoder` and `decoder`, frozen."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(3), Block()]
        for pooled in (False, False, True):
            layers += [_conv(stride=2, bias=False), *(Block(pooled) for _ in range(3))]
        self.encoder = nn.Sequential(*layers, _conv(outputs=LATENT))
        self.decoder = latent_to_picture()

    def encode(self, picture: Tensor) -> Tensor:
        latent: Tensor = self.encoder(picture)
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """Not clamped: gradients may flow."""
        picture: Tensor = self.decoder(latent)
        return picture


def load_taef2(file: Path) -> TAEF2:
    """The autoencoder of a safetensors file; CheckpointError when it cannot be read or is another network."""
    try:
        network = TAEF2()
        network.load_state_dict({name: value.float() for name, value in load_file(str(file)).items()}, strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(f"{file}: not readable as TAEF2 ({first}); give taef2_fp16.safetensors") from error
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
