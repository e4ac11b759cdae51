"""What is done when memory runs out: a smaller batch, then decoding in strips, then one clear error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from .config import GUIDE_RESOLUTION
from .device import DeviceChoice, estimate_bytes, out_of_memory
from .drawing.windows import Plan
from .errors import DeviceError
from .networks.assembly import Networks
from .request import BATCH, EditRequest

T = TypeVar("T")


class MemoryLadder:
    def __init__(self, networks: Networks, device: DeviceChoice) -> None:
        self.networks, self.device = networks, device

    def batch_size(self, plan: Plan, request: EditRequest) -> int:
        """How many candidates to draw side by side in the memory that is free."""
        size = min(BATCH, request.count)
        largest = GUIDE_RESOLUTION if request.draft else max(planned.window.resolution for planned in plan.windows)
        while size > 1 and estimate_bytes(self.networks.config, largest, size) > 0.8 * self.device.free_bytes:
            size //= 2
        return size

    def after(self, error: Exception, size: int = 1) -> int:
        """The batch size to go on with after an error; raises it when memory is not what ran out, DeviceError when
        nothing is left to try."""
        if not out_of_memory(error):
            raise error
        if self.device.cuda:
            torch.cuda.empty_cache()
        if size > 1:
            return size // 2
        if self.networks.first_stage_model.use_strips():
            return 1
        raise DeviceError(
            f"memory ran out on {self.device.line} even for one candidate at a time; finished candidates are kept: "
            "choose a smaller window (--window 512 or 256) or --device cpu"
        ) from error

    def climb(self, work: Callable[[], T]) -> T:
        """The result of some work, tried again on each step of the ladder."""
        while True:
            try:
                return work()
            except Exception as error:
                self.after(error)
