"""Drawing tokens one position at a time, all candidates side by side.

`draw` is a generator: it yields what there is after every token, so its caller can show it or stop between any two.
Decoders of another kind (sliding window, local, parallel) would take the same `DrawTask` and give the same
`Drawn`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..config import Semantics
from ..grid import TokenGrid
from ..networks.transformers.decoding import IncrementalDecoder
from ..networks.transformers.transformer import Transformer, Visible
from ..request import SamplingSettings
from .steering import Steering


@dataclass(frozen=True)
class DrawTask:
    """What to draw, for one window and one batch of candidates.

    codes: (L,) int64 raster, the known codes (where masked: placeholders, used by reference semantics only).
    mask: (L,) bool raster, True = draw. condition: (L,) int64 raster label codes.
    uniforms: (N, n) float64 in [0, 1), one row per candidate, n masked tokens.
    forced: (N, n) int64 tokens to take instead of drawing, or None. steering: bends what is drawn, never what it
    scores, or None.
    """

    codes: Tensor
    mask: Tensor
    condition: Tensor
    grid: TokenGrid
    settings: SamplingSettings
    uniforms: Tensor
    forced: Tensor | None = None
    steering: Steering | None = None


@dataclass(frozen=True)
class Drawn:
    """codes: (N, L) int64 raster, complete. tokens: (N, n) int64 in drawing order. log_likelihoods: (N, n)
    float64, natural log under the model's own distribution; truncated: the same under the tempered, filtered
    one. logits: (N, n, V) float32 when asked for."""

    codes: Tensor
    tokens: Tensor
    log_likelihoods: Tensor
    truncated: Tensor
    logits: Tensor | None = None


@dataclass(frozen=True)
class Partial:
    """A drawing under way. count: tokens drawn so far. codes: (N, L) int64 strip order, written to as it goes on."""

    count: int
    codes: Tensor


def uniforms(seeds: Sequence[int], count: int, stream: int) -> Tensor:
    """(len(seeds), count) float64 in [0, 1): each candidate's own random numbers, whatever its neighbours do.

    stream: a number per stage and window, so that none shares its numbers with another.
    """
    rows = [np.random.Generator(np.random.Philox(key=[seed, stream])).random(count) for seed in seeds]
    return torch.from_numpy(np.stack(rows))


def filter_logits(logits: Tensor, top_k: int | None, top_p: float | None) -> Tensor:
    """Set the logits (…, V) that may not be drawn to -inf.

    top_k keeps those >= the k-th largest (ties included); top_p the smallest set of most likely ones whose
    probability exceeds it, at least one (specification, section 6).
    """
    if top_k is not None and top_k < logits.shape[-1]:
        threshold = logits.topk(top_k, -1).values[..., -1:]
        logits = logits.masked_fill(logits < threshold, float("-inf"))
    if top_p is not None and top_p < 1:
        ordered, order = logits.sort(-1, descending=True)
        before = ordered.softmax(-1).cumsum(-1).roll(1, -1)
        before[..., 0] = 0.0
        dropped = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, before > top_p)
        logits = logits.masked_fill(dropped, float("-inf"))
    return logits


def pick(
    logits: Tensor,
    settings: SamplingSettings,
    uniform: Tensor,
    forced: Tensor | None = None,
    own: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw one token per row by inverting the cumulative distribution.

    logits: (N, V); uniform: (N,) float64; forced: (N,) int64 tokens to take instead; own: (N, V) the model's own
    logits where `logits` are steered.
    Returns tokens (N,), log-likelihood and truncated log-likelihood (N,) float64.
    """
    wide = logits.double()
    tempered = (wide - wide.amax(-1, keepdim=True)) / settings.temperature
    filtered = filter_logits(tempered, settings.top_k, settings.top_p)
    truncated = filtered.log_softmax(-1)
    cumulative = truncated.exp().cumsum(-1)
    token = torch.searchsorted(cumulative, (uniform * cumulative[:, -1])[:, None], right=True)
    last = (filtered > float("-inf")).long().cumsum(-1).argmax(-1, keepdim=True)
    token = torch.minimum(token, last) if forced is None else forced[:, None]
    likelihoods = (wide if own is None else own.double()).log_softmax(-1)
    return token[:, 0], likelihoods.gather(1, token)[:, 0], truncated.gather(1, token)[:, 0]


@torch.inference_mode()
def draw(
    transformer: Transformer,
    encoded: Tensor,
    task: DrawTask,
    semantics: Semantics,
    visible: Visible | None = None,
    keep_logits: bool = False,
) -> Generator[Partial, None, Drawn]:
    """Draw the masked tokens in strip order; yields what is drawn so far after each.

    encoded: (1, L, d) encoder output, shared by all candidates. visible: block-sparse attention (SGA), else dense.
    """
    count, grid = task.uniforms.shape[0], task.grid
    device = encoded.device
    positions = grid.to_strip(task.mask[None])[0].nonzero()[:, 0].tolist()
    start = torch.full((count, 1), transformer.config.start_token, device=device)
    known = grid.to_strip(task.codes[None]).to(device)
    ids = torch.cat([start, known.expand(count, -1)], 1)
    numbers = task.uniforms.to(device)
    own, truncated, kept = [], [], []
    leaking = set(_leaking_blocks(visible, semantics))
    steering = task.steering or Steering()
    sources = encoded if steering.against is None else torch.cat([encoded, steering.against])
    walker = _Walker(IncrementalDecoder(transformer, sources, grid, count, visible), ids, leaking)
    for step, position in enumerate(positions):
        logits, *others = (part.expand(count, -1) for part in walker.logits_for(position).chunk(len(sources)))
        given = None if task.forced is None else task.forced[:, step].to(device)
        bent = steering.bend(logits, others, step)
        token, likelihood, tempered = pick(bent, task.settings, numbers[:, step], given, logits)
        walker.place(position, token)
        own.append(likelihood)
        truncated.append(tempered)
        if keep_logits:
            kept.append(logits.float())
        yield Partial(step + 1, ids[:, 1:])
    picked = ids[:, 1:]
    empty = torch.zeros(count, 0, dtype=torch.float64, device=device)
    return Drawn(
        codes=grid.to_raster(picked),
        tokens=picked[:, positions],
        log_likelihoods=torch.stack(own, 1) if own else empty,
        truncated=torch.stack(truncated, 1) if truncated else empty,
        logits=torch.stack(kept, 1) if kept else None,
    )


def finish(steps: Generator[Partial, None, Drawn]) -> Drawn:
    """Run `draw` to its end, for callers that neither report nor stop."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            drawn: Drawn = stop.value
            return drawn


class _Walker:
    """Feeds the decoder just what the next draw needs, and no known token behind the last draw.

    In leaking blocks (reference semantics only) every draw is followed by a pass over the whole block, with
    the original codes standing in for tokens not yet drawn (specification, sections 6.2 and 6.3).
    """

    def __init__(self, decoder: IncrementalDecoder, ids: Tensor, leaking: set[int]) -> None:
        self.decoder, self.ids, self.leaking = decoder, ids, leaking
        self.size = decoder.grid.tokens_per_block
        self.next = 0  # the first entry not fed yet
        self.pending: Tensor | None = None  # logits of entry next - 1
        self.block_logits: tuple[int, Tensor] | None = None  # of the leaking block being drawn

    def logits_for(self, position: int) -> Tensor:
        """Logits (S * batch, V) that predict the strip token `position`, of one source after the other."""
        block, offset = divmod(position, self.size)
        if block in self.leaking and offset > 0:
            if self.block_logits is None or self.block_logits[0] != block:
                self._feed_upto(block * self.size)
                self._pass_block(block)
            assert self.block_logits is not None
            return self.block_logits[1][:, offset - 1]
        self._feed_upto(position)
        assert self.pending is not None
        return self.pending

    def place(self, position: int, token: Tensor) -> None:
        """Write the drawn token (N,) of a strip position."""
        self.ids[:, position + 1] = token
        self.decoder.part()
        block = position // self.size
        if block in self.leaking:
            self._pass_block(block)

    def _feed_upto(self, entry: int) -> None:
        """Feed the entries up to and including `entry`."""
        if self.next <= entry:
            self.pending = self.decoder.feed(self.ids[: self.decoder.batch, self.next : entry + 1], self.next)
            self.next = entry + 1

    def _pass_block(self, block: int) -> None:
        first = 1 + block * self.size
        logits = self.decoder.feed_block(self.ids[:, first : first + self.size], block)
        self.block_logits = (block, logits)
        self.pending = logits[:, -1]
        self.next = first + self.size


def _leaking_blocks(visible: Visible | None, semantics: Semantics) -> list[int]:
    """Blocks whose own tokens are listed as wholly visible, in any layer, head or sample."""
    if visible is None or semantics is not Semantics.REFERENCE:
        return []
    blocks = torch.arange(visible.causal[0].shape[2], device=visible.causal[0].device)[:, None]
    leaking = torch.stack([(layer >= blocks).any(3).any(1).any(0) for layer in visible.causal]).any(0)
    return leaking.nonzero()[:, 0].tolist()
