"""Device and number format of training: bf16 autocast on CUDA and on CPUs that compute in it, else fp32."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..device import choose_device, cpu_has_bf16
from . import team

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Precision:
    device: torch.device
    bf16: bool

    @classmethod
    def choose(cls, device: str = "auto") -> Precision:
        """Joins the other processes of `torchrun`, if any.

        CUDA when present and not refused; bf16 where the hardware has it (twice the speed, measured). Raises
        DeviceError when CUDA is asked for and absent.
        """
        name = choose_device(device).device.type
        has = torch.cuda.is_bf16_supported() if name == "cuda" else cpu_has_bf16()
        team.join(name == "cuda")
        place = f"cuda:{torch.cuda.current_device()}" if name == "cuda" else name
        return cls(torch.device(place), bool(has))

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)

    def place(self, module: M) -> M:
        return module.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def move(self, tensor: Tensor) -> Tensor:
        tensor = tensor.to(self.device, non_blocking=True)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
