"""The guide's dense pass over complete codes, and the block lists read off its attention (specification, section 5)."""

from __future__ import annotations

import torch
from torch import Tensor

from .blocks import BlockLists, choose_blocks, pool_attention
from .config import Semantics
from .grid import TokenGrid
from .transformer import AttentionMaps, Transformer

GUIDE_GRID = TokenGrid(16)


@torch.inference_mode()
def guide_block_lists(
    guide: Transformer,
    codes: Tensor,
    mask: Tensor,
    condition: Tensor,
    count: int,
    semantics: Semantics,
    maps: AttentionMaps | None = None,
) -> BlockLists:
    """Block lists for SGA from the guide's attention over its own samples.

    codes: (N, 256) int64 raster, complete samples; mask: (256,) bool, what was drawn; condition: (256,) int64
    label codes. count: blocks to choose (3). maps: collects the attention weights, if wanted.
    The encoder sees [MASK] where tokens were drawn, so its lists are the same for all samples (batch 1).
    """
    maps = AttentionMaps() if maps is None else maps
    hidden = codes[:1].masked_fill(mask[None], guide.config.mask_token)
    encoded = guide.encode(hidden, condition[None], GUIDE_GRID, maps=maps)
    guide.decode(codes, encoded, GUIDE_GRID, maps=maps)
    return choose_blocks(*affinities(maps), count, semantics)


def affinities(maps: AttentionMaps) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Block affinities (B, heads, 64, 64) per layer of encoder, causal and cross attention, without [START]."""
    return (
        [pool_attention(weights) for weights in maps.encoder],
        [pool_attention(weights[:, :, 1:, 1:]) for weights in maps.causal],
        [pool_attention(weights[:, :, 1:]) for weights in maps.cross],
    )
