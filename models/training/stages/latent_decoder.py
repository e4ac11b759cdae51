"""The latent decoder: codes of the frozen encoder -> TAEF2 latents, trained mostly in latent space.

Features, latents and labels of the photos are made once and kept (`CachedPictures`), so that a step costs a fifth of
one in pixels. Of a few pictures a step a part is decoded to pixels, where the backbone compares and judges it: latents
alone would be right on average and smooth.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import ModelConfig
from ...networks.latent_decoder import LatentDecoder
from ...networks.taef2 import LATENT, TAEF2
from ...networks.vqgan import VQGAN
from ..data.masks import training_mask
from ..data.pairs import DataError, DataSet, Pair
from ..losses.discriminator import FeatureDiscriminator, hinge_loss
from ..losses.moments import Moments
from ..losses.perceptual import PERCEPTUAL, STAGES, Backbone, feature_distance, perceptual_distance
from ..precision import Precision
from .image_vqgan import save_sheet

SIDE = 256
JUDGED = [channels for *_, channels in STAGES]
LOOKED_AT = 2  # pictures a step that are decoded
PART = 16  # latents a side of the part that is decoded: 128 pixels
WEIGHTS = {"latent": 1.0, "perceptual": 0.5, "moments": 0.05, "adversarial": 0.02, "matching": 0.05}


@dataclass(frozen=True)
class CachedPictures:
    """Of N pictures of 256 px: features (N, embed, 16, 16) float16 unquantised, latents (N, 32, 32, 32) float16, labels
    (N, 64, 64) uint8."""

    features: np.ndarray
    latents: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.latents)


def square(pair: Pair, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """The middle square of a photo and its labels, `side` pixels, made smaller where it is larger."""
    photo, labels = pair.load()
    size = min(labels.shape)
    top, left = (labels.shape[0] - size) // 2, (labels.shape[1] - size) // 2
    box = slice(top, top + size), slice(left, left + size)
    photo = cv2.resize(np.ascontiguousarray(photo[box]), (side, side), interpolation=cv2.INTER_AREA)
    return photo, cv2.resize(np.ascontiguousarray(labels[box]), (side, side), interpolation=cv2.INTER_NEAREST)


@torch.inference_mode()
def cache_pictures(pairs: Sequence[Pair], vqgan: VQGAN, taef2: TAEF2, folder: Path, shard: int = 128) -> CachedPictures:
    """Encode the pairs, shard by shard into `folder`; shards that are there already are kept (delete them to renew)."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for first in range(0, len(pairs), shard):
        file = folder / f"{first:06d}-{shard}.npz"
        if not file.exists():
            print(f"latents: {first} of {len(pairs)}", file=sys.stderr, flush=True)
            _encode(pairs[first : first + shard], vqgan, taef2, file)
        with np.load(file, allow_pickle=False) as arrays:
            parts.append([arrays[name] for name in ("features", "latents", "labels")])
    return CachedPictures(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _encode(pairs: Sequence[Pair], vqgan: VQGAN, taef2: TAEF2, file: Path) -> None:
    features, latents, labels = [], [], []
    for pair in pairs:
        try:
            photo, label_map = square(pair)
        except DataError:
            continue
        picture = torch.from_numpy(photo).permute(2, 0, 1)[None].float().to(memory_format=torch.channels_last)
        features.append(vqgan.encode(picture / 127.5 - 1)[0].half().numpy())
        latents.append(taef2.encode(picture / 255)[0].half().numpy())
        labels.append(label_map[2::4, 2::4])
    temporary = file.with_suffix(".part.npz")
    np.savez(temporary, features=np.stack(features), latents=np.stack(latents), labels=np.stack(labels))
    temporary.replace(file)


class LatentDecoderStage:
    name = "latent-decoder"
    frozen: tuple[str, ...] = ()

    def __init__(
        self, config: ModelConfig, labels: int, data: DataSet, cached: CachedPictures, vqgan: VQGAN, taef2: TAEF2,
        backbone: Backbone, precision: Precision, *, batch: int = 12, seed: int = 0, learning_rate: float = 4e-4,
        adversarial_start: int = 2500,
    ) -> None:  # fmt: skip
        self.data, self.cached, self.labels = data, cached, labels
        self.vqgan, self.taef2, self.backbone, self.precision = vqgan, taef2, backbone, precision
        self.decoder = LatentDecoder(config.image_vqgan.embed_dim, LATENT, labels).to(memory_format=torch.channels_last)
        self.judge = FeatureDiscriminator(JUDGED, labels)
        self.moments = Moments(JUDGED)
        self.modules: dict[str, nn.Module] = {"decoder": self.decoder, "judge": self.judge, "moments": self.moments}
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "decoder": torch.optim.Adam(self.decoder.parameters(), learning_rate, betas=(0.5, 0.99)),
            "judge": torch.optim.Adam(self.judge.parameters(), learning_rate, betas=(0.5, 0.99)),
        }
        self.size, self.seed, self.adversarial_start = batch, seed, adversarial_start

    def start_from(self, weights: dict[str, Tensor]) -> None:
        self.decoder.load_state_dict(weights)

    def examples(self, batch: Any) -> int:
        return len(batch[0])

    def batch(self, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Unquantised features, latents, labels (B, 64, 64), masks (B, 1, 16, 16) of what is drawn as codes."""
        rng = np.random.default_rng((self.seed, number))
        chosen = rng.integers(len(self.cached), size=self.size)
        labels = self.cached.labels[chosen]
        masks = np.ones((self.size, 1, 16, 16), np.float32)
        for mask, one in zip(masks, labels, strict=True):
            if rng.random() > 0.5:
                painted = training_mask(np.repeat(np.repeat(one, 4, 0), 4, 1), rng)
                mask[0] = painted.reshape(16, 16, 16, 16).any((1, 3))
        arrays = (self.cached.features[chosen], self.cached.latents[chosen])
        features, latents = (torch.from_numpy(a.astype(np.float32)) for a in arrays)
        return features, latents, torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(masks)

    def step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], number: int) -> dict[str, float]:
        features, latents, labels, masks = batch
        shares = F.one_hot(labels, self.labels).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            codes = self.vqgan.quantize.indices(features)
            drawn = self.vqgan.quantize.features(codes, *features.shape[2:])
            seen = torch.where(masks > 0.5, drawn, features).to(memory_format=torch.channels_last)
        with self.precision.autocast():
            made = self.decoder(seen, shares).float()
        error = (made - latents).abs().mean()
        loss, metrics = WEIGHTS["latent"] * error, {"latent": error.item()}
        rng = np.random.default_rng((self.seed, number, 1))
        top, left = (2 * int(v) for v in rng.integers(0, (32 - PART) // 2 + 1, 2))
        part = (slice(LOOKED_AT), slice(None), slice(top, top + PART), slice(left, left + PART))
        with self.precision.autocast():
            picture = self.taef2.decode(made[part]) * 2 - 1
            with torch.no_grad():
                wanted = self.taef2.decode(latents[part]).clamp(0, 1) * 2 - 1
                targets = [look.float() for look in self.backbone(wanted)]
            looks = [look.float() for look in self.backbone(picture)]
        perceptual = feature_distance(looks[:PERCEPTUAL], targets[:PERCEPTUAL]).mean()
        moments, metrics["moments"] = self.moments(looks, targets)
        loss = loss + WEIGHTS["perceptual"] * perceptual + WEIGHTS["moments"] * moments
        metrics["perceptual"] = perceptual.item()
        if number >= self.adversarial_start:
            shown = labels[:LOOKED_AT, 2 * top : 2 * (top + PART), 2 * left : 2 * (left + PART)]
            loss = loss + self._judged(looks, targets, shown, metrics)
        self.optimisers["decoder"].zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.decoder.parameters(), 1.0)
        self.optimisers["decoder"].step()
        return metrics

    def _judged(self, looks: list[Tensor], targets: list[Tensor], labels: Tensor, metrics: dict[str, float]) -> Tensor:
        """One step of the discriminator, and what it says of the pictures made."""
        made = [look.detach() for look in looks]
        judged = hinge_loss(self.judge(targets, labels)[0], self.judge(made, labels)[0])
        self.optimisers["judge"].zero_grad(set_to_none=True)
        judged.backward()
        self.optimisers["judge"].step()
        self.judge.requires_grad_(False)
        fake, features = self.judge(looks, labels)
        with torch.no_grad():
            real = self.judge(targets, labels)[1] if features else []
        self.judge.requires_grad_(True)
        metrics["judge"] = judged.item()
        adversarial = -torch.stack([score.mean() for score in fake]).mean()
        pairs = list(zip(features, real, strict=True))
        matching = torch.stack([(a - b).abs().mean() for a, b in pairs]).mean() if pairs else adversarial * 0
        result: Tensor = WEIGHTS["adversarial"] * adversarial + WEIGHTS["matching"] * matching
        return result

    @torch.no_grad()
    def rebuild(self, picture: Tensor, labels: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [-1, 1] and labels (B, H, W) through codes, latents and back, in [-1, 1]."""
        features = self.vqgan.encode(picture).float()
        codes = self.vqgan.quantize.indices(features)
        drawn = self.vqgan.quantize.features(codes, *features.shape[2:])
        shares = F.one_hot(labels, self.labels).permute(0, 3, 1, 2).float()
        generator = torch.Generator().manual_seed(0)
        size = (len(picture), self.decoder.noise, 2 * drawn.shape[2], 2 * drawn.shape[3])
        latents = self.decoder(drawn, shares, torch.randn(size, generator=generator))
        return self.taef2.decode(latents).clamp(0, 1) * 2 - 1

    @torch.no_grad()
    def evaluate(self, folder: Path, number: int) -> dict[str, float]:
        """PSNR and perceptual distance of 24 validation photos, and a contact sheet of original | rebuilt."""
        errors: list[float] = []
        distances: list[float] = []
        sheet: list[Tensor] = []
        for pair, *_ in islice(self.data.validation(max(1, len(self.data.val) // 30)), 24):
            if pair.id.startswith("wal_"):  # crops of these photos are trained on
                continue
            photo, labels = square(pair)
            picture = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
            rebuilt = self.rebuild(picture, torch.from_numpy(labels.astype(np.int64))[None])
            errors.append((rebuilt - picture).square().mean().item() / 4)
            distances.append(perceptual_distance(self.backbone, rebuilt, picture).item())
            if len(sheet) < 12:
                sheet.append(torch.cat([picture, rebuilt], 3)[0])
        if not errors:
            return {}
        save_sheet(sheet, folder / f"{self.name}-{number:07d}.png", columns=3)
        return {
            "psnr": float(np.mean([-10 * np.log10(max(e, 1e-9)) for e in errors])),
            "perceptual": float(np.mean(distances)),
        }
