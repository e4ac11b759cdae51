"""Figures that compare pictures: PSNR, SSIM, perceptual and Fréchet distance.

Pictures are (H, W, 3) uint8. Perceptual and Fréchet distance read an EfficientNet-Lite0 trained on ImageNet
(`../shared/parts/perceptual`), which is no part of the product; without its file they are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from ..networks.pictures import to_picture
from ..training.losses.perceptual import PERCEPTUAL, Backbone, feature_distance, load_backbone

STAGES = 6


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB."""
    error = np.square(first.astype(np.float64) - second).mean()
    return float(10 * np.log10(255.0**2 / max(error, 1e-9)))


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Structural similarity of the grey pictures (Wang et al. 2004: Gaussian window, sigma 1.5, 11 pixels)."""
    a, b = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float64) for p in (first, second))

    def mean(x: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.GaussianBlur(x, (11, 11), 1.5))

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    values = ((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
    return float(values[5:-5, 5:-5].mean())


@dataclass(frozen=True)
class Features:
    """What the backbone sees in one picture: maps for the perceptual distance, statistics for the Fréchet one."""

    maps: list[torch.Tensor]
    statistics: np.ndarray  # (448,) spatial means of the maps after the stages 2-6


class Eye:
    """The backbone that looks at pictures."""

    def __init__(self, file: Path) -> None:
        self.backbone: Backbone = load_backbone(file, STAGES)

    @torch.inference_mode()
    def look(self, picture: np.ndarray) -> Features:
        maps = self.backbone(to_picture(picture))
        return Features(maps[:PERCEPTUAL], torch.cat([m.mean((2, 3))[0] for m in maps[1:]]).double().numpy())


def perceptual(first: Features, second: Features) -> float:
    """Mean over the stages 1-5 of the squared difference of channel-normalised features (0: the same picture)."""
    return float(feature_distance(first.maps, second.maps))


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Fréchet distance of two sets of statistics (N, d), each taken as a Gaussian (Heusel et al. 2017).

    Both sets are first divided by the standard deviations of `second` (the real pictures), so that no channel
    counts for more because its numbers are larger. Depends on N: compare only figures of equal N.
    """
    scale = second.std(0) + 1e-6
    a, b = first / scale, second / scale
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    roots = np.linalg.eigvals(ca @ cb).real.clip(min=0)
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(ca) + np.trace(cb) - 2 * np.sqrt(roots).sum())
