"""Codebook: encoder features <-> tokens (specification, section 7.5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Codebook(nn.Module):
    """`codes` vectors of `dim` numbers; nearest by Euclidean distance."""

    def __init__(self, codes: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, dim)
        nn.init.uniform_(self.embedding.weight, -1.0 / codes, 1.0 / codes)

    def distances(self, features: Tensor) -> Tensor:
        """(N, dim) float -> squared distances (N, codes) float32, as z^2 + e^2 - 2 z.e."""
        features = features.float()
        table = self.embedding.weight.float()
        squares = features.square().sum(1, keepdim=True) + table.square().sum(1)
        return squares - 2.0 * features @ table.t()

    def indices(self, features: Tensor) -> Tensor:
        """(B, dim, h, w) -> tokens (B, h*w) int64 in raster order."""
        batch, dim = features.shape[:2]
        flat = features.permute(0, 2, 3, 1).reshape(-1, dim)
        return self.distances(flat).argmin(1).view(batch, -1)

    def features(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """Tokens (B, h*w) in raster order -> (B, dim, h, w)."""
        vectors = self.embedding(tokens).view(tokens.shape[0], height, width, -1)
        return vectors.permute(0, 3, 1, 2).contiguous()

    def straight_through(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, dim, h, w) -> quantised features with the identity as gradient, and the tokens (B, h*w)."""
        tokens = self.indices(features)
        quantised = self.features(tokens, features.shape[2], features.shape[3])
        return features + (quantised - features).detach(), tokens


def quantiser_loss(features: Tensor, quantised: Tensor, beta: float = 0.25, legacy: bool = False) -> Tensor:
    """Codebook plus commitment loss; `legacy` puts beta on the codebook term, as the published image model does.

    features, quantised: the same shape, `quantised` the codebook vectors themselves. Returns a scalar.
    """
    commitment = (quantised.detach() - features).square().mean()
    codebook = (quantised - features.detach()).square().mean()
    return commitment + beta * codebook if legacy else beta * commitment + codebook


def perplexity(tokens: Tensor, codes: int) -> float:
    """exp(entropy) of how often each code is used: `codes` when all are used evenly, 1 when only one is."""
    share = torch.bincount(tokens.reshape(-1), minlength=codes).double()
    share = share / share.sum().clamp(min=1)
    return float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum()))
