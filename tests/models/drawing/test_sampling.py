"""The cached sampler against whole passes, and what it promises about seeds, filters and known tokens."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.config import Semantics
from models.drawing.sampling import Drawn, DrawTask, draw, filter_logits, finish, pick, uniforms
from models.drawing.steering import Steering
from models.grid import TokenGrid
from models.networks.transformers.blocks import BlockLists, random_lists
from models.networks.transformers.transformer import Transformer, Visible
from models.request import SamplingSettings
from tests.helpers import CODES, LABEL_CODES, examples, tiny_transformer, tiny_transformer_config

PLAIN = SamplingSettings(top_k=None)
GREEDY = SamplingSettings(top_k=1)
MASKS = (
    "everything", "first token", "last token", "one token", "blocks 5 and 6", "inside block 5", "whole blocks",
    "scattered", "all but the first block", "first and last",
)  # fmt: skip


@lru_cache(maxsize=8)
def model(semantics: Semantics = Semantics.CLEAN, packed: bool = True) -> Transformer:
    net = tiny_transformer(tiny_transformer_config(semantics))
    if packed:
        net = copy.deepcopy(net)
        net.pack()
    return net


def some_mask(kind: str, grid: TokenGrid, seed: int = 0) -> Tensor:
    """(L,) bool, raster."""
    rng = np.random.default_rng(seed)
    strip = torch.zeros(1, grid.tokens, dtype=torch.bool)
    size = grid.tokens_per_block
    if kind == "everything":
        strip[:] = True
    if kind in ("first token", "first and last"):
        strip[0, 0] = True
    if kind in ("last token", "first and last"):
        strip[0, -1] = True
    if kind == "one token":
        strip[0, int(rng.integers(grid.tokens))] = True
    if kind == "blocks 5 and 6":
        strip[0, 5 * size : 7 * size] = True
    if kind == "inside block 5":
        strip[0, 5 * size + 1 : 6 * size - 1] = True
    if kind == "whole blocks":
        for block in rng.choice(64, 3, replace=False):
            strip[0, block * size : (block + 1) * size] = True
    if kind == "scattered":
        strip[0] = torch.from_numpy(rng.random(grid.tokens) < rng.uniform(0.01, 0.15))
        strip[0, int(rng.integers(grid.tokens))] = True
    if kind == "all but the first block":
        strip[0, size:] = True
    return grid.to_raster(strip)[0]


@dataclass(frozen=True)
class Job:
    """One window to draw in."""

    net: Transformer
    grid: TokenGrid
    codes: Tensor
    mask: Tensor
    condition: Tensor
    lists: BlockLists | None
    semantics: Semantics = Semantics.CLEAN

    @classmethod
    def of(
        cls, kind: str, side: int = 16, sparse: bool = False, seed: int = 0, samples: int = 2, packed: bool = True,
        semantics: Semantics = Semantics.CLEAN,
    ) -> Job:  # fmt: skip
        grid, net = TokenGrid(side), model(semantics, packed)
        generator = torch.Generator().manual_seed(seed)
        codes = torch.randint(CODES, (grid.tokens,), generator=generator)
        condition = torch.randint(LABEL_CODES, (grid.tokens,), generator=generator)
        lists = random_lists(net.config, samples, seed) if sparse else None
        return cls(net, grid, codes, some_mask(kind, grid, seed), condition, lists, semantics)

    @property
    def count(self) -> int:
        return int(self.mask.sum())

    @property
    def positions(self) -> Tensor:
        return self.grid.to_strip(self.mask[None])[0].nonzero()[:, 0]

    def visible(self, rows: list[int] | None = None) -> Visible | None:
        if self.lists is None:
            return None
        rows = list(range(self.lists.causal.shape[1])) if rows is None else rows
        lists = BlockLists(self.lists.encoder, self.lists.causal[:, rows], self.lists.cross[:, rows])
        return Visible.of(lists)

    @torch.inference_mode()
    def encoded(self) -> Tensor:
        visible = self.visible()
        hidden = self.codes.masked_fill(self.mask, self.net.config.mask_token)
        return self.net.encode(
            hidden[None], self.condition[None], self.grid, None if visible is None else visible.encoder
        )

    def task(self, seeds: list[int], settings: SamplingSettings = PLAIN, forced: Tensor | None = None) -> DrawTask:
        numbers = uniforms(seeds, self.count, 0)
        return DrawTask(self.codes, self.mask, self.condition, self.grid, settings, numbers, forced)

    def draw(
        self, seeds: list[int], settings: SamplingSettings = PLAIN, forced: Tensor | None = None,
        rows: list[int] | None = None,
    ) -> Drawn:  # fmt: skip
        rows = list(range(len(seeds))) if rows is None else rows
        steps = draw(
            self.net,
            self.encoded(),
            self.task(seeds, settings, forced),
            self.semantics,
            self.visible(rows),
            keep_logits=True,
        )
        return finish(steps)

    @torch.inference_mode()
    def teacher_forced(self, codes: Tensor, rows: list[int] | None = None) -> Tensor:
        """Logits (N, n, V) that predict the masked tokens of complete codes (N, L) raster."""
        rows = list(range(len(codes))) if rows is None else rows
        logits = self.net.decode(codes, self.encoded(), self.grid, self.visible(rows))
        return logits[:, self.positions]


# --- cached = whole passes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", MASKS)
def test_that_two_conditions_in_one_pass_are_those_of_two_passes(kind: str, sparse: bool) -> None:
    """Label strength: what is drawn from, and what it is steered away from, both equal their own whole passes."""
    job = Job.of(kind, sparse=sparse)
    other = Job(job.net, job.grid, job.codes, job.mask, (job.condition + 5) % LABEL_CODES, job.lists)
    seen: list[Tensor] = []

    class Noted(Steering):
        def bend(self, logits: Tensor, others: Sequence[Tensor], step: int) -> Tensor:
            seen.append(others[0])
            return super().bend(logits, others, step)

    task = replace(job.task([3, 4]), steering=Noted(other.encoded(), 2.0))
    drawn = finish(draw(job.net, job.encoded(), task, job.semantics, job.visible([0, 1]), keep_logits=True))
    assert drawn.logits is not None
    assert (drawn.logits - job.teacher_forced(drawn.codes)).abs().max() <= 1e-4
    assert (torch.stack(seen, 1) - other.teacher_forced(drawn.codes)).abs().max() <= 1e-4
    assert not torch.equal(seen[0], drawn.logits[:, 0])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", MASKS)
def test_that_cached_logits_equal_teacher_forced_logits(kind: str, sparse: bool, packed: bool) -> None:
    job = Job.of(kind, sparse=sparse, packed=packed)
    drawn = job.draw([3, 4])
    assert drawn.logits is not None and drawn.logits.shape == (2, job.count, CODES)
    assert (drawn.logits - job.teacher_forced(drawn.codes)).abs().max() <= 1e-4


@given(st.sampled_from(MASKS[1:-1]), st.booleans(), st.sampled_from([16, 32]), st.integers(0, 2**31), st.integers(1, 3))
@examples(30)
def test_that_cached_logits_equal_teacher_forced_logits_for_many_masks(
    kind: str, sparse: bool, side: int, seed: int, samples: int
) -> None:
    if kind == "all but the first block" and side > 16:
        kind = "scattered"
    job = Job.of(kind, side, sparse, seed, samples)
    drawn = job.draw([seed % 1000 + k for k in range(samples)])
    assert drawn.logits is not None
    assert (drawn.logits - job.teacher_forced(drawn.codes)).abs().max() <= 1e-4


def test_that_everything_can_be_drawn_at_512() -> None:
    job = Job.of("everything", 32, sparse=True, samples=1)
    drawn = job.draw([0])
    assert drawn.logits is not None and drawn.tokens.shape == (1, 1024)
    assert (drawn.logits - job.teacher_forced(drawn.codes)).abs().max() <= 1e-4


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", ["blocks 5 and 6", "scattered", "everything"])
def test_that_greedy_tokens_are_the_argmax_of_a_whole_pass(kind: str, sparse: bool) -> None:
    job = Job.of(kind, sparse=sparse, samples=1)
    drawn = job.draw([0], GREEDY)
    logits = job.teacher_forced(drawn.codes)
    best = logits.topk(2, 2)
    clear = best.values[..., 0] - best.values[..., 1] > 1e-3
    assert clear.float().mean() > 0.9
    assert torch.equal(drawn.tokens[clear], best.indices[..., 0][clear])


def test_that_lists_shared_by_all_candidates_serve_each_of_them() -> None:
    job = Job.of("scattered", 32, sparse=True, samples=1)
    three = finish(draw(job.net, job.encoded(), job.task([1, 2, 3]), job.semantics, job.visible()))
    for row, seed in enumerate((1, 2, 3)):
        assert torch.equal(three.tokens[row], job.draw([seed]).tokens[0])


def leaking(lists: BlockLists) -> BlockLists:
    """Lists as reference semantics may give them: blocks 5 and 6 list themselves and a neighbour."""
    causal = lists.causal.clone()
    causal[0, :, 0, 0, 0], causal[1, :, 1, 1, :2] = 5, torch.tensor([6, 5])
    return replace(lists, causal=causal)


@pytest.mark.parametrize("kind", ["blocks 5 and 6", "inside block 5", "everything", "scattered", "first and last"])
def test_that_the_reference_leak_sees_the_original_codes_of_tokens_not_drawn_yet(kind: str) -> None:
    """Specification, sections 6.2 and 6.3; the oracle repeats a whole pass before each draw."""
    job = Job.of(kind, sparse=True, seed=1, samples=1, semantics=Semantics.REFERENCE)
    assert job.lists is not None
    job = replace(job, lists=leaking(job.lists))
    drawn = job.draw([7])
    assert drawn.logits is not None
    strip = job.grid.to_strip(job.codes[None]).clone()
    for step, position in enumerate(job.positions[:60].tolist()):
        with torch.inference_mode():
            logits = job.net.decode(job.grid.to_raster(strip), job.encoded(), job.grid, job.visible())[0, position]
        assert (drawn.logits[0, step] - logits).abs().max() <= 1e-4
        strip[0, position] = drawn.tokens[0, step]
    gap = (drawn.logits - job.teacher_forced(drawn.codes)).abs().max()
    if kind == "first and last":
        assert gap <= 1e-4
    elif kind != "scattered":  # where it leaks, a whole pass over the finished codes tells something else
        assert gap > 1e-3


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


# --- filters and the draw itself ----------------------------------------------------------------------------


LOGITS = st.lists(st.sampled_from([-3.0, -1.5, -1.0, 0.0, 0.25, 0.5, 1.0, 2.0, 4.0]), min_size=1, max_size=12)


@given(LOGITS, st.integers(1, 14))
@examples(200)
def test_that_top_k_keeps_the_k_most_likely_and_all_that_tie_with_the_last(values: list[float], k: int) -> None:
    kept = filter_logits(torch.tensor([values]), k, None)[0]
    threshold = sorted(values, reverse=True)[min(k, len(values)) - 1]
    assert kept.tolist() == [v if v >= threshold else float("-inf") for v in values]


@given(st.lists(st.integers(-400, 400), min_size=1, max_size=12, unique=True), st.floats(0.01, 1.0))
@examples(200)
def test_that_top_p_keeps_the_smallest_set_that_exceeds_p(numbers: list[int], p: float) -> None:
    values = [n / 100 for n in numbers]
    kept = filter_logits(torch.tensor([values], dtype=torch.float64), None, p)[0].isfinite()
    shares = torch.tensor(values, dtype=torch.float64).softmax(0)
    order = sorted(range(len(values)), key=lambda i: -values[i])
    before, expected = 0.0, set()
    for place in order:
        if p < 1 and before > p:
            break
        expected.add(place)
        before += float(shares[place])
    assert set(kept.nonzero()[:, 0].tolist()) == expected
    assert kept.any()


def test_that_filters_leave_the_most_likely_code_at_the_least() -> None:
    logits = torch.tensor([[0.1, 5.0, 0.2, 5.0]])
    assert filter_logits(logits, 1, None).isfinite().tolist() == [[False, True, False, True]]  # a tie
    assert int(filter_logits(logits, None, 1e-9).isfinite().sum()) == 1
    assert torch.equal(filter_logits(logits, None, None), logits)
    assert torch.equal(filter_logits(logits, 4, 1.0), logits)


SETTINGS = [
    SamplingSettings(top_k=None),
    SamplingSettings(top_k=3),
    SamplingSettings(top_k=None, temperature=0.5),
    SamplingSettings(top_k=None, top_p=0.8),
]


def expected_shares(logits: Tensor, settings: SamplingSettings) -> Tensor:
    tempered = logits.double() / settings.temperature
    return filter_logits(tempered, settings.top_k, settings.top_p).softmax(-1)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_that_evenly_spread_numbers_draw_each_code_in_its_share(settings: SamplingSettings) -> None:
    logits = torch.tensor([0.3, -1.0, 2.0, 0.0, 1.2, -0.5])
    count = 4000
    numbers = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    tokens, own, truncated = pick(logits.expand(count, -1), settings, numbers)
    shares = expected_shares(logits, settings)
    assert (torch.bincount(tokens, minlength=6) - count * shares).abs().max() <= 1.5
    assert (own - logits.double().log_softmax(0)[tokens]).abs().max() <= 1e-6
    assert (truncated - shares.log()[tokens]).abs().max() <= 1e-6


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_that_random_numbers_draw_the_right_distribution(settings: SamplingSettings) -> None:
    """Chi-square over 20,000 draws of fixed seeds; 20.5 is passed by 99.9 % of right samplers with 6 codes."""
    logits = torch.tensor([0.3, -1.0, 2.0, 0.0, 1.2, -0.5])
    count = 20_000
    tokens = pick(logits.expand(count, -1), settings, uniforms([11], count, 0)[0])[0]
    expected = count * expected_shares(logits, settings)
    found = torch.bincount(tokens, minlength=6).double()
    assert not found[expected == 0].any()
    possible = expected > 0
    assert float(((found - expected)[possible].square() / expected[possible]).sum()) < 20.5


@pytest.mark.parametrize("number", [0.0, 0.5, 1 - 2**-53])
def test_that_the_ends_of_the_interval_draw_codes_that_may_be_drawn(number: float) -> None:
    logits = torch.tensor([[-50.0, 1.0, 2.0, 1.5, -50.0]])
    numbers = torch.tensor([number], dtype=torch.float64)
    for settings in (SamplingSettings(top_k=2), SamplingSettings(top_k=3, temperature=9.0), SamplingSettings(top_k=1)):
        token, _, truncated = pick(logits, settings, numbers)
        assert truncated.isfinite().all() and int(token) in (1, 2, 3)


@pytest.mark.parametrize("temperature", [1e-2, 1e-6, 1e-30, 1e-40, 5e-324])
def test_that_temperature_towards_zero_draws_the_most_likely_code(temperature: float) -> None:
    logits = torch.tensor([[1.0, 5.0, 3.0, 4.5]]).expand(50, -1)
    numbers = (torch.arange(50, dtype=torch.float64) + 0.5) / 50
    tokens, own, truncated = pick(logits, SamplingSettings(temperature=temperature), numbers)
    assert tokens.unique().tolist() == [1]
    assert own.isfinite().all() and truncated.abs().max() <= 1e-6


def test_that_a_high_temperature_draws_evenly() -> None:
    numbers = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    tokens, _, _ = pick(
        torch.tensor([[1.0, 5.0, 3.0, 4.5]]).expand(400, -1), SamplingSettings(temperature=1e6), numbers
    )
    assert torch.bincount(tokens).tolist() == [100, 100, 100, 100]
