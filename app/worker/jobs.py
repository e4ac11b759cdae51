"""What crosses between the GUI and the engine thread: frozen, and owning its arrays."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from models.candidate import Candidate, Window
from models.config import LabelSet
from models.request import CancelToken, EditRequest, Progress, Speed


class Engine(Protocol):
    """The part of models.editor.SceneEditor that the window uses."""

    label_set: LabelSet
    device_line: str
    on_cuda: bool
    resolutions: tuple[int, ...]

    def suggest_labels(self, photo: np.ndarray) -> np.ndarray: ...

    def plan(self, paint: np.ndarray, window: int | None = None) -> tuple[Window, ...]: ...

    def count_tokens(self, paint: np.ndarray, window: int | None = None) -> int: ...

    def attention(self, request: EditRequest, candidate: Candidate) -> tuple[np.ndarray, ...]: ...

    def measure(self) -> dict[int, Speed]: ...

    def run(
        self, request: EditRequest, cancel: CancelToken, progress: Callable[[Progress], None], preview_share: float
    ) -> Iterator[Candidate]: ...


class JobState(enum.StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        return self in (JobState.FINISHED, JobState.CANCELLED, JobState.FAILED)


@dataclass(frozen=True, eq=False)
class Job:
    """One request on its way through the queue, with its own cancel token."""

    number: int
    request: EditRequest
    cancel: CancelToken = field(default_factory=CancelToken)


@dataclass(frozen=True)
class EngineInfo:
    """What the window needs to know about an engine that has opened."""

    label_set: LabelSet
    device_line: str
    resolutions: tuple[int, ...]


@dataclass(frozen=True)
class JobProgress:
    """job: number; fraction: 0–1 over the whole job, never falling; step: the engine's own report."""

    job: int
    fraction: float
    step: Progress


@dataclass(frozen=True)
class JobEnd:
    """The one terminal report of a job. message: one line for the user when it failed. seconds: time it ran.

    too_large: the request when memory ran out, so that it can be tried again with less; else None.
    """

    job: int
    state: JobState
    message: str = ""
    seconds: float = 0.0
    too_large: EditRequest | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """A finished candidate of a job."""

    job: int
    candidate: Candidate


@dataclass(frozen=True, eq=False)
class Suggestion:
    """A suggested label map (H, W) uint8 for the photo that was sent under `number`."""

    number: int
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Attention:
    """Where the places of a candidate looked: per window (256, 256) float32, see SceneEditor.attention."""

    candidate: Candidate
    windows: tuple[np.ndarray, ...]


def frozen_candidate(candidate: Candidate) -> Candidate:
    """The same candidate with its arrays made read-only: both threads may read it for as long as they like."""
    arrays = [candidate.tokens, candidate.token_log_likelihoods]
    arrays += [array for window in candidate.windows for array in window.arrays]
    for array in arrays:
        array.setflags(write=False)
    return candidate
