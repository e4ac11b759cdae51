"""Several processes train as one would: gloo on the CPU, two processes, the same global batch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.training import team

ROOT = Path(__file__).resolve().parents[2]
_WORKER = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from models.training.stages import codebook
from models.training import team
from models.training.data.pairs import DataSet
from models.training.loop import LoopSettings, run
from tests.training.stages import build, recorded
codebook.START = 100
team.join(False)
name, folder = sys.argv[2], Path(sys.argv[4])
torch.manual_seed(1)
losses = {}
stage = recorded(build(name, DataSet.open([Path(sys.argv[3])])), losses)
if name == "label-vqgan":
    stage.keeper.adopt()  # so that all processes follow one codebook
run(stage, LoopSettings(folder, steps=4, warmup=2, quiet=True))
team.wait()
if team.is_first():
    weights = next(iter(stage.modules.values())).state_dict()
    print(json.dumps([losses, sum(float(v.double().abs().sum()) for v in weights.values())]))
team.leave()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def trained(name: str, data: Path, folder: Path, processes: int) -> tuple[dict[str, dict[str, float]], float]:
    """Losses by step and a sum over the final weights, as the first process tells them."""
    port, running = free_port(), []
    for rank in range(processes):
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
        environment = os.environ | {k: str(v) for k, v in places.items()} | {"MASTER_ADDR": "127.0.0.1"}
        command = [sys.executable, "-c", _WORKER, str(ROOT), name, str(data), str(folder)]
        running.append(subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE))
    outputs = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * processes
    losses, weights = json.loads(outputs[0])
    return losses, weights


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.training.training_data import write_loose

    names = [f"photo{n}" for n in range(5)]
    return write_loose(tmp_path_factory.mktemp("team") / "data", names, (272, 260), val=["photo0"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["guide", "sga", "label-vqgan"])
def test_that_two_processes_get_the_loss_of_one(name: str, data: Path, tmp_path: Path) -> None:
    alone, weights = trained(name, data, tmp_path / "alone", 1)
    together, same_weights = trained(name, data, tmp_path / "together", 2)
    figure = {"label-vqgan": "cross_entropy"}.get(name, "nats")
    if name == "label-vqgan":  # its processes tell the loss of their own share
        alone, together = {"0": {figure: 0.0}}, {"0": {figure: 0.0}}
    for step, metrics in alone.items():
        assert together[step][figure] == pytest.approx(metrics[figure], rel=1e-5)
    assert same_weights == pytest.approx(weights, rel=1e-6)
    written = sorted(p.name for p in (tmp_path / "together").iterdir())
    assert written == sorted(p.name for p in (tmp_path / "alone").iterdir()), "one process writes"


def test_that_alone_nothing_changes() -> None:
    batch = (torch.arange(6), "text")
    assert team.share(batch) is batch and team.size() == 1 and team.is_first()
    value = torch.tensor([3.0])
    assert team.total(value) is value and team.same(value) is value and value.item() == 3.0
    assert team.agreed(True, torch.device("cpu")) and not team.agreed(False, torch.device("cpu"))
    assert team.runner(torch.nn.Linear(2, 2))(lambda: 5) == 5


def test_that_a_batch_too_small_to_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team, "size", lambda: 4)
    with pytest.raises(ValueError, match="larger --batch"):
        team.share(torch.arange(3))
