"""Joint log-likelihood: the same by a second pass, independent of how a candidate was drawn, in a stable order."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.candidate import Candidate
from models.config import Semantics
from models.drawing.ranking import rank, score
from models.drawing.sampling import DrawTask, draw, finish, uniforms
from models.grid import TokenGrid
from models.networks.transformers.blocks import BlockLists, random_lists
from models.networks.transformers.transformer import Visible
from models.request import SamplingSettings
from tests.helpers import CODES, LABEL_CODES, examples, tiny_transformer

NET = tiny_transformer()


def candidate(index: int, *likelihoods: float) -> Candidate:
    values = np.array(likelihoods, np.float64)
    return Candidate(index, index, np.zeros(len(values), np.int64), values, 0.0, ())


@pytest.mark.parametrize("side", [16, 32])
@pytest.mark.parametrize("sparse", [False, True])
@given(
    st.integers(0, 2**31),
    st.sampled_from(
        [SamplingSettings(top_k=None), SamplingSettings(top_k=5, temperature=0.8), SamplingSettings(top_p=0.7)]
    ),
    st.floats(0.001, 0.2),
)
@examples(12)
def test_that_a_teacher_forced_score_equals_the_sampled_log_likelihood(
    sparse: bool, side: int, seed: int, settings: SamplingSettings, share: float
) -> None:
    grid = TokenGrid(side)
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(CODES, (grid.tokens,), generator=generator)
    condition = torch.randint(LABEL_CODES, (grid.tokens,), generator=generator)
    mask = torch.rand(grid.tokens, generator=generator) < share
    mask[int(torch.randint(grid.tokens, (), generator=generator))] = True
    lists: BlockLists | None = random_lists(NET.config, 2, seed) if sparse else None
    visible = None if lists is None else Visible.of(lists)
    numbers = uniforms([seed, seed + 1], int(mask.sum()), 0)
    with torch.inference_mode():
        hidden = codes.masked_fill(mask, NET.config.mask_token)
        encoded = NET.encode(hidden[None], condition[None], grid, None if visible is None else visible.encoder)
        task = DrawTask(codes, mask, condition, grid, settings, numbers)
        drawn = finish(draw(NET, encoded, task, Semantics.CLEAN, visible))
        again = score(NET, encoded, drawn.codes, mask, grid, visible)
    assert again.shape == drawn.log_likelihoods.shape
    total, expected = drawn.log_likelihoods.sum(1), again.sum(1)
    assert ((total - expected).abs() <= 1e-4 * expected.abs()).all()
    assert (drawn.log_likelihoods - again).abs().max() <= 1e-4


def test_that_the_most_likely_candidate_comes_first() -> None:
    ranked = rank([candidate(0, -5.0), candidate(1, -1.0, -1.0), candidate(2, -9.0)])
    assert [c.index for c in ranked] == [1, 0, 2]
    assert ranked[0].log_likelihood == -2.0 and ranked[0].nats_per_token == 1.0


@given(st.lists(st.sampled_from([-1.0, -2.0, -2.5]), min_size=1, max_size=12), st.integers(0, 1000))
@examples(60)
def test_that_equal_candidates_stay_in_drawing_order(likelihoods: list[float], seed: int) -> None:
    candidates = [candidate(index, value) for index, value in enumerate(likelihoods)]
    shuffled = random.Random(seed).sample(candidates, len(candidates))
    assert rank(shuffled) == rank(candidates)
    order = [(c.log_likelihood, -c.index) for c in rank(shuffled)]
    assert order == sorted(order, reverse=True)


def test_that_a_candidate_without_tokens_can_be_ranked() -> None:
    assert candidate(0).log_likelihood == 0.0 and candidate(0).nats_per_token == 0.0
