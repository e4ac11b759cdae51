"""The decoder run a few entries at a time, with cached keys and values.

Entry 0 is [START], entry j + 1 is strip token j; the output of entry j predicts strip token j. Feeding entries
one by one gives what the teacher-forced pass gives. The dense decoder runs one sample for all candidates until
they part; the sparse one gathers the visible blocks once when a block is entered, and a step then reads
1 + 6T cached keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...grid import TokenGrid
from .attention import attend, attend_blocks, attend_causal_blocks, gather_blocks
from .transformer import CrossAttend, SelfAttend, Transformer, Visible

Pattern = Callable[[int, int, int], tuple[SelfAttend, CrossAttend]]  # layer, first entry, stop -> attentions
MAX_ROWS = 4096  # rows (candidates x tokens) of one pass over known blocks; bounds the memory of a prefill


@dataclass
class _BlockContext:
    """What the tokens of one block attend to in one layer: gathered keys and values, own tokens appended."""

    keys: Tensor  # (N, heads, 1 + nT + T, dh)
    values: Tensor
    listed: int  # 1 + nT
    cross_keys: Tensor  # (N, heads, mT, dh)
    cross_values: Tensor


class IncrementalDecoder:
    """Caches of one drawing job; `count` candidates side by side.

    encoded: (S, L, d) from `Transformer.encode`, of S sources: every candidate is run under each of them in the same
    pass, which reads the weights once. Rows are those of the first source, then those of the next. visible: for
    block-sparse attention, batch 1 or `count`, the same for all sources.
    """

    def __init__(
        self, transformer: Transformer, encoded: Tensor, grid: TokenGrid, count: int, visible: Visible | None = None
    ) -> None:
        self.transformer = transformer
        self.grid = grid
        self.count = count
        self.visible = visible
        self.sources = len(encoded)
        self.batch = 1 if visible is None else count  # rows of each source
        self.layers = transformer.decoder_layers()
        config = transformer.config
        shape = (self.sources * self.batch, config.heads, 1 + grid.tokens, config.head_dim)
        self.memory = [layer.memory(encoded) for layer in self.layers]
        self.keys = [keys.new_zeros(shape) for keys, _ in self.memory]  # in the number format that attention runs in
        self.values = [keys.new_zeros(shape) for keys, _ in self.memory]
        self.hints = transformer.hints(encoded, grid)
        self.places = transformer.places(grid)
        self._block = -1
        self._contexts: list[_BlockContext] = []

    def part(self) -> None:
        """From now on the candidates differ: give each its own caches."""
        if self.batch < self.count:
            self.keys = [k.repeat_interleave(self.count, 0) for k in self.keys]
            self.values = [v.repeat_interleave(self.count, 0) for v in self.values]
            self.batch = self.count

    def feed(self, ids: Tensor, first: int) -> Tensor:
        """Run the entries first, first + 1, … with ids (batch, m); returns logits (S * batch, V) of the last one."""
        x = self._run(ids.repeat(self.sources, 1), first)
        return self.transformer.lm_head(x[:, -1])

    def feed_block(self, ids: Tensor, block: int) -> Tensor:
        """Run all T tokens of a block, again if need be; ids (batch, T). Returns logits (S * batch, T, V)."""
        return self.transformer.lm_head(self._pass_blocks(ids.repeat(self.sources, 1), block))

    def _run(self, ids: Tensor, first: int) -> Tensor:
        if self.visible is None:
            return self._pass(ids, first, self._dense)
        size, stop = self.grid.tokens_per_block, first + ids.shape[1]
        x = ids.new_zeros(0)
        at = first
        while at < stop:
            token = at - 1
            if at == 0:
                upto = 1
                x = self._pass(ids[:, :1], 0, self._start)
            elif token % size == 0 and stop - at >= size:
                upto = at + size * min((stop - at) // size, max(1, MAX_ROWS // (size * len(ids))))
                x = self._pass_blocks(ids[:, at - first : upto - first], token // size)
            else:
                upto = min(stop, 1 + (token // size + 1) * size)
                self._enter(token // size, at)
                x = self._pass(ids[:, at - first : upto - first], at, self._inside_block)
            at = upto
        return x

    def _pass(self, ids: Tensor, first: int, pattern: Pattern) -> Tensor:
        """Run entries first… through all layers; `pattern` gives the two attentions of a layer."""
        stop = first + ids.shape[1]
        x = self.transformer.embed(ids, self.places[first:stop])
        for index, layer in enumerate(self.layers):
            hint = self.hints[index]
            attend_self, attend_cross = pattern(index, first, stop)
            own = None if hint is None else self._rows(hint[:, first:stop])
            x = layer(x, own, attend_self, attend_cross)
        return x

    def _rows(self, of_sources: Tensor) -> Tensor:
        """(S, …) -> (S * batch, …); as it is where there is one source, to be broadcast."""
        return of_sources if self.sources == 1 else of_sources.repeat_interleave(self.batch, 0)

    def _by_source(self, index: int, attend_one: Callable[[Tensor, Tensor, Tensor], Tensor], q: Tensor) -> Tensor:
        """`attend_one` over each source's rows of q and its memory in a layer."""
        keys, values = self.memory[index]
        parts = zip(q.chunk(self.sources), keys.split(1), values.split(1), strict=True)
        found = [attend_one(*part) for part in parts]
        return found[0] if self.sources == 1 else torch.cat(found)

    def _seen(self, index: int, blocks: slice) -> Tensor:
        """The blocks that these ones attend to, for all rows or, where they share them, once."""
        assert self.visible is not None
        seen = _used(self.visible.causal[index][:, :, blocks])
        return seen if len(seen) == 1 else seen.repeat(self.sources, 1, 1, 1)

    def _store(self, index: int, first: int, stop: int, k: Tensor, v: Tensor) -> None:
        self.keys[index][:, :, first:stop] = k
        self.values[index][:, :, first:stop] = v

    # --- dense -------------------------------------------------------------------------------------------

    def _dense(self, index: int, first: int, stop: int) -> tuple[SelfAttend, CrossAttend]:
        def attend_self(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            self._store(index, first, stop, k, v)
            mask = None if stop - first == 1 else _causal(stop - first, stop, q.device)
            keys, values = self.keys[index][:, :, :stop], self.values[index][:, :, :stop]
            return F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)

        return attend_self, self._cross_all(index)

    def _cross_all(self, index: int) -> CrossAttend:
        """Dense cross attention; the memory of a source is shared by all candidates."""
        return lambda q: self._by_source(index, attend, q)

    # --- sparse ------------------------------------------------------------------------------------------

    def _start(self, index: int, first: int, stop: int) -> tuple[SelfAttend, CrossAttend]:
        def attend_self(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            self._store(index, first, stop, k, v)
            return v

        return attend_self, self._cross_all(index)

    def _pass_blocks(self, ids: Tensor, block: int) -> Tensor:
        """Whole blocks block, block + 1, … in one pass; ids (batch, nb * T)."""
        assert self.visible is not None
        visible = self.visible
        count = ids.shape[1] // self.grid.tokens_per_block
        rows = slice(block, block + count)
        self._block = -1

        def pattern(index: int, first: int, stop: int) -> tuple[SelfAttend, CrossAttend]:
            def attend_self(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
                self._store(index, first, stop, k, v)
                blocks = q.unflatten(2, (count, -1))
                seen = self._seen(index, rows)
                return attend_causal_blocks(blocks, self.keys[index], self.values[index], seen, block).flatten(2, 3)

            def attend_cross(q: Tensor) -> Tensor:
                seen = visible.cross[index][:, :, rows]

                def blockwise(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
                    return attend_blocks(q, k, v, seen)

                return self._by_source(index, blockwise, q.unflatten(2, (count, -1))).flatten(2, 3)

            return attend_self, attend_cross

        return self._pass(ids, 1 + block * self.grid.tokens_per_block, pattern)

    def _enter(self, block: int, at: int) -> None:
        """Gather what the tokens of `block` attend to, unless that is at hand; entries before `at` are cached."""
        if block == self._block:
            return
        assert self.visible is not None
        size = self.grid.tokens_per_block
        first = 1 + block * size
        self._contexts = []
        for index in range(len(self.layers)):
            seen = self._seen(index, slice(block, block + 1))
            cross = _used(self.visible.cross[index][:, :, block : block + 1])
            listed = 1 + seen.shape[3] * size

            def own(cache: Tensor, seen: Tensor = seen, listed: int = listed) -> Tensor:
                parts = [
                    cache[:, :, :1],
                    gather_blocks(cache[:, :, 1:], seen)[:, :, 0],
                    cache[:, :, first : first + size],
                ]
                return torch.cat(parts, 2)

            keys, values = (self._gathered(x, cross) for x in self.memory[index])
            self._contexts.append(_BlockContext(own(self.keys[index]), own(self.values[index]), listed, keys, values))
        self._block = block

    def _gathered(self, memory: Tensor, cross: Tensor) -> Tensor:
        """The listed blocks of each source's keys or values, (S * batch or 1, heads, n * T, dh)."""
        if self.sources == 1:
            return gather_blocks(memory, cross)[:, :, 0]
        parts = [gather_blocks(x, cross)[:, :, 0].expand(self.batch, -1, -1, -1) for x in memory.split(1)]
        return torch.cat(parts)

    def _inside_block(self, index: int, first: int, stop: int) -> tuple[SelfAttend, CrossAttend]:
        context = self._contexts[index]
        begin = context.listed + (first - 1) % self.grid.tokens_per_block
        end = begin + stop - first

        def attend_self(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            self._store(index, first, stop, k, v)
            context.keys[:, :, begin:end] = k
            context.values[:, :, begin:end] = v
            mask = None if stop - first == 1 else _causal(stop - first, end, q.device)
            return F.scaled_dot_product_attention(
                q, context.keys[:, :, :end], context.values[:, :, :end], attn_mask=mask
            )

        def attend_cross(q: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(q, context.cross_keys, context.cross_values)

        return attend_self, attend_cross


def _used(visible: Tensor) -> Tensor:
    """Drop the slots that none of these blocks uses."""
    return visible[..., : int((visible[0, 0] >= 0).sum(1).max())]


def _causal(rows: int, columns: int, device: torch.device) -> Tensor:
    """(rows, columns) bool, lower-triangular aligned to the right end."""
    return torch.ones(rows, columns, dtype=torch.bool, device=device).tril(columns - rows)
