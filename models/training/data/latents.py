"""What the latent decoder learns from, made once and kept on disk: codes' features and TAEF2 latents of crops.

Crop number k is a function of (seed, k) alone. A run begins with the first few shards, and later ones join while it
goes on, so that training need not wait for all of them.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...config import TOKEN_PIXELS
from ...drawing.masks import shrink_any, to_picture
from ...networks.taef2 import TAEF2
from ...networks.vqgan import VQGAN
from .masks import training_mask
from .pairs import CropStream, Pair

SIDE = 256
SHARD = 64  # crops
SCALES = (0.5, 1.0)
LABEL_STEP = 4  # pixels a label stands for


@dataclass(frozen=True)
class LatentCrops:
    """Of N crops: features (N, embed, 16, 16) float16 of all pixels, and known, the same of unmasked pixels only.

    masks: (N, 16, 16) bool, 1 = masked (iLAT, equation 4); latents (N, 32, 32, 32) float16; labels (N, 64, 64) uint8.
    """

    features: np.ndarray
    known: np.ndarray
    masks: np.ndarray
    latents: np.ndarray
    labels: np.ndarray


FIELDS = ("features", "known", "masks", "latents", "labels")


class LatentCache:
    """Crops in shards of SHARD under `folder`, in a folder of their own for these encoders and pairs."""

    def __init__(
        self, folder: Path, pairs: Sequence[Pair], vqgan: VQGAN, taef2: TAEF2, *, seed: int = 0, side: int = SIDE
    ) -> None:
        self.vqgan, self.taef2 = vqgan, taef2
        self.folder = folder / _digest(pairs, vqgan, seed, side)
        self.stream = CropStream(pairs, side, 1, seed, scales=SCALES)
        self._shards: dict[int, LatentCrops] = {}

    def take(self, numbers: np.ndarray) -> LatentCrops:
        """The crops of these numbers; shards that are missing are made now."""
        rows = [(self._shard(int(number) // SHARD), int(number) % SHARD) for number in numbers]
        return LatentCrops(*(np.stack([getattr(shard, name)[row] for shard, row in rows]) for name in FIELDS))

    def _shard(self, number: int) -> LatentCrops:
        if number not in self._shards:
            file = self.folder / f"{number:05d}.npz"
            if not file.exists():
                print(f"latents: shard {number}", file=sys.stderr, flush=True)
                self._make(number, file)
            with np.load(file, allow_pickle=False) as arrays:
                self._shards[number] = LatentCrops(*(arrays[name] for name in FIELDS))
        return self._shards[number]

    @torch.inference_mode()
    def _make(self, number: int, file: Path) -> None:
        made: dict[str, list[np.ndarray]] = {name: [] for name in FIELDS}
        for crop in range(number * SHARD, (number + 1) * SHARD):
            photos, maps, rng = self.stream.batch(crop)
            mask = shrink_any(training_mask(maps[0], rng), maps.shape[1] // TOKEN_PIXELS)
            picture = to_picture(photos[0]).contiguous(memory_format=torch.channels_last)
            hidden = torch.from_numpy(mask.astype(np.float32))[None, None]
            found: tuple[Tensor, ...] = (
                self.vqgan.encode(picture),
                self.vqgan.encode(picture, hidden, known_only=True),
                self.taef2.encode((picture + 1) / 2),
            )
            for name, value in zip(("features", "known", "latents"), found, strict=True):
                made[name].append(value[0].half().numpy())
            made["masks"].append(mask)
            made["labels"].append(maps[0][LABEL_STEP // 2 :: LABEL_STEP, LABEL_STEP // 2 :: LABEL_STEP])
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(".part.npz")
        np.savez(temporary, **{name: np.stack(values) for name, values in made.items()})  # type: ignore[arg-type]
        temporary.replace(file)


def _digest(pairs: Sequence[Pair], vqgan: VQGAN, seed: int, side: int) -> str:
    digest = hashlib.sha256(f"{seed} {side} {SHARD}".encode())
    for name, value in sorted(vqgan.state_dict().items()):
        if name.startswith(("encoder.", "quant")):
            digest.update(value.contiguous().numpy().tobytes())
    for pair in pairs:
        digest.update(f"{pair.id} {pair.photo.length}\n".encode())
    return digest.hexdigest()[:12]
