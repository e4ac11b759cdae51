"""Measures the sampler against a whole-block-recompute sampler, and the stages of whole edits.

Both samplers run in one process on the same weights and draw the same greedy tokens; the recompute sampler does
what section 6.2 of the specification describes and exists only here.
"""

from __future__ import annotations

import copy
import json
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.published import published_config
from ..checkpoints.read import Checkpoint, default_checkpoint_folder, load_checkpoint
from ..config import Label, LabelSet, Semantics, TransformerConfig
from ..device import DeviceChoice, choose_device
from ..drawing.sampling import DrawTask, draw
from ..editor import SceneEditor
from ..grid import TokenGrid
from ..networks.assembly import Networks
from ..networks.transformers.blocks import random_lists
from ..networks.transformers.decoding import IncrementalDecoder
from ..networks.transformers.transformer import Transformer, Visible
from ..opening import editor_of
from ..request import NOT_PAINTED, EditRequest, SamplingSettings

GREEDY = SamplingSettings(samples=1, top_k=1)


@dataclass(frozen=True)
class StepFigures:
    """Seconds per token of both samplers at one size and batch; ratio: recompute / ours."""

    model: str
    resolution: int
    batch: int
    cached_seconds: float
    recompute_seconds: float
    ratio: float
    same_tokens: bool
    weight_bytes: int
    bandwidth_share: float


def bench(checkpoint: Path | None, published_size: bool, tokens: int, out: Path | None, device: str) -> int:
    """Print all figures; returns the exit code (1 when the two samplers drew different tokens).

    The samplers are compared on the CPU; whole edits run on `device`. Raises DeviceError when that is absent.
    """
    drawing_on = choose_device(device)
    bandwidth = read_bandwidth()
    print(f"samplers: {choose_device('cpu').line}; read bandwidth {bandwidth / 1e9:.1f} GB/s")
    loaded = load_checkpoint(default_checkpoint_folder() if checkpoint is None else checkpoint)
    assert loaded.config.sga is not None
    figures: list[StepFigures] = []
    weights = {k.removeprefix("transformer."): v for k, v in loaded.tensors.items() if k.startswith("transformer.")}
    figures += _compare("default", loaded.config.sga, weights, tokens, bandwidth)
    if published_size:
        sizes = published_config("asset-landscape-1024").sga
        assert sizes is not None
        figures += _compare("published", sizes, None, tokens, bandwidth)
    print(f"whole edits: {drawing_on.line}")
    stages = _whole_edits(loaded, drawing_on)
    peak = _peak()
    print(f"peak memory of this run {peak / 2**30:.2f} GiB")
    published = _in_a_process_of_its_own(_published_edit) if published_size else None
    if out is not None:
        record = {
            "steps": [asdict(f) for f in figures],
            "edits": stages,
            "read_bandwidth": bandwidth,
            "peak_bytes": peak,
            "published_edit": published,
        }
        out.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if all(f.same_tokens for f in figures) else 1


def _peak() -> int:
    """The most memory that this process has held, in bytes.

    On Linux from the process's own status: what `getrusage` reports begins with the parent's peak.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def read_bandwidth(size: int = 2**29) -> float:
    """Bytes per second that all threads together read from memory: the best of five sums over `size` bytes."""
    block = torch.ones(size // 4)
    best = min(_seconds(lambda: block.sum()) for _ in range(5))
    return size / best


def _seconds(action: Callable[[], Any]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _compare(
    name: str, config: TransformerConfig, weights: dict[str, Tensor] | None, tokens: int, bandwidth: float
) -> Iterator[StepFigures]:
    torch.manual_seed(0)
    plain = Transformer(config).eval().requires_grad_(False)
    if weights is not None:
        plain.load_state_dict(weights)
    packed = copy.deepcopy(plain)
    packed.pack()
    for resolution in (512, 1024):
        for batch in (1, 8):
            job = _Job(plain, config, resolution, batch, tokens)
            slow, slow_tokens = job.recompute()
            fast, fast_tokens = job.cached(packed)
            bound = packed.step_bytes() / bandwidth
            same = bool((slow_tokens == fast_tokens).all())
            figures = StepFigures(
                name, resolution, batch, fast, slow, slow / fast, same, packed.step_bytes(), bound / fast
            )
            print(
                f"{name:<10} {resolution:>5} px  batch {batch}: {fast * 1000:8.1f} ms a token, recompute "
                f"{slow * 1000:8.1f} ms, ratio {figures.ratio:6.1f}x, {figures.bandwidth_share:4.0%} of the bandwidth "
                f"bound, tokens {'identical' if same else 'DIFFER'}",
                flush=True,
            )
            yield figures


class _Job:
    """One edit in the middle of the picture: blocks before it known, `tokens` tokens of some blocks masked."""

    def __init__(self, plain: Transformer, config: TransformerConfig, resolution: int, batch: int, tokens: int) -> None:
        self.plain, self.config, self.batch = plain, config, batch
        self.grid = TokenGrid.of_resolution(resolution)
        generator = torch.Generator().manual_seed(resolution + batch)
        length, size = self.grid.tokens, self.grid.tokens_per_block
        self.codes = torch.randint(config.vocab_size, (length,), generator=generator)
        self.condition = torch.randint(config.condition_vocab_size, (length,), generator=generator)
        strip = torch.zeros(1, length, dtype=torch.bool)
        first = 24 * size + 1
        strip[0, first : first + min(tokens, length - first)] = True
        self.mask = self.grid.to_raster(strip)[0]
        self.positions = strip[0].nonzero()[:, 0].tolist()
        self.visible = Visible.of(random_lists(config, batch, resolution))
        hidden = self.codes.masked_fill(self.mask, config.mask_token)
        with torch.inference_mode():
            self.encoded = plain.encode(hidden[None], self.condition[None], self.grid, self.visible.encoder)

    @torch.inference_mode()
    def recompute(self) -> tuple[float, Tensor]:
        """Seconds per token and greedy tokens (N, n) of a sampler that re-runs the whole block for each token."""
        size = self.grid.tokens_per_block
        decoder = IncrementalDecoder(self.plain, self.encoded, self.grid, self.batch, self.visible)
        start = torch.full((self.batch, 1), self.config.start_token)
        ids = torch.cat([start, self.grid.to_strip(self.codes[None]).expand(self.batch, -1)], 1)
        block = self.positions[0] // size
        decoder.feed(ids[:, : 1 + block * size], 0)
        logits = decoder.feed_block(ids[:, 1 + block * size : 1 + (block + 1) * size], block)
        started, drawn = time.perf_counter(), []
        for position in self.positions:
            block, offset = divmod(position, size)
            choice = logits[:, offset - 1].argmax(1)  # offset 0: the last token of the block before
            ids[:, position + 1] = choice
            logits = decoder.feed_block(ids[:, 1 + block * size : 1 + (block + 1) * size], block)
            drawn.append(choice)
        return (time.perf_counter() - started) / len(self.positions), torch.stack(drawn, 1)

    @torch.inference_mode()
    def cached(self, packed: Transformer) -> tuple[float, Tensor]:
        """Seconds per token, prefill left out, and greedy tokens (N, n) of our sampler."""
        numbers = torch.zeros(self.batch, len(self.positions), dtype=torch.float64)
        task = DrawTask(self.codes, self.mask, self.condition, self.grid, GREEDY, numbers)
        steps = draw(packed, self.encoded, task, Semantics.CLEAN, self.visible)
        next(steps)
        started = time.perf_counter()
        try:
            while True:
                next(steps)
        except StopIteration as stop:
            seconds = (time.perf_counter() - started) / max(1, len(self.positions) - 1)
            tokens: Tensor = stop.value.tokens
            return seconds, tokens


def _in_a_process_of_its_own(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `measure` returns in a fresh process, so that its peak memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure).result()


def _published_edit() -> dict[str, Any]:
    """A whole 1024 edit with random weights of the published landscape model: stage times and peak memory."""
    torch.manual_seed(0)
    config = published_config("asset-landscape-1024")
    labels = LabelSet("published", tuple(Label(str(n), (n, n, n)) for n in range(config.label_vqgan.in_channels)))
    editor = SceneEditor(Networks(config).eval().requires_grad_(False), labels, choose_device("cpu"))
    photo = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    paint = np.full(photo.shape[:2], NOT_PAINTED, np.uint8)
    paint[600:664, 480:544] = 3
    request = EditRequest(photo, np.ones_like(paint), paint, SamplingSettings(samples=1), 1024)
    started = time.perf_counter()
    run = editor.run(request)
    (candidate,) = run
    seconds = time.perf_counter() - started
    stages = {k: round(v, 1) for k, v in run.seconds.items()}
    peak = _peak()
    print(
        f"published-size edit at 1024 px, 1 candidate of {len(candidate.tokens)} tokens: {seconds:.0f} s  {stages}, "
        f"peak memory {peak / 2**30:.2f} GiB ({peak / 1e9:.2f} GB)",
        flush=True,
    )
    return {"seconds": seconds, "stages": stages, "peak_bytes": peak, "tokens": len(candidate.tokens)}


def _whole_edits(loaded: Checkpoint, device: DeviceChoice) -> list[dict[str, Any]]:
    """Stage times of whole edits with the default checkpoint: a box of each window size, four candidates."""
    editor = editor_of(loaded, device)
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (1200, 1600, 3), dtype=np.uint8)
    records = []
    for resolution in (256, 512, 1024):
        paint = np.full(photo.shape[:2], NOT_PAINTED, np.uint8)
        side = resolution // 2
        paint[300 : 300 + side, 400 : 400 + side] = 3
        request = EditRequest(photo, np.ones_like(paint), paint, SamplingSettings(samples=4), resolution)
        started = time.perf_counter()
        run = editor.run(request)
        candidates = list(run)
        total = time.perf_counter() - started
        stages = {k: round(v, 3) for k, v in run.seconds.items()}
        tokens = len(candidates[0].tokens)
        print(
            f"edit of {side}x{side} px at {resolution}, 4 candidates, {tokens} tokens each: {total:.1f} s  {stages}",
            flush=True,
        )
        records.append({"resolution": resolution, "tokens": tokens, "seconds": total, "stages": stages})
    return records
