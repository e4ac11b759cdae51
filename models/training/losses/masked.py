"""Loss of masked-token training (MaskGIT, section 3.1; specification of the sister systems, 4.4)."""

from __future__ import annotations

from torch import Tensor

SMOOTHING = 0.1


def masked_token_loss(logits: Tensor, targets: Tensor, weights: Tensor, smoothing: float = SMOOTHING) -> Tensor:
    """Cross-entropy of logits (B, L, C) with targets (B, L) int64 where weights (B, L) say so, a scalar.

    The mean over each sample's masked tokens, then over the samples: a sample with few of them counts as much. Of the
    target's probability `smoothing` is spread evenly over all C.
    """
    likely = logits.float().log_softmax(2)
    right = likely.gather(2, targets[:, :, None])[:, :, 0]
    losses = -(1 - smoothing) * right - smoothing * likely.mean(2)
    return ((losses * weights).sum(1) / weights.sum(1).clamp(min=1e-8)).mean()
