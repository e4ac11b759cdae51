"""From codes to pictures."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from ..device import DeviceChoice
from ..networks.assembly import Networks
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
    def decode(self, level: Level, codes: Tensor) -> Tensor:
        """Codes (N, L) raster -> pictures (N, 3, H, W), -1…1; what is known is decoded from its features."""
        side = level.grid.side
        with self.device.autocast():
            if self.vqgan.config.known_features:
                edit = level.edit.view(1, 1, side, side).float()
                return self.vqgan.decode(self.vqgan.mix(codes, level.features, edit), level.labels).float()
            return self.vqgan.decode_tokens(codes, side, side, level.labels).float()
