"""Top-k, top-p, temperature, and the draw itself."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.drawing.sampling import filter_logits, pick, uniforms
from models.request import SamplingSettings
from tests.helpers import examples

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
