"""Cached codes: what the transformers train on, so that they never wait for convolutions.

For each crop: the codes of the whole picture (what is to be drawn), the codes that the encoder gives when the
mask hides its part (what is known at run time), the mask and the label codes; for SGA also the guide's view of
the same crop at 256.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from ..config import GUIDE_RESOLUTION, ModelConfig
from ..masks import one_hot, shrink_any, to_picture
from ..vqgan import VQGAN
from ..windows import scale_labels, scale_photo
from .data import CropStream, Pair
from .masks import MAX_RATIO, training_mask
from .precision import Precision

BATCH = 8  # crops encoded at a time


@dataclass(frozen=True)
class CodeSet:
    """Arrays over N crops: target, known (N, L) int16, mask (N, L) bool, condition (N, L) int16; raster order."""

    target: np.ndarray
    known: np.ndarray
    mask: np.ndarray
    condition: np.ndarray

    def __len__(self) -> int:
        return len(self.target)

    def first(self, count: int) -> CodeSet:
        """The first `count` crops only."""
        return CodeSet(*(getattr(self, f.name)[:count] for f in fields(self)))

    @classmethod
    def empty(cls, count: int, tokens: int) -> CodeSet:
        def zeros(kind: type) -> np.ndarray:
            return np.zeros((count, tokens), kind)

        return cls(zeros(np.int16), zeros(np.int16), zeros(bool), zeros(np.int16))


@torch.inference_mode()
def encode_crops(
    pairs: tuple[Pair, ...], variants: int, side: int, image: VQGAN, label: VQGAN, config: ModelConfig,
    precision: Precision, seed: int, progress: bool = True, until: float | None = None,
) -> dict[int, CodeSet]:  # fmt: skip
    """Codes of `variants` random crops of each pair at `side` pixels and, when larger than that, at 256.

    until: stop then (time.monotonic) with the crops that are ready, one batch at least.
    """
    sizes = [side] if side == GUIDE_RESOLUTION else [side, GUIDE_RESOLUTION]
    count, batch = len(pairs) * variants, BATCH
    sets = {size: CodeSet.empty(count, (size // 16) ** 2) for size in sizes}
    stream = CropStream(pairs, side, batch, seed, scales=(0.8, 1.0) if side > GUIDE_RESOLUTION else (0.45, 1.0))
    for first in range(0, count, batch):
        photos, maps, rng = stream.batch(first // batch)
        painted = [training_mask(labels, rng, MAX_RATIO.get(side, 0.45)) for labels in maps]
        rows = slice(first, min(first + batch, count))
        used = rows.stop - rows.start  # the last batch may reach beyond the last crop
        for size in sizes:
            tokens = np.stack([shrink_any(mask, size // 16) for mask in painted[:used]])
            mask = precision.move(torch.from_numpy(tokens.astype(np.float32))[:, None])
            picture = precision.move(torch.cat([to_picture(scale_photo(p, size)) for p in photos[:used]]))
            channels = config.label_vqgan.in_channels
            hot = precision.move(torch.cat([one_hot(scale_labels(m, size), channels) for m in maps[:used]]))
            with precision.autocast():
                features = image.encode(picture)
                known = image.encode(picture, mask, known_only=True)
                condition = label.encode(hot)
            made = sets[size]
            made.target[rows] = image.quantize.indices(features.float()).cpu().numpy()
            made.known[rows] = image.quantize.indices(known.float()).cpu().numpy()
            made.condition[rows] = label.quantize.indices(condition.float()).cpu().numpy()
            made.mask[rows] = tokens.reshape(used, -1)
        if until is not None and time.monotonic() > until:
            return {size: made.first(rows.stop) for size, made in sets.items()}
        if progress and first // batch % 50 == 0:
            print(f"codes at {side}: {first} of {count}", file=sys.stderr, flush=True)
    return sets


def save_codes(sets: dict[int, CodeSet], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        f"{name}_{size}": getattr(s, name)
        for size, s in sets.items()
        for name in ("target", "known", "mask", "condition")
    }
    temporary = path.with_suffix(".part.npz")
    np.savez(temporary, **arrays)
    temporary.replace(path)


def load_codes(path: Path) -> dict[int, CodeSet]:
    with np.load(path, allow_pickle=False) as file:
        sizes = sorted({int(name.rsplit("_", 1)[1]) for name in file.files})
        return {s: CodeSet(*(file[f"{name}_{s}"] for name in ("target", "known", "mask", "condition"))) for s in sizes}
