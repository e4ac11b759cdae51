"""Stages `guide` and `sga`: cross-entropy on the masked tokens (specification, section 9; ASSET, section 3.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import GUIDE_RESOLUTION, ModelConfig, TransformerConfig
from ...drawing.guiding import GUIDE_GRID, affinities
from ...grid import TokenGrid
from ...networks.transformers.blocks import BlockLists, choose_blocks
from ...networks.transformers.transformer import AttentionMaps, Transformer, Visible
from .. import team
from ..data.codes import CodeSet
from ..data.fresh_codes import FreshCodes
from ..precision import Precision

Batch = dict[str, Tensor]


def optimiser_for(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    """AdamW with decay on the weights of linear layers only (specification, section 9)."""
    linear = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if id(p) in linear], "weight_decay": 0.01},
        {"params": [p for p in parameters if id(p) not in linear], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, rate, betas=(0.9, 0.95))


def masked_loss(model: Transformer, batch: Batch, grid: TokenGrid, visible: Visible | None = None) -> Tensor:
    """Mean cross-entropy in nats over all masked tokens of the batch; teacher forcing with the true codes."""
    mask = batch["mask"]
    codes = torch.where(mask, batch["target"], batch["known"])
    hidden = codes.masked_fill(mask, model.config.mask_token)
    encoded = model.encode(hidden, batch["condition"], grid, None if visible is None else visible.encoder)
    logits = model.decode(codes, encoded, grid, visible)[:, :-1]
    drawn = grid.to_strip(mask)
    return F.cross_entropy(logits[drawn].float(), grid.to_strip(batch["target"])[drawn])


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
    codes = torch.where(low["mask"], low["target"], low["known"])
    encoded = guide.encode(
        codes.masked_fill(low["mask"], guide.config.mask_token), low["condition"], GUIDE_GRID, maps=maps
    )
    guide.decode(codes, encoded, GUIDE_GRID, maps=maps)
    parts = [[x.float() for x in part] for part in affinities(maps)]
    return choose_blocks(parts[0], parts[1], parts[2], count, config.semantics)


class TransformerStage:
    """The guide, or SGA when a guide is given; `val` and, unless its codes are made at each step, `train` hold codes
    by resolution."""

    frozen: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        config: ModelConfig,
        sizes: TransformerConfig,
        train: dict[int, CodeSet] | FreshCodes,
        val: dict[int, CodeSet],
        precision: Precision,
        *,
        guide: Transformer | None = None,
        batch: int = 16,
        rate: float = 5e-4,
        seed: int = 0,
    ) -> None:
        self.name, self.config, self.train, self.val, self.precision = name, config, train, val, precision
        self.resolution = max(val)
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
        return len(batch[0]["mask"] if isinstance(batch[0], dict) else batch[0])

    def batch(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | tuple[Batch, Batch]:
        """Rows of the crops, others whose masks some of them get, and which; or codes that are made now."""
        if isinstance(self.train, FreshCodes):
            return self.train.batch(number)
        rng = np.random.default_rng((self.seed, 11, number))
        total = len(self.train[self.resolution])
        return rng.integers(total, size=self.size), rng.integers(total, size=self.size), rng.random(self.size) < 0.5

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

    def _loss(self, batch: Batch, low: Batch) -> Tensor:
        with self.precision.autocast():
            visible = None
            if self.guide is not None:
                visible = Visible.of(lists_from_truth(self.guide, low, self.config, self.model.config.top_k_blocks))
            return masked_loss(self.model, batch, self.grid, visible)

    def step(self, batch: Any, number: int) -> dict[str, float]:
        rows, low = batch if isinstance(self.train, FreshCodes) else self._batch(self.train, *batch)
        tokens = rows["mask"].sum().float()
        share = tokens * team.size() / team.total(tokens.clone())  # processes have unequally many masked tokens
        loss = self.run(lambda: self._loss(rows, low)) * share
        optimiser = self.optimisers[self.name]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        optimiser.step()
        return {"nats": team.total(loss.detach()).item() / team.size()}

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
            losses = [self._loss(*self._batch(chosen, part, None, None)).item() for part in parts]
            figures[name] = float(np.mean(losses))
        return figures
