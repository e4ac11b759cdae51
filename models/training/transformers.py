"""Stages `guide` and `sga`: cross-entropy on the masked tokens (specification, section 9; ASSET, section 3.4).

SGA also learns from what the guide expects of the same codes in a window of its own size (Hinton et al., "Distilling
the Knowledge in a Neural Network", 2015): the guide has seen fifty times as many photos as there are large ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..blocks import BlockLists, choose_blocks
from ..config import GUIDE_RESOLUTION, ModelConfig, TransformerConfig
from ..grid import TokenGrid, raster_permutation
from ..guiding import GUIDE_GRID, affinities
from ..transformer import AttentionMaps, Transformer, Visible
from . import team
from .codes import CodeSet
from .precision import Precision

Batch = dict[str, Tensor]
LESSON_WEIGHT = 1.0  # of the guide's expectations beside the cross-entropy
LESSON_MARGIN = 3  # tokens at the window's border, where the guide sees less than SGA


def optimiser_for(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    """AdamW with decay on the weights of linear layers only (specification, section 9)."""
    linear = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if id(p) in linear], "weight_decay": 0.01},
        {"params": [p for p in parameters if id(p) not in linear], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, rate, betas=(0.9, 0.95))


def true_codes(batch: Batch) -> Tensor:
    """(B, L): the codes to draw where masked, elsewhere the known ones."""
    return torch.where(batch["mask"], batch["target"], batch["known"])


def forced_logits(model: Transformer, batch: Batch, grid: TokenGrid, visible: Visible | None = None) -> Tensor:
    """Logits (B, L, V) of every token in strip order; teacher forcing with the true codes."""
    codes = true_codes(batch)
    hidden = codes.masked_fill(batch["mask"], model.config.mask_token)
    encoded = model.encode(hidden, batch["condition"], grid, None if visible is None else visible.encoder)
    return model.decode(codes, encoded, grid, visible)[:, :-1]


def masked_loss(logits: Tensor, batch: Batch, grid: TokenGrid) -> Tensor:
    """Mean cross-entropy in nats over all masked tokens of the batch; logits (B, L, V) in strip order."""
    drawn = grid.to_strip(batch["mask"])
    return F.cross_entropy(logits[drawn].float(), grid.to_strip(batch["target"])[drawn])


def lesson(guide: Transformer, logits: Tensor, batch: Batch, grid: TokenGrid, where: Tensor) -> Tensor:
    """How far SGA's expectations are from the guide's: Kullback-Leibler divergences (n,) in nats, one a token.

    The guide reads one window of its own size in each picture, around one of the masked tokens; its border counts only
    where the picture ends there too. logits: (B, L, V) of SGA in strip order; where: (B,) in [0, 1), which token.
    """
    span = GUIDE_GRID.side
    masked = [row.nonzero()[:, 0] for row in batch["mask"].cpu()]
    chosen = torch.stack([found[int(share * len(found))] for found, share in zip(masked, where.tolist(), strict=True)])
    corners = torch.stack([chosen // grid.side, chosen % grid.side], 1).sub(span // 2).clamp(0, grid.side - span)
    inside = _window_places(corners, grid).to(logits.device)
    low = {name: part.gather(1, inside) for name, part in batch.items()}
    with torch.no_grad():
        expected = GUIDE_GRID.to_raster(forced_logits(guide, low, GUIDE_GRID))
    counted = low["mask"] & _well_inside(corners, grid).to(logits.device)
    rows, places = counted.nonzero(as_tuple=True)
    strip = raster_permutation(grid.side).to(logits.device)[inside[rows, places]]
    found, wanted = (x.float().log_softmax(1) for x in (logits[rows, strip], expected[rows, places]))
    return F.kl_div(found, wanted, log_target=True, reduction="none").sum(1)


def _window_places(corners: Tensor, grid: TokenGrid) -> Tensor:
    """(B, 256) int64: where a window's tokens lie in the grid; both raster. corners: (B, 2) top, left."""
    steps = torch.arange(GUIDE_GRID.side)
    rows, columns = corners[:, :1] + steps, corners[:, 1:] + steps
    return (grid.side * rows[:, :, None] + columns[:, None, :]).flatten(1)


def _well_inside(corners: Tensor, grid: TokenGrid) -> Tensor:
    """(B, 256) bool: the window's tokens but for its border, unless the picture ends there."""
    steps = torch.arange(GUIDE_GRID.side)
    first = torch.where(corners > 0, LESSON_MARGIN, 0)
    last = torch.where(corners < grid.side - GUIDE_GRID.side, GUIDE_GRID.side - LESSON_MARGIN, GUIDE_GRID.side)
    kept = (steps >= first[..., None]) & (steps < last[..., None])
    return (kept[:, 0, :, None] & kept[:, 1, None, :]).flatten(1)


def take(codes: CodeSet, rows: np.ndarray, device: torch.device) -> Batch:
    parts = {name: getattr(codes, name)[rows] for name in ("target", "known", "mask", "condition")}
    return {k: torch.from_numpy(v if v.dtype == bool else v.astype(np.int64)).to(device) for k, v in parts.items()}


def remask(batch: Batch, other: Tensor, chosen: Tensor) -> Batch:
    """Give some rows another row's mask; their known codes are then those of the whole picture."""
    usable = chosen & other.any(1)
    mask = torch.where(usable[:, None], other, batch["mask"])
    known = torch.where(usable[:, None], batch["target"], batch["known"])
    return batch | {"mask": mask, "known": known}


@torch.no_grad()
def lists_from_truth(guide: Transformer, low: Batch, config: ModelConfig, count: int) -> BlockLists:
    """Block lists from the guide's attention over the true codes (specification, section 9)."""
    maps = AttentionMaps()
    codes = true_codes(low)
    encoded = guide.encode(
        codes.masked_fill(low["mask"], guide.config.mask_token), low["condition"], GUIDE_GRID, maps=maps
    )
    guide.decode(codes, encoded, GUIDE_GRID, maps=maps)
    parts = [[x.float() for x in part] for part in affinities(maps)]
    return choose_blocks(parts[0], parts[1], parts[2], count, config.semantics)


def _share(count: Tensor) -> Tensor:
    """What a mean over `count` tokens weighs: processes have unequally many, their gradients are averaged."""
    return count * team.size() / team.total(count.clone().float()).clamp(min=1)


class TransformerStage:
    """The guide, or SGA when a guide is given; `train` and `val` hold codes by resolution."""

    starts_from_average = False

    def __init__(
        self,
        name: str,
        config: ModelConfig,
        sizes: TransformerConfig,
        train: dict[int, CodeSet],
        val: dict[int, CodeSet],
        precision: Precision,
        *,
        guide: Transformer | None = None,
        batch: int = 16,
        rate: float = 5e-4,
        seed: int = 0,
    ) -> None:
        self.name, self.config, self.train, self.val, self.precision = name, config, train, val, precision
        self.resolution = max(train)
        self.grid = TokenGrid.of_resolution(self.resolution)
        self.model = Transformer(sizes).to(precision.device)
        self.guide = guide
        if guide is not None and sizes == guide.config:
            self.model.load_state_dict(guide.state_dict())
        self.modules: dict[str, nn.Module] = {name: self.model}
        self.run = team.runner(self.model)
        self.optimisers: dict[str, torch.optim.Optimizer] = {name: optimiser_for(self.model, rate)}
        self.size, self.seed = batch, seed

    def start_from(self, weights: dict[str, Tensor]) -> None:
        self.model.load_state_dict(weights)

    def examples(self, batch: Any) -> int:
        return len(batch[0])

    def batch(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rows, rows whose masks some of them take, which of them do, and where the lesson of each lies, in [0, 1)."""
        rng = np.random.default_rng((self.seed, 11, number))
        total = len(self.train[self.resolution])
        rows, others = rng.integers(total, size=self.size), rng.integers(total, size=self.size)
        return rows, others, rng.random(self.size) < 0.5, rng.random(self.size)

    def _batch(
        self, sets: dict[int, CodeSet], rows: np.ndarray, others: np.ndarray | None, chosen: np.ndarray | None
    ) -> tuple[Batch, Batch]:
        """The rows at the final resolution and as the guide sees them, some with another row's mask."""
        device = self.precision.device
        batch = take(sets[self.resolution], rows, device)
        low = take(sets[GUIDE_RESOLUTION], rows, device)
        if others is not None and chosen is not None:
            picked = torch.from_numpy(chosen).to(device)
            batch = remask(batch, take(sets[self.resolution], others, device)["mask"], picked)
            low = remask(low, take(sets[GUIDE_RESOLUTION], others, device)["mask"], picked)
        return batch, low

    def _logits(self, batch: Batch, low: Batch) -> Tensor:
        with self.precision.autocast():
            visible = None
            if self.guide is not None:
                visible = Visible.of(lists_from_truth(self.guide, low, self.config, self.model.config.top_k_blocks))
            return forced_logits(self.model, batch, self.grid, visible)

    def _losses(self, batch: Batch, low: Batch, where: np.ndarray) -> tuple[Tensor, Tensor]:
        """The cross-entropy and, for SGA, the guide's lesson; means over the tokens of all processes."""
        logits = self._logits(batch, low)
        loss = masked_loss(logits, batch, self.grid) * _share(batch["mask"].sum())
        if self.guide is None:
            return loss, torch.zeros_like(loss)
        with self.precision.autocast():
            taught = lesson(self.guide, logits, batch, self.grid, torch.from_numpy(where))
        counted = torch.tensor(len(taught), device=loss.device)
        return loss, taught.sum() / counted.clamp(min=1) * _share(counted)

    def step(self, batch: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], number: int) -> dict[str, float]:
        *chosen, where = batch
        loss, taught = self.run(lambda: self._losses(*self._batch(self.train, *chosen), where))
        optimiser = self.optimisers[self.name]
        optimiser.zero_grad(set_to_none=True)
        (loss + LESSON_WEIGHT * taught).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        optimiser.step()
        metrics = {"nats": team.total(loss.detach()).item() / team.size()}
        if self.guide is not None:
            metrics["lesson"] = team.total(taught.detach()).item() / team.size()
        return metrics

    @torch.no_grad()
    def evaluate(self, folder: Path, number: int) -> dict[str, float]:
        """Nats per masked validation token, and the same with the label codes of another photo."""
        sets = self.val
        rows = np.arange(len(sets[self.resolution]))
        if not len(rows):
            return {}
        shuffled = {size: CodeSet(c.target, c.known, c.mask, np.roll(c.condition, 1, 0)) for size, c in sets.items()}
        figures = {}
        for name, chosen in (("nats", sets), ("nats_shuffled_labels", shuffled)):
            parts = np.array_split(rows, max(1, len(rows) // self.size))
            losses = [self._nats(*self._batch(chosen, part, None, None)) for part in parts]
            figures[name] = float(np.mean(losses))
        return figures

    def _nats(self, batch: Batch, low: Batch) -> float:
        return masked_loss(self._logits(batch, low), batch, self.grid).item()
