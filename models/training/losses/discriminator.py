"""Discriminators and the adaptive adversarial weight (Taming Transformers, section 3.1, equation 7).

With a backbone at hand its features are judged, else pixels. The features cost nothing that the perceptual loss has
not paid for already, and a discriminator that can see learns in hundreds of steps what one of pixels takes
many thousands for.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

FEATURE_SCALE = 6.0  # root mean square of EfficientNet-Lite0's feature maps


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches of pictures, given the label map: a label projection adds to each score."""

    def __init__(self, labels: int, channels: int = 48) -> None:
        super().__init__()
        widths = (channels, 2 * channels, 4 * channels)
        self.layers = nn.ModuleList()
        inputs = 3
        for width in widths:
            self.layers.append(spectral_norm(nn.Conv2d(inputs, width, 4, stride=2, padding=1)))
            inputs = width
        self.layers.append(spectral_norm(nn.Conv2d(inputs, inputs, 3, padding=1)))
        self.score = nn.Conv2d(inputs, 1, 1)
        self.project = _blank(nn.Embedding(labels, inputs))

    def forward(self, seen: Sequence[Tensor], labels: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """seen: one picture (B, 3, H, W) in [-1, 1]; labels (B, H, W) int64 -> scores [(B, 1, H/8, W/8)] and the
        features of each layer."""
        features = []
        (x,) = seen
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return [self.score(x) + projected(x, labels, self.project)], features


class FeatureDiscriminator(nn.Module):
    """Judges what a frozen backbone sees in pictures, at each of its scales (Sauer et al., "Projected GANs Converge
    Faster", NeurIPS 2021, section 3), given the label map.

    Fixed random convolutions mix the channels of each scale and add what the coarser ones hold, so that no
    discriminator can rest on the few channels that are easiest.
    """

    def __init__(self, channels: Sequence[int], labels: int, width: int = 64) -> None:
        """channels: of the backbone's feature maps, finest first."""
        super().__init__()
        self.mix = nn.ModuleList(_fixed(nn.Conv2d(c, width, 1, bias=False)) for c in channels)
        self.deeper = nn.ModuleList(_fixed(nn.Conv2d(width, width, 3, padding=1, bias=False)) for _ in channels[1:])
        self.layers = nn.ModuleList(
            nn.Sequential(
                spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
                nn.LeakyReLU(0.2),
            )
            for _ in channels
        )
        self.scores = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in channels)
        self.project = nn.ModuleList(_blank(nn.Embedding(labels, width)) for _ in channels)

    def forward(self, seen: Sequence[Tensor], labels: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """seen: the backbone's feature maps; labels (B, H, W) int64 -> a map of scores (B, 1, h, w) for each, and no
        features to match (the perceptual loss does that)."""
        mixed = [mix(x / FEATURE_SCALE) for mix, x in zip(self.mix, seen, strict=True)]
        for index in range(len(mixed) - 2, -1, -1):
            coarse = self.deeper[index](mixed[index + 1])
            mixed[index] = (mixed[index] + F.interpolate(coarse, size=mixed[index].shape[2:])) * 0.5**0.5
        scores = []
        for layers, score, table, x in zip(self.layers, self.scores, self.project, mixed, strict=True):
            x = layers(x)
            scores.append(score(x) + projected(x, labels, table))
        return scores, []


def projected(x: Tensor, labels: Tensor, table: nn.Module) -> Tensor:
    """What the labels (B, H, W) say about features (B, C, h, w): (B, 1, h, w) (Miyato & Koyama, "cGANs with Projection
    Discriminator", ICLR 2018)."""
    nearest = F.interpolate(labels[:, None].float(), size=x.shape[2:], mode="nearest-exact")[:, 0].long()
    return (x * table(nearest).permute(0, 3, 1, 2)).mean(1, keepdim=True)


def _fixed(conv: nn.Conv2d) -> nn.Conv2d:
    """With random weights that keep the variance and are not trained."""
    nn.init.normal_(conv.weight, std=conv.weight[0].numel() ** -0.5)
    return conv.requires_grad_(False)


def _blank(table: nn.Embedding) -> nn.Embedding:
    nn.init.zeros_(table.weight)
    return table


def hinge_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Mean over the maps of scores."""
    losses = [F.relu(1 - r.float()).mean() + F.relu(1 + f.float()).mean() for r, f in zip(real, fake, strict=True)]
    return 0.5 * torch.stack(losses).mean()


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, steady: float = 1e-8, largest: float = 1e4) -> Tensor:
    """|grad of the reconstruction loss| / |grad of the adversarial loss|, both (B, …) gradients at the output."""
    return (reconstruction.norm() / (adversarial.norm() + steady)).clamp(0, largest)
