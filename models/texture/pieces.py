"""Large pieces of real photographs to start from: where does a source, moved as a whole, fit an edit best?

For every shift of a source, its squared difference to what is wanted (the plan inside the edit, the photo along its
border), over the pixels that it covers, comes from a few correlations (Fourier). The best shift covers what it can,
what is left is covered by the next, and what a piece took is not offered again while there is other material
(Kwatra et al., "Graphcut Textures", 2003, entire patch matching).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_PIECES = 12
ENOUGH = 0.02  # of the area; a smaller rest is left to the search


@dataclass(frozen=True)
class Wanted:
    """What pieces are to fit. wish: (C, h, w) float; weight: (h, w) how much it counts; area: (h, w) bool, to cover.
    tolerance: pixels that differ by more are not laid."""

    wish: Tensor
    weight: Tensor
    area: Tensor
    tolerance: float = 18.0


def lay_pieces(
    wanted: Wanted, source: Tensor, valid: Tensor, generator: torch.Generator, chance: float = 0.3
) -> tuple[Tensor, Tensor]:
    """Cover an area with few pieces of the sources (C, H, W), of which valid (H, W) bool may be used.

    chance: how far (of the spread of costs) a piece may be from the best one, so that versions differ.
    Returns (h, w) int64 flat indices of source places, -1 where nothing was laid, and the number of each piece
    (h, w) int64, in the order of laying.
    """
    height, width = wanted.area.shape
    full = (height + source.shape[1], width + source.shape[2])
    laid = torch.full((height, width), -1, dtype=torch.int64, device=source.device)
    pieces = torch.full_like(laid, -1)
    rest, free = wanted.area.clone(), valid.float()
    colors = torch.fft.rfft2(source * valid, s=full)
    squares = torch.fft.rfft2((source.square() * valid).sum(0), s=full)
    places = torch.fft.rfft2(valid.float(), s=full)
    total = int(wanted.area.sum())
    for number in range(MAX_PIECES):
        left = int(rest.sum())
        if left <= ENOUGH * total:
            break
        weight = wanted.weight * (rest | ~wanted.area)
        shift = _best_shift(wanted, weight, rest, colors, squares, places, free, full, generator, chance)
        if shift is None:
            break
        dy, dx = shift
        rows = torch.arange(height, device=source.device)[:, None] + dy
        columns = torch.arange(width, device=source.device)[None] + dx
        inside = (rows >= 0) & (rows < source.shape[1]) & (columns >= 0) & (columns < source.shape[2])
        index = rows.clamp(0, source.shape[1] - 1) * source.shape[2] + columns.clamp(0, source.shape[2] - 1)
        fits = rest & inside & valid.flatten()[index] & (free.flatten()[index] > 0)
        apart = (source.flatten(1)[:, index.flatten()].view(-1, height, width) - wanted.wish).norm(dim=0)
        fits &= _mean(apart, 2) < wanted.tolerance
        if int(fits.sum()) < max(4, ENOUGH * 0.25 * total):
            break
        laid[fits], pieces[fits] = index[fits], number
        rest &= ~fits
        free.view(-1)[index[fits]] = 0
        if free.sum() < 0.3 * valid.sum():
            free = valid.float()
    return laid, pieces


def _mean(values: Tensor, pixels: int) -> Tensor:
    """(h, w): the mean of the square around each pixel."""
    return F.avg_pool2d(values[None], 2 * pixels + 1, stride=1, padding=pixels, count_include_pad=False)[0]


def _best_shift(
    wanted: Wanted,
    weight: Tensor,
    rest: Tensor,
    colors: Tensor,
    squares: Tensor,
    places: Tensor,
    free: Tensor,
    full: tuple[int, int],
    generator: torch.Generator,
    chance: float,
) -> tuple[int, int] | None:
    """The shift (dy, dx) from target to source places with the lowest cost."""

    def correlate(target: Tensor, spectrum: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(target, s=full).conj() * spectrum, s=full)

    covered_weight = correlate(weight, places).clamp(min=1e-3)
    difference = correlate(weight * wanted.wish.square().sum(0), places) + correlate(weight, squares)
    for channel in range(len(wanted.wish)):
        difference = difference - 2 * correlate(weight * wanted.wish[channel], colors[channel])
    free_spectrum = torch.fft.rfft2(free, s=full)
    covered = correlate(rest.float(), free_spectrum) / rest.sum()
    fit = (difference / covered_weight).clamp(min=0)
    cost = fit.sqrt() + 40 * (1 - covered.clamp(0, 1)).square()
    cost[covered < 0.04] = float("inf")
    if not torch.isfinite(cost).any():
        return None
    finite = cost[torch.isfinite(cost)]
    noise = torch.rand(cost.shape, generator=generator).to(cost.device)
    best = int((cost + chance * (finite.median() - finite.min()) * noise).argmin())
    dy, dx = divmod(best, full[1])
    limit = (full[0] - wanted.area.shape[0], full[1] - wanted.area.shape[1])  # sides of the source
    return dy if dy < limit[0] else dy - full[0], dx if dx < limit[1] else dx - full[1]
