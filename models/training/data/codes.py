"""Cached codes: what the transformers train on, so that they never wait for convolutions.

For each crop: the codes of the whole picture (what is to be drawn), the codes that the encoder gives when the
mask hides its part (what is known at run time), the mask and the label codes; for SGA also the guide's view of
the same crop at 256.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ...config import GUIDE_RESOLUTION, ModelConfig
from ...drawing.masks import shrink_any
from ...drawing.windows import scale_labels, scale_photo
from ...networks.pictures import one_hot, to_picture
from ...networks.vqgan.vqgan import VQGAN
from ..precision import Precision
from .masks import MAX_RATIO, training_mask
from .pairs import CropStream, Pair

M = TypeVar("M")
BATCH = 8  # crops encoded at a time
AHEAD = 32  # batches prepared before they are encoded


@dataclass(frozen=True)
class CodeSet:
    """Arrays over N crops: target, known (N, L) int16, mask (N, L) bool, condition (N, L) int16; raster order."""

    target: np.ndarray
    known: np.ndarray
    mask: np.ndarray
    condition: np.ndarray

    def __len__(self) -> int:
        return len(self.target)

    @classmethod
    def of(cls, parts: Sequence[CodeSet]) -> CodeSet:
        """The crops of all parts, in their order."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    @classmethod
    def empty(cls, side: int) -> CodeSet:
        """No crops at a resolution."""
        tokens = (side // 16) ** 2
        return cls(*(np.zeros((0, tokens), kind) for kind in (np.int16, np.int16, bool, np.int16)))


@torch.inference_mode()
def encode_crops(
    pairs: tuple[Pair, ...], variants: int, side: int, image: VQGAN, label: VQGAN, config: ModelConfig,
    precision: Precision, seed: int, progress: bool = True, until: float | None = None, begin: int = 0,
) -> dict[int, CodeSet]:  # fmt: skip
    """Codes of `variants` random crops of each pair at `side` pixels and, when larger than that, at 256.

    until: stop then (time.monotonic) with the crops that are ready, one batch at least. begin: leave out so many
    crops (a multiple of BATCH) that are made already.
    """
    count, made = len(pairs) * variants, [{size: CodeSet.empty(size) for size in _sizes(side)}]
    stream = CropStream(pairs, side, BATCH, seed, scales=crop_scales(side))

    def prepared(first: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        photos, maps, rng = stream.batch(first // BATCH)
        return photos, maps, [training_mask(labels, rng, MAX_RATIO.get(side, 0.45)) for labels in maps]

    for first, (photos, maps, painted) in _ahead(prepared, range(begin, count, BATCH)):
        used = slice(count - first)  # the last batch may reach beyond the last crop
        made.append(encode_pictures(photos[used], maps[used], painted[used], image, label, config, precision))
        if until is not None and time.monotonic() > until:
            break
        if progress and first // BATCH % 50 == 0:
            print(f"codes at {side}: {first} of {count}", file=sys.stderr, flush=True)
    return joined(made)


def crop_scales(side: int) -> tuple[float, float]:
    """Pixels of a training crop for each of its photo's, between these two."""
    return (0.8, 1.0) if side > GUIDE_RESOLUTION else (0.45, 1.0)


def _ahead(make: Callable[[int], M], numbers: range) -> Iterator[tuple[int, M]]:
    """Each number and what is made of it, a few ahead of its use, on all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = deque((number, pool.submit(make, number)) for number in numbers[:AHEAD])
        later = iter(numbers[AHEAD:])
        try:
            while waiting:
                number, future = waiting.popleft()
                yield number, future.result()
                waiting.extend((n, pool.submit(make, n)) for n in islice(later, 1))
        finally:
            pool.shutdown(cancel_futures=True)


@torch.inference_mode()
def encode_pictures(
    photos: np.ndarray, maps: np.ndarray, painted: Sequence[np.ndarray], image: VQGAN,
    label: VQGAN, config: ModelConfig, precision: Precision,
) -> dict[int, CodeSet]:  # fmt: skip
    """Codes of photos (N, side, side, 3) with labels and paint (N, side, side), at that side and at 256, by side."""

    sets = {}
    for size in _sizes(photos.shape[1]):
        tokens = np.stack([shrink_any(mask, size // 16) for mask in painted])
        mask = precision.move(torch.from_numpy(tokens.astype(np.float32))[:, None])
        picture = precision.move(torch.cat([to_picture(scale_photo(p, size)) for p in photos]))
        channels = config.label_vqgan.in_channels
        hot = precision.move(torch.cat([one_hot(scale_labels(m, size), channels) for m in maps]))
        made = [part.cpu().numpy().astype(np.int16) for part in codes_of(picture, hot, mask, image, label, precision)]
        sets[size] = CodeSet(made[0], made[1], tokens.reshape(len(tokens), -1), made[2])
    return sets


def codes_of(
    picture: Tensor, hot: Tensor, mask: Tensor, image: VQGAN, label: VQGAN, precision: Precision
) -> tuple[Tensor, Tensor, Tensor]:
    """Codes (N, L) int64: of whole pictures (N, 3, side, side), of what is known beside masks (N, 1, h, w), of labels.

    hot: one-hot label maps (N, labels, side, side).
    """
    with precision.autocast():
        features = image.encode(picture), image.encode(picture, mask, known_only=True)
        condition = label.encode(hot)
    target, known = (image.quantize.indices(part.float()) for part in features)
    return target, known, label.quantize.indices(condition.float())


def joined(parts: Sequence[dict[int, CodeSet]]) -> dict[int, CodeSet]:
    """One set a side of all parts' crops, in their order."""
    return {side: CodeSet.of([part[side] for part in parts]) for side in parts[0]}


def _sizes(side: int) -> tuple[int, ...]:
    return (side,) if side == GUIDE_RESOLUTION else (side, GUIDE_RESOLUTION)


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
