"""Patch discriminator and the adaptive adversarial weight (Taming Transformers, section 3.1, equation 7)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches of (B, 3, H, W), given the label map: a label projection adds to each score."""

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
        self.project = nn.Embedding(labels, inputs)
        nn.init.zeros_(self.project.weight)

    def forward(self, picture: Tensor, labels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """picture in [-1, 1], labels (B, H, W) int64 -> scores (B, 1, H/8, W/8) and the features of each layer."""
        features = []
        x = picture
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        wanted = self.project(labels[:, 4::8, 4::8]).permute(0, 3, 1, 2)
        return self.score(x) + (x * wanted).mean(1, keepdim=True), features


def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor) -> Tensor:
    """|grad of the reconstruction loss| / |grad of the adversarial loss|, both (B, …) gradients at the output."""
    return (reconstruction.norm() / (adversarial.norm() + 1e-8)).clamp(0, 1e4)
