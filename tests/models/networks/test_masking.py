"""The layers of the masked encoder, against plain loops (specification, sections 7.2 to 7.4)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.config import Semantics
from models.networks.vqgan.masking import GROUPS, NORM_EPS, AttentionBlock, MaskedConv2d, Norm, PositionNorm, Region
from tests.helpers import examples

SEEDS = st.integers(0, 2**31)
SHARES = st.sampled_from([0.0, 0.05, 0.5, 0.95, 1.0])


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def random_mask(share: float, *shape: int, seed: int = 0) -> Tensor:
    """float; exactly empty at share 0 and full at share 1."""
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share).float()


@given(SEEDS, SHARES, st.sampled_from([32, 64, 128]), st.booleans())
@examples(60)
def test_that_clean_region_norm_uses_plain_statistics_of_the_known_pixels(
    seed: int, share: float, channels: int, shared: bool
) -> None:
    x = noise(2, channels, 5, 7, seed=seed) * 3 + 1
    mask = random_mask(share, 1 if shared else 2, 1, 5, 7, seed=seed)
    norm = Norm(channels)
    norm.load_state_dict({"weight": noise(channels, seed=1), "bias": noise(channels, seed=2)})
    with torch.no_grad():
        out = norm(x, Region(mask, Semantics.CLEAN))
        whole = F.group_norm(x, GROUPS, norm.weight, norm.bias, NORM_EPS)
    size = channels // GROUPS
    for sample in range(2):
        known = mask[0 if shared else sample, 0] == 0
        for group in range(GROUPS):
            part = slice(group * size, (group + 1) * size)
            weight, bias = norm.weight[part, None].detach(), norm.bias[part, None].detach()
            if known.any():
                values = x[sample, part][:, known].double()
                plain = (values - values.mean()) / (values.var(unbiased=False) + NORM_EPS).sqrt()
                assert (out[sample, part][:, known] - (plain * weight + bias)).abs().max() <= 1e-4
            if not known.all():
                assert (out[sample, part] - whole[sample, part])[:, ~known].abs().max() <= 1e-5


def test_that_region_norm_of_a_full_mask_is_finite_in_clean_semantics() -> None:
    full = Region(torch.ones(1, 1, 6, 6), Semantics.CLEAN)
    assert torch.isfinite(Norm(32)(noise(1, 32, 6, 6), full)).all()


def test_that_reference_region_norm_keeps_the_published_factor() -> None:
    x = noise(1, 128, 6, 6)
    out = Norm(128)(x, Region(torch.zeros(1, 1, 6, 6), Semantics.REFERENCE))
    assert (out - F.group_norm(x, GROUPS, eps=NORM_EPS) / 4**0.5).abs().max() <= 1e-5


@given(SEEDS, SHARES, st.sampled_from([1, 2]), st.booleans())
@examples(60)
def test_that_a_masked_convolution_gives_known_outputs_from_known_inputs(
    seed: int, share: float, stride: int, known_only: bool
) -> None:
    convolution = MaskedConv2d(3, 4, stride)
    x, mask = noise(2, 3, 8, 12, seed=seed), random_mask(share, 1, 1, 8, 12, seed=seed)
    with torch.no_grad():
        out = convolution(x, Region(mask, Semantics.CLEAN, known_only))
        hidden, whole = convolution(x * (1 - mask)), convolution(x)
    small = mask[:, :, ::stride, ::stride].expand(2, 4, -1, -1) > 0
    assert out.shape == small.shape
    if not small.all():
        assert (out - hidden)[~small].abs().max() <= 1e-5
    if known_only:
        assert not out[small].any()
    elif small.any():
        assert (out - whole)[small].abs().max() <= 1e-5


@pytest.mark.parametrize("channels", [8, 12, 48])
def test_that_position_norm_never_looks_beside_its_position(channels: int) -> None:
    norm = PositionNorm(channels)
    x = noise(1, channels, 4, 5)
    changed = x.clone()
    changed[:, :, 2, 3] += 1 + noise(channels, seed=4)
    same = torch.ones(4, 5, dtype=torch.bool)
    same[2, 3] = False
    one, two = norm(x), norm(changed)
    assert torch.equal(one[0, :, same], two[0, :, same]) and not torch.equal(one, two)
    plain = (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + NORM_EPS).sqrt()
    assert (one - plain).abs().max() <= 1e-5


@given(SEEDS, SHARES)
@examples(20)
def test_that_masked_attention_lets_known_places_see_known_places_only(seed: int, share: float) -> None:
    torch.manual_seed(seed)
    block = AttentionBlock(32)
    x, mask = noise(1, 32, 3, 4, seed=seed), random_mask(share, 1, 1, 3, 4, seed=seed)
    region = Region(mask, Semantics.CLEAN)
    with torch.no_grad():
        out = block(x, region)
        normed = block.norm(x, region)
        q, k, v = (layer(normed)[0].flatten(1).t() for layer in (block.q, block.k, block.v))
        hidden = mask.flatten() > 0
        for place in range(12):
            seen = torch.ones(12, dtype=torch.bool) if hidden[place] else ~hidden
            mixed = ((q[place] @ k[seen].t()) * 32**-0.5).softmax(0) @ v[seen]
            expected = x[0].flatten(1)[:, place] + block.proj_out(mixed[None, :, None, None])[0, :, 0, 0]
            assert (out[0].flatten(1)[:, place] - expected).abs().max() <= 1e-4


def test_that_a_mask_is_made_smaller_by_its_top_left_pixels() -> None:
    mask = random_mask(0.5, 1, 1, 16, 24, seed=3)
    region = Region(mask, Semantics.CLEAN)
    assert torch.equal(region.at(torch.zeros(1, 2, 4, 6)), mask[:, :, ::4, ::4])
    assert torch.equal(region.at(torch.zeros(1, 2, 16, 24)), mask)
    assert torch.equal(region.at(torch.zeros(1, 2, 32, 48)), mask.repeat_interleave(2, 2).repeat_interleave(2, 3))
