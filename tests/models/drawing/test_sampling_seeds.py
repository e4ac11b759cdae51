"""Each candidate has its own random numbers; known tokens stay; what is drawn is what is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.drawing.sampling import draw, finish, uniforms
from models.grid import TokenGrid
from models.request import SamplingSettings
from tests.helpers import CODES, examples
from tests.models.drawing.jobs import (
    MASKS,
    Job,
    some_mask,
)

# --- seeds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
def test_that_a_hundred_seeds_give_the_same_tokens_and_likelihood_again(sparse: bool) -> None:
    job = replace(Job.of("one token", sparse=sparse, samples=1), mask=some_mask("blocks 5 and 6", TokenGrid(16)))
    seen = set()
    for seed in range(100):
        first, second = job.draw([seed]), job.draw([seed])
        assert torch.equal(first.tokens, second.tokens)
        assert torch.equal(first.log_likelihoods, second.log_likelihoods)
        seen.add(tuple(first.tokens[0].tolist()))
    assert len(seen) > 90


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", ["scattered", "first and last", "whole blocks"])
def test_that_a_candidate_does_not_depend_on_its_neighbours(kind: str, sparse: bool) -> None:
    job = Job.of(kind, sparse=sparse, samples=5)
    together = job.draw([10, 11, 12, 13, 14])
    for row in range(5):
        alone = job.draw([10 + row], rows=[row])
        assert torch.equal(alone.tokens[0], together.tokens[row])
        assert (alone.log_likelihoods[0] - together.log_likelihoods[row]).abs().max() <= 1e-4
    shuffled = job.draw([13, 99, 11], rows=[3, 0, 1])
    assert torch.equal(shuffled.tokens[0], together.tokens[3])
    assert torch.equal(shuffled.tokens[2], together.tokens[1])


@pytest.mark.parametrize("sparse", [False, True])
def test_that_an_earlier_cancel_leaves_no_trace(sparse: bool) -> None:
    job = Job.of("scattered", sparse=sparse)
    before = job.draw([1, 2])
    abandoned = draw(job.net, job.encoded(), job.task([5, 6]), job.semantics, job.visible([0, 1]))
    next(abandoned)
    next(abandoned)
    abandoned.close()
    after = job.draw([1, 2])
    assert torch.equal(before.tokens, after.tokens) and torch.equal(before.log_likelihoods, after.log_likelihoods)


def test_that_each_candidate_and_stream_has_its_own_random_numbers() -> None:
    numbers = uniforms([0, 1, 2**62], 50, 3)
    assert numbers.shape == (3, 50) and numbers.dtype == torch.float64
    assert (numbers >= 0).all() and (numbers < 1).all()
    assert torch.equal(uniforms([1], 50, 3)[0], numbers[1])
    assert torch.equal(uniforms([1], 20, 3)[0], numbers[1, :20])  # a longer draw begins the same
    assert not torch.equal(uniforms([1], 50, 4)[0], numbers[1])
    assert len(set(numbers.flatten().tolist())) == 150


# --- what is drawn ------------------------------------------------------------------------------------------


@given(st.sampled_from(MASKS), st.booleans(), st.integers(0, 2**31))
@examples(25)
def test_that_known_tokens_never_change(kind: str, sparse: bool, seed: int) -> None:
    job = Job.of(kind if kind != "everything" else "scattered", sparse=sparse, seed=seed)
    drawn = job.draw([1, 2])
    assert torch.equal(drawn.codes[:, ~job.mask], job.codes[~job.mask].expand(2, -1))
    assert torch.equal(job.grid.to_strip(drawn.codes)[:, job.positions], drawn.tokens)
    assert (drawn.codes >= 0).all() and (drawn.codes < CODES).all()  # never [MASK] nor [START]


@pytest.mark.parametrize("sparse", [False, True])
def test_that_an_empty_mask_draws_nothing(sparse: bool) -> None:
    job = replace(Job.of("one token", sparse=sparse), mask=torch.zeros(256, dtype=torch.bool))
    drawn = finish(draw(job.net, job.encoded(), job.task([1, 2]), job.semantics, job.visible()))
    assert drawn.tokens.shape == drawn.log_likelihoods.shape == drawn.truncated.shape == (2, 0)
    assert torch.equal(drawn.codes, job.codes.expand(2, -1))


def test_that_every_drawn_token_is_reported() -> None:
    job = Job.of("scattered")
    steps = draw(job.net, job.encoded(), job.task([1]), job.semantics)
    assert [partial.count for partial in steps] == list(range(1, job.count + 1))


@pytest.mark.parametrize("sparse", [False, True])
def test_that_forced_tokens_are_taken_and_scored(sparse: bool) -> None:
    job = Job.of("scattered", sparse=sparse)
    forced = torch.randint(CODES, (2, job.count), generator=torch.Generator().manual_seed(3))
    drawn = job.draw([1, 2], SamplingSettings(top_k=5, temperature=0.7), forced)
    assert torch.equal(drawn.tokens, forced)
    logits = job.teacher_forced(drawn.codes)
    own = logits.double().log_softmax(2).gather(2, forced[:, :, None])[:, :, 0]
    assert (drawn.log_likelihoods - own).abs().max() <= 1e-4
    inside = logits >= logits.topk(5, 2).values[..., -1:]
    tempered = (logits.double() / 0.7).masked_fill(~inside, float("-inf")).log_softmax(2)
    expected = tempered.gather(2, forced[:, :, None])[:, :, 0]
    sure = (logits - logits.topk(5, 2).values[..., -1:]).abs().gather(2, forced[:, :, None])[:, :, 0] > 1e-3
    assert torch.equal(drawn.truncated[sure].isinf(), expected[sure].isinf())
    finite = sure & expected.isfinite()
    assert finite.any() and (drawn.truncated - expected)[finite].abs().max() <= 1e-3


def test_that_drawn_tokens_come_from_the_filtered_distribution() -> None:
    job = Job.of("scattered")
    for settings in (SamplingSettings(top_k=3), SamplingSettings(top_k=None, top_p=0.5)):
        drawn = job.draw([1, 2], settings)
        assert drawn.truncated.isfinite().all() and (drawn.truncated >= drawn.log_likelihoods - 1e-9).all()
    plain = job.draw([1, 2])
    assert (plain.truncated - plain.log_likelihoods).abs().max() <= 1e-5  # nothing filtered: the model's own
