"""From paint to tokens: which tokens an edit touches.

Clean semantics: a token is edited when *any* of its pixels is painted. Reference semantics: when its top-left
pixel is (specification, section 1.2), which loses thin strokes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..config import TOKEN_PIXELS, Semantics


def shrink_any(mask: np.ndarray, side: int) -> np.ndarray:
    """(H, W) bool -> (side, side) bool: a cell is set when any pixel that it covers, even in part, is set."""
    height, width = mask.shape
    if height % side == 0 and width % side == 0:
        return np.asarray(mask.reshape(side, height // side, side, width // side).any((1, 3)))
    return (_overlaps(height, side).T @ mask.astype(np.float32) @ _overlaps(width, side)) > 0


def _overlaps(size: int, side: int) -> np.ndarray:
    """(size, side) float32: 1 where a pixel and a cell overlap."""
    pixel, cell = np.arange(size)[:, None], np.arange(side)[None]
    return ((pixel * side < (cell + 1) * size) & ((pixel + 1) * side > cell * size)).astype(np.float32)


def token_mask(mask: np.ndarray, semantics: Semantics) -> np.ndarray:
    """(S, S) edit mask, bool or uint8, S a multiple of 16 -> (S/16, S/16) bool, True = to be generated."""
    side = mask.shape[0] // TOKEN_PIXELS
    if semantics is Semantics.REFERENCE:
        return mask[::TOKEN_PIXELS, ::TOKEN_PIXELS] != 0
    return shrink_any(mask != 0, side)


def encoder_mask(mask: np.ndarray, tokens: np.ndarray, semantics: Semantics) -> Tensor:
    """The mask that the image encoder gets: (1, 1, S, S) pixels in reference, (1, 1, s, s) whole tokens in clean.

    mask: (S, S) uint8 or bool pixels; tokens: (s, s) bool from `token_mask`.
    """
    if semantics is Semantics.REFERENCE:
        values = mask.astype(np.float32) / 255.0 if mask.dtype == np.uint8 else mask.astype(np.float32)
        return torch.from_numpy(values)[None, None]
    return torch.from_numpy(tokens.astype(np.float32))[None, None]
