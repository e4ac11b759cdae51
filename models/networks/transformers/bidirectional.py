"""MaskGIT's network: a bidirectional, post-norm transformer over codes and [MASK] (MaskGIT, section 3.1; specification
of the sister systems, 4.1). Sequence: one class token, then the codes in raster order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-12


@dataclass(frozen=True)
class BidirectionalConfig:
    """vocabulary: codes, then classes, then [MASK], its last row. length: entries of a sequence."""

    vocabulary: int
    length: int
    width: int
    ffn: int
    heads: int
    layers: int


def gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


class _Layer(nn.Module):
    def __init__(self, config: BidirectionalConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.attention_norm, self.norm = (nn.LayerNorm(width, EPSILON) for _ in range(2))
        self.inner, self.outer = nn.Linear(width, config.ffn), nn.Linear(config.ffn, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = self.attention_norm(x + self.out(seen))
        return self.norm(x + self.outer(gelu(self.inner(x))))


class Bidirectional(nn.Module):
    """Every entry sees every other one; the head is tied to the embedding."""

    def __init__(self, config: BidirectionalConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocabulary, config.width)
        self.places = nn.Embedding(config.length, config.width)
        self.norm = nn.LayerNorm(config.width, EPSILON)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.dense, self.dense_norm = nn.Linear(config.width, config.width), nn.LayerNorm(config.width, EPSILON)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary))

    def forward(self, ids: Tensor) -> Tensor:
        """(B, length) int64, masked entries below 0 -> logits (B, length, vocabulary)."""
        words = ids.masked_fill(ids < 0, self.config.vocabulary - 1)
        x = self.norm(self.words(words) + self.places.weight[: ids.shape[1]])
        for layer in self.layers:
            x = layer(x)
        x = self.dense_norm(gelu(self.dense(x)))
        return x @ self.words.weight.t() + self.bias
