"""iLAT's local attention mask: what a decoder-only transformer sees of an edit and of all that surrounds it (iLAT,
section 3.2, equations 5 to 8; specification of the sister systems, 3.4).

Entries of the image part: a start token, then the L tokens; entry p predicts token p. Masks are (1 + L, 1 + L) bool,
rows are queries, True may be seen.
"""

from __future__ import annotations

import torch
from torch import Tensor


def local_mask(masked: Tensor) -> Tensor:
    """The paper's mask. masked: (L,) bool tokens to be drawn.

    Entries that are masked or predict a masked token are causal, the others global: these see global ones only, causal
    ones also the causal ones up to themselves. So nothing that is known depends on what is drawn, and the likelihood of
    a drawing is exact.
    """
    start = masked.new_zeros(1)
    causal = torch.cat([start, masked]) | torch.cat([masked, start])
    return ~causal[None] | (causal[:, None] & causal[None] & _before(len(causal), masked.device))


def released_mask(masked: Tensor) -> Tensor:
    """The mask of the released code: known entries are seen by all, masked queries also see what is before them.

    A known entry that predicts a masked token sees no masked token before it, so training and drawing differ.
    """
    drawn = torch.cat([masked.new_zeros(1), masked])
    return ~drawn[None] | (drawn[:, None] & _before(len(drawn), masked.device))


def plain_mask(length: int) -> Tensor:
    """Plain autoregression over a start token and `length` tokens."""
    return _before(length + 1, torch.device("cpu"))


def with_condition(mask: Tensor) -> Tensor:
    """The whole sequence's mask, (…, 2 + 2L, 2 + 2L): condition entries see each other, image entries see them all."""
    size = mask.shape[-1]
    whole = mask.new_zeros(*mask.shape[:-2], 2 * size, 2 * size)
    whole[..., :size] = True
    whole[..., size:, size:] = mask
    return whole


def _before(size: int, device: torch.device) -> Tensor:
    return torch.ones(size, size, dtype=torch.bool, device=device).tril()
