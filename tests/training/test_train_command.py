"""`main.py train`: all five stages of a tiny model from a data folder to a checkpoint that edits a photo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from app.cli import main
from models.checkpoints.read import load_checkpoint
from models.networks.assembly import empty_networks, expected_shapes
from models.training import train
from models.training.data.pairs import DataSet
from models.training.loop import LoopSettings, run
from models.training.options import ImageOptions
from models.training.stages.image_vqgan import ImageVqganStage
from tests.helpers import LABEL_SET, box_paint, some_labels
from tests.training.stages import CONFIG, FP32, NAMES, build, state
from tests.training.training_data import write_loose, write_pack

PHOTOS = [f"photo{n}" for n in range(4)]


@pytest.fixture
def tiny_model(monkeypatch: pytest.MonkeyPatch, quick_stages: None) -> None:
    monkeypatch.setattr(train, "default_config", lambda labels: CONFIG)


@pytest.fixture
def label_set(tmp_path: Path) -> Path:
    path = tmp_path / "labels.json"
    labels = [{"name": label.name, "color": label.color, "rare": label.rare} for label in LABEL_SET.labels]
    path.write_text(json.dumps({"name": LABEL_SET.name, "labels": labels}))
    return path


def arguments(tmp_path: Path, stage: str, data: Path | None, label_set: Path, *more: str) -> list[str]:
    given = ["train", stage, "--runs", str(tmp_path / "runs"), "--label-set", str(label_set), "--device", "cpu"]
    given += [] if data is None else ["--data", str(data)]
    return [*given, "--quiet", *more]


@pytest.mark.usefixtures("tiny_model")
def test_that_training_makes_a_checkpoint_that_edits_a_photo(
    tmp_path: Path, label_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_pack(tmp_path / "data", PHOTOS, (520, 530), val=["photo0"])
    out = tmp_path / "checkpoint"
    more = ("--max-steps", "4", "--batch", "2", "--out", str(out), "--name", "made", "--adversarial-start", "2")
    assert main(arguments(tmp_path, "all", data, label_set, *more)) == 0
    loaded = load_checkpoint(out, expected_shapes)
    assert loaded.name == "made" and loaded.config == CONFIG and loaded.label_set == LABEL_SET
    assert {stage: facts["steps"] for stage, facts in loaded.training.items()} == dict.fromkeys(NAMES, 4)
    empty_networks(loaded.config).load(loaded.tensors)
    averages = state(tmp_path / "runs" / "guide")["ema.lm_head.weight"]
    assert torch.allclose(loaded.tensors["guiding_transformer.lm_head.weight"], averages, atol=1e-3)
    Image.fromarray(np.full((80, 90, 3), 120, np.uint8)).save(tmp_path / "photo.png")
    Image.fromarray(box_paint(80, 90, 20, 20, 50, 60)).save(tmp_path / "paint.png")
    Image.fromarray(some_labels(80, 90)).save(tmp_path / "labels.png")
    files = [str(tmp_path / name) for name in ("photo.png", "paint.png", "labels.png", "out")]
    given = ["edit", files[0], "--paint", files[1], "--labels", files[2], "--out", files[3], "--samples", "2"]
    assert main([*given, "--checkpoint", str(out), "--device", "cpu"]) == 0, capsys.readouterr().err
    assert (tmp_path / "out" / "candidate-02.png").exists()


@pytest.mark.usefixtures("tiny_model")
def test_that_stages_without_a_state_go_on_from_a_checkpoint(
    tmp_path: Path, label_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The runs folder is gone, the checkpoint is there: weights, steps and codebook are taken from it."""
    data = write_loose(tmp_path / "data", PHOTOS, (520, 520), val=["photo0"])
    first, second = tmp_path / "first", tmp_path / "second"
    more = ("--max-steps", "4", "--batch", "2")
    assert main(arguments(tmp_path, "all", data, label_set, *more, "--out", str(first))) == 0
    (tmp_path / "runs").rename(tmp_path / "lost")
    more = ("--max-steps", "6", "--batch", "2", "--start", str(first), "--resume")
    for stage in NAMES:
        assert main(arguments(tmp_path, stage, data, label_set, *more, "--decoder-only")) == 0
        assert (tmp_path / "runs" / stage / "state.safetensors").exists()
    assert main(arguments(tmp_path, "export", None, label_set, "--out", str(second))) == 0
    before, after = load_checkpoint(first), load_checkpoint(second)
    assert {stage: facts["steps"] for stage, facts in after.training.items()} == dict.fromkeys(NAMES, 6)
    frozen = [k for k in before.tensors if k.startswith(("first_stage_model.encoder", "first_stage_model.quant"))]
    assert frozen and all(torch.equal(before.tensors[k], after.tensors[k]) for k in frozen)
    moved = (after.tensors["transformer.lm_head.weight"] - before.tensors["transformer.lm_head.weight"]).abs().max()
    assert 0 < moved < 0.1
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"name": "other", "labels": json.loads(label_set.read_text())["labels"][:-1]}))
    capsys.readouterr()
    assert main(arguments(tmp_path, "label-vqgan", data, other, "--max-steps", "8", "--start", str(first))) == 2
    assert "6 labels" in capsys.readouterr().err


@pytest.mark.usefixtures("tiny_model")
def test_that_resume_goes_on_and_a_plain_run_starts_anew(tmp_path: Path, label_set: Path) -> None:
    data = write_loose(tmp_path / "data", PHOTOS, (260, 260), val=["photo0"])

    def steps(*more: str) -> int:
        assert main(arguments(tmp_path, "label-vqgan", data, label_set, "--batch", "2", *more)) == 0
        lines = (tmp_path / "runs" / "label-vqgan" / "metrics.jsonl").read_text().splitlines()
        return int(json.loads(lines[-1])["step"])

    assert steps("--max-steps", "2") == 2
    assert steps("--max-steps", "5", "--resume") == 5
    assert steps("--max-steps", "3") == 3


@pytest.mark.usefixtures("tiny_model")
@pytest.mark.parametrize("stage", ["guide", "sga", "export"])
def test_that_a_stage_says_which_one_it_needs_first(
    tmp_path: Path, label_set: Path, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_loose(tmp_path / "data", PHOTOS, (520, 520), val=["photo0"])
    assert main(arguments(tmp_path, stage, data, label_set, "--out", str(tmp_path / "out"))) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "first" in error and "state.safetensors" in error
    assert not (tmp_path / "out").exists()


def one_line(given: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(given) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("scenebrush: ")
    return error


@pytest.mark.usefixtures("tiny_model")
def test_that_photos_too_small_for_sga_are_one_clear_line(
    tmp_path: Path, label_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SGA learns at 512 pixels: a folder of 300 pixel photos must be refused and not end in a crash."""
    data = write_loose(tmp_path / "data", PHOTOS, (300, 300), val=["photo0"])
    for stage in ("label-vqgan", "image-vqgan", "guide"):
        assert main(arguments(tmp_path, stage, data, label_set, "--batch", "2", "--max-steps", "1")) == 0
    assert "512" in one_line(arguments(tmp_path, "sga", data, label_set, "--max-steps", "1"), capsys)


@pytest.mark.usefixtures("quick_stages")
@pytest.mark.parametrize("name", ["label-vqgan", "image-vqgan", "segmenter"])
@pytest.mark.parametrize("held_out", ["nothing", "a broken pair"])
def test_that_an_evaluation_survives_what_training_survives(name: str, held_out: str, tmp_path: Path) -> None:
    """A run of hours must not end in a crash because no pair is held out, or one that cannot be read."""
    folder = write_loose(tmp_path / "data", PHOTOS, (260, 260), val=[] if held_out == "nothing" else PHOTOS[:2])
    if held_out != "nothing":
        (folder / "photo0.jpg").write_bytes(b"garbage")
    figures = run(build(name, DataSet.open([folder])), LoopSettings(tmp_path / "run", steps=1, quiet=True))
    assert all(isinstance(value, float) for value in figures.values())


@pytest.mark.usefixtures("quick_stages")
def test_that_training_the_decoder_alone_keeps_every_code(tmp_path: Path) -> None:
    """Transformers are trained on the codes of the averaged encoder: those must stay what they are."""
    data = DataSet.open([write_loose(tmp_path / "data", PHOTOS, (260, 260), val=["photo0"])])

    def train_image(steps: int, **options: Any) -> dict[str, torch.Tensor]:
        stage = ImageVqganStage(
            CONFIG, len(LABEL_SET), data, FP32, None, ImageOptions(adversarial_start=99, **options), batch=2
        )
        settings = LoopSettings(tmp_path / "run", steps=steps, resume=True, warmup=1, learning_rate=3e-3, quiet=True)
        run(stage, settings)
        return {key.removeprefix("ema."): value for key, value in state(tmp_path / "run").items() if key[:4] == "ema."}

    torch.manual_seed(0)
    before, after = train_image(8), train_image(14, decoder_only=True)
    changed = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert "decoder" in changed
    assert changed <= {"decoder", "post_quant_conv"}


@pytest.mark.usefixtures("tiny_model")
def test_that_codes_are_made_anew_when_the_encoder_has_learned_more(tmp_path: Path, label_set: Path) -> None:
    """Else `train all` after more image training teaches the transformers codes that no encoder gives any more."""
    data = write_loose(tmp_path / "data", PHOTOS, (260, 260), val=["photo0"])

    def stage(name: str, steps: int) -> None:
        more = ("--batch", "2", "--max-steps", str(steps), "--resume")
        assert main(arguments(tmp_path, name, data, label_set, *more)) == 0

    def targets() -> np.ndarray:
        with np.load(next((tmp_path / "runs" / "codes").glob("train-256-*.npz")), allow_pickle=False) as file:
            found: np.ndarray = file["target_256"]
            return found

    for name in ("label-vqgan", "image-vqgan", "guide"):
        stage(name, 3)
    before = targets()
    stage("guide", 4)
    assert np.array_equal(targets(), before)  # nothing has changed: the cache is good
    stage("image-vqgan", 30)
    stage("guide", 5)
    assert not np.array_equal(targets(), before)
