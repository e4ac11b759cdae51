"""The transformer as a whole: sparse equals dense when it may see everything, and nothing sees the future."""

from __future__ import annotations

import copy
from functools import lru_cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.config import Semantics, TransformerConfig
from models.drawing.guiding import GUIDE_GRID, affinities, guide_block_lists
from models.grid import TokenGrid
from models.networks.transformers.blocks import all_blocks, random_lists
from models.networks.transformers.transformer import AttentionMaps, Transformer, Visible
from tests.helpers import CODES, LABEL_CODES, examples, tiny_transformer, tiny_transformer_config

SIDES = (16, 32, 48, 64)


@lru_cache(maxsize=8)
def model(semantics: Semantics = Semantics.CLEAN) -> Transformer:
    return tiny_transformer(tiny_transformer_config(semantics))


def codes(grid: TokenGrid, batch: int = 1, seed: int = 0, count: int = CODES) -> Tensor:
    return torch.randint(count, (batch, grid.tokens), generator=torch.Generator().manual_seed(seed))


def everything(config: TransformerConfig) -> Visible:
    return Visible.of(all_blocks((config.encoder_layers, config.decoder_layers), config.heads))


def gap_to_dense(net: Transformer, side: int) -> float:
    """The largest difference of encoder output and logits when all blocks are listed."""
    grid, visible = TokenGrid(side), everything(net.config)
    tokens, condition = codes(grid), codes(grid, seed=1, count=LABEL_CODES)
    dense = net.encode(tokens, condition, grid)
    gap = (net.encode(tokens, condition, grid, visible.encoder) - dense).abs().max()
    return max(
        float(gap), float((net.decode(tokens, dense, grid, visible) - net.decode(tokens, dense, grid)).abs().max())
    )


@pytest.mark.parametrize("semantics", list(Semantics))
@pytest.mark.parametrize("side", SIDES)
@torch.inference_mode()
def test_that_all_blocks_listed_equals_dense(side: int, semantics: Semantics) -> None:
    """In the weights' own precision at their usual spread; and exactly, with peaked attention, in double precision."""
    torch.manual_seed(side)
    fresh = Transformer(tiny_transformer_config(semantics)).eval()
    assert gap_to_dense(fresh, side) <= 1e-5
    if side < 48:
        assert gap_to_dense(copy.deepcopy(model(semantics)).double(), side) <= 1e-10


@torch.inference_mode()
def test_that_listed_blocks_make_a_difference() -> None:
    """The comparison above must not pass because the lists are ignored."""
    grid, net = TokenGrid(32), model()
    visible = Visible.of(random_lists(net.config, 1, 0))
    tokens, condition = codes(grid), codes(grid, seed=1, count=LABEL_CODES)
    dense = net.encode(tokens, condition, grid)
    assert (net.encode(tokens, condition, grid, visible.encoder) - dense).abs().max() > 0.1
    assert (net.decode(tokens, dense, grid, visible) - net.decode(tokens, dense, grid)).abs().max() > 0.1


@pytest.mark.parametrize("sparse", [False, True])
@given(st.integers(0, 2**31), st.sampled_from([16, 32]), st.floats(0, 0.999))
@examples(25)
def test_that_a_later_token_never_changes_earlier_logits(sparse: bool, seed: int, side: int, where: float) -> None:
    grid, net = TokenGrid(side), model()
    position = int(where * grid.tokens)  # in strip order
    visible = Visible.of(random_lists(net.config, 1, seed)) if sparse else None
    one = codes(grid, seed=seed)
    strip = grid.to_strip(one).clone()
    strip[:, position:] = codes(grid, seed=seed + 1)[:, position:]
    two = grid.to_raster(strip)
    with torch.inference_mode():
        encoded = net.encode(one, codes(grid, seed=2, count=LABEL_CODES), grid)
        first, second = (net.decode(x, encoded, grid, visible)[0] for x in (one, two))
    assert torch.equal(first[: position + 1], second[: position + 1])  # entry j predicts token j
    if position < grid.tokens - 1 and int((strip != grid.to_strip(one)).sum()):
        assert not torch.equal(first[position + 1 :], second[position + 1 :])


@pytest.mark.parametrize("semantics", list(Semantics))
@torch.inference_mode()
def test_that_a_mask_of_the_encoder_hides_the_code(semantics: Semantics) -> None:
    net, grid = model(semantics), GUIDE_GRID
    hidden = torch.zeros(1, 256, dtype=torch.bool)
    hidden[0, 100:120] = True
    outs = []
    for seed in (0, 1):
        tokens = torch.where(hidden, codes(grid, seed=seed), codes(grid, seed=5))
        outs.append(net.encode(tokens.masked_fill(hidden, net.config.mask_token), codes(grid, seed=2, count=20), grid))
    assert torch.equal(*outs)


@torch.inference_mode()
def test_that_candidates_share_one_encoder_pass() -> None:
    net, grid = model(), TokenGrid(32)
    tokens = codes(grid, batch=3)
    encoded = net.encode(codes(grid), codes(grid, seed=1, count=LABEL_CODES), grid)
    for visible in (None, Visible.of(random_lists(net.config, 3, 0))):
        both = net.decode(tokens, encoded, grid, visible)
        for sample in range(3):
            own = None
            if visible is not None:
                own = Visible.of(random_lists(net.config, 3, 0).sample(sample, sample + 1))
            alone = net.decode(tokens[sample : sample + 1], encoded, grid, own)
            assert (both[sample] - alone[0]).abs().max() <= 1e-4


@pytest.mark.parametrize("positions", ["block", "cell", "block+cell"])
@pytest.mark.parametrize("side", [16, 32, 64])
@torch.inference_mode()
def test_that_positions_are_those_of_their_place(positions: str, side: int) -> None:
    net, grid = tiny_transformer(tiny_transformer_config(positions=positions)), TokenGrid(side)
    table = grid.to_raster(net.positions(grid)[None])[0].view(side, side, -1)
    block_rows = net.shared_block.weight.view(16, 4, -1)
    cells = net.shared_pos.weight[:256].view(16, 16, -1)
    for row, column in ((0, 0), (side - 1, side - 1), (side // 3, side // 2), (2, side - 1)):
        expected = torch.zeros(net.config.d_model)
        if "block" in positions:
            expected = expected + block_rows[row * 16 // side, column * 4 // side]
        if "cell" in positions:
            # bilinear, corners not aligned: the centre of a token in cells of the 16x16 table
            y, x = ((p + 0.5) * 16 / side - 0.5 for p in (row, column))
            y, x = (min(max(p, 0.0), 15.0) for p in (y, x))
            top, left = min(int(y), 14), min(int(x), 14)
            fy, fx = y - top, x - left
            square = cells[top : top + 2, left : left + 2]
            expected = expected + (1 - fy) * ((1 - fx) * square[0, 0] + fx * square[0, 1])
            expected = expected + fy * ((1 - fx) * square[1, 0] + fx * square[1, 1])
        assert (table[row, column] - expected).abs().max() <= 1e-5


@torch.inference_mode()
def test_that_the_hint_belongs_to_the_input_token_or_to_the_one_to_predict() -> None:
    grid = GUIDE_GRID
    encoded = torch.randn(1, 256, 32, generator=torch.Generator().manual_seed(0))
    own, target = (tiny_transformer(tiny_transformer_config(hint=kind)) for kind in ("input", "target"))
    before, after = own.hints(encoded, grid)[0], target.hints(encoded, grid)[0]
    assert before is not None and after is not None
    assert not before[:, 0].any() and not after[:, -1].any()
    assert torch.equal(before[:, 1:], after[:, :-1])
    assert own.hints(encoded, grid)[1] is None  # only the first decoder layer has one


@pytest.mark.parametrize("semantics", list(Semantics))
@torch.inference_mode()
def test_that_packed_weights_compute_the_same(semantics: Semantics) -> None:
    grid = TokenGrid(16)
    plain, packed = (
        tiny_transformer(tiny_transformer_config(semantics)),
        tiny_transformer(tiny_transformer_config(semantics)),
    )
    read = plain.step_bytes()
    packed.pack()
    assert packed.step_bytes() == read
    tokens = codes(grid, batch=3)
    encoded = plain.encode(codes(grid), codes(grid, seed=1, count=LABEL_CODES), grid)
    assert (plain.decode(tokens, encoded, grid) - packed.decode(tokens, encoded, grid)).abs().max() <= 1e-4


@torch.inference_mode()
def test_that_the_guides_lists_come_from_its_attention_and_its_encoder_ignores_the_sample() -> None:
    net = model()
    mask = torch.zeros(256, dtype=torch.bool)
    mask[70:130] = True
    samples = codes(GUIDE_GRID, batch=3)
    samples[:, ~mask] = samples[:1, ~mask]
    condition = codes(GUIDE_GRID, seed=1, count=LABEL_CODES)[0]
    maps = AttentionMaps()
    lists = guide_block_lists(net, samples, mask, condition, 3, Semantics.CLEAN, maps)
    assert lists.encoder.shape == (2, 1, 2, 64, 3) and lists.causal.shape == (2, 3, 2, 59, 3)
    alone = guide_block_lists(net, samples[1:2], mask, condition, 3, Semantics.CLEAN)
    assert torch.equal(lists.encoder, alone.encoder)
    same = (lists.sample(1, 2).causal == alone.causal).float().mean()
    assert same >= 0.999  # rounding may swap two blocks that are attended to equally
    assert not torch.equal(lists.causal[:, 0], lists.causal[:, 1])
    encoder, causal, cross = affinities(maps)
    assert len(encoder) == len(causal) == len(cross) == 2
    for layer in (*encoder, *cross):
        assert (layer.sum(3) * 4 - 1).abs().max() <= 1e-4  # attention is shared out among all blocks
    assert not causal[0].triu(1).any()
