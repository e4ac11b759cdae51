"""Guided synthesis: pyramids that fit together, fields that copy real places, pieces that cover."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.texture.field import Field, Looks, Places, Weights
from models.texture.pieces import Wanted, lay_pieces
from models.texture.pyramid import bands, collapse, filled, shrink, smooth
from models.texture.synthesis import Task, synthesise


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(3, 40, 64), (3, 37, 51), (1, 1, 9)])
def test_that_bands_put_together_are_the_picture(shape: tuple[int, int, int]) -> None:
    picture = random(*shape)
    assert torch.allclose(collapse(bands(picture, 4)), picture, atol=1e-6)


def test_that_filling_keeps_what_counts_and_invents_nothing() -> None:
    picture, mask = random(3, 37, 51), (random(1, 37, 51, seed=1) > 0.8).float()
    result = filled(picture, mask)
    known = mask[0] > 0
    assert torch.equal(result[:, known], picture[:, known])
    for channel in range(3):
        values = picture[channel][known]
        assert result[channel].min() >= values.min() - 1e-5 and result[channel].max() <= values.max() + 1e-5


def test_that_smoothing_ignores_what_does_not_count() -> None:
    picture, mask = torch.full((1, 30, 30), 5.0), torch.ones(1, 30, 30)
    picture[:, 10:20], mask[:, 10:20] = 900.0, 0.0
    assert torch.allclose(smooth(picture, mask, 3.0)[:, :8], torch.tensor(5.0), atol=1e-3)
    assert shrink(picture).shape == (1, 15, 15)


def test_that_the_search_finds_the_very_place_where_there_is_one() -> None:
    """The target is a part of the source: nearly all places end up copying it from there."""
    source = random(3, 48, 60, seed=3)
    target = source[:, 12:32, 20:44]
    places = Places(torch.ones(20, 24, dtype=torch.bool))
    generator = torch.Generator().manual_seed(0)
    sources = torch.randint(48 * 60, (len(places),), generator=generator)
    looks = Looks(target.flatten(1).T * 10, source.flatten(1).T * 10, torch.ones(48 * 60, dtype=torch.bool), 60)
    field = Field(places, sources, generator)
    field.improve(looks, Weights(0.0, 0.2), rounds=8, reach=60)
    right = (places.rows + 12) * 60 + places.columns + 20
    assert (field.sources == right).float().mean() > 0.9


def test_that_places_outside_the_mask_are_never_copied() -> None:
    source, valid = random(3, 40, 40, seed=1), torch.zeros(40, 40, dtype=torch.bool)
    valid[5:30, 8:33] = True
    places = Places(torch.ones(16, 16, dtype=torch.bool))
    generator = torch.Generator().manual_seed(0)
    usable = valid.flatten().nonzero()[:, 0]
    sources = usable[torch.randint(len(usable), (256,), generator=generator)]
    looks = Looks(random(256, 3, seed=2), source.flatten(1).T.contiguous(), valid.flatten(), 40)
    field = Field(places, sources, generator)
    field.improve(looks, Weights(0.5, 0.2), rounds=4, reach=20)
    assert valid.flatten()[field.sources].all()


def test_that_use_is_spread_when_it_costs() -> None:
    """All places look for the same colour, of which one source place has most; a price on use spreads them."""
    source = random(3, 30, 30) * 0.1
    source[:, 15, 15] = 0.2
    target = torch.ones(400, 3)
    used = []
    for price in (0.0, 2.0):
        generator = torch.Generator().manual_seed(0)
        places = Places(torch.ones(20, 20, dtype=torch.bool))
        field = Field(places, torch.randint(900, (400,), generator=generator), generator)
        looks = Looks(target, source.flatten(1).T.contiguous(), torch.ones(900, dtype=torch.bool), 30)
        field.improve(looks, Weights(price, 0.0), rounds=6, reach=30)
        used.append(int(torch.bincount(field.sources, minlength=900).max()))
    assert used[1] < used[0] / 3


def test_that_pieces_cover_and_the_best_one_comes_first() -> None:
    source = random(3, 40, 60, seed=5) * 50
    wish = source[:, 8:28, 10:40].clone()
    area = torch.ones(20, 30, dtype=torch.bool)
    wanted = Wanted(wish, torch.ones(20, 30), area)
    valid = torch.ones(40, 60, dtype=torch.bool)
    laid, pieces = lay_pieces(wanted, source, valid, torch.Generator().manual_seed(0), chance=0.0)
    rows, columns = torch.meshgrid(torch.arange(20) + 8, torch.arange(30) + 10, indexing="ij")
    assert torch.equal(laid, rows * 60 + columns)
    assert int(pieces.max()) == 0


def task(area: torch.Tensor, plan: torch.Tensor, photo: torch.Tensor, source: torch.Tensor) -> Task:
    height, width = area.shape
    return Task(
        plan, photo, area, torch.zeros_like(area), source, torch.ones(source.shape[1:], dtype=torch.bool),
        torch.zeros(height, width), torch.zeros(source.shape[1:]),
    )  # fmt: skip


def test_that_only_the_area_is_made_and_the_plans_shapes_are_followed() -> None:
    """Two materials, light and dark; the plan says which goes where."""
    rng = np.random.default_rng(0)
    source = torch.from_numpy(rng.normal(0, 6, (3, 96, 160)).astype(np.float32))
    source[0, :, :80] += 25
    source[0, :, 80:] += 75
    photo = torch.zeros(3, 90, 120)
    photo[0] = 50.0
    area = torch.zeros(90, 120, dtype=torch.bool)
    area[15:75, 20:100] = True
    plan = photo.clone()
    plan[0, :, :60], plan[0, :, 60:] = 25.0, 75.0
    made = synthesise(task(area, plan, photo, source), torch.Generator().manual_seed(1))
    assert torch.equal(made[:, ~area], photo[:, ~area])
    assert abs(float(made[0, 20:70, 25:55].mean()) - 25) < 8
    assert abs(float(made[0, 20:70, 65:95].mean()) - 75) < 8
    assert float(made[0, 20:70, 25:50].std()) > 3  # real grain, not an average


def test_that_an_area_of_one_pixel_and_odd_sizes_work() -> None:
    source = random(3, 33, 47) * 60
    for rows, columns in ((slice(5, 6), slice(7, 8)), (slice(0, 31), slice(0, 45)), (slice(3, 4), slice(0, 45))):
        area = torch.zeros(31, 45, dtype=torch.bool)
        area[rows, columns] = True
        photo = torch.full((3, 31, 45), 30.0)
        made = synthesise(task(area, photo, photo, source), torch.Generator().manual_seed(1))
        assert made.isfinite().all() and torch.equal(made[:, ~area], photo[:, ~area])
