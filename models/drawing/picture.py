"""From codes to pictures."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from ..config import Semantics
from ..device import DeviceChoice
from ..networks.assembly import Networks
from ..networks.vqgan.vqgan import Part
from .scene import Level
from .steering import code_colors


class PictureDecoder:
    """The decoder of a checkpoint."""

    def __init__(self, networks: Networks, device: DeviceChoice) -> None:
        self.vqgan, self.device = networks.first_stage_model, device

    @cached_property
    def code_colors(self) -> Tensor:
        """(V, 3): the mean colour of each code."""
        return code_colors(self.vqgan)

    @torch.inference_mode()
    def decode(self, level: Level, codes: Tensor, box: Part | None = None, exact: bool = False) -> Tensor:
        """Codes (N, L) raster -> pictures (N, 3, H, W), -1…1; what is known is decoded from its features.

        box: rows and columns that are wanted; what lies outside may come out as zero. exact: in the drawing's number
        format, where something is drawn by the result.
        """
        side, vqgan = level.grid.side, self.vqgan
        exact = exact or vqgan.semantics is Semantics.REFERENCE
        with self.device.autocast() if exact else self.device.autocast_pictures():
            if vqgan.config.known_features:
                edit = level.edit.view(1, 1, side, side).float()
                features = vqgan.mix(codes, level.features, edit)
            else:
                features = vqgan.quantize.features(codes, side, side)
            return vqgan.decode(features, level.labels, box).float()
