"""Strip order, raster order and blocks (specification, section 2)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.errors import RequestError
from models.grid import BLOCK_COLS, BLOCKS, TokenGrid, block_ids, raster_permutation, strip_permutation
from tests.helpers import examples

SIDES = st.integers(1, 6).map(lambda n: 16 * n)


def strip_by_sorting(side: int) -> np.ndarray:
    """The definition: raster indices sorted by (block id, row in block, column in block)."""
    height, width = side // 16, side // 4
    places = []
    for row in range(side):
        for column in range(side):
            block = 4 * (row // height) + column // width
            places.append((block, row % height, column % width, row * side + column))
    return np.array([place[3] for place in sorted(places)])


@given(SIDES)
@examples(6)
def test_that_strip_order_follows_its_definition(side: int) -> None:
    assert np.array_equal(strip_permutation(side).numpy(), strip_by_sorting(side))


@given(SIDES)
@examples(6)
def test_that_strip_order_holds_every_token_once(side: int) -> None:
    assert torch.equal(strip_permutation(side).sort().values, torch.arange(side * side))


@given(SIDES, st.integers(0, 2**32 - 1))
@examples(12)
def test_that_a_round_trip_through_strip_order_gives_the_same_tokens(side: int, seed: int) -> None:
    grid = TokenGrid(side)
    values = torch.randn(2, grid.tokens, 3, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(grid.to_raster(grid.to_strip(values)), values)
    assert torch.equal(grid.to_strip(grid.to_raster(values)), values)


@given(SIDES)
@examples(6)
def test_that_the_two_permutations_undo_each_other(side: int) -> None:
    there, back = strip_permutation(side), raster_permutation(side)
    assert torch.equal(there[back], torch.arange(side * side))


def test_that_strip_order_is_raster_order_at_256_pixels_and_nowhere_else() -> None:
    assert torch.equal(strip_permutation(16), torch.arange(256))
    for side in (32, 48, 64, 80):
        assert not torch.equal(strip_permutation(side), torch.arange(side * side))


@given(SIDES)
@examples(6)
def test_that_block_ids_count_four_to_a_row_and_share_the_tokens_evenly(side: int) -> None:
    grid, ids = TokenGrid(side), block_ids(side).view(side, side)
    assert torch.equal(torch.bincount(ids.flatten()), torch.full((BLOCKS,), grid.tokens_per_block))
    for row, column in ((0, 0), (side - 1, side - 1), (side // 2, side // 3), (side - 1, 0)):
        expected = BLOCK_COLS * (row * 16 // side) + column * 4 // side
        assert ids[row, column] == expected


@given(SIDES)
@examples(6)
def test_that_tokens_of_one_block_lie_together_in_strip_order(side: int) -> None:
    grid = TokenGrid(side)
    ids = grid.to_strip(block_ids(side)[None])[0]
    assert torch.equal(ids, torch.arange(BLOCKS).repeat_interleave(grid.tokens_per_block))


@given(SIDES)
@examples(6)
def test_that_blocks_as_images_are_the_rectangles_of_the_grid(side: int) -> None:
    grid = TokenGrid(side)
    raster = torch.arange(2 * grid.tokens, dtype=torch.float32).view(2, grid.tokens, 1)
    images = grid.blocks_as_images(grid.to_strip(raster))
    whole = raster.view(2, side, side)
    height, width = grid.block_height, grid.block_width
    for sample, block in ((0, 0), (0, 63), (1, 5), (1, 30)):
        top, left = block // 4 * height, block % 4 * width
        assert torch.equal(images[sample * BLOCKS + block, 0], whole[sample, top : top + height, left : left + width])
    assert torch.equal(grid.images_as_blocks(images, 2), grid.to_strip(raster))


@given(st.integers(-3, 200).filter(lambda side: side < 16 or side % 16))
@examples(30)
def test_that_a_grid_that_cannot_be_cut_into_blocks_is_refused(side: int) -> None:
    with pytest.raises(RequestError, match="multiple of 16"):
        TokenGrid(side)


@pytest.mark.parametrize(("pixels", "side"), [(256, 16), (512, 32), (1024, 64)])
def test_that_one_token_covers_sixteen_pixels(pixels: int, side: int) -> None:
    grid = TokenGrid.of_resolution(pixels)
    assert (grid.side, grid.tokens, grid.tokens_per_block) == (side, side * side, side * side // 64)


def test_that_gradients_flow_after_an_edit_in_the_same_process() -> None:
    """The permutations are kept; made first while drawing, they must serve training as well."""
    for kept in (strip_permutation, raster_permutation, block_ids):
        kept.cache_clear()
    grid = TokenGrid(16)
    with torch.inference_mode():
        grid.to_raster(grid.to_strip(torch.randn(1, 256)))
    values = torch.randn(1, 256, requires_grad=True)
    try:
        grid.to_raster(grid.to_strip(values)).square().sum().backward()
    finally:
        for kept in (strip_permutation, raster_permutation, block_ids):
            kept.cache_clear()
    assert values.grad is not None and torch.allclose(values.grad, 2 * values)
