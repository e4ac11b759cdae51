"""From the guide's attention to block lists (ASSET, section 3.3; specification, sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...config import Semantics, TransformerConfig
from ...grid import BLOCKS

EXCLUDED = -10000.0
FIRST_LISTED = 5  # causal blocks before this one see everything before them


@dataclass(frozen=True)
class BlockLists:
    """The blocks chosen for each layer, sample, head and query block, most attended first; int64 block ids.

    encoder: (encoder layers, B, heads, 64, K); causal: (decoder layers, B, heads, 59, K), entry i is block
    i + 5; cross: (decoder layers, B, heads, 64, K). Valid at every resolution.
    """

    encoder: Tensor
    causal: Tensor
    cross: Tensor

    def sample(self, start: int, stop: int) -> BlockLists:
        """The lists of samples start…stop-1 (lists that all samples share stay as they are)."""

        def cut(lists: Tensor) -> Tensor:
            return lists if lists.shape[1] == 1 else lists[:, start:stop]

        return BlockLists(cut(self.encoder), cut(self.causal), cut(self.cross))


def pool_attention(weights: Tensor) -> Tensor:
    """Guide attention (B, heads, 256, 256), strip order -> block affinity (B, heads, 64, 64), the mean of 4x4 cells."""
    return F.avg_pool2d(weights, 4, 4)


def exclusion_full(device: torch.device | None = None) -> Tensor:
    """(64, 64) float32: -10000 where a block may not be chosen because it is a neighbour anyway, else 0."""
    distance = torch.arange(BLOCKS, device=device)[:, None] - torch.arange(BLOCKS, device=device)[None]
    return torch.where(distance.abs() <= 1, EXCLUDED, 0.0)


def exclusion_causal(semantics: Semantics, device: torch.device | None = None) -> Tensor:
    """(64, 64) float32 for causal attention: the neighbourhood b-2…b and the future are excluded.

    Reference semantics leaves rows 0…6 open, so blocks 5 and 6 may choose themselves (specification, section 5).
    """
    rows, columns = torch.arange(BLOCKS, device=device)[:, None], torch.arange(BLOCKS, device=device)[None]
    first = FIRST_LISTED + 2 if semantics is Semantics.REFERENCE else FIRST_LISTED
    return torch.where((columns >= rows - 2) & (rows >= first), EXCLUDED, 0.0)


def choose_blocks(
    encoder: Sequence[Tensor], causal: Sequence[Tensor], cross: Sequence[Tensor], count: int, semantics: Semantics
) -> BlockLists:
    """The `count` most attended blocks outside each neighbourhood.

    encoder, causal, cross: per layer (B, heads, 64, 64) float affinities.
    """

    def top(affinities: Sequence[Tensor], exclusion: Tensor) -> Tensor:
        values, indices = (torch.stack(list(affinities)) + exclusion).topk(count, 4)
        return indices.masked_fill(values < EXCLUDED / 2, -1)  # fewer blocks than asked for may be allowed

    full = exclusion_full(encoder[0].device)
    listed = top(causal, exclusion_causal(semantics, encoder[0].device))[:, :, :, FIRST_LISTED:]
    return BlockLists(top(encoder, full), listed, top(cross, full))


def random_lists(
    config: TransformerConfig, samples: int, seed: int, count: int | None = None, semantics: Semantics = Semantics.CLEAN
) -> BlockLists:
    """Blocks chosen at random wherever the guide may choose them (as in Zaheer et al. 2020); count: or `config`'s."""
    generator = torch.Generator().manual_seed(seed)

    def chance(layers: int, batch: int) -> list[Tensor]:
        return list(torch.rand(layers, batch, config.heads, BLOCKS, BLOCKS, generator=generator))

    encoder, decoder = config.encoder_layers, config.decoder_layers
    count = config.top_k_blocks if count is None else count
    return choose_blocks(chance(encoder, 1), chance(decoder, samples), chance(decoder, samples), count, semantics)


def visible_full(lists: Tensor) -> Tensor:
    """Lists (B, heads, 64, K) -> visible blocks (B, heads, 64, 3 + K): b-1, b, b+1 and the listed ones."""
    blocks = torch.arange(BLOCKS, device=lists.device)
    rows = torch.stack([blocks, blocks - 1, blocks + 1], 1)
    rows[-1, 2] = -1
    near = rows.expand(*lists.shape[:2], -1, -1)
    visible = torch.cat([near[..., :1], lists, near[..., 1:]], 3)
    return _unused_last(visible)


def visible_causal(lists: Tensor) -> Tensor:
    """Lists (B, heads, 59, K) -> blocks visible in full (B, heads, 64, n), n = max(K + 2, 4).

    Blocks 0…4 see all earlier blocks; block b >= 5 sees its list, b-2 and b-1. The own block is not listed
    here (it is visible causally) unless a reference list holds it.
    """
    batch, heads, _, count = lists.shape
    slots = max(count + 2, FIRST_LISTED - 1)
    visible = torch.full((batch, heads, BLOCKS, slots), -1, dtype=torch.long, device=lists.device)
    for block in range(FIRST_LISTED):
        visible[:, :, block, :block] = torch.arange(block, device=lists.device)
    later = torch.arange(FIRST_LISTED, BLOCKS, device=lists.device)
    visible[:, :, FIRST_LISTED:, :count] = lists
    visible[:, :, FIRST_LISTED:, count] = later - 2
    visible[:, :, FIRST_LISTED:, count + 1] = later - 1
    return _unused_last(visible)


def _unused_last(visible: Tensor) -> Tensor:
    """Move unused slots (-1) to the end of each row, keeping the order of the others."""
    order = torch.argsort((visible < 0).to(torch.uint8), dim=3, stable=True)
    return visible.gather(3, order)


def all_blocks(layers: tuple[int, int], heads: int) -> BlockLists:
    """Lists that name every block outside the neighbourhood: sparse attention then equals dense attention."""
    everything = torch.full((BLOCKS, BLOCKS), -1, dtype=torch.long)
    before = torch.full((BLOCKS - FIRST_LISTED, BLOCKS), -1, dtype=torch.long)
    for block in range(BLOCKS):
        others = [b for b in range(BLOCKS) if abs(b - block) > 1]
        everything[block, : len(others)] = torch.tensor(others)
        if block >= FIRST_LISTED:
            before[block - FIRST_LISTED, : block - 2] = torch.arange(block - 2)
    full = everything.expand(1, heads, -1, -1)
    return BlockLists(
        full.expand(layers[0], -1, -1, -1, -1),
        before.expand(layers[1], 1, heads, -1, -1),
        full.expand(layers[1], -1, -1, -1, -1),
    )
