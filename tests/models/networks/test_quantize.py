"""The codebook: nearest code, straight-through gradient, loss and perplexity."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.networks.vqgan.quantize import Codebook, perplexity, quantiser_loss
from tests.helpers import examples


def codebook(seed: int, codes: int = 37, dim: int = 6) -> Codebook:
    book = Codebook(codes, dim)
    with torch.no_grad():
        book.embedding.weight.copy_(torch.randn(codes, dim, generator=torch.Generator().manual_seed(seed)))
    return book


@given(st.integers(0, 2**31))
@examples(40)
def test_that_the_quantiser_picks_the_nearest_code(seed: int) -> None:
    book = codebook(seed)
    features = torch.randn(2, 6, 3, 4, generator=torch.Generator().manual_seed(seed + 1))
    tokens = book.indices(features)
    assert tokens.shape == (2, 12)
    for sample in range(2):
        for place in range(12):
            vector = features[sample, :, place // 4, place % 4].double()
            distances = (book.embedding.weight.double() - vector).square().sum(1)
            assert distances[tokens[sample, place]] <= distances.min() + 1e-5


def test_that_features_of_tokens_lie_in_raster_order_and_are_found_again() -> None:
    book = codebook(0)
    tokens = torch.randint(37, (2, 12), generator=torch.Generator().manual_seed(3))
    features = book.features(tokens, 3, 4)
    assert torch.equal(features[1, :, 2, 1], book.embedding.weight[tokens[1, 9]])
    assert torch.equal(book.indices(features), tokens)


def test_that_quantising_passes_its_gradient_straight_through() -> None:
    book = codebook(0)
    features = torch.randn(1, 6, 3, 4, requires_grad=True)
    quantised, tokens = book.straight_through(features)
    assert (quantised - book.features(tokens, 3, 4)).abs().max() <= 1e-6
    weights = torch.randn(1, 6, 3, 4)
    (quantised * weights).sum().backward()
    assert torch.equal(features.grad, weights)  # type: ignore[arg-type]


@pytest.mark.parametrize("legacy", [True, False])
def test_that_beta_weighs_the_term_that_it_belongs_to(legacy: bool) -> None:
    features = torch.zeros(1, 2, 1, 1, requires_grad=True)
    codes = torch.ones(1, 2, 1, 1, requires_grad=True)
    loss = quantiser_loss(features, codes, beta=0.25, legacy=legacy)
    assert loss.item() == pytest.approx(1.25)
    loss.backward()
    small, large = 0.25, 1.0
    assert features.grad is not None and codes.grad is not None
    assert features.grad.sum().item() == pytest.approx(-2 * (large if legacy else small))
    assert codes.grad.sum().item() == pytest.approx(2 * (small if legacy else large))


def test_that_perplexity_counts_the_codes_in_even_use() -> None:
    assert perplexity(torch.arange(8).repeat(3), 8) == pytest.approx(8)
    assert perplexity(torch.full((9,), 5), 8) == pytest.approx(1)
    assert perplexity(torch.tensor([0, 0, 0, 1]), 8) == pytest.approx(
        math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    )
