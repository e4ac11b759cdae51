"""Image pyramids that are sampled place by place: fills, bands and the nearest smaller picture.

All pictures are float32 tensors (C, H, W); masks are float32 (1, H, W), 1 where a pixel counts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def shrink(picture: Tensor) -> Tensor:
    """(C, H, W) -> (C, ceil(H / 2), ceil(W / 2)), the mean of 2 x 2 pixels; odd sides are repeated once."""
    height, width = picture.shape[1:]
    padded = F.pad(picture[None], (0, width % 2, 0, height % 2), mode="replicate")
    return F.avg_pool2d(padded, 2)[0]


def grow(picture: Tensor, height: int, width: int) -> Tensor:
    """(C, h, w) -> (C, height, width), bilinear, such that `shrink` and `grow` share their pixel grid."""
    doubled = F.interpolate(picture[None], scale_factor=2, mode="bilinear", align_corners=False)[0]
    return doubled[:, :height, :width]


def filled(picture: Tensor, mask: Tensor) -> Tensor:
    """The picture with what does not count replaced by what lies near it (push and pull)."""
    if min(picture.shape[1:]) <= 1 or bool((mask > 0).all()):
        weight = mask.clamp(min=1e-6)
        return torch.where(mask > 0, picture, ((picture * weight).sum((1, 2)) / weight.sum())[:, None, None])
    share = shrink(mask)
    small = shrink(picture * mask) / share.clamp(min=1e-6)
    below = filled(torch.where(share > 0, small, 0.0), (share > 0).float())
    return torch.where(mask > 0, picture, grow(below, *picture.shape[1:]))


def bands(picture: Tensor, count: int) -> list[Tensor]:
    """`count` differences, finest first, and what is left below them: `collapse` puts them together again."""
    result = []
    for _ in range(count):
        small = shrink(picture)
        result.append(picture - grow(small, *picture.shape[1:]))
        picture = small
    return [*result, picture]


def collapse(parts: list[Tensor]) -> Tensor:
    picture = parts[-1]
    for band in reversed(parts[:-1]):
        picture = grow(picture, *band.shape[1:]) + band
    return picture


def smooth(picture: Tensor, mask: Tensor, sigma: float) -> Tensor:
    """Gaussian mean over the pixels that count; sigma in pixels."""
    if sigma > 4 and min(picture.shape[1:]) > 8:  # as good, at a quarter of the pixels
        share = shrink(mask)
        small = shrink(picture * mask) / share.clamp(min=1e-6)
        return grow(smooth(small, share, sigma / 2), *picture.shape[1:])
    radius = max(1, round(3 * sigma))
    places = torch.arange(-radius, radius + 1, dtype=picture.dtype, device=picture.device)
    kernel = torch.exp(-0.5 * (places / sigma) ** 2)

    def blurred(x: Tensor) -> Tensor:
        x = F.conv2d(F.pad(x[:, None], (radius, radius, 0, 0)), kernel.view(1, 1, 1, -1))
        return F.conv2d(F.pad(x, (0, 0, radius, radius)), kernel.view(1, 1, -1, 1))[:, 0]

    return blurred(picture * mask) / blurred(mask).clamp(min=1e-4)
