"""Block-sparse attention against dense attention and against plain loops (design/trust.md, row 6)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.grid import BLOCKS
from models.networks.transformers.attention import (
    attend,
    attend_causal,
    attend_causal_blocks,
    attention_weights,
    gather_blocks,
)
from models.networks.transformers.blocks import all_blocks, random_lists, visible_causal, visible_full
from tests.helpers import examples, tiny_transformer_config

HEADS, WIDTH = 2, 8
SIDES = (16, 32, 48, 64)


def parts(length: int, batch: int = 2, seed: int = 0, count: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, HEADS, length, WIDTH, generator=generator) for _ in range(count)]


def plain(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """One query (dh,) over the keys (n, dh), in double precision."""
    weights = ((keys.double() @ q.double()) * WIDTH**-0.5).softmax(0)
    mixed: Tensor = weights @ values.double()
    return mixed.float()


def block_rows(blocks: list[int], size: int) -> list[int]:
    return [size * block + t for block in blocks if block >= 0 for t in range(size)]


@pytest.mark.parametrize("side", SIDES)
def test_that_encoder_attention_over_all_blocks_equals_dense_attention(side: int) -> None:
    q, k, v = parts(side * side)
    visible = visible_full(all_blocks((1, 1), HEADS).encoder[0])
    assert (attend(q, k, v, visible) - attend(q, k, v)).abs().max() <= 1e-5


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shared", [False, True])
def test_that_cross_attention_over_all_blocks_equals_dense_attention(side: int, shared: bool) -> None:
    q = parts(side * side + 1)[0]
    k, v = parts(side * side, batch=1 if shared else 2, seed=1, count=2)
    visible = visible_full(all_blocks((1, 1), HEADS).cross[0])
    assert (attend(q, k, v, visible, start=True) - attend(q, k, v)).abs().max() <= 1e-5


@pytest.mark.parametrize("side", SIDES)
def test_that_causal_attention_over_all_blocks_equals_dense_attention(side: int) -> None:
    q, k, v = parts(side * side + 1)
    visible = visible_causal(all_blocks((1, 1), HEADS).causal[0])
    assert (attend_causal(q, k, v, visible) - attend_causal(q, k, v)).abs().max() <= 1e-5


@given(st.integers(0, 2**31), st.sampled_from([16, 32]), st.integers(0, BLOCKS - 1), st.booleans())
@examples(30)
def test_that_a_query_attends_to_its_listed_blocks_and_nothing_else(
    seed: int, side: int, block: int, shared: bool
) -> None:
    size = side * side // BLOCKS
    q = parts(side * side + 1, seed=seed)[0]
    k, v = parts(side * side, batch=1 if shared else 2, seed=seed + 1, count=2)
    visible = visible_full(random_lists(tiny_transformer_config(), 2, seed).cross[0])
    out = attend(q, k, v, visible, start=True)
    for sample in range(2):
        keys, values = k[0 if shared else sample], v[0 if shared else sample]
        for head in range(HEADS):
            rows = block_rows(visible[sample, head, block].tolist(), size)
            for entry in (1 + block * size, (block + 1) * size):
                expected = plain(q[sample, head, entry], keys[head, rows], values[head, rows])
                assert (out[sample, head, entry] - expected).abs().max() <= 1e-5
            start = plain(q[sample, head, 0], keys[head], values[head])  # [START] sees everything
            assert (out[sample, head, 0] - start).abs().max() <= 1e-5


@given(st.integers(0, 2**31), st.sampled_from([16, 32]), st.integers(0, BLOCKS - 1))
@examples(30)
def test_that_a_causal_query_attends_to_start_its_listed_blocks_and_what_came_before(
    seed: int, side: int, block: int
) -> None:
    size = side * side // BLOCKS
    q, k, v = parts(side * side + 1, seed=seed)
    visible = visible_causal(random_lists(tiny_transformer_config(), 2, seed).causal[0])
    out = attend_causal(q, k, v, visible)
    for sample in range(2):
        for head in range(HEADS):
            assert torch.equal(out[sample, head, 0], v[sample, head, 0])  # [START] sees itself
            for offset in (0, size // 2, size - 1):
                own = range(block * size, block * size + offset + 1)
                rows = [0] + [1 + r for r in (*block_rows(visible[sample, head, block].tolist(), size), *own)]
                expected = plain(q[sample, head, rows[-1]], k[sample, head, rows], v[sample, head, rows])
                assert (out[sample, head, rows[-1]] - expected).abs().max() <= 1e-5


def test_that_a_block_listed_twice_counts_twice() -> None:
    q, k, v = parts(257, batch=1)
    visible = visible_causal(random_lists(tiny_transformer_config(), 1, 0).causal[0])
    twice = visible.clone()
    twice[:, :, 40, 0] = twice[:, :, 40, 1]
    out = attend_causal(q, k, v, twice)[0, 0, 1 + 40 * 4]
    rows = [0] + [1 + r for r in (*block_rows(twice[0, 0, 40].tolist(), 4), 160)]
    assert len(rows) > len(set(rows))
    assert (out - plain(q[0, 0, 161], k[0, 0, rows], v[0, 0, rows])).abs().max() <= 1e-5


@given(st.integers(0, 2**31), st.integers(0, 60), st.integers(1, 4))
@examples(20)
def test_that_some_blocks_alone_attend_as_in_the_whole_sequence(seed: int, first: int, count: int) -> None:
    q, k, v = parts(257, seed=seed)
    visible = visible_causal(random_lists(tiny_transformer_config(), 2, seed).causal[0])
    whole = attend_causal(q, k, v, visible)[:, :, 1 + 4 * first : 1 + 4 * (first + count)]
    blocks = q[:, :, 1 + 4 * first : 1 + 4 * (first + count)].unflatten(2, (count, 4))
    stop = 1 + 4 * (first + count)
    hidden = [torch.cat([x[:, :, :stop], torch.full_like(x[:, :, stop:], 1e4)], 2) for x in (k, v)]  # not filled yet
    part = attend_causal_blocks(blocks, hidden[0], hidden[1], visible[:, :, first : first + count], first).flatten(2, 3)
    assert (part - whole).abs().max() <= 1e-5


def test_that_gathering_takes_each_head_and_sample_from_its_own_keys() -> None:
    x = torch.arange(2 * HEADS * 128 * 1, dtype=torch.float32).view(2, HEADS, 128, 1)
    visible = torch.randint(0, BLOCKS, (2, HEADS, 3, 2), generator=torch.Generator().manual_seed(0))
    picked = gather_blocks(x, visible)
    assert picked.shape == (2, HEADS, 3, 4, 1)
    for place in torch.cartesian_prod(*(torch.arange(n) for n in (2, HEADS, 3))).tolist():
        sample, head, row = place
        expected = x[sample, head, block_rows(visible[sample, head, row].tolist(), 2)]
        assert torch.equal(picked[sample, head, row], expected)


@pytest.mark.parametrize("causal", [False, True])
def test_that_attention_weights_are_those_of_the_attention(causal: bool) -> None:
    q, k, v = parts(65)
    weights = attention_weights(q, k, causal)
    assert (weights.sum(3) - 1).abs().max() <= 1e-5
    out = attend_causal(q, k, v) if causal else attend(q, k, v)
    assert (weights @ v - out).abs().max() <= 1e-5
    assert not causal or not weights.triu(1).any()
