"""Where the engine runs, how much memory a run takes, and what an out-of-memory error looks like."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from .config import TOKEN_PIXELS, ModelConfig, TransformerConfig
from .errors import DeviceError


@dataclass(frozen=True)
class DeviceChoice:
    """device: "cpu" or "cuda". line: which device runs and why, for people. free_bytes: memory free when chosen."""

    device: torch.device
    line: str
    free_bytes: int

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Half precision on CUDA (bf16 where it is supported); nothing on the CPU."""
        if not self.cuda:
            return contextlib.nullcontext()
        half = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        return torch.autocast("cuda", dtype=half)

    def autocast_pictures(self) -> contextlib.AbstractContextManager[object]:
        """The same, and bf16 on CPUs that compute in it: for what is only looked at (docs/performance.md)."""
        if self.cuda or not cpu_has_bf16():
            return self.autocast()
        return torch.autocast("cpu", dtype=torch.bfloat16)


def cpu_has_bf16() -> bool:
    """Whether this processor computes in bf16."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported is not None and supported())


def choose_device(name: str = "auto") -> DeviceChoice:
    """Choose "auto", "cpu" or "cuda"; raises DeviceError when CUDA is asked for and absent."""
    if name not in ("auto", "cpu", "cuda"):
        raise DeviceError(f"device {name!r} is not one of auto, cpu, cuda")
    if name != "cpu" and torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        title = f"{torch.cuda.get_device_name()} (CUDA), {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        return DeviceChoice(torch.device("cuda"), title, free)
    if name == "cuda":
        reason = "this PyTorch was built without CUDA" if torch.version.cuda is None else "no CUDA device was found"
        raise DeviceError(f"CUDA was asked for, but {reason}; use --device cpu or check the graphics driver")
    why = "as asked" if name == "cpu" else "no CUDA device found"
    free, threads = available_memory(), torch.get_num_threads()
    return DeviceChoice(
        torch.device("cpu"), f"CPU, {threads} thread{'s' * (threads > 1)}, {free / 2**30:.1f} GiB free ({why})", free
    )


def available_memory() -> int:
    """Bytes of main memory that can be used without swapping."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    except (ValueError, OSError, AttributeError):
        return 4 * 2**30


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on the GPU or in main memory."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "not enough memory" in text or "can't allocate memory" in text
    )


def estimate_bytes(config: ModelConfig, resolution: int, candidates: int) -> int:
    """Memory, beyond the weights, that drawing and decoding `candidates` at once takes at the most, in bytes."""
    tokens = (resolution // TOKEN_PIXELS) ** 2
    drawing = _drawing_bytes(config.guide, 256, candidates, sparse=False)
    if resolution > 256 and config.sga is not None:
        drawing = max(drawing, _drawing_bytes(config.sga, tokens, candidates, sparse=True))
    finest = config.image_vqgan.tail[-1] if config.image_vqgan.tail else config.image_vqgan.channels[0]
    decoding = 4 * finest * resolution**2 * 4  # about four feature maps at the finest level
    return int(drawing + decoding)


def _drawing_bytes(config: TransformerConfig, tokens: int, candidates: int, sparse: bool) -> int:
    cache = 2 * config.decoder_layers * tokens * config.d_model * 4
    maps = 0 if sparse else (config.encoder_layers + candidates * 2 * config.decoder_layers) * config.heads * 257**2 * 4
    gathered = 2 * 2 * 6 * min(4096, tokens * candidates) * config.d_model * 4 if sparse else 0
    return cache * candidates + cache + maps + gathered
