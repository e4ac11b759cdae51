"""What a training run tells: metrics as JSON lines, a bar on a terminal (lines in a pipe), and curves as a PNG."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

METRICS = "metrics.jsonl"
CURVES = "curves.png"
_INTERVAL = 20.0  # seconds between two lines
_PANEL = (360, 240)  # width and height of a curve
_POSITION = ("stage", "step", "seconds", "per_second")


class Meter:
    """Averages the metrics of the steps and tells them every twenty seconds.

    goal: what the bar runs to, in steps or seconds (None: it has no end). Use as a context manager.
    """

    def __init__(
        self, folder: Path, name: str, quiet: bool, steps: int | None, seconds: float | None, writes: bool = True
    ) -> None:
        self._writes = writes  # only one of several processes does
        quiet = quiet or not writes
        self.folder, self.name, self.quiet, self.steps = folder, name, quiet, steps
        self._started = self._marked = time.monotonic()
        self._images, self._count, self._sums = 0, 0, dict[str, float]()
        self._lively = not quiet and sys.stderr.isatty()
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[told]}"),
            console=Console(stderr=True), disable=not self._lively,
        )  # fmt: skip
        self._by_steps = steps is not None
        self._task = self._bar.add_task(name, total=steps if self._by_steps else seconds, told="")

    def __enter__(self) -> Meter:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def note(self, step: int, seconds: float, images: int, metrics: dict[str, float]) -> None:
        """A step is done: `seconds` of training so far in all runs, `images` in the step."""
        self._images += images
        self._count += 1
        for key, value in metrics.items():
            self._sums[key] = self._sums.get(key, 0.0) + value
        now = time.monotonic()
        self._bar.update(self._task, completed=step if self._by_steps else now - self._started)
        if now - self._marked > _INTERVAL or step == self.steps:
            line = {k: round(v / self._count, 5) for k, v in self._sums.items()}
            speed = round(self._images / (now - self._marked), 2)
            self.tell(self.name, {"step": step, "seconds": round(seconds), "per_second": speed, **line})
            self._marked, self._images, self._count, self._sums = now, 0, 0, {}

    def evaluated(self, step: int, figures: dict[str, float]) -> None:
        self.tell(f"{self.name} evaluation", {"step": step, **{k: round(v, 5) for k, v in figures.items()}})
        draw_curves(self.folder)

    def tell(self, name: str, values: dict[str, Any]) -> None:
        if not self._writes:
            return
        with (self.folder / METRICS).open("a") as file:
            file.write(json.dumps({"stage": name, **values}) + "\n")
        told = "  ".join(f"{k} {v}" for k, v in values.items())
        if self._lively:
            self._bar.update(self._task, told=told)
        elif not self.quiet:
            print(f"{name}: {told}", file=sys.stderr, flush=True)


def draw_curves(folder: Path) -> None:
    """Write `curves.png`: each metric of the folder's metrics over the steps, training grey, evaluation blue."""
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for text in (folder / METRICS).read_text().splitlines():
        line = json.loads(text)
        kind = "evaluation" if line["stage"].endswith(" evaluation") else "training"
        for key, value in line.items():
            if key not in _POSITION and np.isfinite(value):
                curves.setdefault(key, {}).setdefault(kind, []).append((line["step"], value))
    panels = [_panel(key, kinds) for key, kinds in curves.items()]
    if panels:
        panels += [np.full_like(panels[0], 255)] * (-len(panels) % 3)
        rows = [np.concatenate(panels[i : i + 3], 1) for i in range(0, len(panels), 3)]
        cv2.imwrite(str(folder / CURVES), np.concatenate(rows, 0))


def _panel(title: str, kinds: dict[str, list[tuple[float, float]]]) -> np.ndarray:
    width, height = _PANEL
    panel = np.full((height, width, 3), 255, np.uint8)
    points = np.array([p for curve in kinds.values() for p in curve])
    low, high = points.min(0), points.max(0)
    span = np.where(high > low, high - low, 1)
    left, top, right, bottom = 16, 40, width - 16, height - 30
    for kind, color in (("training", (150, 150, 150)), ("evaluation", (200, 90, 20))):
        places = (np.array(kinds.get(kind, [])).reshape(-1, 2) - low) / span
        pixels = np.stack([left + places[:, 0] * (right - left), bottom - places[:, 1] * (bottom - top)], 1)
        cv2.polylines(panel, [pixels.round().astype(np.int32)], False, color, 1, cv2.LINE_AA)
        for x, y in pixels.round().astype(int).tolist() if kind == "evaluation" else []:
            cv2.circle(panel, (x, y), 3, color, -1, cv2.LINE_AA)
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(panel, f"{title}  {low[1]:.4g} to {high[1]:.4g}", (left, 22), font, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.putText(panel, f"step {low[0]:.0f} to {high[0]:.0f}", (left, height - 10), font, 0.4, (90, 90, 90), 1,
                cv2.LINE_AA)  # fmt: skip
    return panel
