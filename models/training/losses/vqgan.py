"""The published VQGAN objective (Taming Transformers, equations 4 to 7; specification of the sister systems, 2.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .discriminator import adaptive_weight, hinge_loss

STEADY = 1e-4  # added to the norm of the adversarial gradient
LARGEST = 1e4


class PublishedDiscriminator(nn.Module):
    """Convolutions of 4×4 with batch norm; `main` is numbered as published. layers: those with stride 2."""

    def __init__(self, channels: int = 64, layers: int = 3) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(3, channels, 4, 2, 1), nn.LeakyReLU(0.2)]
        inputs = channels
        for number in range(1, layers + 1):
            outputs = channels * min(2**number, 8)
            stride = 2 if number < layers else 1
            parts += [nn.Conv2d(inputs, outputs, 4, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
            inputs = outputs
        self.main = nn.Sequential(*parts, nn.Conv2d(inputs, 1, 4, 1, 1))

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, H, W) -> scores (B, 1, h, w)."""
        scores: Tensor = self.main(picture)
        return scores


def judge_loss(real: Tensor, fake: Tensor, kind: str) -> Tensor:
    """Of the discriminator; kind: "hinge" or "vanilla"."""
    if kind == "hinge":
        return hinge_loss([real], [fake])
    return (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2


def weight_of(reconstruction: Tensor, adversarial: Tensor, share: float) -> Tensor:
    """λ of equation 7, times `share`: the ratio of two gradients with respect to the last layer's weights."""
    return share * adaptive_weight(reconstruction, adversarial, STEADY, LARGEST).detach()


@dataclass(frozen=True)
class Objective:
    """Shares of the parts, and the step from which the adversarial one counts."""

    start: int
    adversarial: float = 0.8
    factor: float = 1.0
    codebook: float = 1.0
    kind: str = "hinge"

    def generator(
        self, picture: Tensor, rebuilt: Tensor, last: Tensor, judge: nn.Module, codebook_loss: Tensor, step: int
    ) -> dict[str, Tensor]:
        """total, reconstruction, adversarial, weight and factor; rebuilt: made by the weights `last`."""
        reconstruction = (picture - rebuilt).abs().mean()
        adversarial = -judge(rebuilt).mean()
        gradients = [torch.autograd.grad(loss, last, retain_graph=True)[0] for loss in (reconstruction, adversarial)]
        weight, factor = weight_of(gradients[0], gradients[1], self.adversarial), self.factor_at(step)
        total = reconstruction + weight * factor * adversarial + self.codebook * codebook_loss
        return {
            "total": total,
            "reconstruction": reconstruction,
            "adversarial": adversarial,
            "weight": weight,
            "factor": torch.tensor(factor),
        }

    def discriminator(self, picture: Tensor, rebuilt: Tensor, judge: nn.Module, step: int) -> Tensor:
        """Its loss, nothing before the adversarial part starts."""
        return self.factor_at(step) * judge_loss(judge(picture.detach()), judge(rebuilt.detach()), self.kind)

    def factor_at(self, step: int) -> float:
        return self.factor if step >= self.start else 0.0
