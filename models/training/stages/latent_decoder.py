"""The latent decoder: codes of the frozen encoder -> TAEF2 latents, trained mostly in latent space.

A batch costs a fifth of one in pixels. One of its pictures is decoded whole, where the backbone compares it, follows
its moments and, late, judges it: latents alone would be right on average and smooth.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import ModelConfig
from ...networks.latent_decoder import WIDTHS, LatentDecoder
from ...networks.taef2 import LATENT
from ..data.latents import LABEL_STEP, SHARD, LatentCache
from ..losses.discriminator import FeatureDiscriminator, adaptive_weight, hinge_loss
from ..losses.gridding import grid_loss
from ..losses.moments import Moments
from ..losses.perceptual import PERCEPTUAL, STAGES, Backbone, feature_distance
from ..losses.texture import grain, mean_distance, texture_distance
from ..precision import Precision
from .image_vqgan import COARSE, COARSE_WEIGHT, FINE_WEIGHT, GRID_WEIGHT, UNTOLD

JUDGED = [channels for *_, channels in STAGES]
TEXTURE_WEIGHT = 1.5
PIXEL_SHARE = 0.5  # of everything that is seen in pixels, beside the latents' error
CODES_ONLY = 0.4  # share of crops that are all codes
FIRST = 8 * SHARD  # crops at the start, and
GROWTH = 2  # so many more each step, up to
EPOCHS = 2  # crops of each photo
JUDGE_ALONE = 300  # steps that the discriminator learns before the decoder listens to it
NOISE_SEED = 0

Figures = Callable[[Path, int], dict[str, float]]


class LatentDecoderStage:
    name = "latent-decoder"
    frozen: tuple[str, ...] = ()

    def __init__(
        self, config: ModelConfig, labels: int, cache: LatentCache, backbone: Backbone, precision: Precision, *,
        batch: int = 12, seed: int = 0, learning_rate: float = 4e-4, adversarial_start: int = 800,
        adversarial_weight: float = 0.8, first: int = FIRST, widths: tuple[int, int] = WIDTHS,
        figures: Figures | None = None,
    ) -> None:  # fmt: skip
        """cache: the crops, with the frozen VQGAN and TAEF2 that made them; figures: what an evaluation measures."""
        self.cache, self.labels, self.backbone, self.precision = cache, labels, backbone, precision
        decoder = LatentDecoder(config.image_vqgan.embed_dim, LATENT, labels, widths=widths)
        self.decoder = decoder.to(memory_format=torch.channels_last)
        self.judge = FeatureDiscriminator(JUDGED, labels)
        self.moments = Moments(JUDGED)
        self.modules: dict[str, nn.Module] = {"decoder": self.decoder, "judge": self.judge, "moments": self.moments}
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "decoder": torch.optim.Adam(self.decoder.parameters(), learning_rate, betas=(0.5, 0.99)),
            "judge": torch.optim.Adam(
                [{"params": [p for p in self.judge.parameters() if p.requires_grad], "scale": 2.0}],
                2 * learning_rate, betas=(0.5, 0.99),
            ),
        }  # fmt: skip
        self.size, self.seed, self.first, self.figures = batch, seed, first, figures
        self.adversarial_start, self.adversarial_weight = adversarial_start, adversarial_weight

    def start_from(self, weights: dict[str, Tensor]) -> None:
        self.decoder.load_state_dict(weights)

    def examples(self, batch: Any) -> int:
        return len(batch[0])

    def batch(self, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the decoder reads (B, embed, 16, 16), latents, labels (B, 64, 64), and whose labels it is told."""
        rng = np.random.default_rng((self.seed, number))
        there = min(self.first + GROWTH * number, EPOCHS * len(self.cache.stream.pairs))
        crops = self.cache.take(rng.integers(there, size=self.size))
        whole, known, latents = (
            torch.from_numpy(part.astype(np.float32)) for part in (crops.features, crops.known, crops.latents)
        )
        masks = torch.from_numpy(crops.masks[:, None] | (rng.random((self.size, 1, 1, 1)) < CODES_ONLY))
        with torch.no_grad():
            codes = self.cache.vqgan.quantize.indices(whole)
            seen = torch.where(masks, self.cache.vqgan.quantize.features(codes, *whole.shape[2:]), known)
        told = torch.from_numpy(rng.random((self.size, 1, 1, 1)) > UNTOLD).float()
        return seen, latents, torch.from_numpy(crops.labels.astype(np.int64)), told

    def step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], number: int) -> dict[str, float]:
        seen, latents, labels, told = (self.precision.move(part) for part in batch)
        with self.precision.autocast():
            made = self.decoder(seen, self._shares(labels) * told).float()
        error = (made - latents).abs().mean()
        with self.precision.autocast():
            picture = self.cache.taef2.decode(made[:1]).float() * 2 - 1
            with torch.no_grad():
                wanted = self.cache.taef2.decode(latents[:1]).float().clamp(0, 1) * 2 - 1
        output = picture.detach().requires_grad_()
        gradient, metrics = self._gradient(output, wanted, labels[:1], number)
        self.optimisers["decoder"].zero_grad(set_to_none=True)
        torch.autograd.backward([error, picture], [torch.ones_like(error), PIXEL_SHARE * gradient])
        nn.utils.clip_grad_norm_(self.decoder.parameters(), 1.0)
        self.optimisers["decoder"].step()
        return {"latent": error.item(), **metrics}

    def _gradient(
        self, output: Tensor, wanted: Tensor, labels: Tensor, number: int
    ) -> tuple[Tensor, dict[str, float]]:  # fmt: skip
        """The gradient of all that is seen in pixels (1, 3, H, W) in [-1, 1], at `output`, and its figures."""
        with self.precision.autocast():
            with torch.no_grad():
                targets = [look.float() for look in self.backbone(wanted)]
            looks = [look.float() for look in self.backbone(output)]
        pixel, coarse = (output - wanted).abs().mean(), F.avg_pool2d(output - wanted, COARSE).abs().mean()
        near, far = looks[:PERCEPTUAL], targets[:PERCEPTUAL]
        perceptual = feature_distance(near, far).mean()
        texture = texture_distance([grain(output), *near], [grain(wanted), *far], output.shape[3])
        means = mean_distance(looks, targets)
        moments, apart = self.moments(looks, targets)
        grid = grid_loss(output)
        loss = FINE_WEIGHT * pixel + COARSE_WEIGHT * coarse + perceptual
        loss = loss + TEXTURE_WEIGHT * (texture + means + moments) + GRID_WEIGHT * grid
        (gradient,) = torch.autograd.grad(loss, output, retain_graph=True)
        metrics = {
            "pixel": pixel.item(), "perceptual": perceptual.item(), "texture": texture.item(), "means": means.item(),
            "moments": apart, "grid": grid.item(),
        }  # fmt: skip
        if number >= self.adversarial_start:
            self._learn_to_judge(looks, targets, labels, metrics)
        if number >= self.adversarial_start + JUDGE_ALONE:
            with self.precision.autocast():
                adversarial = -torch.stack([score.float().mean() for score in self.judge(looks, labels)[0]]).mean()
            (against,) = torch.autograd.grad(adversarial, output)
            metrics["adversarial"] = adversarial.item()
            gradient = gradient + self.adversarial_weight * adaptive_weight(gradient, against) * against
        return gradient, metrics

    def _learn_to_judge(
        self, looks: list[Tensor], targets: list[Tensor], labels: Tensor, metrics: dict[str, float]
    ) -> None:  # fmt: skip
        """One step of the discriminator."""
        with self.precision.autocast():
            judged = hinge_loss(self.judge(targets, labels)[0], self.judge([x.detach() for x in looks], labels)[0])
        self.optimisers["judge"].zero_grad(set_to_none=True)
        judged.backward()
        self.optimisers["judge"].step()
        metrics["judge"] = judged.item()

    def _shares(self, labels: Tensor) -> Tensor:
        """(B, H, W) int64 -> (B, labels, H, W)."""
        return F.one_hot(labels, self.labels).permute(0, 3, 1, 2).float()

    @torch.no_grad()
    def rebuild(self, picture: Tensor, labels: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [-1, 1] and labels (B, H, W) through codes, latents and back, in [-1, 1]."""
        vqgan = self.cache.vqgan
        features = vqgan.encode(picture).float()
        drawn = vqgan.quantize.features(vqgan.quantize.indices(features), *features.shape[2:])
        generator = torch.Generator().manual_seed(NOISE_SEED)
        size = (len(picture), self.decoder.noise, 2 * drawn.shape[2], 2 * drawn.shape[3])
        shares = self._shares(labels[:, LABEL_STEP // 2 :: LABEL_STEP, LABEL_STEP // 2 :: LABEL_STEP])
        latents = self.decoder(drawn, shares, torch.randn(size, generator=generator))
        return self.cache.taef2.decode(latents).clamp(0, 1) * 2 - 1

    def evaluate(self, folder: Path, number: int) -> dict[str, float]:
        return {} if self.figures is None else self.figures(folder, number)
