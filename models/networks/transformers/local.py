"""iLAT's transformer: condition and image codes with tables of their own, a tied head (iLAT, section 3.2; specification
of the sister systems, 3.5). Parameter names are the published ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .causal import Block


@dataclass(frozen=True)
class LocalConfig:
    """codes, condition_codes: sizes of the tables. tokens: of a window."""

    codes: int
    condition_codes: int
    tokens: int
    width: int
    heads: int
    layers: int


class _Head(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dense = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.ln2(F.gelu(self.dense(self.ln1(x))))


class LocalTransformer(nn.Module):
    """[c start, condition codes, z start, image codes] under a mask -> what each entry predicts."""

    def __init__(self, config: LocalConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.z_emb, self.c_emb = nn.Embedding(config.codes, width), nn.Embedding(config.condition_codes, width)
        self.z_sp, self.c_sp = (nn.Parameter(torch.zeros(1, width)) for _ in range(2))
        self.pos_emb = nn.Embedding(2 * (config.tokens + 1), width)
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.layers))
        self.dec = _Head(width)
        self.z_bias, self.c_bias = (nn.Parameter(torch.zeros(n)) for n in (config.codes, config.condition_codes))
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, condition: Tensor, codes: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of both parts, (B, 1 + L, condition_codes) and (B, 1 + L, codes); entry p predicts token p.

        condition, codes: (B, L) int64 in raster order. seen: (2 + 2L, 2 + 2L) or (B, …) bool, `drawing.local`.
        """
        rows = len(codes)
        starts = [start.expand(rows, 1, -1) for start in (self.c_sp, self.z_sp)]
        x = torch.cat([starts[0], self.c_emb(condition), starts[1], self.z_emb(codes)], 1) + self.pos_emb.weight
        seen = seen if seen.dim() == 2 else seen[:, None]
        for block in self.blocks:
            x, _ = block(x, seen)
        x, middle = self.dec(x), condition.shape[1] + 1
        return (
            x[:, :middle] @ self.c_emb.weight.t() + self.c_bias,
            x[:, middle:] @ self.z_emb.weight.t() + self.z_bias,
        )
