"""A decoder-only, pre-norm transformer: Taming Transformers' latent transformer and iLAT's layers (Taming Transformers,
section 3.2; specification of the sister systems, 2.2 and 3.5). Parameter names are the published ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Cache = tuple[Tensor, Tensor]  # keys and values (B, heads, L, dh) of a layer


@dataclass(frozen=True)
class CausalConfig:
    """vocabulary: of condition and image codes, which share one table. block_size: the longest sequence. n_unmasked: of
    its beginning, so many entries see each other both ways."""

    vocabulary: int
    block_size: int
    width: int
    heads: int
    layers: int
    n_unmasked: int = 0


class SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.key, self.query, self.value, self.proj = (nn.Linear(width, width) for _ in range(4))

    def split(self, x: Tensor) -> Tensor:
        """(B, L, d) -> (B, heads, L, dh)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor, seen: Tensor | None, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """x: (B, m, d). seen: (m, L) bool, which of all entries each of these sees (None: all).

        cache: keys and values of earlier entries.
        """
        keys, values = self.split(self.key(x)), self.split(self.value(x))
        if cache is not None:
            keys, values = torch.cat([cache[0], keys], 2), torch.cat([cache[1], values], 2)
        mixed = F.scaled_dot_product_attention(self.split(self.query(x)), keys, values, seen)
        return self.proj(mixed.transpose(1, 2).flatten(2)), (keys, values)


class Block(nn.Module):
    """One layer: x + attention(norm(x)), then x + MLP(norm(x))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = SelfAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, seen: Tensor | None, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        mixed, kept = self.attn(self.ln1(x), seen, cache)
        x = x + mixed
        return x + self.mlp(self.ln2(x)), kept


class CausalTransformer(nn.Module):
    """[condition codes, image codes] -> logits of each next code."""

    def __init__(self, config: CausalConfig) -> None:
        super().__init__()
        self.config = config
        self.tok_emb = nn.Embedding(config.vocabulary, config.width)
        self.pos_emb = nn.Parameter(torch.zeros(1, config.block_size, config.width))
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.layers))
        self.ln_f = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def seen(self, first: int, last: int) -> Tensor:
        """(last - first, last) bool: what the entries from `first` on see of all up to `last`."""
        rows, columns = torch.arange(first, last)[:, None], torch.arange(last)[None]
        free = (rows < self.config.n_unmasked) & (columns < self.config.n_unmasked)
        return ((columns <= rows) | free).to(self.pos_emb.device)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, L) int64, L at most block_size -> logits (B, L, vocabulary); entry n predicts entry n + 1."""
        return self.go_on(ids, None)[0]

    def go_on(self, ids: Tensor, caches: list[Cache] | None) -> tuple[Tensor, list[Cache]]:
        """Logits of further entries (B, m) behind those whose keys and values are in `caches`, and all caches."""
        first = 0 if caches is None else caches[0][0].shape[2]
        last = first + ids.shape[1]
        if last > self.config.block_size:
            raise ValueError(f"a sequence of {last} entries is longer than {self.config.block_size}")
        x, seen, kept = self.tok_emb(ids) + self.pos_emb[:, first:last], self.seen(first, last), []
        for number, block in enumerate(self.blocks):
            x, cache = block(x, seen, None if caches is None else caches[number])
            kept.append(cache)
        return self.head(self.ln_f(x)), kept

    def predicted(self, condition: Tensor, codes: Tensor) -> Tensor:
        """Logits (B, L, vocabulary) of image codes (B, L), each from the condition (B, n) and the codes before it."""
        logits: Tensor = self(torch.cat([condition, codes[:, :-1]], 1))
        return logits[:, condition.shape[1] - 1 :]
