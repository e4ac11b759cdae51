"""Loss of masked-token training (MaskGIT, section 3.1; specification of the sister systems, 4.4)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

SMOOTHING = 0.1


def masked_token_loss(logits: Tensor, targets: Tensor, weights: Tensor, smoothing: float = SMOOTHING) -> Tensor:
    """Cross-entropy of logits (B, L, C) with targets (B, L) int64 where weights (B, L) say so, a scalar.

    The mean over each sample's masked tokens, then over the samples: a sample with few of them counts as much. Of the
    target's probability `smoothing` is spread evenly over all C.
    """
    flat = logits.float().transpose(1, 2)
    losses = F.cross_entropy(flat, targets, reduction="none", label_smoothing=smoothing)
    return ((losses * weights).sum(1) / weights.sum(1).clamp(min=1e-8)).mean()
