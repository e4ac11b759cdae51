"""How well a decoder gives photos back from their codes, by the figures of `evaluate`, on the same photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..drawing.masks import to_picture
from ..training.losses.gridding import grid_strength
from .cases import Case
from .judges import Labeller
from .metrics import Eye, frechet, perceptual, psnr

Rebuild = Callable[[Case], np.ndarray]  # (side, side, 3) uint8


class Reconstructions:
    """What both judges see in the photos is looked at once; the labeller may be absent."""

    def __init__(self, found: Sequence[Case], eye: Eye, labeller: Labeller | None) -> None:
        self.found, self.eye, self.labeller = found, eye, labeller
        self._real = [eye.look(case.photo) for case in found]
        self._labels = [] if labeller is None else [labeller.statistics(case.photo) for case in found]

    def figures(self, rebuild: Rebuild) -> dict[str, float]:
        """PSNR in dB, perceptual distance, grid, and the Fréchet distances by the backbone and by the labeller."""
        made = [rebuild(case) for case in self.found]
        seen = [self.eye.look(picture) for picture in made]
        figures = {
            "psnr": float(np.mean([psnr(a, case.photo) for a, case in zip(made, self.found, strict=True)])),
            "perceptual": float(np.mean([perceptual(a, b) for a, b in zip(seen, self._real, strict=True)])),
            "grid": grid_strength(map(to_picture, made)),
            "frechet": frechet(*(np.stack([look.statistics for look in looks]) for looks in (seen, self._real))),
        }
        if self.labeller is not None:
            shown = np.stack([self.labeller.statistics(picture) for picture in made])
            figures["frechet_by_labeller"] = frechet(shown, np.stack(self._labels))
        return figures
