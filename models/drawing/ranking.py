"""Joint log-likelihood: scoring codes and ordering candidates (ASSET, section 3.4).

Natural log under the model's own distribution: no temperature, no truncation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..candidate import Candidate
from ..grid import TokenGrid
from ..networks.transformers.transformer import Transformer, Visible


def rank(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Best joint log-likelihood first; equal ones in drawing order."""
    return sorted(candidates, key=lambda c: (-c.log_likelihood, c.index))


@torch.inference_mode()
def score(
    transformer: Transformer,
    encoded: Tensor,
    codes: Tensor,
    mask: Tensor,
    grid: TokenGrid,
    visible: Visible | None = None,
) -> Tensor:
    """Log-likelihood of given tokens by one teacher-forced pass.

    encoded: (1, L, d) encoder output; codes: (N, L) int64 raster, complete; mask: (L,) bool raster, tokens to score.
    Returns (N, n) float64 in strip order.
    """
    logits = transformer.decode(codes, encoded, grid, visible)[:, :-1]
    drawn = grid.to_strip(mask[None])[0]
    picked = logits[:, drawn].double().log_softmax(2)
    return picked.gather(2, grid.to_strip(codes)[:, drawn][:, :, None])[:, :, 0]
