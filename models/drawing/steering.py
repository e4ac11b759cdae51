"""What bends the drawing of tokens beyond the model's own distribution; candidates are never ranked by it.

Label strength: logits away from what the same model would draw under the labels before the edit,
l_old + s (l_new - l_old), as classifier-free guidance does with a missing condition (Ho & Salimans 2022).
Sketch: a product with a Gaussian over the mean colour of each code round the colour of the guide's sketch at that
place, so that the full drawing looks like the draft that was chosen for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..networks.vqgan.vqgan import VQGAN

COLOR_SPREAD = 0.25  # standard deviation of the Gaussian at sketch strength 1, in picture values (-1…1)


@dataclass(frozen=True)
class Sketch:
    """targets: (N, n, 3) colours to be near to, in drawing order; colors: (V, 3) of the codes; both -1…1."""

    targets: Tensor
    colors: Tensor
    strength: float

    def penalty(self, step: int) -> Tensor:
        """(N, V) to be taken from the logits of a step."""
        away = torch.cdist(self.targets[:, step], self.colors) / COLOR_SPREAD
        return 0.5 * self.strength * away.square()


@dataclass(frozen=True)
class Steering:
    """against: (1, L, d) encoder output under the labels to get away from; label_strength >= 1."""

    against: Tensor | None = None
    label_strength: float = 1.0
    sketch: Sketch | None = None

    def bend(self, logits: Tensor, others: Sequence[Tensor], step: int) -> Tensor:
        """Logits (N, V) to draw from; others: those under `against`, if any."""
        if others:
            logits = torch.lerp(others[0], logits, self.label_strength)
        return logits if self.sketch is None else logits - self.sketch.penalty(step)


@torch.inference_mode()
def code_colors(vqgan: VQGAN) -> Tensor:
    """(V, 3) the mean colour (-1…1) that each code of an image VQGAN shows when it stands alone."""
    codes = torch.arange(vqgan.config.codes, device=vqgan.quantize.embedding.weight.device)
    pictures = [vqgan.decode_tokens(part[:, None], 1, 1) for part in codes.split(256)]
    middle = slice(4, 12)  # the border is drawn by the padding
    return torch.cat(pictures)[:, :, middle, middle].float().clamp(-1, 1).mean((2, 3))
