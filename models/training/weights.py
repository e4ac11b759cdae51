"""Where the weights of a stage are: its newest snapshot, or the checkpoint that training starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from ..checkpoints.read import Checkpoint, load_checkpoint
from ..errors import ScenebrushError

STAGES = ("label-vqgan", "image-vqgan", "guide", "sga", "segmenter")
PREFIX = {  # stage -> its network in a checkpoint
    "label-vqgan": "cond_stage_model",
    "image-vqgan": "first_stage_model",
    "guide": "guiding_transformer",
    "sga": "transformer",
    "segmenter": "segmenter",
}
SNAPSHOT = "state.safetensors"


class TrainingError(ScenebrushError):
    """Training cannot start: something it needs is missing."""


@dataclass(frozen=True)
class StageWeights:
    """The averaged weights of a stage's network, and the steps and seconds that made them."""

    tensors: dict[str, Tensor]
    step: int
    seconds: float


def stage_weights(runs: Path, stage: str, start: Path | None) -> StageWeights:
    """The moving averages in the stage's snapshot; without one, the stage's network in the checkpoint `start`.

    Raises TrainingError when there is neither, CheckpointError when the checkpoint cannot be read.
    """
    path = runs / stage / SNAPSHOT
    if path.exists():
        with safe_open(str(path), framework="pt") as file:
            facts = file.metadata()
            averages = {k[4:]: file.get_tensor(k) for k in file.keys() if k.startswith("ema.")}  # noqa: SIM118
        return StageWeights(averages, int(facts["step"]), float(facts["seconds"]))
    if start is None:
        raise TrainingError(f"{path}: not found; train the stage {stage} first, or give --start CHECKPOINT")
    return checkpoint_weights(load_checkpoint(start), stage)


def checkpoint_weights(checkpoint: Checkpoint, stage: str) -> StageWeights:
    """The network of a stage in a checkpoint; raises TrainingError when it holds none."""
    prefix = PREFIX[stage] + "."
    tensors = {k[len(prefix) :]: v for k, v in checkpoint.tensors.items() if k.startswith(prefix)}
    if not tensors:
        raise TrainingError(f"{checkpoint.folder}: holds no weights for the stage {stage}; train it first")
    facts = checkpoint.training.get(stage)
    facts = facts if isinstance(facts, dict) else {}
    return StageWeights(tensors, int(facts.get("steps", 0)), float(facts.get("seconds", 0)))
