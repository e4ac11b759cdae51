"""Perceptual distance on EfficientNet-Lite0 features; used while training and evaluating only.

The weights are a public Apache-2.0 backbone that is not part of the product; `load_backbone` takes its file.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..weights import TrainingError

# (blocks, kernel, stride, expansion, channels) of the stages 1-7
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320))  # fmt: skip
PERCEPTUAL = 5  # stages that the perceptual distance compares


def _same_pad(x: Tensor, kernel: int, stride: int) -> Tensor:
    pads: list[int] = []
    for size in (x.shape[3], x.shape[2]):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads) if any(pads) else x


class Conv(nn.Module):
    """Convolution with the batch norm folded into it and TensorFlow padding."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: int, groups: int, relu: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last), requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.stride, self.groups, self.relu = stride, groups, relu

    def forward(self, x: Tensor) -> Tensor:
        x = _same_pad(x, self.weight.shape[2], self.stride)
        x = F.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)
        return F.relu6(x) if self.relu else x


class Backbone(nn.Module):
    """Features after the stages; input (B, 3, H, W) in [-1, 1], side at least 64."""

    def __init__(self, weights: dict[str, Tensor], stages: int = PERCEPTUAL) -> None:
        super().__init__()

        def conv(name: str, norm: str, stride: int = 1, depthwise: bool = False, relu: bool = True) -> Conv:
            weight = weights[f"{name}.weight"].float()
            mean, var, scale, shift = (
                weights[f"{norm}.{part}"].float() for part in ("running_mean", "running_var", "weight", "bias")
            )
            factor = scale / (var + 1e-3).sqrt()
            groups = weight.shape[0] if depthwise else 1
            return Conv(weight * factor[:, None, None, None], shift - mean * factor, stride, groups, relu)

        self.stem = conv("_conv_stem", "_bn0", 2)
        self.stages = nn.ModuleList()
        number = 0
        for blocks, _, stride, expand, _ in STAGES[:stages]:
            stage = nn.ModuleList()
            for first in [True] + [False] * (blocks - 1):
                name = f"_blocks.{number}"
                layers = [conv(f"{name}._expand_conv", f"{name}._bn0")] if expand > 1 else []
                layers.append(conv(f"{name}._depthwise_conv", f"{name}._bn1", stride if first else 1, depthwise=True))
                layers.append(conv(f"{name}._project_conv", f"{name}._bn2", relu=False))
                stage.append(nn.Sequential(*layers))
                number += 1
            self.stages.append(stage)

    def forward(self, x: Tensor) -> list[Tensor]:
        """One feature map per stage."""
        features = []
        x = self.stem(x)
        for stage in self.stages:
            assert isinstance(stage, nn.ModuleList)
            for index, block in enumerate(stage):
                out = block(x)
                x = x + out if index > 0 else out
            features.append(x)
        return features


def load_backbone(file: Path, stages: int = PERCEPTUAL) -> Backbone:
    """The backbone of a safetensors file; raises TrainingError when it cannot be read or is of another network."""
    try:
        return Backbone(load_file(str(file)), stages).eval()
    except (OSError, SafetensorError, KeyError) as error:
        raise TrainingError(f"{file}: not readable as EfficientNet-Lite0 ({error}); give another --backbone") from error


def perceptual_distance(backbone: Backbone, first: Tensor, second: Tensor) -> Tensor:
    """(B,) `feature_distance` of two batches of pictures in [-1, 1]; gradients flow to the first."""
    with torch.no_grad():
        targets = backbone(second)[:PERCEPTUAL]
    return feature_distance(backbone(first)[:PERCEPTUAL], targets)


def feature_distance(first: list[Tensor], second: list[Tensor]) -> Tensor:
    """(B,) mean over stages of the squared difference of channel-normalised feature maps."""
    total = torch.zeros(first[0].shape[0], device=first[0].device)
    for a, b in zip(first, second, strict=True):
        a, b = (f.float() / (f.float().square().sum(1, keepdim=True) + 1e-8).sqrt() for f in (a, b))
        total = total + (a - b).square().sum(1).mean((1, 2))
    return total / len(first)
