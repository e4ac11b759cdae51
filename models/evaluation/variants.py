"""Other ways to attend at 512 px, for the ablation (ASSET, Table 3): random blocks, neighbours only, dense, sliding.

They exist in the evaluation only.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..config import Semantics, TransformerConfig
from ..drawing.context import DrawnScene, WindowContext
from ..drawing.guiding import GUIDE_GRID, guide_block_lists
from ..drawing.samplers.asset import ChooseLists
from ..drawing.samplers.sliding import place
from ..drawing.sampling import Drawn, pick, uniforms
from ..grid import BLOCKS
from ..networks.transformers.blocks import FIRST_LISTED, BlockLists, random_lists
from ..networks.transformers.transformer import Transformer


def no_lists(config: TransformerConfig, samples: int) -> BlockLists:
    """No listed block: only the neighbourhood is seen."""

    def nothing(layers: int, rows: int) -> Tensor:
        return torch.full((layers, samples, config.heads, rows, 1), -1, dtype=torch.long)

    encoder, decoder = config.encoder_layers, config.decoder_layers
    return BlockLists(
        nothing(encoder, BLOCKS)[:, :1], nothing(decoder, BLOCKS - FIRST_LISTED), nothing(decoder, BLOCKS)
    )


def _dense(*_: object) -> None:
    return None


def _local(
    guide: Transformer, codes: Tensor, mask: Tensor, condition: Tensor, count: int, semantics: Semantics
) -> BlockLists:
    return no_lists(guide.config, len(codes))


def _random(
    guide: Transformer, codes: Tensor, mask: Tensor, condition: Tensor, count: int, semantics: Semantics
) -> BlockLists:
    return random_lists(guide.config, len(codes), int(mask.sum()), count, semantics)


VARIANTS: dict[str, ChooseLists] = {
    "sga": guide_block_lists,
    "random blocks": _random,
    "local only": _local,
    "dense": _dense,
}


def sliding_nats(guide: Transformer, codes: Tensor, target: Tensor, mask: Tensor, condition: Tensor) -> Tensor:
    """Log-likelihoods (n,) of the true codes under the guide in a sliding window, all earlier codes true.

    codes, target, mask, condition: (side, side) raster grids; where masked, `codes` is not read.
    """
    walk = _SlidingWalk(guide, codes, mask, condition, 1)
    given = [walk.logits(row, column, target) for row, column in mask.nonzero().tolist()]
    return torch.cat([logits.double().log_softmax(1) for logits in given]).gather(1, target[mask][:, None])[:, 0]


class SlidingSampler:
    """Draws at the final resolution with the guide alone, in a 16x16 window round each token (Esser et al. 2021)."""

    def __init__(self, guide: Transformer) -> None:
        self.guide = guide

    def draw_window(self, context: WindowContext) -> DrawnScene:
        scene, batch, guide = context.scene, context.batch, self.guide
        level = scene.final
        side = level.grid.side
        numbers = uniforms(context.seeds, level.drawn, 2 * scene.number + 1)
        mask, codes = level.mask.view(side, side), level.codes.view(side, side)
        drawn = codes.expand(len(batch), -1, -1).clone()
        walk = _SlidingWalk(guide, codes, mask, level.condition.view(side, side), len(batch))
        own, truncated, tokens = [], [], []
        with torch.inference_mode():
            for step, (row, column) in enumerate(mask.nonzero().tolist()):
                context.watch.cancel.check()
                logits = walk.logits(row, column, drawn)
                token, likelihood, tempered = pick(logits, context.request.settings, numbers[:, step])
                drawn[:, row, column] = token
                own.append(likelihood)
                truncated.append(tempered)
                tokens.append(token)
        parts = (torch.stack(x, 1) for x in (tokens, own, truncated))
        return DrawnScene(Drawn(drawn.flatten(1), *parts), scene.low.codes.expand(len(batch), -1))


class _SlidingWalk:
    """The guide's view of a larger grid: a window of its own size, moved with the token that is drawn."""

    def __init__(self, guide: Transformer, codes: Tensor, mask: Tensor, condition: Tensor, samples: int) -> None:
        self.guide, self.codes, self.mask, self.condition, self.samples = guide, codes, mask, condition, samples
        self._encoded: dict[tuple[int, int], Tensor] = {}

    @torch.inference_mode()
    def logits(self, row: int, column: int, drawn: Tensor) -> Tensor:
        """(N, V) logits of one token; drawn: (side, side) or (N, side, side) codes, read before the token only."""
        size, side = GUIDE_GRID.side, len(self.codes)
        at = place(row, column, side, side, size)
        key = at.top, at.left

        def window(grid: Tensor) -> Tensor:
            return grid[..., at.top : at.top + size, at.left : at.left + size].flatten(-2)

        if key not in self._encoded:
            hidden = window(self.codes).masked_fill(window(self.mask), self.guide.config.mask_token)
            self._encoded[key] = self.guide.encode(hidden[None], window(self.condition)[None], GUIDE_GRID)
        seen = torch.where(window(self.mask), window(drawn), window(self.codes))
        seen = seen.expand(self.samples, -1) if seen.dim() == 1 else seen
        entry = at.row_in * size + at.column_in  # strip order is raster order in the guide's grid
        encoded = self._encoded[key].expand(len(seen), -1, -1)
        return self.guide.decode(seen, encoded, GUIDE_GRID)[:, entry]
