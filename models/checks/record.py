"""A file of parity fixtures on its way: what was handed out, what was compared, what was left out."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..errors import CheckpointError


@dataclass(frozen=True)
class Comparison:
    """One compared array. difference: largest absolute difference, or number of differing entries of integers."""

    name: str
    difference: float
    tolerance: float
    ok: bool

    def line(self) -> str:
        kind = "ok" if self.ok else "FAIL"
        return f"{self.name:<44} {self.difference:>12.3g}  tolerance {self.tolerance:<8.3g} {kind}"


class Record:
    """One .npz of the fixture: hands out inputs, takes results, and knows what was left out."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise CheckpointError(f"{path}: not found; give a folder with parity fixtures")
        try:
            with np.load(path, allow_pickle=False) as file:
                self.arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise CheckpointError(f"{path}: cannot be read ({error}); copy the fixture again") from error
        self.name = path.stem
        self.seen: set[str] = set()
        self.comparisons: list[Comparison] = []

    def input(self, name: str) -> np.ndarray:
        self.seen.add(name)
        if name not in self.arrays:
            raise CheckpointError(f"{self.name}.npz: array {name!r} is missing; copy the fixture again")
        return self.arrays[name]

    def has(self, name: str) -> bool:
        return name in self.arrays

    def compare(self, name: str, ours: Any, tolerance: float = 0.0) -> None:
        """Compare with the stored array of that name, if this fixture holds it; integers by number of differences."""
        if name not in self.arrays:
            return
        expected = self.input(name)
        ours = ours.detach().cpu().numpy() if isinstance(ours, Tensor) else np.asarray(ours)
        if ours.shape != expected.shape:
            self.add(name, float("inf"), tolerance)
        elif np.issubdtype(expected.dtype, np.integer):
            self.add(name, float((ours.astype(np.int64) != expected).sum()), tolerance)
        else:
            same = ours == expected  # also where both are -inf
            gap = np.where(same, 0.0, np.abs(ours.astype(np.float64) - np.where(same, 0.0, expected)))
            self.add(name, float(gap.max(initial=0.0)), tolerance)

    def compare_pixels(self, name: str, ours: np.ndarray, share: float = 0.001) -> None:
        """8-bit pictures: at most one level apart, in at most `share` of the values."""
        if name not in self.arrays:
            return
        gap = np.abs(ours.astype(np.int64) - self.input(name).astype(np.int64))
        self.add(f"{name} (largest level)", float(gap.max()), 1.0)
        self.add(f"{name} (share of values)", float((gap > 0).mean()), share)

    def add(self, name: str, difference: float, tolerance: float) -> None:
        ok = bool(difference <= tolerance)  # NaN is not ok
        self.comparisons.append(Comparison(f"{self.name}: {name}", difference, tolerance, ok))

    def finish(self) -> list[Comparison]:
        for name in sorted(set(self.arrays) - self.seen):
            self.comparisons.append(Comparison(f"{self.name}: {name} (not compared)", float("nan"), 0.0, False))
        return self.comparisons
