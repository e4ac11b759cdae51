"""Layers whose outputs at unmasked positions never see a masked pixel.

Masked convolution, region norm and masked attention of the image encoder (specification, sections 7.2-7.4;
iLAT, equations 2 and 3). `Region` carries the mask through the layers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import Semantics

NORM_EPS = 1e-6
GROUPS = 32
STRIP = 64  # rows
LARGE = 2**26  # values of a feature map from which convolutions work in strips


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
        super().__init__(inputs, outputs, 3, stride=stride)
        self.strips = False  # work in strips of rows: less memory, the same result

    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        if region is None:
            return self._whole(x)
        mask = region.at(x)
        step = self.stride[0]
        small = mask if step == 1 else F.interpolate(mask, size=(x.shape[2] // 2, x.shape[3] // 2), mode="nearest")
        if region.known_only:
            return self._whole(x * (1 - mask)) * (1 - small)
        ones = torch.ones(1, 1, 3, 3, dtype=mask.dtype, device=mask.device)
        leak = (F.conv2d(F.pad(mask, self._pads()), ones, stride=step).clamp(0, 1) - small).clamp(0, 1)
        out = self._whole(x)
        box = _bounds(leak)
        if box is None:
            return out
        # Only the ring round the mask needs the convolution of the known part.
        rows, columns = box
        top, bottom = _window(rows, step)
        left, right = _window(columns, step)
        height, width = x.shape[2:]
        seen = (..., slice(max(0, top), min(height, bottom)), slice(max(0, left), min(width, right)))
        border = (max(0, -left), max(0, right - width), max(0, -top), max(0, bottom - height))
        padded = F.pad(x[seen] * (1 - mask[seen]), border)
        known = F.conv2d(padded, self.weight, self.bias, stride=step)
        share = leak[..., rows, columns]
        out[..., rows, columns] = out[..., rows, columns] * (1 - share) + known * share
        return out

    def _pads(self) -> tuple[int, int, int, int]:
        return (1, 1, 1, 1) if self.stride[0] == 1 else (0, 1, 0, 1)

    def _whole(self, x: Tensor) -> Tensor:
        """Ordinary convolution of all of x, in strips of rows where it is large."""
        if self.stride[0] == 2:
            return F.conv2d(F.pad(x, self._pads()), self.weight, self.bias, stride=2)
        large = x.numel() >= LARGE and not torch.is_grad_enabled()
        if x.shape[2] <= STRIP or not (large or self.strips):
            return F.conv2d(x, self.weight, self.bias, padding=1)
        out = x.new_empty(x.shape[0], self.out_channels, x.shape[2], x.shape[3])
        for top in range(0, x.shape[2], STRIP):
            bottom = min(x.shape[2], top + STRIP)
            first, last = max(0, top - 1), min(x.shape[2], bottom + 1)
            strip = F.pad(x[:, :, first:last], (1, 1, first - top + 1, bottom + 1 - last))
            out[:, :, top:bottom] = F.conv2d(strip, self.weight, self.bias)
        return out


def _window(outputs: slice, step: int) -> tuple[int, int]:
    """First and last + 1 of the inputs that these outputs of a 3-wide convolution see, perhaps beyond the border."""
    before = 1 if step == 1 else 0
    return step * outputs.start - before, step * (outputs.stop - 1) - before + 3


def _bounds(mask: Tensor) -> tuple[slice, slice] | None:
    """Rows and columns of the box round the non-zero positions of (B, 1, H, W), or None when there are none."""
    used = mask.amax((0, 1)) > 0
    rows, columns = used.any(1).nonzero()[:, 0], used.any(0).nonzero()[:, 0]
    if len(rows) == 0:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


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
        box = None if region.known_only else _bounds(mask)
        normalise = _reference_region if region.semantics is Semantics.REFERENCE else _clean_region
        out = torch.empty_like(x)
        size = x.shape[1] // GROUPS
        for first in range(0, x.shape[1], size):  # group by group: no second copy of a large feature map
            channels = slice(first, first + size)
            group, weight, bias = x[:, channels], self.weight[channels], self.bias[channels]
            known = normalise(group, mask) * weight[:, None, None] + bias[:, None, None]
            if region.known_only:
                known = known * (1 - mask)
            elif box is not None:
                part = (..., *box)
                whole = F.group_norm(group, 1, weight, bias, NORM_EPS)
                known[part] = known[part] * (1 - mask[part]) + whole[part] * mask[part]
            out[:, channels] = known
        return out


def _reference_region(group: Tensor, mask: Tensor) -> Tensor:
    """The published region norm of one group (B, k, H, W): both counts are of pixels, without the factor k."""
    batch, channels, height, width = group.shape
    pixels = (1 - mask).expand(batch, 1, height, width).sum((1, 2, 3), keepdim=True)
    known = group * (1 - mask)
    mean = known.sum((1, 2, 3), keepdim=True) / pixels
    filled = known + mean * mask
    return F.group_norm(filled, 1, eps=NORM_EPS) * (pixels / (channels * height * width)).sqrt()


def _clean_region(group: Tensor, mask: Tensor) -> Tensor:
    """Normalised by mean and variance over the unmasked positions of the group (B, k, H, W)."""
    batch, channels, height, width = group.shape
    keep = (1 - mask).expand(batch, 1, height, width)
    count = keep.sum((1, 2, 3), keepdim=True).clamp(min=1) * channels
    centred = group - (group * keep).sum((1, 2, 3), keepdim=True) / count
    variance = (centred * keep).square().sum((1, 2, 3), keepdim=True) / count
    return centred * (variance + NORM_EPS).rsqrt()


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
