"""All photos in the memory of the GPU, cropped there: a fast GPU is never kept waiting by files, threads or copies."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...drawing.masks import shrink_any
from .masks import training_mask
from .pairs import DataError, Pair, balanced

log = logging.getLogger(__name__)
FINER = 2  # samples a side for each pixel of a crop, averaged: crops are at most so many times smaller
PAINTS = 8  # edit masks of each photo, a bit each


class ResidentPhotos:
    """Photos, label maps and edit masks on `device`, one after the other, and a token mask of each photo.

    Takes about five bytes a pixel. Pairs that cannot be read are named in the log and left out; DataError when none
    is left.
    """

    def __init__(self, pairs: Sequence[Pair], tokens: int, device: torch.device, seed: int = 0, least: int = 0) -> None:
        """tokens: a side of the token masks. least: pixels that a short side has at least, enlarged if need be."""
        seeds = range(seed, seed + len(pairs))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            loaded = [item for item in pool.map(partial(_loaded, tokens, least), pairs, seeds) if item is not None]
        if not loaded:
            raise DataError(f"none of {len(pairs)} pairs can be read, nothing to train on")
        self.pairs = tuple(item.pair for item in loaded)
        self.sizes = np.array([item.labels.shape for item in loaded])
        starts = np.concatenate([[0], self.sizes.prod(1).cumsum()[:-1]])
        self.starts, self.widths = (torch.from_numpy(x).to(device) for x in (starts, self.sizes[:, 1].copy()))
        photos = np.concatenate([item.photo.reshape(-1, 3) for item in loaded])
        self.photos = torch.from_numpy(photos).to(device)
        self.labels = torch.from_numpy(np.concatenate([item.labels.ravel() for item in loaded])).to(device)
        self.paint = torch.from_numpy(np.concatenate([item.paint.ravel() for item in loaded])).to(device)
        self.masks = np.stack([item.tokens for item in loaded])
        self.device = device

    def __len__(self) -> int:
        return len(self.sizes)

    def crops(self, rows: np.ndarray, boxes: np.ndarray, mirrored: np.ndarray, side: int) -> tuple[Tensor, Tensor]:
        """Squares of these photos at `side` pixels: pictures (B, 3, side, side) in [-1, 1], labels (B, side, side).

        boxes: (B, 3) top, left and side in the photo; mirrored: (B,) bool.
        """
        picture = self.photos[self._places(rows, boxes, mirrored, FINER * side)].permute(0, 3, 1, 2)
        picture = F.avg_pool2d(picture.float(), FINER) / 127.5 - 1
        return picture, self.labels[self._places(rows, boxes, mirrored, side)].long()

    def painted(
        self, rows: np.ndarray, boxes: np.ndarray, mirrored: np.ndarray, side: int, which: np.ndarray
    ) -> Tensor:
        """One of the photos' edit masks, `which` (B,) below PAINTS, in the same squares: (B, side, side) bool."""
        bits = torch.from_numpy(which.astype(np.uint8)).to(self.device)[:, None, None]
        return (self.paint[self._places(rows, boxes, mirrored, side)] >> bits) & 1 > 0

    def _places(self, rows: np.ndarray, boxes: np.ndarray, mirrored: np.ndarray, count: int) -> Tensor:
        """Which pixels the squares hold at `count` samples a side, (B, count, count)."""
        which, top, left, taken = (
            torch.from_numpy(np.ascontiguousarray(x)).to(self.device) for x in (rows, *boxes.astype(np.int64).T)
        )
        flip = torch.from_numpy(mirrored).to(self.device)
        starts, widths = self.starts[which][:, None, None], self.widths[which][:, None, None]
        steps = (torch.arange(count, device=self.device)[None] + 0.5) / count * taken[:, None]
        across = torch.where(flip[:, None], taken[:, None] - steps, steps)
        columns = across.floor().long().clamp(max=taken[:, None] - 1) + left[:, None]
        down = steps.floor().long() + top[:, None]
        return starts + down[:, :, None] * widths + columns[:, None]


@lru_cache(maxsize=1)
def resident_photos(pairs: tuple[Pair, ...], tokens: int, device: torch.device, least: int = 0) -> ResidentPhotos:
    """The photos of the last call again where nothing has changed: stages that follow each other share them."""
    return ResidentPhotos(pairs, tokens, device, least=least)


class ResidentCrops:
    """Batches for the image VQGAN: number n is a function of (seed, n) alone."""

    def __init__(
        self, photos: ResidentPhotos, side: int, batch: int, seed: int, scales: tuple[float, float],
        rounds: int | None = None,
    ) -> None:  # fmt: skip
        """rounds: photos with rare labels come more often, by so many rounds of `balanced`."""
        self.photos, self.side, self.size, self.seed, self.scales = photos, side, batch, seed, scales
        places = {pair: row for row, pair in enumerate(photos.pairs)}
        chosen = photos.pairs if rounds is None else balanced(photos.pairs, rounds)
        self.rows = np.array([places[pair] for pair in chosen])

    def batch(self, number: int) -> tuple[Tensor, Tensor, np.ndarray, np.random.Generator]:
        """Pictures (B, 3, side, side), labels (B, side, side), token masks (B, 1, h, w) and the batch's generator."""
        rng = np.random.default_rng((self.seed, number))
        rows, boxes, mirrored = self.chosen(rng)
        others = rng.integers(len(self.photos), size=self.size)
        pictures, labels = self.photos.crops(rows, boxes, mirrored, self.side)
        return pictures, labels, self.photos.masks[others][:, None].astype(np.float32), rng

    def chosen(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Photos, boxes and which are mirrored, as `ResidentPhotos.crops` takes them."""
        rows = self.rows[rng.integers(len(self.rows), size=self.size)]
        heights, widths = self.photos.sizes[rows].T
        taken = np.minimum(np.minimum(heights, widths), (self.side / rng.uniform(*self.scales, self.size)).round())
        tops, lefts = ((rng.random(self.size) * (x - taken + 1)).astype(np.int64) for x in (heights, widths))
        return rows, np.stack([tops, lefts, taken.astype(np.int64)], 1), rng.random(self.size) < 0.5


@dataclass(frozen=True)
class _Loaded:
    """Photo (H, W, 3), labels (H, W) and paint (H, W), a bit for each mask, uint8; tokens: (t, t) bool."""

    pair: Pair
    photo: np.ndarray
    labels: np.ndarray
    paint: np.ndarray
    tokens: np.ndarray


def _loaded(tokens: int, least: int, pair: Pair, seed: int) -> _Loaded | None:
    try:
        photo, labels = pair.load()
    except DataError as error:
        log.warning("skipped %s", error)
        return None
    short = min(labels.shape)
    if short < least:
        size = tuple(round(x * least / short) for x in labels.shape[::-1])
        photo = cv2.resize(photo, size, interpolation=cv2.INTER_CUBIC)
        labels, short = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST), least
    rng = np.random.default_rng((seed, 5))
    mask = shrink_any(training_mask(labels[:short, :short], rng), tokens)
    bits = [training_mask(labels, rng).astype(np.uint8) << k for k in range(PAINTS)]
    return _Loaded(pair, photo, labels, np.bitwise_or.reduce(bits), mask)
