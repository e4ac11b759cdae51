"""Photo -> suggested label map: a small U-Net of our own, used as the start when no labels are given."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import SegmenterConfig
from ..pictures import to_picture
from .edges import EdgeFilter
from .scenery import CELL, Scenery, coordinates

SCALES = (1.0, 1.5)  # of the side it works at, whose answers are averaged
FINEST = 1024  # pixels: borders are drawn at no more than so many a side
HEARD = 1 / 3  # weight of what colours and contrasts say beside what the network says
LEAST = 1e-5  # no label is less likely than so
UNLIKELY = 0.02  # a label that is nowhere likelier is not on the map


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, count: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(outputs, outputs, 3, padding=1) for _ in range(count))
        self.norms = nn.ModuleList(nn.GroupNorm(8, outputs) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = x + conv(F.silu(norm(x)))
        return x


class _Context(nn.Module):
    """A residual block that looks far and costs little (Liu et al., "A ConvNet for the 2020s", 2022, section 2).

    It begins as nothing, so that it can join a network that is trained already.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.GroupNorm(8, channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.narrow = nn.Conv2d(2 * channels, channels, 1)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(F.silu(self.widen(self.norm(self.look(x)))))


class Segmenter(nn.Module):
    """(B, 3, H, W) in [-1, 1], H and W multiples of 32 -> logits (B, labels, H/4, W/4)."""

    def __init__(self, config: SegmenterConfig, labels: int) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.down = nn.ModuleList(
            _Block(a, b, config.res_blocks) for a, b in zip((3 * CELL**2, *channels), channels, strict=False)
        )
        self.up = nn.ModuleList(
            _Block(a + b, b, config.res_blocks) for a, b in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        counts = config.context or (0,) * len(channels)
        self.context = nn.ModuleList(
            nn.Sequential(*(_Context(c) for _ in range(count))) for c, count in zip(channels, counts, strict=True)
        )
        self.place = nn.Conv2d(2, channels[0], 1)  # height and width in the picture: sky is up, ground is down
        self.wide = nn.Linear(channels[-1], channels[-1])  # the whole scene, told to every place
        self.head = nn.Conv2d(channels[0], labels, 1)
        self.scenery = Scenery(config.scenery, labels) if config.scenery else None

    def forward(self, picture: Tensor) -> Tensor:
        return self.decode(self.features(picture))

    def features(self, picture: Tensor) -> list[Tensor]:
        """The feature maps of the way down, at 1/4, 1/8, 1/16 and 1/32 of the picture."""
        x = F.pixel_unshuffle(picture, CELL)
        skips = []
        for index, (block, context) in enumerate(zip(self.down, self.context, strict=True)):
            x = block(x if index == 0 else F.avg_pool2d(x, 2))
            if index == 0:
                x = x + self.place(coordinates(x))
            x = context(x)
            skips.append(x)
        return skips

    def decode(self, skips: list[Tensor]) -> Tensor:
        """Logits (B, labels, H/4, W/4) from `features`."""
        x = skips[-1]
        x = x + self.wide(x.mean((2, 3)))[:, :, None, None]
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skip], 1))
        return self.head(x)

    @torch.inference_mode()
    def label_map(self, photo: np.ndarray, exclusive: Sequence[Sequence[int]] = ()) -> np.ndarray:
        """Photo (H, W, 3) uint8 of any size -> label map (H, W) uint8.

        The mean over two scales and mirror images, and what colours and contrasts say (geometric mean, weight 1/3).

        exclusive: groups of labels of which the map holds only the one that is likelier over the whole photo.
        """
        seen = [as_seen(photo, scale * self.config.side).to(self.head.weight.device) for scale in SCALES]
        finest = tuple(n // CELL for n in seen[-1].shape[2:])
        parts = [F.interpolate(self._shares(picture), size=finest, mode="bilinear") for picture in seen]
        mean = torch.stack(parts).mean(0)
        if self.scenery is not None:
            told = F.interpolate(self.scenery(seen[0]).softmax(1).float().cpu(), size=finest, mode="bilinear")
            mean = mean.clamp_min(LEAST) ** (1 - HEARD) * told.clamp_min(LEAST) ** HEARD
        shares = mean[0].numpy()
        for group in map(list, exclusive):
            found = shares[group]
            shares[group] = 0.0
            shares[group[int(found.sum((1, 2)).argmax())]] = found.sum(0)
        return _likeliest(shares / shares.sum(0), photo)

    def _shares(self, picture: Tensor) -> Tensor:
        """How likely each label is (1, labels, h/4, w/4), the mean with the mirror image."""
        return (self(picture).softmax(1) + self(picture.flip(3)).softmax(1).flip(3)).float().cpu() / 2


def as_seen(photo: np.ndarray, longer: float) -> Tensor:
    """A photo (H, W, 3) uint8 as (1, 3, h, w) in [-1, 1], multiples of 32, its longer side about `longer` pixels."""
    height, width = photo.shape[:2]
    factor = longer / max(height, width)
    size = tuple(max(32, round(v * factor / 32) * 32) for v in (width, height))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    return to_picture(small)


def _likeliest(shares: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Shares (C, h, w) float32 of the labels -> likeliest label at each pixel (H, W, 3) of the photo, along edges."""
    height, width = photo.shape[:2]
    size = (min(width, FINEST), min(height, FINEST))
    follow = EdgeFilter(cv2.resize(photo, size, interpolation=cv2.INTER_AREA))
    best = np.full(size[::-1], -np.inf, np.float32)
    labels = np.zeros(size[::-1], np.uint8)
    for label, share in enumerate(shares):
        if share.max() > UNLIKELY:
            fine = follow(cv2.resize(share, size))
            labels[fine > best] = label
            np.maximum(best, fine, out=best)
    return cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
