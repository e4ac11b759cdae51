"""Layers whose outputs at unmasked positions never see a masked pixel.

Masked convolution, region norm and masked attention of the image encoder (specification, sections 7.2-7.4;
iLAT, equations 2 and 3). `Region` carries the mask through the layers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Semantics

NORM_EPS = 1e-6
GROUPS = 32
STRIP = 64  # rows


class Region:
    """A mask and how the layers are to treat it.

    mask: (B or 1, 1, H, W) float, 1 = masked (to be generated); resized by nearest (top-left) where needed.
    known_only: outputs at masked positions are not wanted (they come out as zero); costs one convolution a
    layer instead of two.
    """

    def __init__(self, mask: Tensor, semantics: Semantics, known_only: bool = False) -> None:
        self.mask = mask.float()
        self.semantics = semantics
        self.known_only = known_only
        self._sizes: dict[tuple[int, int, torch.dtype], Tensor] = {}

    def at(self, like: Tensor) -> Tensor:
        """The mask at the size and dtype of feature map `like` (B, C, h, w)."""
        size = (like.shape[2], like.shape[3])
        key = (*size, like.dtype)
        if key not in self._sizes:
            mask = self.mask
            if mask.shape[2] != size[0]:
                mask = F.interpolate(mask, size=size, mode="nearest")
            self._sizes[key] = mask.to(like.dtype)
        return self._sizes[key]


class MaskedConv2d(nn.Conv2d):
    """3x3 convolution; with a region, unmasked outputs are computed from unmasked inputs only.

    Stride 1 pads by 1; stride 2 pads right and bottom by 1. No renormalisation by the number of valid inputs.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride=stride, padding=1 if stride == 1 else 0)
        self.strips = False  # work in strips of rows: less memory, the same result

    def _in_strips(self, x: Tensor) -> Tensor:
        out = x.new_empty(x.shape[0], self.out_channels, x.shape[2], x.shape[3])
        for top in range(0, x.shape[2], STRIP):
            bottom = min(x.shape[2], top + STRIP)
            first, last = max(0, top - 1), min(x.shape[2], bottom + 1)
            strip = F.pad(x[:, :, first:last], (1, 1, first - top + 1, bottom + 1 - last))
            out[:, :, top:bottom] = F.conv2d(strip, self.weight, self.bias)
        return out

    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        halve = self.stride[0] == 2
        if region is None:
            if self.strips and not halve and x.shape[2] > STRIP:
                return self._in_strips(x)
            return super().forward(F.pad(x, (0, 1, 0, 1)) if halve else x)
        mask = region.at(x)
        if halve:
            small = F.interpolate(mask, size=(x.shape[2] // 2, x.shape[3] // 2), mode="nearest")
            x, mask = F.pad(x, (0, 1, 0, 1)), F.pad(mask, (0, 1, 0, 1))
        else:
            small = mask
        known = super().forward(x * (1 - mask))
        if region.known_only:
            return known * (1 - small)
        ones = torch.ones(1, 1, 3, 3, dtype=mask.dtype, device=mask.device)
        dilated = F.conv2d(mask, ones, stride=self.stride, padding=self.padding).clamp(0, 1)
        leak = (dilated - small).clamp(0, 1)
        return super().forward(x) * (1 - leak) + known * leak


class Norm(nn.Module):
    """GroupNorm with 32 groups that becomes region norm where a region is given (specification, section 7.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        if region is None:
            return F.group_norm(x, GROUPS, self.weight, self.bias, NORM_EPS)
        mask = region.at(x)
        weight, bias = self.weight[:, None, None], self.bias[:, None, None]
        normalise = _reference_region if region.semantics is Semantics.REFERENCE else _clean_region
        known = normalise(x, mask) * weight + bias
        if region.known_only:
            return known * (1 - mask)
        return known * (1 - mask) + F.group_norm(x, GROUPS, self.weight, self.bias, NORM_EPS) * mask


def _reference_region(x: Tensor, mask: Tensor) -> Tensor:
    """The published region norm: both counts are of pixels, without the factor of channels per group."""
    batch, channels, height, width = x.shape
    per_group = channels // GROUPS
    pixels = (1 - mask).expand(batch, 1, height, width).sum((1, 2, 3))  # (B,)
    grouped = (x * (1 - mask)).view(batch, GROUPS, -1).sum(2)
    mean = (grouped / pixels[:, None]).repeat_interleave(per_group, 1)[:, :, None, None]
    filled = x * (1 - mask) + mean * mask
    scale = (pixels / (per_group * height * width)).sqrt()[:, None, None, None]
    return F.group_norm(filled, GROUPS, eps=NORM_EPS) * scale


def _clean_region(x: Tensor, mask: Tensor) -> Tensor:
    """Mean and variance over the unmasked positions of each group; an empty region gives zeros."""
    batch, channels, height, width = x.shape
    keep = (1 - mask).expand(batch, 1, height, width)
    count = keep.sum((1, 2, 3)).clamp(min=1)[:, None] * (channels // GROUPS)  # (B, 1)
    spread = (batch, GROUPS, channels // GROUPS, height, width)
    kept = (x * keep).reshape(spread)
    mean = (kept.sum((2, 3, 4)) / count)[:, :, None, None, None]
    centred = (x.reshape(spread) - mean) * keep[:, :, None]
    variance = (centred.square().sum((2, 3, 4)) / count)[:, :, None, None, None]
    return (centred / (variance + NORM_EPS).sqrt()).view(x.shape)


class PositionNorm(nn.Module):
    """Layer norm over the channels of each position: nothing travels across the picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        last = x.permute(0, 2, 3, 1)
        out = F.layer_norm(last, self.weight.shape, self.weight, self.bias, NORM_EPS).permute(0, 3, 1, 2)
        return out if region is None or not region.known_only else out * (1 - region.at(out))


class AttentionBlock(nn.Module):
    """Single-head attention over all positions; unmasked positions attend to unmasked ones only (section 7.4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = Norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        normed = self.norm(x, region)
        q, k, v = (layer(normed).flatten(2) for layer in (self.q, self.k, self.v))  # (B, C, L)
        # Softmax written out: the fused CPU kernel approximates exp, which costs more than the parity tolerance.
        scores = (q * x.shape[1] ** -0.5).transpose(1, 2) @ k
        if region is not None:
            masked = region.at(x).flatten(2)[:, 0] > 0.5  # (B, L)
            scores = scores.masked_fill(~masked[:, :, None] & masked[:, None, :], float("-inf"))
        return x + self.proj_out((v @ scores.softmax(2).transpose(1, 2)).view(x.shape))
