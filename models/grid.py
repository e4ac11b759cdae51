"""Token grid, blocks and strip order: the only place that reshapes between them.

The token grid (rows, columns) is cut into 64 blocks, 16 rows by 4 columns of blocks whatever the
resolution; block id = 4 * block_row + block_col. *Raster* order goes row by row over the token grid;
*strip* order goes by (block id, row in block, column in block). Specification, section 2; ASSET, section 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .config import TOKEN_PIXELS
from .errors import RequestError

BLOCK_ROWS = 16
BLOCK_COLS = 4
BLOCKS = BLOCK_ROWS * BLOCK_COLS


@dataclass(frozen=True)
class TokenGrid:
    """A square grid of `side` x `side` tokens; `side` is a multiple of 16."""

    side: int

    def __post_init__(self) -> None:
        if self.side < BLOCK_ROWS or self.side % BLOCK_ROWS:
            raise RequestError(
                f"a token grid of side {self.side} cannot be cut into {BLOCKS} blocks; use a multiple of 16"
            )

    @classmethod
    def of_resolution(cls, pixels: int) -> TokenGrid:
        return cls(pixels // TOKEN_PIXELS)

    @property
    def tokens(self) -> int:
        return self.side * self.side

    @property
    def block_height(self) -> int:
        return self.side // BLOCK_ROWS

    @property
    def block_width(self) -> int:
        return self.side // BLOCK_COLS

    @property
    def tokens_per_block(self) -> int:
        return self.block_height * self.block_width

    def to_strip(self, raster: Tensor) -> Tensor:
        """(B, L, …) in raster order -> (B, L, …) in strip order."""
        return raster[:, strip_permutation(self.side).to(raster.device)]

    def to_raster(self, strip: Tensor) -> Tensor:
        """(B, L, …) in strip order -> (B, L, …) in raster order."""
        return strip[:, raster_permutation(self.side).to(strip.device)]

    def blocks_as_images(self, strip: Tensor) -> Tensor:
        """(B, L, C) strip order -> (B * 64, C, block_height, block_width)."""
        batch, _, channels = strip.shape
        cells = strip.reshape(batch * BLOCKS, self.block_height, self.block_width, channels)
        return cells.permute(0, 3, 1, 2)

    def images_as_blocks(self, images: Tensor, batch: int) -> Tensor:
        """The inverse of `blocks_as_images`: (B * 64, C, h, w) -> (B, L, C) strip order."""
        return images.permute(0, 2, 3, 1).reshape(batch, self.tokens, images.shape[1])


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # a cached inference tensor could not be used in training
def strip_permutation(side: int) -> Tensor:
    """int64 (L,): strip[i] = raster[permutation[i]]."""
    grid = TokenGrid(side)
    raster = torch.arange(grid.tokens).reshape(BLOCK_ROWS, grid.block_height, BLOCK_COLS, grid.block_width)
    return raster.permute(0, 2, 1, 3).reshape(-1)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def raster_permutation(side: int) -> Tensor:
    """int64 (L,): raster[i] = strip[permutation[i]]."""
    return torch.argsort(strip_permutation(side))


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def block_ids(side: int) -> Tensor:
    """int64 (L,): the block id of every cell in raster order."""
    grid = TokenGrid(side)
    return raster_permutation(side) // grid.tokens_per_block
