"""The guide's dense pass over complete codes, and the block lists read off its attention (specification, section 5)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..candidate import Candidate
from ..config import Semantics
from ..grid import TokenGrid
from ..networks.transformers.blocks import BlockLists, choose_blocks, pool_attention
from ..networks.transformers.transformer import AttentionMaps, Transformer
from ..request import Draft, EditRequest
from .scene import SceneEncoder
from .windows import Plan

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


@torch.inference_mode()
def attention_rollout(guide: Transformer, codes: Tensor, mask: Tensor, condition: Tensor) -> Tensor:
    """Which places of the picture each token of a finished sample was drawn from (ASSET, figure 11).

    codes, condition: (256,) int64 raster; mask: (256,) bool. Returns (256, 256): row = token, columns = places it
    looked at, as known picture and labels or as tokens drawn before it; a row sums to at most 1 ([START] is left out).
    Attention rollout (Abnar & Zuidema 2020): the mean over the heads, half of each layer passed on unchanged.
    """
    maps = AttentionMaps()
    hidden = codes[None].masked_fill(mask[None], guide.config.mask_token)
    encoded = guide.encode(hidden, condition[None], GUIDE_GRID, maps=maps)
    guide.decode(codes[None], encoded, GUIDE_GRID, maps=maps)
    tokens = GUIDE_GRID.tokens
    place = torch.eye(tokens, device=codes.device)  # encoder output -> picture
    for weights in maps.encoder:
        place = _half(weights, place)
    drawn = torch.eye(1 + tokens, device=codes.device)  # decoder entry -> entries
    known = torch.zeros(1 + tokens, tokens, device=codes.device)  # decoder entry -> picture
    for own, cross in zip(maps.causal, maps.cross, strict=True):
        drawn, known = _half(own, drawn), _half(own, known)
        drawn, known = 0.5 * drawn, 0.5 * known + 0.5 * cross[0].float().mean(0) @ place
    seen = drawn[:-1, 1:] + known[:-1]  # entry j predicts strip token j; entry j + 1 is that token
    rows = GUIDE_GRID.to_raster(seen[None])[0]
    return GUIDE_GRID.to_raster(rows.t()[None])[0].t()


def _half(weights: Tensor, below: Tensor) -> Tensor:
    """One layer of the rollout; weights: (1, heads, Lq, Lk)."""
    return 0.5 * below + 0.5 * weights[0].float().mean(0) @ below


@torch.inference_mode()
def seen_places(
    guide: Transformer, encoder: SceneEncoder, request: EditRequest, plan: Plan, candidate: Candidate
) -> tuple[np.ndarray, ...]:
    """Per window, (256, 256) float32: where each place of the guide's grid looked (guiding.attention_rollout)."""
    result = []
    for number, planned in enumerate(plan.windows):
        low = encoder.encode(replace(request, way=Draft()), planned, number).low
        codes = torch.from_numpy(candidate.windows[number].guide_codes.reshape(-1).copy()).to(low.codes.device)
        result.append(attention_rollout(guide, codes, low.edit, low.condition).cpu().numpy())
    return tuple(result)
