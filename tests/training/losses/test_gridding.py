"""The grid of a decoder: seen, of no other cause, and taken away by its loss."""

from __future__ import annotations

import torch

from models.training.losses.gridding import grid_loss, grid_strength


def photo(seed: int) -> torch.Tensor:
    return torch.randn(4, 3, 128, 128, generator=torch.Generator().manual_seed(seed))


def meshed(picture: torch.Tensor, cell: int) -> torch.Tensor:
    """Pixels left of and above each cell's border become more like those beyond it."""
    made = picture.clone()
    for border in range(cell, 128, cell):
        made[..., border - 1] = 0.7 * made[..., border - 1] + 0.3 * made[..., border]
        made[..., border - 1, :] = 0.7 * made[..., border - 1, :] + 0.3 * made[..., border, :]
    return made


def test_that_a_grid_is_seen_at_its_period_and_in_photos_there_is_none() -> None:
    assert grid_strength([photo(1), photo(2)]) < 0.05
    assert grid_strength([meshed(photo(1), 4), meshed(photo(2), 4)]) > 0.2
    assert grid_strength([meshed(photo(1), 16)], 16) > 0.2
    assert grid_loss(photo(1)) < 0.03
    assert grid_loss(meshed(photo(1), 4)) > 0.08


def test_that_contrast_alone_is_no_grid() -> None:
    assert abs(grid_strength([0.1 * photo(1)]) - grid_strength([photo(1)])) < 0.01
    assert grid_loss(0.1 * photo(1)) < 0.03


def test_that_smooth_areas_count_as_much_as_others() -> None:
    picture = meshed(0.02 * photo(1), 4)
    picture[..., :32] = photo(2)[..., :32]
    assert grid_strength([picture]) > 0.4 * grid_strength([meshed(photo(1), 4)])


def test_that_flat_pictures_have_no_grid() -> None:
    assert grid_strength([torch.zeros(1, 3, 64, 64)]) == 0


def test_that_its_gradient_takes_a_grid_away() -> None:
    drawn = meshed(photo(1), 8).requires_grad_()
    optimiser = torch.optim.Adam([drawn], 0.01)
    before = grid_loss(drawn).item()
    for _ in range(60):
        optimiser.zero_grad()
        grid_loss(drawn).backward()
        optimiser.step()
    assert grid_loss(drawn) < 0.2 * before
