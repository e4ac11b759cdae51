"""Several processes that train one network together, as `torchrun` starts them; alone, all of it does nothing.

Every process makes the same global batch, works on its own share of it, and DistributedDataParallel averages the
gradients: the result is that of one process with the whole batch. The first process writes, measures and decides when
to stop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")
Runner = Callable[[Callable[[], Any]], Any]


def join(cuda: bool) -> None:
    """Join the other processes when `torchrun` started this one."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if cuda else "gloo")


def leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    return rank() == 0


def share(batch: T) -> T:
    """This process's part of a batch: every n-th row of each of its arrays."""
    if size() == 1:
        return batch
    if isinstance(batch, tuple):
        return tuple(share(part) for part in batch)  # type: ignore[return-value]
    if isinstance(batch, Tensor | np.ndarray):
        if len(batch) < size():
            raise ValueError(f"a batch of {len(batch)} cannot be shared by {size()} processes; use a larger --batch")
        return batch[rank() :: size()]  # type: ignore[return-value]
    return batch


def total(value: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    if size() > 1:
        dist.all_reduce(value)
    return value


def same(value: Tensor) -> Tensor:
    """The first process's value, everywhere, in place."""
    if size() > 1:
        dist.broadcast(value, 0)
    return value


def agreed(wish: bool, device: torch.device) -> bool:
    """What the first process wishes."""
    return bool(same(torch.tensor([wish], dtype=torch.int32, device=device)).item()) if size() > 1 else wish


def wait() -> None:
    """Until all processes are here."""
    if size() > 1:
        dist.barrier()


@contextmanager
def first_alone() -> Iterator[None]:
    """The first process runs the block before the others do: it makes files that they then find."""
    if size() > 1 and not is_first():
        dist.barrier()
    yield
    if size() > 1 and is_first():
        dist.barrier()


def runner(module: nn.Module) -> Runner:
    """Runs a function that uses `module` so that the backward pass averages its gradients over the processes."""
    if size() == 1 or not any(p.requires_grad for p in module.parameters()):
        return lambda work: work()
    return DistributedDataParallel(_Holder(module), broadcast_buffers=False, find_unused_parameters=True)


class _Holder(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, work: Callable[[], Any]) -> Any:
        return work()
