"""The texture distance: blind to where a texture's parts lie, not to what they are; the decoder's noise."""

from __future__ import annotations

import dataclasses

import torch

from models.networks.vqgan.vqgan import VQGAN
from models.training.losses.texture import grain, mean_distance, texture_distance
from tests.helpers import tiny_config


def picture(seed: int, strength: float = 1.0) -> torch.Tensor:
    return strength * torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    torch.manual_seed(0)
    return texture_distance([grain(one)], [grain(other)], 64, directions=64).item()


def test_that_the_same_texture_elsewhere_is_near_and_a_blurred_one_is_far() -> None:
    moved = distance(picture(1), picture(1).roll((5, 3), (2, 3)))
    other = distance(picture(1), picture(2))
    blurred = distance(picture(1), torch.nn.functional.avg_pool2d(picture(2), 3, 1, 1))
    assert distance(picture(1), picture(1)) == 0
    assert max(moved, other) < 0.25 * blurred


def test_that_each_window_keeps_its_own_texture() -> None:
    halves = torch.cat([picture(1)[..., :32], 0.1 * picture(1)[..., 32:]], 3)
    alike = torch.cat([picture(3)[..., :32], 0.1 * picture(3)[..., 32:]], 3)
    assert distance(halves, halves.flip(3)) > 3 * distance(halves, alike)


def test_that_the_distance_has_a_gradient_that_lowers_it() -> None:
    blurred = (0.3 * picture(2)).requires_grad_()
    optimiser = torch.optim.Adam([blurred], 0.05)
    before = distance(blurred, picture(1))
    for _ in range(30):
        torch.manual_seed(0)
        optimiser.zero_grad()
        texture_distance([grain(blurred)], [grain(picture(1))], 64).backward()
        optimiser.step()
    assert distance(blurred, picture(1)) < 0.5 * before


def test_that_a_decoder_with_noise_gives_the_same_pixels_for_the_same_codes() -> None:
    config = dataclasses.replace(tiny_config().image_vqgan, decoder_noise=3)
    torch.manual_seed(3)
    vqgan = VQGAN(config, tiny_config().semantics).eval()
    tokens = torch.zeros(1, 16, dtype=torch.long)
    with torch.no_grad():
        plain = vqgan.decode_tokens(tokens, 4, 4)
        for grained in vqgan.decoder.grains:
            torch.nn.init.normal_(grained.share.weight, std=0.3)
        one, two = vqgan.decode_tokens(tokens, 4, 4), vqgan.decode_tokens(tokens, 4, 4)
        assert torch.equal(one, two) and not torch.allclose(one, plain)
        one, two = vqgan.train().decode_tokens(tokens, 4, 4), vqgan.decode_tokens(tokens, 4, 4)
        assert not torch.allclose(one, two)


def test_that_the_means_are_blind_to_where_things_are_and_see_a_slight_bias() -> None:
    one = picture(1)
    moved, biased = one.roll((5, 3), (2, 3)), one + 0.1
    assert mean_distance([one], [moved]).item() < 2e-3
    assert 0.08 < mean_distance([biased], [one]).item() < 0.12  # in standard deviations, which are 1 here
    biased.requires_grad_()
    mean_distance([biased], [one]).backward()
    assert biased.grad is not None and (biased.grad > 0).all()
