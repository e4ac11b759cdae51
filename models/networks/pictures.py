"""Pictures and label maps as the networks take and give them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..config import Semantics


def one_hot(labels: np.ndarray, count: int) -> Tensor:
    """(H, W) uint8 indices -> (1, count, H, W) float32."""
    index = torch.from_numpy(labels.astype(np.int64))
    return torch.zeros(1, count, *labels.shape).scatter_(1, index[None, None], 1.0)


def to_picture(photo: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(photo)).permute(2, 0, 1)[None].float() / 127.5 - 1.0


def to_pixels(picture: Tensor, semantics: Semantics) -> np.ndarray:
    """(1, 3, H, W) float in [-1, 1] -> (H, W, 3) uint8; reference truncates, clean rounds."""
    scaled = ((picture[0].float() + 1.0) * 127.5).clamp(0, 255)
    if semantics is not Semantics.REFERENCE:
        scaled = scaled.round()
    return scaled.permute(1, 2, 0).to(torch.uint8).cpu().numpy()
