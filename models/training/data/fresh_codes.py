"""Codes of new crops at every step: a GPU encodes faster than it learns, and what is never seen twice is not learnt
by heart."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...config import GUIDE_RESOLUTION, TOKEN_PIXELS
from ...networks.vqgan.vqgan import VQGAN
from ..precision import Precision
from .codes import codes_of
from .masks import MAX_RATIO
from .resident import PAINTS, ResidentCrops

Rows = dict[str, Tensor]  # target, known, condition (B, L) int64 and mask (B, L) bool, as `CodeSet` has them


class FreshCodes:
    """Batches for guide and SGA: number n is a function of (seed, n) and of the encoders alone."""

    def __init__(self, crops: ResidentCrops, image: VQGAN, label: VQGAN, precision: Precision) -> None:
        self.crops, self.image, self.label, self.precision = crops, image, label, precision
        self.side = crops.side

    @torch.no_grad()
    def batch(self, number: int) -> tuple[Rows, Rows]:
        """Codes of the crops at their own side, and of the same crops as the guide sees them, at 256."""
        rng = np.random.default_rng((self.crops.seed, number))
        rows, boxes, mirrored = self.crops.chosen(rng)
        pictures, labels = self.crops.photos.crops(rows, boxes, mirrored, self.side)
        which = rng.integers(PAINTS, size=len(rows))
        painted = self.crops.photos.painted(rows, boxes, mirrored, self.side, which)[:, None]
        others = self.crops.photos.masks[rng.integers(len(self.crops.photos), size=len(rows))][:, None]
        mask = self._usable(F.max_pool2d(painted.float(), TOKEN_PIXELS), torch.from_numpy(others).to(painted.device))
        batch = self._encoded(pictures, labels, mask)
        factor = self.side // GUIDE_RESOLUTION
        if factor == 1:
            return batch, batch
        low = F.avg_pool2d(pictures, factor), labels[:, ::factor, ::factor], F.max_pool2d(mask, factor)
        return batch, self._encoded(*low)

    def _usable(self, mask: Tensor, other: Tensor) -> Tensor:
        """The masks (B, 1, h, w), another photo's in place of those that are empty here, or too large."""
        share = mask.mean((1, 2, 3), keepdim=True)
        return torch.where((share > 0) & (share <= MAX_RATIO[self.side]), mask, other.float())

    def _encoded(self, pictures: Tensor, labels: Tensor, mask: Tensor) -> Rows:
        hot = F.one_hot(labels, self.label.config.in_channels).permute(0, 3, 1, 2).float()
        pictures, hot, mask = (self.precision.move(x) for x in (pictures, hot, mask))
        target, known, condition = codes_of(pictures, hot, mask, self.image, self.label, self.precision)
        return {"target": target, "known": known, "mask": mask.flatten(1) > 0.5, "condition": condition}
