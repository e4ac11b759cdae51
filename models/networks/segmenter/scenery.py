"""What colours and contrasts alone say about the labels of a photo: fixed measures and a small network on them.

A deep network that has few photos learns them by heart. Measures of a place, of what is round it and of the whole
scene know less but err elsewhere, so that both together are right more often than either (as the colour and location
potentials beside the texture of TextonBoost, Shotton et al., ECCV 2006, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL = 4  # pixels a side of what is told apart
REACHES = (1, 4, 10)  # cells: so far around a place its surroundings are measured
APART = (-24, -12, 12, 24)  # cells: so far above and below a place what is there is measured too
LEVELS = (0.1, 0.5, 0.9)  # quantiles of the scene and of its upper, middle and lower third
CHOSEN = [0, 1, 2, 3, 4, 6, 8]  # colours, contrast across, the finest and the coarsest
FAINT = 1e-3  # contrast that counts as none
MEASURES = 207
DROPOUT = 0.1


class Scenery(nn.Module):
    """The whole photo (B, 3, H, W) in [-1, 1] -> logits (B, labels, H/4, W/4), all alike before it is trained."""

    def __init__(self, widths: Sequence[int], labels: int) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((MEASURES, *widths)))
        self.head = nn.Linear(widths[-1], labels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, picture: Tensor) -> Tensor:
        return self.judge(measures(picture.float()).to(self.head.weight.dtype)).permute(0, 3, 1, 2)

    def judge(self, x: Tensor) -> Tensor:
        """Measures (..., MEASURES) -> logits (..., labels)."""
        for layer in self.hidden:
            x = F.dropout(F.silu(layer(x)), DROPOUT, self.training)
        return self.head(x)


def measures(picture: Tensor) -> Tensor:
    """Whole photos (B, 3, H, W) float32 in [-1, 1] -> (B, H/4, W/4, MEASURES), each measure about -3 to 3.

    Colours and contrasts of a place, of what is round, above, below and beside it, and of the whole scene.
    """
    colours = _colours(picture)
    here = torch.cat([2 * _cells(colours), _logarithm(_cells(_contrasts(colours)))], 1)
    height, width = here.shape[2:]
    parts = [here, *_surroundings(here), _place(here), *_column(here[:, CHOSEN])]
    parts += [part.expand(-1, -1, height, width) for part in (*_row(here), *_scene(here))]
    return torch.cat(parts, 1).permute(0, 2, 3, 1)


def _surroundings(here: Tensor) -> list[Tensor]:
    """Means of three surroundings, and how much the colours vary in the middle one."""
    means = [_around(here, reach) for reach in REACHES]
    variance = _around(here[:, :4] ** 2, REACHES[1]) - means[1][:, :4] ** 2
    return [*means, _logarithm(variance.clamp_min(0).sqrt())]


def _column(chosen: Tensor) -> list[Tensor]:
    """Means of all that is above a place and of all below it, and what is so far above and below."""
    rows = torch.arange(chosen.shape[2], device=chosen.device)
    count = (rows + 1)[:, None]
    above = chosen.cumsum(2)
    below = above[:, :, -1:] - above + chosen
    wide = _around(chosen, 3)
    apart = [wide[:, :, (rows + far).clamp(0, len(rows) - 1)] for far in APART]
    return [above / count, below / count.flip(0), *apart]


def _row(here: Tensor) -> list[Tensor]:
    """Means and deviations of each row (B, C, h, 1)."""
    return [here[:, CHOSEN].mean(3, keepdim=True), here.std(3, keepdim=True)]


def _scene(here: Tensor) -> list[Tensor]:
    """Quantiles of the scene and of its thirds (B, C, 1, 1)."""
    levels = torch.tensor(LEVELS, device=here.device)
    areas = [here, *here[:, CHOSEN].tensor_split(3, 2)]
    return [area.flatten(2).quantile(levels, 2).permute(1, 2, 0).flatten(1)[:, :, None, None] for area in areas]


def _colours(picture: Tensor) -> Tensor:
    """Lightness, red against green, blue against yellow, saturation."""
    red, green, blue = picture.unbind(1)
    return torch.stack([picture.mean(1), red - green, blue - (red + green) / 2, picture.amax(1) - picture.amin(1)], 1)


def _contrasts(colours: Tensor) -> Tensor:
    """Seven contrasts, of lightness across, down and at three scales, and of the two colours."""
    light, hues = colours[:, :1], colours[:, 1:3]
    blurred = [light, *(_around(light, reach) for reach in (1, 3, 7))]
    steps = [F.pad(light.diff(dim=3), (0, 1)), F.pad(light.diff(dim=2), (0, 0, 0, 1))]
    bands = [finer - coarser for finer, coarser in pairwise(blurred)]
    return torch.cat([*steps, *bands, hues - _around(hues, 2)], 1).abs()


def _place(like: Tensor) -> Tensor:
    """Height in the picture, its square and the distance from the middle: (B, 3, h, w), -1 to 1."""
    rows, columns = coordinates(like).unbind(1)
    return torch.stack([rows, rows**2, columns.abs()], 1)


def coordinates(like: Tensor) -> Tensor:
    """(B, 2, h, w): row and column in [-1, 1]."""
    height, width = like.shape[2:]
    rows = torch.linspace(-1, 1, height, device=like.device, dtype=like.dtype)[:, None].expand(height, width)
    columns = torch.linspace(-1, 1, width, device=like.device, dtype=like.dtype)[None].expand(height, width)
    return torch.stack([rows, columns])[None].expand(like.shape[0], -1, -1, -1)


def _cells(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, CELL)


def _logarithm(contrast: Tensor) -> Tensor:
    return (contrast + FAINT).log() + 4  # the middle is about e^-4


def _around(x: Tensor, reach: int) -> Tensor:
    """The mean over the square around each place, inside the picture."""
    side = 2 * reach + 1
    across = F.avg_pool2d(x, (1, side), 1, (0, reach), count_include_pad=False)
    return F.avg_pool2d(across, (side, 1), 1, (reach, 0), count_include_pad=False)
