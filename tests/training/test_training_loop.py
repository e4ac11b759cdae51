"""The loop: a run that was killed goes on as if it had not been; nothing half-written; metrics as JSON lines."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from models.training.data.pairs import DataSet
from models.training.loop import Ema, LoopSettings, Position, load_snapshot, run, save_snapshot
from models.training.stages import codebook
from models.training.weights import TrainingError
from tests.training.stages import NAMES, build, recorded, state
from tests.training.training_data import write_loose

STEPS, KILLED = 8, 5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    names = [f"photo{n}" for n in range(5)]
    return DataSet.open([write_loose(tmp_path_factory.mktemp("loop") / "data", names, (272, 260), val=["photo0"])])


def settings(folder: Path, steps: int, **changes: Any) -> LoopSettings:
    return LoopSettings(folder, steps=steps, warmup=4, quiet=True, **changes)


@pytest.mark.usefixtures("quick_stages")
@pytest.mark.parametrize(("name", "start"), [*((name, 2) for name in NAMES), ("label-vqgan", KILLED + 1)])
def test_that_a_killed_run_goes_on_bit_for_bit(
    name: str, start: int, data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight steps in one go = five, a kill in the sixth, and the rest by a new process's stage.

    start: the step at which the codebook is taken from random features, before or after the kill.
    """
    monkeypatch.setattr(codebook, "START", start)
    torch.manual_seed(1)
    whole: dict[int, dict[str, float]] = {}
    run(recorded(build(name, data), whole), settings(tmp_path / "whole", STEPS))
    torch.manual_seed(1)
    parts: dict[int, dict[str, float]] = {}
    first = recorded(build(name, data), parts, killed_at=KILLED)
    with pytest.raises(KeyboardInterrupt):
        run(first, settings(tmp_path / "parts", STEPS, snapshot_minutes=0.0))
    torch.manual_seed(99)  # what the new stage starts from must not matter
    second: dict[int, dict[str, float]] = {}
    run(recorded(build(name, data), second), settings(tmp_path / "parts", STEPS, resume=True))
    assert sorted(second) == list(range(KILLED, STEPS))  # no step twice, none left out
    assert whole == parts | second
    one, two = state(tmp_path / "whole"), state(tmp_path / "parts")
    assert set(one) == set(two)
    assert [key for key in one if not torch.equal(one[key], two[key])] == []
    assert {key.split(".")[0] for key in one} == {"ema", "module", "optimiser"}


@pytest.mark.usefixtures("quick_stages")
@pytest.mark.parametrize("name", NAMES)
def test_that_every_stage_learns_and_evaluates(name: str, data: DataSet, tmp_path: Path) -> None:
    """Losses fall on the few pairs there are, all weights stay finite, and the evaluation has figures."""
    torch.manual_seed(0)
    losses: dict[int, dict[str, float]] = {}
    steps = 16 if name != "sga" else 8
    stage = recorded(build(name, data), losses)
    before = {k: v.clone() for k, v in next(iter(stage.modules.values())).state_dict().items()}
    figures = run(stage, settings(tmp_path, steps, learning_rate=3e-3))
    assert figures and all(value == value and abs(value) < 1e6 for value in figures.values())
    loss = {"label-vqgan": "cross_entropy", "image-vqgan": "pixel", "segmenter": "cross_entropy"}.get(name, "nats")
    values = [losses[step][loss] for step in range(steps)]
    assert sum(values[-3:]) < sum(values[:3])
    after = next(iter(stage.modules.values())).state_dict()
    moved = [k for k, v in after.items() if not torch.equal(v, before[k])]
    assert all(torch.isfinite(v).all() for v in after.values())
    assert len(moved) > 0.7 * len(after)


@pytest.mark.usefixtures("quick_stages")
@pytest.mark.parametrize("name", NAMES)
def test_that_batches_are_functions_of_their_number(name: str, data: DataSet) -> None:
    torch.manual_seed(0)
    one = build(name, data)
    torch.manual_seed(5)
    two = build(name, data)

    def parts(batch: Any) -> list[torch.Tensor]:
        return [torch.as_tensor(part) for part in (batch if isinstance(batch, tuple) else (batch,))]

    order = [3, 0, 7, 3]
    made = {number: parts(one.batch(number)) for number in order}
    for number in reversed(order):
        assert all(torch.equal(a, b) for a, b in zip(made[number], parts(two.batch(number)), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(made[0], made[7], strict=True))
    assert one.examples(one.batch(0)) == 2


def test_that_evaluating_in_between_changes_nothing(data: DataSet, tmp_path: Path) -> None:
    for name, minutes in (("often", 0.0), ("never", 1e9)):
        torch.manual_seed(1)
        stage = build("guide", data)
        run(stage, settings(tmp_path / name, 4, evaluate_minutes=minutes))
    one, two = state(tmp_path / "often"), state(tmp_path / "never")
    assert all(torch.equal(one[key], two[key]) for key in one)
    lines = (tmp_path / "often" / "metrics.jsonl").read_text().splitlines()
    assert sum("evaluation" in line for line in lines) == 5


def test_that_metrics_are_json_lines(data: DataSet, tmp_path: Path) -> None:
    run(build("guide", data), settings(tmp_path, 3))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["stage"] == "guide" and lines[0]["step"] == 3 and lines[0]["nats"] > 0
    assert lines[1]["stage"] == "guide evaluation" and {"nats", "nats_shuffled_labels"} <= set(lines[1])
    assert Image.open(tmp_path / "curves.png").size == (3 * 360, 240)  # one row of panels: nats, with other labels


def test_that_no_loader_thread_is_left_running(data: DataSet, tmp_path: Path) -> None:
    before = threading.active_count()
    run(build("guide", data), settings(tmp_path / "a", 2))
    with pytest.raises(KeyboardInterrupt):
        run(recorded(build("guide", data), {}, killed_at=1), settings(tmp_path / "b", 5))
    assert threading.active_count() == before


def test_that_an_error_of_the_loader_stops_the_run(data: DataSet, tmp_path: Path) -> None:
    stage = build("guide", data)

    def broken(number: int) -> Any:
        raise ValueError(f"batch {number} is broken")

    stage.batch = broken  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="batch 0 is broken"):
        run(stage, settings(tmp_path, 3))


def test_that_minutes_end_a_run_and_its_state_is_kept(data: DataSet, tmp_path: Path) -> None:
    run(build("guide", data), LoopSettings(tmp_path, minutes=1e-9, quiet=True))
    assert (tmp_path / "state.safetensors").exists()
    losses: dict[int, dict[str, float]] = {}
    run(recorded(build("guide", data), losses), settings(tmp_path, 2, resume=True))
    assert len(losses) == 2


def test_that_an_interrupted_snapshot_keeps_the_older_one(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = build("guide", data)
    ema = Ema(stage.modules["guide"], 0.9)
    path = tmp_path / "state.safetensors"
    save_snapshot(path, stage, ema, Position(3, 1.5))
    content = path.read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        save_snapshot(path, stage, ema, Position(4, 2.0))
    assert path.read_bytes() == content
    assert load_snapshot(path, stage, ema) == Position(3, 1.5)


def test_that_the_average_follows_the_weights() -> None:
    module = torch.nn.Linear(3, 2)
    ema = Ema(module, 0.5)
    with torch.no_grad():
        module.weight.fill_(1.0)
    start = ema.values["weight"].clone()
    ema.update(1000)
    assert torch.allclose(ema.values["weight"], (start + 1) / 2)
    ema.swap()
    assert torch.allclose(module.weight, (start + 1) / 2)
    ema.swap()
    assert torch.equal(module.weight, torch.ones(2, 3))


@pytest.mark.usefixtures("quick_stages")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_that_being_asked_to_stop_keeps_the_state_and_ends_more_than_this_run(
    number: int, data: DataSet, tmp_path: Path
) -> None:
    """Who runs several stages must not go on with the next one."""
    before = signal.getsignal(number)
    losses: dict[int, dict[str, float]] = {}
    stage = recorded(build("guide", data), losses)
    step = stage.step

    def asked(batch: Any, at: int) -> dict[str, float]:
        if at == 2:
            os.kill(os.getpid(), number)
        return step(batch, at)

    stage.step = asked  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run(stage, settings(tmp_path, 9))
    assert sorted(losses) == [0, 1, 2] and signal.getsignal(number) == before
    run(recorded(build("guide", data), losses), settings(tmp_path, 5, resume=True))
    assert sorted(losses) == [0, 1, 2, 3, 4]


@pytest.mark.usefixtures("quick_stages")
def test_that_a_killed_run_of_the_decoder_alone_goes_on_bit_for_bit(data: DataSet, tmp_path: Path) -> None:
    torch.manual_seed(1)
    run(build("image-vqgan", data), settings(tmp_path / "whole", 3))
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    for folder, ends in (("whole", [7]), ("parts", [5, 7])):
        for end in ends:
            torch.manual_seed(end)
            run(build("image-vqgan", data, decoder_only=True), settings(tmp_path / folder, end, resume=True))
    one, two = state(tmp_path / "whole"), state(tmp_path / "parts")
    assert [key for key in one if not torch.equal(one[key], two[key])] == []


@pytest.mark.usefixtures("quick_stages")
@pytest.mark.parametrize("problem", ["another network", "half a file"])
def test_that_a_state_that_does_not_fit_is_one_clear_line(problem: str, data: DataSet, tmp_path: Path) -> None:
    run(build("image-vqgan" if problem == "another network" else "guide", data), settings(tmp_path, 1))
    path = tmp_path / "state.safetensors"
    if problem == "half a file":
        path.write_bytes(path.read_bytes()[:1000])
    content = path.read_bytes()
    with pytest.raises(TrainingError, match=r"state\.safetensors") as caught:
        run(build("guide", data), settings(tmp_path, 2, resume=True))
    assert "--runs" in str(caught.value) and "\n" not in str(caught.value)
    assert path.read_bytes() == content


class _Falling:
    """A stage of one number that walks from 5 to 0 and beyond; its figure is the distance from 2."""

    name, frozen = "falling", ()

    def __init__(self) -> None:
        self.module = torch.nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            self.module.weight.fill_(5.0)
        self.modules = {"falling": self.module}
        self.optimisers = {"falling": torch.optim.SGD(self.module.parameters(), 1.0)}

    def start_from(self, weights: dict[str, torch.Tensor]) -> None:
        raise NotImplementedError

    def batch(self, number: int) -> list[int]:
        return [number]

    def examples(self, batch: list[int]) -> int:
        return len(batch)

    def step(self, batch: list[int], number: int) -> dict[str, float]:
        with torch.no_grad():
            self.module.weight -= 0.5
        return {"weight": self.module.weight.item()}

    def evaluate(self, folder: Path, number: int) -> dict[str, float]:
        return {"nats": abs(self.module.weight.item() - 2)}


@pytest.mark.parametrize(("keep", "kept"), [(None, 0.0), ("nats", 2.0)])
def test_that_the_averages_of_the_best_evaluation_are_kept_when_asked_for(
    keep: str | None, kept: float, tmp_path: Path
) -> None:
    changes = {"ema": 0.0, "evaluate_minutes": 0.0, "keep_best": keep}
    figures = run(_Falling(), settings(tmp_path, 10, **changes))
    assert state(tmp_path)["ema.weight"].item() == pytest.approx(kept, abs=1e-6)
    assert figures["nats"] == pytest.approx(abs(kept - 2), abs=1e-6)


def test_that_the_rate_warms_up_and_cools_down() -> None:
    cooling = LoopSettings(Path(), minutes=1.0, warmup=10, learning_rate=1.0, cooldown=0.5)
    assert [cooling.rate(0, 0.0), cooling.rate(9, 0.0), cooling.rate(99, 30.0)] == pytest.approx([0.1, 1.0, 1.0])
    assert [cooling.rate(99, 45.0), cooling.rate(99, 61.0)] == pytest.approx([0.5, 0.0])
    assert LoopSettings(Path(), minutes=1.0, learning_rate=1.0).rate(500, 59.0) == 1.0
