"""Drawing many tokens at a time: MaskGIT's iterations (MaskGIT, section 3.2; specification of the sister systems, 4.2
and 4.3, which say where the published code differs from the paper)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

SCHEDULES = ("cosine", "uniform", "pow2", "pow3", "pow0.5", "log", "exp")
LEAST = 1e-6
MASKED = -1
Logits = Callable[[Tensor], Tensor]  # ids (B, L) int64, MASKED where unknown -> (B, L, codes)


def schedule(name: str, ratio: np.ndarray | np.floating[Any], total: int) -> np.ndarray:
    """The share of `total` unknown tokens that is still masked when `ratio` of the iterations is done.

    name: of SCHEDULES, or "pow" and a number. Computed in float32 in the published order, which decides some counts.
    """
    r, one = np.float32(ratio), np.float32(1)
    if name == "cosine":
        share = np.cos(np.float32(math.pi / 2) * r)
    elif name == "uniform":
        share = one - r
    elif name.startswith("pow"):
        share = one - r ** np.float32(name.removeprefix("pow"))
    elif name == "log":
        with np.errstate(divide="ignore"):  # at 0 all is masked
            share = -np.log2(r) / np.log2(np.float32(total)) if total > 1 else np.zeros_like(r)
    elif name == "exp":
        share = one - np.exp2(-np.log2(np.float32(total)) * (one - r))
    else:
        raise ValueError(f"schedule is {name!r}; use one of {', '.join(SCHEDULES)}")
    return np.asarray(np.clip(share, np.float32(LEAST), one), np.float32)


def masked_after(name: str, step: int, steps: int, total: int, unknown: int) -> int:
    """Tokens that are masked again after iteration `step` of `steps`: at least one, and one less than were unknown."""
    ratio = np.float32(np.float32(step + 1) / np.float32(steps))
    wanted = int(np.floor(np.float32(total) * schedule(name, ratio, total)))
    return max(1, min(unknown - 1, wanted))


def mask_again(confidence: Tensor, count: Tensor) -> Tensor:
    """Which entries are masked again, (B, L) bool: those less confident than the one at place `count`, (B, 1) int64,
    when they are sorted. Known entries have infinite confidence."""
    cut = confidence.sort(1).values.gather(1, count)
    return confidence < cut


@dataclass(frozen=True)
class Iteration:
    """One iteration of the drawing, entries (B, L).

    ids: what went in; drawn: all codes; masked: counts (B,) to be masked again; probabilities: of the drawn codes,
    infinite where they were known; again: bool, what is masked again.
    """

    ids: Tensor
    logits: Tensor
    drawn: Tensor
    masked: Tensor
    probabilities: Tensor
    again: Tensor


def iterate(
    logits: Logits, ids: Tensor, draw_noise: Callable[[int], Tensor], order_noise: Callable[[int], Tensor],
    *, steps: int, start: int = 0, name: str = "cosine", choice_temperature: float = 4.5,
) -> Iterator[Iteration]:  # fmt: skip
    """The iterations from `start` on; the last one's `drawn` is the result.

    draw_noise, order_noise: of an iteration (0 is the first that runs), (B, L, codes) and (B, L) standard Gumbel noise.
    choice_temperature: how random the order is in which tokens become known, falling to nothing.
    """
    totals = (ids == MASKED).sum(1).tolist()
    for step in range(start, steps):
        scores = logits(ids)
        unknown = ids == MASKED
        drawn = torch.where(unknown, (scores + draw_noise(step - start)).argmax(2), ids)
        counts = [
            masked_after(name, step, steps, total, now)
            for total, now in zip(totals, unknown.sum(1).tolist(), strict=True)
        ]
        inside = drawn.clamp(0, scores.shape[2] - 1)[:, :, None]  # known entries may hold ids that are no codes
        chosen = scores.softmax(2).gather(2, inside)[:, :, 0].masked_fill(~unknown, torch.inf)
        ratio = np.float32(step + 1) / np.float32(steps)
        temperature = float(np.float32(choice_temperature) * (np.float32(1) - ratio))
        confidence = chosen.log() + temperature * order_noise(step - start)
        masked = torch.tensor(counts, device=ids.device)
        again = mask_again(confidence, masked[:, None])
        yield Iteration(ids, scores, drawn, masked, chosen, again)
        ids = drawn.masked_fill(again, MASKED)
