"""Guided synthesis by example: an area is copied in coherent pieces from sources, coarse to fine, and seamed.

Large pieces are laid at the coarsest level, PatchMatch mends what does not fit there and at the next levels; below
them only seams are looked at again. The picture is put together band by band: each band is copied at its own level, so
that fine detail has narrow seams and brightness has wide ones (Burt and Adelson, "A Multiresolution Spline With
Application to Image Mosaics", 1983).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .field import Field, Looks, Places, Weights
from .pieces import Wanted, lay_pieces
from .pyramid import bands, collapse, filled, grow, shrink, smooth

SEARCHED = 24_000  # target places up to which a level is searched
START = 1_500  # target places of the level that pieces are laid at
PATCH = 7
COMPONENTS = 14
RING = 24  # native pixels
ROUND = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))


@dataclass(frozen=True)
class Task:
    """What is to be synthesised; pictures are (3, h, w) float32 Lab (lightness 0–100).

    plan: what was drawn, at native resolution. photo: the photo there. area: (h, w) bool, to be made.
    alike: (h, w) bool, pixels of the photo beside the area that it should continue.
    source, valid: (3, H, W) and (H, W) bool, all sources in one picture.
    rows, source_rows: (h, w) and (H, W) float, the height in the photo that each pixel belongs to, 0 (top) to 1.
    row_weight: what a difference of the whole height costs, in levels of lightness.
    plan_weight: how much the plan counts against looks; plan_sigma: native pixels, what is finer is not followed.
    shading: 0–1, how much of the plan's large shapes of light and colour is kept.
    """

    plan: Tensor
    photo: Tensor
    area: Tensor
    alike: Tensor
    source: Tensor
    valid: Tensor
    rows: Tensor
    source_rows: Tensor
    row_weight: float = 40.0
    plan_weight: float = 0.3
    plan_sigma: float = 12.0
    shading: tuple[float, float, float] = (0.4, 0.25, 0.25)
    shading_sigma: float = 32.0
    chance: float = 0.3
    rounds: int = 4


@dataclass(frozen=True)
class _Level:
    """One size: target and source pictures, masks."""

    plan: Tensor
    photo: Tensor
    area: Tensor
    alike: Tensor
    source: Tensor
    valid: Tensor
    made: Tensor  # area and the ring of known pixels round it that is copied as well, to see how copies fit there
    rows: Tensor
    source_rows: Tensor


def synthesise(task: Task, generator: torch.Generator) -> Tensor:
    """(3, h, w): the photo with the area made anew. Deterministic for a generator's seed."""
    levels = _levels(task)
    sizes = [int(level.area.sum()) for level in levels]
    start = next((n for n, size in enumerate(sizes) if size <= START), len(levels) - 1)
    places = Places(levels[start].made)
    sources = _begin(levels[start], places, task, generator)
    for number in range(start, -1, -1):
        level = levels[number]
        if number < start:
            coarse, places = places, Places(level.made)
            sources = _finer(sources, coarse, places, levels[number + 1], level)
        if sizes[number] <= SEARCHED:
            field = Field(places, sources, generator)
            for _ in range(task.rounds if number == start else 2):
                picture = _voted(level, places, sources)
                looks = _looks(level, places, picture, task, 2**number)
                field.improve(looks, Weights(0.5, 0.15), 1, max(level.source.shape[1:]) // 4)
            _drop_crumbs(places, sources, level)
    return _put_together(task, levels, places, sources)


def _levels(task: Task) -> list[_Level]:
    mask = task.area.float()[None]
    alike, valid = task.alike.float()[None], task.valid.float()[None]
    made = (task.area | (task.alike & _near(task.area, RING))).float()[None]
    plan, photo, source = task.plan, task.photo, filled(task.source, valid)
    rows, source_rows = task.rows[None] * task.row_weight, task.source_rows[None] * task.row_weight
    result: list[_Level] = []
    while True:
        area = mask[0] > 0.01
        near, usable, copied = (alike[0] > 0.5) & ~area, valid[0] > 0.97, (made[0] > 0.5) | area
        result.append(_Level(plan, photo, area, near, source, usable, copied, rows, source_rows))
        if min(mask.shape[1:]) < 12 or int(area.sum()) <= START:
            return result
        mask, alike, valid, made = (shrink(x) for x in (mask, alike, valid, made))
        plan, photo, source, rows, source_rows = (shrink(x) for x in (plan, photo, source, rows, source_rows))


def _begin(level: _Level, places: Places, task: Task, generator: torch.Generator) -> Tensor:
    """(N,) source places to start from: large pieces, and random places where none was laid."""
    margin = _inside(level.valid, 1)
    weight = torch.where(level.area, 1.0, 0.0)
    weight = torch.where(level.alike & _near(level.area, 3), 4.0, weight)
    wish = torch.cat([torch.where(level.area, level.plan, level.photo), level.rows])
    source = torch.cat([level.source, level.source_rows])
    laid, _ = lay_pieces(Wanted(wish, weight, level.made), source, margin, generator, task.chance)
    sources = laid[places.rows, places.columns]
    usable = margin.flatten().nonzero()[:, 0]
    if not len(usable):
        usable = level.valid.flatten().nonzero()[:, 0]
    choice = torch.randint(len(usable), (len(places),), generator=generator).to(usable.device)
    return torch.where(sources >= 0, sources, usable[choice])


def _finer(sources: Tensor, coarse: Places, places: Places, above: _Level, level: _Level) -> Tensor:
    """A coarser level's field at the next finer one: every piece moves with its places."""
    wide, width, height = above.source.shape[2], level.source.shape[2], level.source.shape[1]
    valid, result = level.valid.flatten(), torch.empty_like(places.rows)
    usable = valid.nonzero()[:, 0]
    for part in places.parts():
        number = coarse.number[places.rows[part] // 2, places.columns[part] // 2]
        found = sources[number.clamp(min=0)]
        rows = (found // wide * 2 + places.rows[part] % 2).clamp_(max=height - 1)
        columns = (found % wide * 2 + places.columns[part] % 2).clamp_(max=width - 1)
        finer = rows * width + columns
        bad = (number < 0) | ~valid[finer]
        nearest = torch.searchsorted(usable, finer[bad]).clamp_(max=len(usable) - 1)
        finer[bad] = usable[nearest]
        result[part] = finer
    return result


def _near(mask: Tensor, pixels: int) -> Tensor:
    side = 2 * pixels + 1
    wide = F.max_pool2d(mask.float()[None], (1, side), stride=1, padding=(0, pixels))
    return F.max_pool2d(wide, (side, 1), stride=1, padding=(pixels, 0))[0] > 0


def _inside(mask: Tensor, pixels: int) -> Tensor:
    """The mask without its border; with it where nothing would be left."""
    inner = ~_near(~mask, pixels)
    inner[:pixels], inner[-pixels:], inner[:, :pixels], inner[:, -pixels:] = False, False, False, False
    return inner if int(inner.sum()) > 50 else mask


def _voted(level: _Level, places: Places, sources: Tensor) -> Tensor:
    """The picture that a field makes, so far: every place is the mean of what overlapping patches copy there."""
    picture = level.photo.clone()
    picture[:, places.rows, places.columns] = _copied(level.source, places, sources, 2)
    return torch.where(level.area, picture, level.photo)


def _copied(source: Tensor, places: Places, sources: Tensor, radius: int) -> Tensor:
    """(C, N): at each place the mean of what the patches of its neighbours, up to a radius, copy there."""
    values, width = source.flatten(1), source.shape[2]
    result = torch.empty(len(values), len(places), device=values.device)
    for part in places.parts():
        total, count = torch.zeros_like(result[:, part]), torch.zeros_like(result[0, part])
        for dy in range(-radius, radius + 1):
            for dx in range(-radius, radius + 1):
                number = places.moved(-dy, -dx, part)
                there = (sources[number.clamp(min=0)] + (dy * width + dx)).clamp_(0, values.shape[1] - 1)
                weight = (number >= 0).float() / (1 + dy * dy + dx * dx)
                total += values[:, there] * weight
                count += weight
        result[:, part] = total / count
    return result


def _looks(level: _Level, places: Places, picture: Tensor, task: Task, scale: int) -> Looks:
    """Patches on their main components, and the smoothed colours, of target and sources."""
    valid = _inside(level.valid, PATCH // 2)
    known = (level.area | level.alike).float()[None]
    seen = filled(picture, known)
    basis = _basis(level.source, valid)
    sigma = max(0.8, task.plan_sigma / scale)
    ones = torch.ones_like(known)
    strength = task.plan_weight * PATCH
    wish = smooth(torch.where(level.area, level.plan, level.photo), ones, sigma)
    offered = smooth(level.source, torch.ones_like(level.source[:1]), sigma)
    target = torch.cat([_project(seen, basis), strength * wish, strength * level.rows])
    source = torch.cat([_project(level.source, basis), strength * offered, strength * level.source_rows])
    return Looks(
        target[:, places.rows, places.columns].T.contiguous(),
        source.flatten(1).T.contiguous(),
        valid.flatten(),
        level.source.shape[2],
    )


def _basis(source: Tensor, valid: Tensor) -> Tensor:
    """(n, 3, 7, 7): the main components of the sources' patches."""
    rows, columns = valid.nonzero(as_tuple=True)
    step = max(1, len(rows) // 4000)
    rows, columns = rows[::step], columns[::step]
    half = PATCH // 2
    padded = F.pad(source[None], (half,) * 4, mode="replicate")[0]
    patches = torch.stack(
        [padded[:, rows + dy, columns + dx] for dy in range(PATCH) for dx in range(PATCH)]
    )  # (49, 3, n)
    flat = patches.permute(2, 1, 0).reshape(len(rows), -1)
    covariance = torch.cov(flat.T)
    _, vectors = torch.linalg.eigh(covariance)
    return vectors[:, -COMPONENTS:].T.reshape(-1, 3, PATCH, PATCH).contiguous()


def _project(picture: Tensor, basis: Tensor) -> Tensor:
    half = PATCH // 2
    return F.conv2d(F.pad(picture[None], (half,) * 4, mode="replicate"), basis)[0]


def _drop_crumbs(places: Places, sources: Tensor, level: _Level, rounds: int = 2) -> None:
    """A place hardly any of whose neighbours copies the same piece takes the piece that most of them copy."""
    width, valid = level.source.shape[2], level.valid.flatten()

    def offered(dy: int, dx: int, chosen: Tensor | slice) -> Tensor:
        number = places.moved(dy, dx, chosen)
        candidate = sources[number.clamp(min=0)] - dy * width - dx
        return torch.where((number >= 0) & (candidate >= 0) & (candidate < len(valid)), candidate, -1)

    for _ in range(rounds):
        alike = torch.zeros(len(sources), dtype=torch.uint8, device=sources.device)
        for part in places.parts():
            for dy, dx in ROUND:
                alike[part] += offered(dy, dx, part) == sources[part]
        lonely = (alike <= 2).nonzero()[:, 0]
        if not len(lonely):
            return
        table = torch.stack([offered(dy, dx, lonely) for dy, dx in ROUND], 1)  # (n, 8)
        usable = (table >= 0) & valid[table.clamp(min=0)]
        votes = (table[:, :, None] == table[:, None, :]).sum(2) * usable
        most, which = votes.max(1)
        swap = most > alike[lonely]
        sources[lonely[swap]] = table[swap, which[swap]]


def _put_together(task: Task, levels: list[_Level], places: Places, sources: Tensor) -> Tensor:
    """Every band copied at its own level, the lowest mixed with the plan."""
    depth = min(5, len(levels) - 1)
    parts = bands(task.photo, depth)
    source = levels[0].source
    for number, part in enumerate(parts):
        if number:
            coarse = Places(levels[number].made)
            sources = _coarser(sources, places, coarse, levels[number - 1], levels[number])
            places = coarse
        smaller = shrink(source)
        band = source if number == depth else source - grow(smaller, *source.shape[1:])
        part[:, places.rows, places.columns] = _copied(band, places, sources, 1)
        source = smaller
    return _lit(collapse(parts), task, levels[0])


def _lit(picture: Tensor, task: Task, level: _Level) -> Tensor:
    """Large shapes of light partly the plan's; along the border those of the photo, carried inwards.

    Both change slowly, so they are found at a quarter of the size.
    """
    inside, ring = task.area.float()[None], (level.made & ~task.area).float()[None]
    within, about = _quarter(inside), _quarter(ring)
    made = _quarter(picture * inside) / within.clamp(min=1e-6)
    planned = _quarter(task.plan * inside) / within.clamp(min=1e-6)
    sigma = task.shading_sigma / 4
    change = smooth(planned, within, sigma) - smooth(made, within, sigma)
    change *= torch.tensor(task.shading, device=picture.device)[:, None, None]
    if ring.sum() > 100:
        error = _quarter((task.photo - picture) * ring) / about.clamp(min=1e-6) - change
        change += filled(smooth(error, about, RING / 12).clamp(-25, 25), (about > 0).float())
    half = (-(-picture.shape[1] // 2), -(-picture.shape[2] // 2))
    picture += grow(grow(change, *half), *picture.shape[1:])
    return torch.where(task.area, picture, task.photo)


def _quarter(picture: Tensor) -> Tensor:
    return shrink(shrink(picture))


def _coarser(field: Tensor, here: Places, there: Places, level: _Level, above: _Level) -> Tensor:
    """The field at half the size: each place copies what one of its four finer ones does."""
    width, wide = level.source.shape[2], above.source.shape[2]
    height = above.source.shape[1]
    result = torch.full((len(there),), -1, dtype=torch.int64, device=field.device)
    for dy, dx in ((1, 1), (0, 1), (1, 0), (0, 0)):
        rows = (there.rows * 2 + dy).clamp(max=here.height - 1)
        columns = (there.columns * 2 + dx).clamp(max=here.width - 1)
        number = here.number[rows, columns]
        places = field[number.clamp(min=0)]
        found = ((places // width) // 2).clamp(max=height - 1) * wide + ((places % width) // 2).clamp(max=wide - 1)
        result = torch.where(number >= 0, found, result)
    return result.clamp(min=0)
