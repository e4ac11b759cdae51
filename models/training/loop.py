"""The one training loop: resumable at any second, metrics as JSON lines, evaluation every so often.

Batch n and its randomness are functions of (seed, n) alone, so the position in the data is the step number
and a run that was killed continues on the same curve from its last snapshot.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from . import team
from .meter import Meter
from .weights import SNAPSHOT, StageWeights, TrainingError


@dataclass(frozen=True)
class LoopSettings:
    """minutes: stop after so long (None: never); steps: stop at this step; snapshot_minutes: between snapshots.

    cooldown: share of the minutes, the last ones, in which the learning rate falls to nothing (such a run cannot be
    repeated bit for bit). keep_best: name of a figure; the averages with the smallest one are kept, not the last.
    """

    folder: Path
    minutes: float | None = None
    steps: int | None = None
    resume: bool = False
    snapshot_minutes: float = 3.0
    evaluate_minutes: float = 10.0
    learning_rate: float = 4e-4
    warmup: int = 200
    ema: float = 0.999
    seed: int = 0
    quiet: bool = False
    cooldown: float = 0.0
    keep_best: str | None = None

    def rate(self, steps: int, seconds: float) -> float:
        """Learning rate after so many steps with these optimisers and so many seconds of this run."""
        left = 1.0 if self.minutes is None else 1 - seconds / max(60 * self.minutes, 1e-9)
        cool = min(1.0, max(0.0, left) / self.cooldown) if self.cooldown else 1.0
        return self.learning_rate * min(1.0, (steps + 1) / self.warmup) * cool


class Stage(Protocol):
    """One stage of training: what is trained, how a batch is made and what its loss is."""

    name: str
    modules: dict[str, nn.Module]  # trained and saved
    optimisers: dict[str, torch.optim.Optimizer]
    frozen: tuple[str, ...]  # beginnings of the names in the first module that stay what they are in the averages

    def start_from(self, weights: dict[str, Tensor]) -> None: ...  # take over an earlier network, with no snapshot
    def batch(self, number: int) -> Any: ...  # pure function of the number; runs on a loader thread
    def step(self, batch: Any, number: int) -> dict[str, float]: ...  # one optimisation step; returns metrics
    def evaluate(self, folder: Path, number: int) -> dict[str, float]: ...  # with EMA weights in place
    def examples(self, batch: Any) -> int: ...


@dataclass(frozen=True)
class Position:
    """Steps and seconds trained so far; first: the step at which the optimisers were new."""

    step: int = 0
    seconds: float = 0.0
    first: int = 0


class Ema:
    """Exponential moving average of the parameters of the first module of a stage."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.values = {k: v.detach().clone().float() for k, v in module.state_dict().items()}

    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for key, value in self.module.state_dict().items():
                self.values[key].lerp_(value.float(), 1 - decay)

    def swap(self) -> None:
        """Exchange the averaged and the current values; call twice around an evaluation."""
        current = {k: v.detach().clone().float() for k, v in self.module.state_dict().items()}
        self.module.load_state_dict(self.values)
        self.values = current


class _Best:
    """The averages of the evaluation with the smallest figure of a name; none where no name is given."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.values: dict[str, Tensor] | None = None
        self.figures: dict[str, float] = {}

    def note(self, figures: dict[str, float], ema: Ema) -> None:
        if self.name in figures and figures[self.name] <= self.figures.get(self.name, float("inf")):
            self.values, self.figures = {k: v.clone() for k, v in ema.values.items()}, figures


def run(stage: Stage, settings: LoopSettings, start: StageWeights | None = None) -> dict[str, float]:
    """Train until the minutes or steps are over; returns the last evaluation's figures.

    start: the weights of an earlier run whose snapshot is gone; optimisers begin anew, with a new warm-up.

    Raises KeyboardInterrupt once everything is saved after SIGINT or SIGTERM, TrainingError when the snapshot to
    resume from is of another network or damaged.
    """
    settings.folder.mkdir(parents=True, exist_ok=True)
    snapshot = settings.folder / SNAPSHOT
    ema = Ema(next(iter(stage.modules.values())), settings.ema)
    position = Position()
    if settings.resume and snapshot.exists():
        position = load_snapshot(snapshot, stage, ema)
        kept = {k: v for k, v in ema.values.items() if k.startswith(stage.frozen)}
        ema.module.load_state_dict(kept, strict=False)
    elif start is not None:
        stage.start_from(start.tensors)
        ema = Ema(ema.module, settings.ema)
        position = Position(start.step, start.seconds, start.step)
    step, started = position.step, time.monotonic()
    snapped = evaluated = started
    figures: dict[str, float] = {}
    best = _Best(settings.keep_best)
    loader, stop = _Loader(lambda number: team.share(stage.batch(number)), step), _StopRequest()
    device = next(next(iter(stage.modules.values())).parameters()).device
    seconds = None if settings.minutes is None else 60 * settings.minutes
    with Meter(settings.folder, stage.name, settings.quiet, settings.steps, seconds, team.is_first()) as meter:

        def here() -> Position:
            return Position(step, position.seconds + time.monotonic() - started, position.first)

        try:
            while not team.agreed(stop.asked or _over(settings, step, started), device):
                batch = loader.next()
                rate = settings.rate(step - position.first, time.monotonic() - started)
                for group in (g for o in stage.optimisers.values() for g in o.param_groups):
                    group["lr"] = rate * group.get("scale", 1.0)
                torch.manual_seed((settings.seed << 32) + step)
                metrics = stage.step(batch, step)
                step += 1
                ema.update(step)
                meter.note(step, here().seconds, stage.examples(batch) * team.size(), metrics)
                if not team.is_first():
                    continue
                if time.monotonic() - snapped > 60 * settings.snapshot_minutes:
                    save_snapshot(snapshot, stage, ema, here())
                    snapped = time.monotonic()
                if time.monotonic() - evaluated > 60 * settings.evaluate_minutes:
                    figures = _evaluate(stage, ema, settings, step)
                    meter.evaluated(step, figures)
                    best.note(figures, ema)
                    evaluated = time.monotonic()
        finally:
            loader.stop()
            stop.release()
        if team.is_first():
            save_snapshot(snapshot, stage, ema, here())
            last = _evaluate(stage, ema, settings, step)
            meter.evaluated(step, last)
            figures = last or figures
            best.note(figures, ema)
            if best.values is not None:
                ema.values, figures = best.values, best.figures
                save_snapshot(snapshot, stage, ema, here())
        if team.agreed(stop.asked, device):
            raise KeyboardInterrupt
        return figures


def _over(settings: LoopSettings, step: int, started: float) -> bool:
    if settings.steps is not None and step >= settings.steps:
        return True
    return settings.minutes is not None and time.monotonic() - started > 60 * settings.minutes


def _evaluate(stage: Stage, ema: Ema, settings: LoopSettings, step: int) -> dict[str, float]:
    ema.swap()
    for module in stage.modules.values():
        module.eval()
    try:
        with torch.no_grad():
            figures = stage.evaluate(settings.folder, step)
    finally:
        ema.swap()
        for module in stage.modules.values():
            module.train()
    return figures


class _StopRequest:
    """Turns SIGTERM and Ctrl+C into a request to stop after this step, with a snapshot (main thread only)."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        self.asked = True

    def release(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class _Loader:
    """Prepares batches ahead of the training step on a thread of its own."""

    def __init__(self, make: Callable[[int], Any], start: int, ahead: int = 4) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(ahead)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(make, start), daemon=True)
        self._thread.start()

    def _work(self, make: Callable[[int], Any], number: int) -> None:
        while not self._stopped.is_set():
            try:
                item: Any = make(number)
            except Exception as error:  # handed over to the training thread, which raises it
                item = error
            while not self._stopped.is_set():
                try:
                    self._queue.put(item, timeout=0.2)
                    break
                except queue.Full:
                    continue
            number += 1

    def next(self) -> Any:
        item = self._queue.get()
        if isinstance(item, Exception):
            raise item
        return item

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=10)


def save_snapshot(path: Path, stage: Stage, ema: Ema, position: Position) -> None:
    """Write weights, EMA, optimisers and position in one atomic file."""
    tensors: dict[str, Tensor] = {f"ema.{k}": v for k, v in ema.values.items()}
    for name, module in stage.modules.items():
        tensors |= {f"module.{name}.{k}": v for k, v in module.state_dict().items()}
    for name, optimiser in stage.optimisers.items():
        for index, slots in optimiser.state_dict()["state"].items():
            for key, value in slots.items():
                tensors[f"optimiser.{name}.{index}.{key}"] = torch.as_tensor(value)
    temporary = path.with_suffix(".part")
    plain = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    save_file(plain, str(temporary), metadata={k: str(v) for k, v in dataclasses.asdict(position).items()})
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_snapshot(path: Path, stage: Stage, ema: Ema) -> Position:
    """Restore what `save_snapshot` wrote; raises TrainingError, and changes nothing, when it does not fit the stage."""
    try:
        with safe_open(str(path), framework="pt") as file:
            facts = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{path}: damaged ({error}); remove it, or give another --runs") from error
    wrong = _misfit(tensors, stage)
    if wrong is not None:
        raise TrainingError(
            f"{path}: was trained with other options or by another version (it differs in {wrong}); give the same "
            "--backbone and --label-set, or another --runs"
        )
    ema.values = {k: v.to(ema.values[k].device) for k, v in _under(tensors, "ema.").items()}
    for name, module in stage.modules.items():
        module.load_state_dict(_under(tensors, f"module.{name}."))
    for name, optimiser in stage.optimisers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _under(tensors, f"optimiser.{name}.").items():
            index, slot = key.split(".", 1)
            state.setdefault(int(index), {})[slot] = value
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return Position(int(facts["step"]), float(facts["seconds"]), int(facts.get("first", 0)))


def _misfit(tensors: dict[str, Tensor], stage: Stage) -> str | None:
    """The name of a tensor that only the snapshot or only the stage has, or that has another shape in them."""
    wanted = {f"module.{name}.{k}": v for name, module in stage.modules.items() for k, v in module.state_dict().items()}
    found = {k: v for k, v in tensors.items() if k.startswith("module.")}
    for key in sorted(wanted.keys() | found.keys()):
        if key not in wanted or key not in found or wanted[key].shape != found[key].shape:
            return key
    for name, optimiser in stage.optimisers.items():
        trained = [p for group in optimiser.param_groups for p in group["params"]]
        for key, value in _under(tensors, f"optimiser.{name}.").items():
            index = int(key.split(".", 1)[0])
            if index >= len(trained) or (value.ndim and value.shape != trained[index].shape):
                return f"optimiser.{name}.{key}"
    return None


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
