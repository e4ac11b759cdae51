"""Stage `image-vqgan`: encoder, codebook and decoder of photos.

Losses: L1, perceptual, commitment, texture and moments, and late an adversarial one. The encoder runs
twice on each crop: on everything (those codes are what the transformers learn to draw) and on the known part
only (those features are what the decoder reads outside the edit; iLAT, equation 4).
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ...config import TOKEN_PIXELS, ModelConfig
from ...drawing.masks import shrink_any
from ...networks.vqgan.quantize import perplexity
from ...networks.vqgan.vqgan import VQGAN
from .. import team
from ..data.masks import training_mask
from ..data.pairs import CropStream, DataSet
from ..data.resident import ResidentCrops, resident_photos
from ..losses.discriminator import FeatureDiscriminator, PatchDiscriminator, adaptive_weight, hinge_loss
from ..losses.gridding import grid_loss, grid_strength
from ..losses.moments import Moments
from ..losses.perceptual import PERCEPTUAL, STAGES, Backbone, feature_distance, perceptual_distance
from ..losses.texture import grain, mean_distance, texture_distance
from ..options import ImageOptions
from ..precision import Precision
from .codebook import CodebookKeeper

USUAL = ImageOptions()
SCALES = (0.5, 1.0)
ALL_MASKED = 0.4  # share of crops that are all codes
UNTOLD = 0.15  # share of crops whose labels the decoder does not get, so that it can do without
COARSE = 4  # pixels
FINE_WEIGHT, COARSE_WEIGHT = 1.6, 4.0  # of the pixel loss and its coarse part, where a texture distance stands beside
GRID_WEIGHT = 4.0
JUDGED = tuple(stage[-1] for stage in STAGES)  # channels of the backbone's feature maps
JUDGE_ALONE = 300  # steps


class ImageVqganStage:
    name = "image-vqgan"
    frozen: tuple[str, ...] = ()

    def __init__(
        self,
        config: ModelConfig,
        labels: int,
        data: DataSet,
        precision: Precision,
        backbone: Backbone | None,
        chosen: ImageOptions = USUAL,
        *,
        batch: int = 8,
        seed: int = 0,
        perceptual_weight: float = 1.0,
        learning_rate: float = 4e-4,
        resident: bool = False,
    ) -> None:
        """resident: all photos lie in the memory of the GPU and are cropped there."""
        self.precision = precision
        self.vqgan = precision.place(VQGAN(config.image_vqgan, config.semantics))
        self.labels = labels
        judge = PatchDiscriminator(labels) if backbone is None else FeatureDiscriminator(JUDGED, labels)
        self.judge = precision.place(judge)
        self.backbone = None if backbone is None else precision.place(backbone)
        self.keeper = CodebookKeeper(self.vqgan.quantize)
        self.moments = precision.place(Moments(JUDGED))
        self.modules: dict[str, nn.Module] = {
            "vqgan": self.vqgan, "judge": self.judge, "keeper": self.keeper, "moments": self.moments,
        }  # fmt: skip
        trained = [p for n, p in self.vqgan.named_parameters() if not n.startswith("quantize.")]
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "vqgan": torch.optim.Adam(trained, learning_rate, betas=(0.5, 0.99)),
            "judge": torch.optim.Adam(
                [{"params": list(self.judge.parameters()), "scale": 2.0}], 2 * learning_rate, betas=(0.5, 0.99)
            ),
        }
        self.run, self.run_judge = team.runner(self.vqgan), team.runner(self.judge)
        self.stream: CropStream | ResidentCrops = CropStream(data.train, chosen.crop, batch, seed, scales=SCALES)
        if resident:
            photos = resident_photos(data.train, chosen.crop // TOKEN_PIXELS, precision.device)
            self.stream = ResidentCrops(photos, chosen.crop, batch, seed, SCALES)
        self.data = data
        self.weights = (perceptual_weight, chosen.adversarial_weight)
        self.texture_weight = chosen.texture_weight
        self.adversarial_start = chosen.adversarial_start
        self.judge_alone = JUDGE_ALONE if chosen.judge_alone is None else chosen.judge_alone
        self.decoder_only = chosen.decoder_only
        if chosen.decoder_only:  # codes stay what they are, so transformers trained on them stay valid
            self.frozen = ("encoder.", "quant_conv.", "quantize.")

    def start_from(self, weights: dict[str, Tensor]) -> None:
        self.vqgan.load_state_dict(weights)
        self.keeper.adopt()

    def examples(self, batch: Any) -> int:
        return len(batch[0])

    def batch(self, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures (B, 3, H, W), labels (B, H, W), token masks (B, 1, h, w), and which labels the decoder is told."""
        if isinstance(self.stream, ResidentCrops):
            pictures, labels, masks, rng = self.stream.batch(number)
            masks[rng.random(len(masks)) < ALL_MASKED] = 1
        else:
            photos, maps, rng = self.stream.batch(number)
            pictures, labels = torch.from_numpy(photos).permute(0, 3, 1, 2).float() / 127.5 - 1, torch.from_numpy(maps)
            masks = np.stack([self._mask(each, rng) for each in maps])
        told = torch.from_numpy(rng.random((len(pictures), 1, 1, 1)) > UNTOLD).float()
        return pictures, labels.long(), torch.from_numpy(masks), told

    def _mask(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The masked tokens of a crop, (1, h, w) float32."""
        side = self.stream.side // TOKEN_PIXELS
        if rng.random() < ALL_MASKED:
            return np.ones((1, side, side), np.float32)
        return shrink_any(training_mask(labels, rng), side)[None].astype(np.float32)

    def step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], number: int) -> dict[str, float]:
        pictures, labels, masks, told = (self.precision.move(part) for part in batch)
        vqgan = self.vqgan
        rebuilt, commitment = self.run(lambda: self._rebuilt(pictures, labels, masks, told, number))
        metrics = {}
        output = rebuilt.detach().requires_grad_()
        pixel = (output - pictures).abs().mean()
        loss = pixel
        if self.texture_weight:  # what is finer than a few pixels is the texture distance's to judge
            coarse = F.avg_pool2d(output - pictures, COARSE).abs().mean()
            loss = FINE_WEIGHT * pixel + COARSE_WEIGHT * coarse
        seen, wanted = [output], [pictures]  # what the discriminator judges
        if self.backbone is not None:
            with self.precision.autocast():
                with torch.no_grad():
                    wanted = [look.float() for look in self.backbone(pictures)]
                seen = [look.float() for look in self.backbone(output)]
            features, targets = seen[:PERCEPTUAL], wanted[:PERCEPTUAL]
            perceptual = feature_distance(features, targets).mean()
            loss = loss + self.weights[0] * perceptual
            metrics["perceptual"] = perceptual.item()
            if self.texture_weight:
                texture = texture_distance([grain(output), *features], [grain(pictures), *targets], pictures.shape[3])
                means = mean_distance(seen, wanted)
                moments, metrics["moments"] = self.moments(seen, wanted)
                grid = grid_loss(output)
                loss = loss + self.texture_weight * (texture + means + moments) + GRID_WEIGHT * grid
                metrics |= {"texture": texture.item(), "means": means.item(), "grid": grid.item()}
        (gradient,) = torch.autograd.grad(loss, output, retain_graph=True)
        if number >= self.adversarial_start:
            self._judge(seen, wanted, labels, metrics)
        if self._judged() > self.judge_alone:
            gradient = gradient + self._adversarial(output, seen, wanted, labels, gradient, metrics)
        self.optimisers["vqgan"].zero_grad(set_to_none=True)
        roots, gradients = [rebuilt], [gradient]
        if commitment.requires_grad:
            roots, gradients = [rebuilt, commitment], [gradient, torch.ones_like(commitment)]
        torch.autograd.backward(roots, gradients)
        nn.utils.clip_grad_norm_(vqgan.parameters(), 1.0)
        self.optimisers["vqgan"].step()
        return {
            "pixel": pixel.item(),
            "commitment": commitment.item(),
            "perplexity": self.keeper.perplexity(),
            **metrics,
        }

    def _rebuilt(
        self, pictures: Tensor, labels: Tensor, masks: Tensor, told: Tensor, number: int
    ) -> tuple[Tensor, Tensor]:
        """The pictures after their way through the codes, and the commitment loss."""
        drawn, known, commitment = self._features(pictures, masks, number)
        with self.precision.autocast():
            rebuilt = self.vqgan.decode(torch.where(masks > 0.5, drawn, known), self._told(labels, told))
        return rebuilt.float(), commitment

    def _told(self, labels: Tensor, told: Tensor) -> Tensor | None:
        """What the decoder reads of labels (B, H, W); nothing of those not told (B, 1, 1, 1)."""
        hot = torch.nn.functional.one_hot(labels, self.labels).permute(0, 3, 1, 2).float()
        return self.vqgan.label_shares(hot * told)

    def _features(self, pictures: Tensor, masks: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Quantised features of everything, features of the known part, and the commitment loss."""
        with torch.set_grad_enabled(not self.decoder_only), self.precision.autocast():
            whole = self.vqgan.encode(pictures).float()
            known = self.vqgan.encode(pictures, masks, known_only=True).float()
        if self.decoder_only:
            codes = self.vqgan.quantize.indices(whole)
            return self.vqgan.quantize.features(codes, *whole.shape[2:]), known, whole.new_zeros(())
        drawn, _, commitment = self.keeper.quantise(whole, number)
        return drawn, known, commitment

    def _judged(self) -> int:
        """Steps that the discriminator has learnt."""
        states = self.optimisers["judge"].state.values()
        return next((int(state["step"]) for state in states), 0)

    def _judge(self, seen: list[Tensor], wanted: list[Tensor], labels: Tensor, metrics: dict[str, float]) -> None:
        """One step of the discriminator."""
        rebuilt = [part.detach() for part in seen]
        with self.precision.autocast():
            real, fake = self.run_judge(lambda: (self.judge(wanted, labels)[0], self.judge(rebuilt, labels)[0]))
            judged = hinge_loss(real, fake)
        self.optimisers["judge"].zero_grad(set_to_none=True)
        judged.backward()
        self.optimisers["judge"].step()
        metrics["judge"] = judged.item()

    def _adversarial(
        self, output: Tensor, seen: list[Tensor], wanted: list[Tensor], labels: Tensor, reconstruction: Tensor,
        metrics: dict[str, float],
    ) -> Tensor:  # fmt: skip
        """The weighted gradient of adversarial loss and feature matching at the decoder's output."""
        with self.precision.autocast():
            fake, features = self.judge(seen, labels)
            with torch.no_grad():
                targets = self.judge(wanted, labels)[1] if features else []
            matching = sum(((a - b).abs().mean() for a, b in zip(features, targets, strict=True)), torch.zeros(()))
            adversarial = 2.0 * matching.float() - torch.stack([score.float().mean() for score in fake]).mean()
        (gradient,) = torch.autograd.grad(adversarial, output)
        metrics["adversarial"] = float(adversarial.detach())
        return self.weights[1] * adaptive_weight(reconstruction, gradient) * gradient

    @torch.no_grad()
    def evaluate(self, folder: Path, number: int) -> dict[str, float]:
        """PSNR, grid, perceptual distance and code perplexity on validation photos, and a contact sheet."""
        errors: list[float] = []
        distances: list[float] = []
        tokens: list[Tensor] = []
        sheet: list[Tensor] = []
        pictures: list[Tensor] = []
        for pair, photo, labels in islice(self.data.validation(max(1, len(self.data.val) // 48)), 48):
            if pair.id.startswith("wal_"):  # crops of these photos are trained on
                continue
            photo = photo[: photo.shape[0] // 16 * 16, : photo.shape[1] // 16 * 16][:512, :512]
            picture = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
            picture = self.precision.move(picture)
            map_ = torch.from_numpy(labels[: photo.shape[0], : photo.shape[1]].astype(np.int64))[None]
            shares = self._told(self.precision.move(map_), picture.new_ones(1, 1, 1, 1))
            with self.precision.autocast():
                features = self.vqgan.encode(picture).float()
                codes = self.vqgan.quantize.indices(features)
                rebuilt = self.vqgan.decode_tokens(codes, features.shape[2], features.shape[3], shares)
            rebuilt = rebuilt.float().clamp(-1, 1)
            errors.append((rebuilt - picture).square().mean().item() / 4)
            if self.backbone is not None:
                distances.append(perceptual_distance(self.backbone, rebuilt, picture).item())
            tokens.append(codes.flatten().cpu())
            pictures.append(rebuilt.cpu())
            if len(sheet) < 12 and photo.shape[:2] == (256, 256):
                sheet.append(torch.cat([picture, rebuilt], 3)[0].cpu())
        if not errors:
            return {}
        save_sheet(sheet, folder / f"{self.name}-{number:07d}.png", columns=3)
        figures = {
            "psnr": float(np.mean([-10 * np.log10(max(e, 1e-9)) for e in errors])),
            "grid": grid_strength(pictures),
            "code_perplexity": perplexity(torch.cat(tokens), self.vqgan.config.codes),
        }
        return figures | ({"perceptual": float(np.mean(distances))} if distances else {})


def save_sheet(pictures: list[Tensor], path: Path, columns: int) -> None:
    """Write equally sized pictures (3, H, W) in [-1, 1] as one PNG."""
    if not pictures:
        return
    rows = [torch.cat(pictures[i : i + columns], 2) for i in range(0, len(pictures) - columns + 1, columns)]
    grid = torch.cat(rows, 1) if rows else torch.cat(pictures, 2)
    pixels = ((grid.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(path)
