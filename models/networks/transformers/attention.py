"""Attention, dense and block-sparse, behind one signature (ASSET, section 3.3; specification, section 4).

Sequences are in strip order. `visible` says which whole blocks the queries of each block may attend to:
int64 (B or 1, heads, query blocks, n) block ids; -1 marks an unused slot, always last and the same for all
samples and heads. A block that is listed twice counts twice in the softmax. Without `visible` attention is
dense. Causal sequences carry one entry more, [START], in front.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...grid import BLOCKS


def attend(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None = None, start: bool = False) -> Tensor:
    """Encoder and cross attention.

    q: (B, heads, Lq, dh); k, v: (B or 1, heads, L, dh). start: entry 0 of q is [START], which attends to all keys.
    Returns (B, heads, Lq, dh).
    """
    if visible is None:
        return _dense(q, k, v)
    if start:
        return torch.cat([_dense(q[:, :, :1], k, v), attend(q[:, :, 1:], k, v, visible)], 2)
    return attend_blocks(q.unflatten(2, (BLOCKS, -1)), k, v, visible).flatten(2, 3)


def attend_blocks(q: Tensor, k: Tensor, v: Tensor, visible: Tensor) -> Tensor:
    """Encoder and cross attention of some blocks.

    q: (B, heads, nb, T, dh); k, v: (B or 1, heads, L, dh); visible: (B or 1, heads, nb, n) for these blocks.
    Returns (B, heads, nb, T, dh).
    """
    keys, values = gather_blocks(k, visible), gather_blocks(v, visible)
    return F.scaled_dot_product_attention(q, keys, values, attn_mask=_unused(visible, q.shape[3]))


def attend_causal(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None = None) -> Tensor:
    """Causal self attention of a whole sequence; q, k, v: (B, heads, 1 + L, dh) with [START] first.

    With `visible`, a token attends to [START], the listed blocks and, causally, its own block.
    """
    if visible is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    out = attend_causal_blocks(q[:, :, 1:].unflatten(2, (BLOCKS, -1)), k, v, visible, 0)
    return torch.cat([v[:, :, :1], out.flatten(2, 3)], 2)


def attend_causal_blocks(q: Tensor, k: Tensor, v: Tensor, visible: Tensor, first: int) -> Tensor:
    """Causal attention of the whole blocks first, first + 1, ….

    q: (B, heads, nb, T, dh); k, v: (B, heads, 1 + L, dh) with [START] first, filled up to the last of these
    blocks; visible: (B or 1, heads, nb, n) for these blocks. Returns (B, heads, nb, T, dh).
    """
    _, _, count, size, _ = q.shape
    own = slice(1 + first * size, 1 + (first + count) * size)

    def keys(x: Tensor) -> Tensor:
        begin = x[:, :, None, :1].expand(-1, -1, count, -1, -1)
        return torch.cat([begin, gather_blocks(x[:, :, 1:], visible), x[:, :, own].unflatten(2, (count, size))], 3)

    listed = visible.shape[3] * size
    mask = torch.ones(count, size, 1 + listed + size, dtype=torch.bool, device=q.device)
    mask[:, :, 1 : 1 + listed] = (visible[0, 0] >= 0).repeat_interleave(size, 1)[:, None]
    mask[:, :, 1 + listed :] = torch.ones(size, size, dtype=torch.bool, device=q.device).tril()
    return F.scaled_dot_product_attention(q, keys(k), keys(v), attn_mask=mask)


def gather_blocks(x: Tensor, visible: Tensor) -> Tensor:
    """The listed blocks of keys or values.

    x: (B or 1, heads, L, dh); visible: (B, heads, nb, n). Returns (B, heads, nb, n*T, dh); unused slots hold
    block 0, to be masked by the caller.
    """
    batch, heads, count, listed = visible.shape
    length, width = x.shape[2], x.shape[3]
    size = length // BLOCKS
    rows = torch.arange(x.shape[0] * heads, device=x.device).view(x.shape[0], heads, 1, 1) * BLOCKS
    index = (rows + visible.clamp(min=0)).expand(max(batch, x.shape[0]), -1, -1, -1)
    picked = x.reshape(-1, size * width).index_select(0, index.reshape(-1))
    return picked.view(index.shape[0], heads, count, listed * size, width)


def attention_weights(q: Tensor, k: Tensor, causal: bool) -> Tensor:
    """Softmax weights (B, heads, Lq, Lk) of dense attention, for whoever needs to look at them."""
    scores = (q * q.shape[3] ** -0.5) @ k.transpose(2, 3)
    if causal:
        future = torch.ones(scores.shape[2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(future, float("-inf"))
    return scores.softmax(3)


def _dense(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Dense attention; keys shared by the whole batch are read once."""
    if k.shape[0] == 1 and q.shape[0] > 1:
        batch, heads, length, width = q.shape
        folded = q.transpose(0, 1).reshape(1, heads, batch * length, width)
        out = F.scaled_dot_product_attention(folded, k, v)
        return out.view(heads, batch, length, width).transpose(0, 1)
    return F.scaled_dot_product_attention(q, k, v)


def _unused(visible: Tensor, size: int) -> Tensor | None:
    """(nb, 1, n*T) bool mask of the used slots, or None when all are."""
    used = visible[0, 0] >= 0
    return None if bool(used.all()) else used.repeat_interleave(size, 1)[:, None]
