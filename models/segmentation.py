"""Photo -> suggested label map: a small U-Net of our own, used as the start when no labels are given."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import SegmenterConfig
from .masks import to_picture

STEM = 4


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


class Segmenter(nn.Module):
    """(B, 3, H, W) in [-1, 1], H and W multiples of 32 -> logits (B, labels, H/4, W/4)."""

    def __init__(self, config: SegmenterConfig, labels: int) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.down = nn.ModuleList(
            _Block(a, b, config.res_blocks) for a, b in zip((3 * STEM**2, *channels), channels, strict=False)
        )
        self.up = nn.ModuleList(
            _Block(a + b, b, config.res_blocks) for a, b in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.place = nn.Conv2d(2, channels[0], 1)  # height and width in the picture: sky is up, ground is down
        self.wide = nn.Linear(channels[-1], channels[-1])  # the whole scene, told to every place
        self.head = nn.Conv2d(channels[0], labels, 1)

    def forward(self, picture: Tensor) -> Tensor:
        return self.decode(self.features(picture))

    def features(self, picture: Tensor) -> list[Tensor]:
        """The feature maps of the way down, at 1/4, 1/8, 1/16 and 1/32 of the picture."""
        x = F.pixel_unshuffle(picture, STEM)
        skips = []
        for index, block in enumerate(self.down):
            x = block(x if index == 0 else F.avg_pool2d(x, 2))
            if index == 0:
                x = x + self.place(_coordinates(x))
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
    def label_map(self, photo: np.ndarray) -> np.ndarray:
        """Photo (H, W, 3) uint8 of any size -> label map (H, W) uint8; the mean of the photo and its mirror image."""
        height, width = photo.shape[:2]
        scale = self.config.side / max(height, width)
        size = tuple(max(32, round(v * scale / 32) * 32) for v in (width, height))
        small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        picture = to_picture(small).to(self.head.weight.device)
        shares = self(picture).softmax(1) + self(picture.flip(3)).softmax(1).flip(3)
        return _argmax_at(shares[0].float().cpu(), height, width)


def _argmax_at(shares: Tensor, height: int, width: int) -> np.ndarray:
    """Shares (C, h, w) of the labels -> most likely label at (height, width), in strips to bound the memory."""
    out = np.empty((height, width), np.uint8)
    rows = max(1, 2**22 // max(1, width))
    source = F.interpolate(shares[None], size=(min(height, 1024), min(width, 1024)), mode="bilinear")
    for top in range(0, height, rows):
        stop = min(height, top + rows)
        index = (torch.arange(top, stop).float() + 0.5) * source.shape[2] / height
        column = (torch.arange(width).float() + 0.5) * source.shape[3] / width
        out[top:stop] = source[0][:, index.long()][:, :, column.long()].argmax(0).numpy()
    return out


def _coordinates(like: Tensor) -> Tensor:
    """(B, 2, h, w): row and column in [-1, 1]."""
    height, width = like.shape[2:]
    rows = torch.linspace(-1, 1, height, device=like.device, dtype=like.dtype)[:, None].expand(height, width)
    columns = torch.linspace(-1, 1, width, device=like.device, dtype=like.dtype)[None].expand(height, width)
    return torch.stack([rows, columns])[None].expand(like.shape[0], -1, -1, -1)
