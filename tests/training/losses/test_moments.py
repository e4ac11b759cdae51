"""Matching the moments of features over many pictures."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.training.losses.moments import DECAY, Moments

CHANNELS = (3, 2)


def maps(pooled: Tensor) -> list[Tensor]:
    """Feature maps whose means over the picture are (B, 5)."""
    wave = torch.linspace(-1, 1, 16).view(4, 4)
    return [part[:, :, None, None] + wave for part in pooled.split(CHANNELS, 1)]


def batches(seed: int, count: int, shift: float = 0.0, spread: float = 1.0) -> Tensor:
    return shift + spread * torch.randn(count, 4, 5, generator=torch.Generator().manual_seed(seed))


def test_that_the_distance_is_that_of_means_and_deviations() -> None:
    moments = Moments(CHANNELS)
    drawn, wanted = batches(0, 600, shift=0.5, spread=0.5), batches(1, 600)
    distances = [moments(maps(a), maps(b))[1] for a, b in zip(drawn, wanted, strict=True)]
    assert distances[-1] == pytest.approx(0.5**2 + 0.5**2, abs=0.12)
    same = Moments(CHANNELS)
    assert [same(maps(b), maps(b))[1] for b in wanted][-1] == 0.0


def test_that_nothing_is_pushed_before_enough_was_seen() -> None:
    moments = Moments(CHANNELS)
    drawn = batches(0, 1, shift=3.0)[0].requires_grad_()
    moments(maps(drawn), maps(batches(1, 1)[0]))[0].backward()
    assert drawn.grad is not None and not drawn.grad.any()


def test_that_what_is_drawn_takes_on_mean_and_deviation_of_what_is_wanted() -> None:
    """One batch cannot say so: each holds four pictures of noise that has nothing to do with what is wanted."""
    moments = Moments(CHANNELS)
    mean, spread = torch.zeros(5, requires_grad=True), torch.full((5,), 0.5, requires_grad=True)
    optimiser = torch.optim.Adam([mean, spread], 5e-3)
    kept = []
    for noise, wanted in zip(batches(0, 1500), batches(1, 1500, shift=1.0, spread=2.0), strict=True):
        loss, _ = moments(maps(mean + spread * noise), maps(wanted))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        kept.append(torch.stack([mean.detach().clone(), spread.detach().clone()]))
    found = torch.stack(kept[-500:]).mean(0)
    assert (found[0] - 1).abs().max() < 0.3 and (found[1] - 2).abs().max() < 0.3


def test_that_the_moving_averages_are_kept_with_the_training_state() -> None:
    moments, other = Moments(CHANNELS), Moments(CHANNELS)
    for a, b in zip(batches(0, 5), batches(1, 5), strict=True):
        moments(maps(a), maps(b))
    other.load_state_dict(moments.state_dict())
    more = batches(2, 1)[0]
    assert other(maps(more), maps(more))[1] == moments(maps(more), maps(more))[1]
    assert float(moments.weight) == pytest.approx(1 - DECAY**6)
