"""All photos in the memory of the GPU, cropped there: a fast GPU is never kept waiting by files, threads or copies."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...drawing.masks import shrink_any
from .masks import training_mask
from .pairs import DataError, Pair

log = logging.getLogger(__name__)
FINER = 2  # samples a side for each pixel of a crop, averaged: crops are at most so many times smaller


class ResidentPhotos:
    """Photos and label maps on `device`, one after the other, and a token mask made of each photo's own labels.

    Takes about four bytes a pixel. Pairs that cannot be read are named in the log and left out; DataError when none
    is left.
    """

    def __init__(self, pairs: Sequence[Pair], tokens: int, device: torch.device, seed: int = 0) -> None:
        """tokens: a side of the masks."""
        seeds = range(seed, seed + len(pairs))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            loaded = [item for item in pool.map(partial(_loaded, tokens), pairs, seeds) if item is not None]
        if not loaded:
            raise DataError(f"none of {len(pairs)} pairs can be read, nothing to train on")
        self.sizes = np.array([labels.shape for _, labels, _ in loaded])
        starts = np.concatenate([[0], self.sizes.prod(1).cumsum()[:-1]])
        self.starts, self.widths = (torch.from_numpy(x).to(device) for x in (starts, self.sizes[:, 1].copy()))
        photos = np.concatenate([photo.reshape(-1, 3) for photo, _, _ in loaded])
        self.photos = torch.from_numpy(photos).to(device)
        self.labels = torch.from_numpy(np.concatenate([labels.ravel() for _, labels, _ in loaded])).to(device)
        self.masks = np.stack([mask for *_, mask in loaded])
        self.device = device

    def __len__(self) -> int:
        return len(self.sizes)

    def crops(self, rows: np.ndarray, boxes: np.ndarray, mirrored: np.ndarray, side: int) -> tuple[Tensor, Tensor]:
        """Squares of these photos at `side` pixels: pictures (B, 3, side, side) in [-1, 1], labels (B, side, side).

        boxes: (B, 3) top, left and side in the photo; mirrored: (B,) bool.
        """
        which, top, left, taken = (
            torch.from_numpy(np.ascontiguousarray(x)).to(self.device) for x in (rows, *boxes.astype(np.int64).T)
        )
        flip = torch.from_numpy(mirrored).to(self.device)
        starts, widths = self.starts[which][:, None, None], self.widths[which][:, None, None]

        def places(count: int) -> tuple[Tensor, Tensor]:
            steps = (torch.arange(count, device=self.device)[None] + 0.5) / count * taken[:, None]
            across = torch.where(flip[:, None], taken[:, None] - steps, steps)
            columns = across.floor().long().clamp(max=taken[:, None] - 1)
            return steps.floor().long() + top[:, None], columns + left[:, None]

        down, across = places(FINER * side)
        picture = self.photos[starts + down[:, :, None] * widths + across[:, None]].permute(0, 3, 1, 2)
        picture = F.avg_pool2d(picture.float(), FINER) / 127.5 - 1
        down, across = places(side)
        return picture, self.labels[starts + down[:, :, None] * widths + across[:, None]].long()


class ResidentCrops:
    """Batches for the image VQGAN: number n is a function of (seed, n) alone."""

    def __init__(self, photos: ResidentPhotos, side: int, batch: int, seed: int, scales: tuple[float, float]) -> None:
        self.photos, self.side, self.size, self.seed, self.scales = photos, side, batch, seed, scales

    def batch(self, number: int) -> tuple[Tensor, Tensor, np.ndarray, np.random.Generator]:
        """Pictures (B, 3, side, side), labels (B, side, side), token masks (B, 1, h, w) and the batch's generator."""
        rng = np.random.default_rng((self.seed, number))
        rows, others = rng.integers(len(self.photos), size=(2, self.size))
        heights, widths = self.photos.sizes[rows].T
        taken = np.minimum(np.minimum(heights, widths), (self.side / rng.uniform(*self.scales, self.size)).round())
        tops, lefts = ((rng.random(self.size) * (x - taken + 1)).astype(np.int64) for x in (heights, widths))
        boxes = np.stack([tops, lefts, taken.astype(np.int64)], 1)
        pictures, labels = self.photos.crops(rows, boxes, rng.random(self.size) < 0.5, self.side)
        return pictures, labels, self.photos.masks[others][:, None].astype(np.float32), rng


def _loaded(tokens: int, pair: Pair, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    try:
        photo, labels = pair.load()
    except DataError as error:
        log.warning("skipped %s", error)
        return None
    short = min(labels.shape)
    mask = training_mask(labels[:short, :short], np.random.default_rng((seed, 5)))
    return photo, labels, shrink_any(mask, tokens)
