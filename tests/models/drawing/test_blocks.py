"""Block lists: neither the neighbourhood nor the future is ever chosen (specification, sections 4 and 5)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.config import Semantics
from models.grid import BLOCKS
from models.networks.transformers.blocks import (
    FIRST_LISTED,
    BlockLists,
    all_blocks,
    choose_blocks,
    exclusion_causal,
    exclusion_full,
    pool_attention,
    random_lists,
    visible_causal,
    visible_full,
)
from tests.helpers import examples, tiny_transformer_config

SEEDS = st.integers(0, 2**31)


def affinities(seed: int, layers: int, batch: int = 2, heads: int = 2, kind: str = "random") -> list[Tensor]:
    """Softmax-like block affinities; "causal" ones are 0 in the future."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.rand(layers, batch, heads, BLOCKS, BLOCKS, generator=generator)
    if kind == "peaked":  # all on the block itself and its neighbours
        distance = (torch.arange(BLOCKS)[:, None] - torch.arange(BLOCKS)).abs()
        made = made * 1e-6 + (distance <= 2)
    if kind == "flat":
        made = torch.ones_like(made)
    return list(made / made.sum(4, keepdim=True) / 4)


@given(SEEDS, st.integers(1, 3), st.sampled_from(["random", "peaked", "flat"]))
@examples(40)
def test_that_lists_exclude_the_neighbourhood_and_the_future(seed: int, count: int, kind: str) -> None:
    encoder, causal, cross = (affinities(seed + i, 2, kind=kind) for i in range(3))
    lists = choose_blocks(encoder, causal, cross, count, Semantics.CLEAN)
    assert lists.encoder.shape == lists.cross.shape == (2, 2, 2, BLOCKS, count)
    assert lists.causal.shape == (2, 2, 2, BLOCKS - FIRST_LISTED, count)
    blocks = torch.arange(BLOCKS)[:, None]
    assert ((lists.encoder - blocks).abs() > 1).all() and ((lists.cross - blocks).abs() > 1).all()
    assert (lists.causal <= blocks[FIRST_LISTED:] - 3).all() and (lists.causal >= 0).all()
    for chosen in (lists.encoder, lists.causal, lists.cross):
        ordered = chosen.sort(4).values
        assert (ordered[..., 1:] != ordered[..., :-1]).all()  # none twice


@pytest.mark.parametrize("count", [4, 6, 8])
def test_that_lists_longer_than_the_past_stay_causal_too(count: int) -> None:
    """Block 5 has three blocks to choose from, block 6 four; a longer list must leave slots unused."""
    causal = affinities(0, 1)
    chosen = choose_blocks(causal, causal, causal, count, Semantics.CLEAN).causal
    assert (chosen <= torch.arange(FIRST_LISTED, BLOCKS)[:, None] - 3).all()


@given(SEEDS)
@examples(20)
def test_that_lists_hold_the_most_attended_blocks_outside_the_neighbourhood(seed: int) -> None:
    encoder, causal, cross = (affinities(seed + i, 1, batch=1, heads=1) for i in range(3))
    lists = choose_blocks(encoder, causal, cross, 3, Semantics.CLEAN)
    for block in range(BLOCKS):
        far = [b for b in range(BLOCKS) if abs(b - block) > 1]
        for chosen, affinity in ((lists.encoder, encoder), (lists.cross, cross)):
            best = sorted(far, key=lambda b: -float(affinity[0][0, 0, block, b]))[:3]
            assert chosen[0, 0, 0, block].tolist() == best
        if block >= FIRST_LISTED:
            best = sorted(range(block - 2), key=lambda b: -float(causal[0][0, 0, block, b]))[:3]
            assert lists.causal[0, 0, 0, block - FIRST_LISTED].tolist() == best


def test_that_reference_lists_leave_blocks_five_and_six_open_and_no_later_one() -> None:
    difference = exclusion_causal(Semantics.REFERENCE) != exclusion_causal(Semantics.CLEAN)
    assert sorted(set(difference.nonzero()[:, 0].tolist())) == [5, 6]
    peaked = affinities(0, 1, kind="peaked")
    lists = choose_blocks(peaked, peaked, peaked, 3, Semantics.REFERENCE).causal
    blocks = torch.arange(FIRST_LISTED, BLOCKS)[:, None]
    assert (lists[:, :, :, :2] >= blocks[:2] - 2).any()
    assert (lists[:, :, :, 2:] <= blocks[2:] - 3).all()


def test_that_exclusions_follow_their_definition() -> None:
    full, causal = exclusion_full(), exclusion_causal(Semantics.CLEAN)
    for row in range(BLOCKS):
        for column in range(BLOCKS):
            assert (full[row, column] < 0) == (abs(row - column) <= 1)
            assert (causal[row, column] < 0) == (row >= 5 and column >= row - 2)


def test_that_affinity_is_the_mean_attention_between_blocks() -> None:
    weights = torch.rand(1, 2, 256, 256)
    pooled = pool_attention(weights)
    assert pooled.shape == (1, 2, BLOCKS, BLOCKS)
    for row, column in ((0, 0), (5, 17), (63, 2)):
        part = weights[0, 1, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert pooled[0, 1, row, column].item() == pytest.approx(part.mean().item(), abs=1e-6)


# --- visible blocks -----------------------------------------------------------------------------------------


def rows_of(visible: Tensor) -> list[list[int]]:
    """Per block of sample 0 and head 0, the blocks listed; checks that unused slots come last."""
    rows = []
    for row in visible[0, 0].tolist():
        used = [b for b in row if b >= 0]
        assert row == used + [-1] * (len(row) - len(used))
        rows.append(used)
    return rows


@given(SEEDS, st.integers(1, 5))
@examples(25)
def test_that_each_block_sees_its_neighbours_and_its_list_once(seed: int, count: int) -> None:
    far = torch.stack([torch.tensor([b for b in range(BLOCKS) if abs(b - block) > 1])[:61] for block in range(BLOCKS)])
    order = torch.rand(2, 2, BLOCKS, 61, generator=torch.Generator().manual_seed(seed)).argsort(3)[..., :count]
    lists = far.expand(2, 2, -1, -1).gather(3, order)
    visible = visible_full(lists)
    assert visible.shape == (2, 2, BLOCKS, 3 + count)
    for block, row in enumerate(rows_of(visible)):
        near = {block - 1, block, block + 1} & set(range(BLOCKS))
        assert len(row) == len(set(row))
        assert set(row) == near | set(lists[0, 0, block].tolist())
    used = visible >= 0
    assert (used == used[:1, :1]).all()  # what is unused is the same for all samples and heads


@given(SEEDS, st.integers(1, 3))
@examples(25)
def test_that_a_causal_block_sees_the_two_before_it_its_list_and_no_future(seed: int, count: int) -> None:
    lists = random_lists(tiny_transformer_config(top_k_blocks=count), 2, seed).causal[0]
    visible = visible_causal(lists)
    for block, row in enumerate(rows_of(visible)):
        assert all(b < block for b in row) and len(row) == len(set(row))
        if block < FIRST_LISTED:
            assert row == list(range(block))
        else:
            assert set(row) == {block - 2, block - 1} | set(lists[0, 0, block - FIRST_LISTED].tolist())
    used = visible >= 0
    assert (used == used[:1, :1]).all()


def test_that_a_block_listed_twice_is_seen_twice() -> None:
    """Reference lists may repeat a neighbour (specification, section 4.4)."""
    lists = torch.zeros(1, 1, BLOCKS - FIRST_LISTED, 3, dtype=torch.long)
    lists[0, 0, 0] = torch.tensor([4, 4, 5])
    assert sorted(rows_of(visible_causal(lists))[5]) == [3, 4, 4, 4, 5]


def test_that_all_blocks_lists_every_block_once() -> None:
    lists = all_blocks((2, 3), 4)
    assert lists.encoder.shape[0] == 2 and lists.causal.shape[0] == lists.cross.shape[0] == 3
    for block, row in enumerate(rows_of(visible_full(lists.cross[0]))):
        assert sorted(row) == list(range(BLOCKS)), block
    for block, row in enumerate(rows_of(visible_causal(lists.causal[0]))):
        assert sorted(row) == list(range(block)), block


def test_that_a_sample_of_the_lists_keeps_what_all_samples_share() -> None:
    lists = random_lists(tiny_transformer_config(), 4, 0)
    cut = lists.sample(1, 3)
    assert isinstance(cut, BlockLists) and torch.equal(cut.encoder, lists.encoder)
    assert torch.equal(cut.causal, lists.causal[:, 1:3]) and torch.equal(cut.cross, lists.cross[:, 1:3])
    assert np.array_equal(cut.causal.shape, (2, 2, 2, 59, 3))
