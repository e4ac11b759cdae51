"""What the tests beside it share: one job of the sampler."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from models.config import Semantics
from models.drawing.sampling import Drawn, DrawTask, draw, finish, uniforms
from models.grid import TokenGrid
from models.networks.transformers.blocks import BlockLists, random_lists
from models.networks.transformers.transformer import Transformer, Visible
from models.request import SamplingSettings
from tests.helpers import CODES, LABEL_CODES, tiny_transformer, tiny_transformer_config

PLAIN = SamplingSettings(top_k=None)
GREEDY = SamplingSettings(top_k=1)
MASKS = (
    "everything", "first token", "last token", "one token", "blocks 5 and 6", "inside block 5", "whole blocks",
    "scattered", "all but the first block", "first and last",
)  # fmt: skip


@lru_cache(maxsize=8)
def model(semantics: Semantics = Semantics.CLEAN, packed: bool = True) -> Transformer:
    net = tiny_transformer(tiny_transformer_config(semantics))
    if packed:
        net = copy.deepcopy(net)
        net.pack()
    return net


def some_mask(kind: str, grid: TokenGrid, seed: int = 0) -> Tensor:
    """(L,) bool, raster."""
    rng = np.random.default_rng(seed)
    strip = torch.zeros(1, grid.tokens, dtype=torch.bool)
    size = grid.tokens_per_block
    if kind == "everything":
        strip[:] = True
    if kind in ("first token", "first and last"):
        strip[0, 0] = True
    if kind in ("last token", "first and last"):
        strip[0, -1] = True
    if kind == "one token":
        strip[0, int(rng.integers(grid.tokens))] = True
    if kind == "blocks 5 and 6":
        strip[0, 5 * size : 7 * size] = True
    if kind == "inside block 5":
        strip[0, 5 * size + 1 : 6 * size - 1] = True
    if kind == "whole blocks":
        for block in rng.choice(64, 3, replace=False):
            strip[0, block * size : (block + 1) * size] = True
    if kind == "scattered":
        strip[0] = torch.from_numpy(rng.random(grid.tokens) < rng.uniform(0.01, 0.15))
        strip[0, int(rng.integers(grid.tokens))] = True
    if kind == "all but the first block":
        strip[0, size:] = True
    return grid.to_raster(strip)[0]


@dataclass(frozen=True)
class Job:
    """One window to draw in."""

    net: Transformer
    grid: TokenGrid
    codes: Tensor
    mask: Tensor
    condition: Tensor
    lists: BlockLists | None
    semantics: Semantics = Semantics.CLEAN

    @classmethod
    def of(
        cls, kind: str, side: int = 16, sparse: bool = False, seed: int = 0, samples: int = 2, packed: bool = True,
        semantics: Semantics = Semantics.CLEAN,
    ) -> Job:  # fmt: skip
        grid, net = TokenGrid(side), model(semantics, packed)
        generator = torch.Generator().manual_seed(seed)
        codes = torch.randint(CODES, (grid.tokens,), generator=generator)
        condition = torch.randint(LABEL_CODES, (grid.tokens,), generator=generator)
        lists = random_lists(net.config, samples, seed) if sparse else None
        return cls(net, grid, codes, some_mask(kind, grid, seed), condition, lists, semantics)

    @property
    def count(self) -> int:
        return int(self.mask.sum())

    @property
    def positions(self) -> Tensor:
        return self.grid.to_strip(self.mask[None])[0].nonzero()[:, 0]

    def visible(self, rows: list[int] | None = None) -> Visible | None:
        if self.lists is None:
            return None
        rows = list(range(self.lists.causal.shape[1])) if rows is None else rows
        lists = BlockLists(self.lists.encoder, self.lists.causal[:, rows], self.lists.cross[:, rows])
        return Visible.of(lists)

    @torch.inference_mode()
    def encoded(self) -> Tensor:
        visible = self.visible()
        hidden = self.codes.masked_fill(self.mask, self.net.config.mask_token)
        return self.net.encode(
            hidden[None], self.condition[None], self.grid, None if visible is None else visible.encoder
        )

    def task(self, seeds: list[int], settings: SamplingSettings = PLAIN, forced: Tensor | None = None) -> DrawTask:
        numbers = uniforms(seeds, self.count, 0)
        return DrawTask(self.codes, self.mask, self.condition, self.grid, settings, numbers, forced)

    def draw(
        self, seeds: list[int], settings: SamplingSettings = PLAIN, forced: Tensor | None = None,
        rows: list[int] | None = None,
    ) -> Drawn:  # fmt: skip
        rows = list(range(len(seeds))) if rows is None else rows
        steps = draw(
            self.net,
            self.encoded(),
            self.task(seeds, settings, forced),
            self.semantics,
            self.visible(rows),
            keep_logits=True,
        )
        return finish(steps)

    @torch.inference_mode()
    def teacher_forced(self, codes: Tensor, rows: list[int] | None = None) -> Tensor:
        """Logits (N, n, V) that predict the masked tokens of complete codes (N, L) raster."""
        rows = list(range(len(codes))) if rows is None else rows
        logits = self.net.decode(codes, self.encoded(), self.grid, self.visible(rows))
        return logits[:, self.positions]
