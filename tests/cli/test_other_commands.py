"""`labels`, `segment`, `convert`, `parity` and `train`: what they print and write, and how they refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from app.cli import COMMANDS
from models.checkpoints.read import load_checkpoint
from models.config import Semantics
from models.networks.assembly import expected_shapes
from tests.cli.command_line import SIZE, CommandLine, Result
from tests.helpers import LABEL_SET, LABELS, save_tiny_checkpoint, tiny_config
from tests.shared import shared_path
from tests.training.training_data import write_loose

REPOSITORY = Path(__file__).resolve().parents[2]
FIXTURE = ("fixtures", "asset-tiny-A")


def refused(result: Result, *words: str) -> None:
    assert result.code == 2, (result.code, result.err)
    assert result.err.count("\n") == 1 and result.err.startswith("scenebrush: "), result.err
    for word in words:
        assert word in result.err, (word, result.err)


# --- labels -------------------------------------------------------------------------------------------------


def test_that_labels_are_listed_with_index_name_and_colour(command_line: CommandLine) -> None:
    result = command_line.run("labels", "--checkpoint", command_line.checkpoint)
    assert result.code == 0 and result.err == ""
    lines = result.out.splitlines()
    assert len(lines) == LABELS
    for index, (line, label) in enumerate(zip(lines, LABEL_SET.labels, strict=True)):
        number, name, color = line.split()[:3]
        assert (int(number), name) == (index, label.name)
        assert color == "#{:02x}{:02x}{:02x}".format(*label.color)
        assert ("rare" in line) == label.rare


def test_that_labels_of_no_checkpoint_are_refused(command_line: CommandLine) -> None:
    refused(command_line.run("labels", "--checkpoint", command_line.folder / "none"), "none", "no such")


# --- segment ------------------------------------------------------------------------------------------------


def test_that_a_suggested_map_can_be_used_as_labels(command_line: CommandLine) -> None:
    out, photo = command_line.folder / "map.png", command_line.folder / "photo.png"
    result = command_line.run("segment", photo, "--out", out, "--checkpoint", command_line.checkpoint)
    assert result.code == 0, result.err
    with Image.open(out) as image:
        assert image.mode == "P" and image.size == (SIZE[1], SIZE[0])
        labels = np.asarray(image)
        palette = np.array(image.getpalette("RGB")).reshape(-1, 3)
    assert labels.max() < LABELS
    assert np.array_equal(palette[:LABELS], [label.color for label in LABEL_SET.labels])
    given, suggested = command_line.folder / "given", command_line.folder / "suggested"
    assert command_line.edit(labels=out, out=given, samples=1).code == 0
    assert command_line.edit(labels=None, out=suggested, samples=1).code == 0
    one, two = (json.loads((folder / "edit.json").read_text())["candidates"] for folder in (given, suggested))
    assert one == two


def test_that_segment_refuses_what_it_cannot_read_or_write(command_line: CommandLine) -> None:
    checkpoint = ("--checkpoint", command_line.checkpoint)
    photo = command_line.folder / "photo.png"
    missing = command_line.run(
        "segment", command_line.folder / "no.png", "--out", command_line.folder / "m.png", *checkpoint
    )
    refused(missing, "no.png")
    nowhere = command_line.folder / "nowhere" / "m.png"
    refused(command_line.run("segment", photo, "--out", nowhere, *checkpoint), "nowhere", "no such folder")
    refused(command_line.run("segment", photo, *checkpoint), "--out")
    other = command_line.folder / "map.jpg"
    refused(command_line.run("segment", photo, "--out", other, *checkpoint), "map.jpg", "PNG")
    assert not other.exists()


def test_that_a_checkpoint_without_a_segmenter_suggests_nothing(command_line: CommandLine) -> None:
    """Converted ones have none: a map of nothing but label 0 must not pass for a suggestion."""
    checkpoint = save_tiny_checkpoint(command_line.folder / "plain", tiny_config())
    out, photo = command_line.folder / "map.png", command_line.folder / "photo.png"
    refused(command_line.run("segment", photo, "--out", out, "--checkpoint", checkpoint), "no segmenter")
    assert not out.exists()
    result = command_line.edit(labels=None, samples=1, checkpoint=checkpoint)
    assert result.code == 0 and "--labels" in result.err and repr(LABEL_SET.labels[0].name) in result.err


# --- values that are refused before work begins --------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("train", "guide", "--batch", "0"), ("--batch", "at least 1")),
        (("train", "guide", "--crops", "x"), ("--crops", "'x'")),
        (("train", "guide", "--max-minutes", "0"), ("--max-minutes", "above 0")),
        (("train", "guide", "--dropout", "1"), ("--dropout", "less than 1")),
        (("train", "image-vqgan", "--texture-weight", "nan"), ("--texture-weight", "nan")),
        (("bench", "--tokens", "0"), ("--tokens", "at least 1")),
        (("evaluate", "data", "--count", "0"), ("--count", "at least 1")),
        (("evaluate", "data", "--json", "nowhere/report.json"), ("--json", "nowhere")),
        (("evaluate", "data", "--sheet", "."), ("--sheet", "folder")),
        (("evaluate", "data", "--parts", "nowhere"), ("nowhere", "no such folder")),
    ],
)
def test_that_a_value_that_cannot_be_used_is_refused_at_once(
    command_line: CommandLine, given: tuple[str, ...], words: tuple[str, ...]
) -> None:
    refused(command_line.run(*given), *words)


@pytest.mark.parametrize("backbone", ["missing", "of something else"])
def test_that_a_backbone_that_cannot_be_used_is_refused(command_line: CommandLine, backbone: str) -> None:
    data = write_loose(command_line.folder / "data", ["a", "b"], (260, 260), val=["a"])
    file = command_line.folder / "backbone.safetensors"
    if backbone == "of something else":
        save_file({"weight": torch.zeros(2)}, str(file))
    options = ("--data", data, "--runs", command_line.folder / "runs", "--max-steps", "1", "--quiet")
    refused(command_line.run("train", "image-vqgan", *options, "--backbone", file), "backbone.safetensors")


def test_that_a_texture_weight_without_a_backbone_is_refused(command_line: CommandLine) -> None:
    data = write_loose(command_line.folder / "data", ["a", "b"], (260, 260), val=["a"])
    options = ("--data", data, "--runs", command_line.folder / "runs", "--max-steps", "1", "--texture-weight", "1")
    refused(command_line.run("train", "image-vqgan", *options), "--backbone")


# --- convert ------------------------------------------------------------------------------------------------


def test_that_converted_weights_edit_a_photo(command_line: CommandLine) -> None:
    """The whole way of a published model: two .ckpt files, a checkpoint folder, an edit in reference semantics."""
    fixture, out = shared_path(*FIXTURE), command_line.folder / "converted"
    names = [fixture / "sga.ckpt", fixture / "guiding.ckpt", "--config", fixture / "config.json", "--out", out]
    result = command_line.run("convert", *names)
    assert result.code == 0 and str(out) in result.out
    loaded = load_checkpoint(out, expected_shapes)
    assert loaded.config.semantics is Semantics.REFERENCE
    mask = np.zeros(SIZE, np.uint8)
    mask[30:80, 40:100] = 255
    command_line.write("mask.png", mask)
    command_line.write("labels.png", np.full(SIZE, 3, np.uint8))
    result = command_line.edit(checkpoint=out, label="label 7", samples=1, window=256)
    assert result.code == 0, result.err
    photo = np.asarray(Image.open(command_line.folder / "photo.png"))
    picture = np.asarray(Image.open(command_line.out / "candidate-01.png"))
    assert np.array_equal(picture[mask == 0], photo[mask == 0]) and not np.array_equal(picture, photo)


def test_that_convert_refuses_in_one_line(command_line: CommandLine) -> None:
    garbage = command_line.folder / "garbage.ckpt"
    garbage.write_bytes(b"no checkpoint at all")
    out = command_line.folder / "converted"
    missing = command_line.folder / "missing.ckpt"
    refused(command_line.run("convert", missing, missing, "--config", "asset-coco-512", "--out", out), "missing.ckpt")
    refused(command_line.run("convert", garbage, garbage, "--config", "asset-coco-512", "--out", out), "garbage.ckpt")
    refused(command_line.run("convert", garbage, garbage, "--config", "asset-mars", "--out", out), "asset-mars")
    refused(command_line.run("convert", garbage, garbage, "--out", out), "--config")
    assert not out.exists()


def test_that_convert_does_not_write_into_a_file(command_line: CommandLine) -> None:
    fixture, out = shared_path(*FIXTURE), command_line.folder / "file"
    out.write_bytes(b"mine")
    names = [fixture / "sga.ckpt", fixture / "guiding.ckpt", "--config", fixture / "config.json", "--out", out]
    refused(command_line.run("convert", *names), "file")
    assert out.read_bytes() == b"mine"


# --- the others ---------------------------------------------------------------------------------------------


def test_that_train_says_what_it_needs(command_line: CommandLine) -> None:
    runs = ("--runs", command_line.folder / "runs")
    refused(command_line.run("train", "guide", *runs), "--data")
    refused(command_line.run("train", "guide", *runs, "--data", command_line.folder / "nowhere"), "nowhere")
    (command_line.folder / "empty").mkdir()
    refused(command_line.run("train", "label-vqgan", *runs, "--data", command_line.folder / "empty"), "no photo")
    refused(command_line.run("train", "export", *runs, "--out", command_line.folder / "made"), "label-vqgan")
    refused(command_line.run("train", "everything"), "everything")
    assert not (command_line.folder / "made").exists()


def test_that_a_bad_label_set_is_refused(command_line: CommandLine) -> None:
    bad = command_line.folder / "bad.json"
    bad.write_text('{"name": "x", "labels": []}')
    data = ("--data", command_line.folder, "--runs", command_line.folder / "runs", "--label-set", bad)
    refused(command_line.run("train", "label-vqgan", *data), "label")
    bad.write_text("no JSON")
    refused(command_line.run("train", "label-vqgan", *data), "bad.json")


@pytest.mark.parametrize("command", COMMANDS)
def test_that_every_command_explains_itself(command_line: CommandLine, command: str) -> None:
    result = command_line.run(command, "--help")
    assert result.code == 0 and "usage" in result.out.lower() and result.err == ""


def test_that_the_program_exits_with_its_code_and_no_traceback(tmp_path: Path) -> None:
    """The one test through a real process: main.py, the exit code, stderr."""
    command = [sys.executable, str(REPOSITORY / "main.py"), "edit", "nowhere.jpg", "--out", "out", "--mask", "m.png"]
    done = subprocess.run([*command, "--label", "sky"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "nowhere.jpg" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_that_a_real_process_edits_a_photo(tmp_path: Path, command_line: CommandLine) -> None:
    checkpoint = save_tiny_checkpoint(tmp_path / "checkpoint")
    command = [sys.executable, str(REPOSITORY / "main.py"), "edit", "photo.png", "--paint", "paint.png", "--labels"]
    options = ["labels.png", "--out", "real", "--samples", "1", "--checkpoint", str(checkpoint), "--threads", "1"]
    done = subprocess.run([*command, *options], cwd=command_line.folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (command_line.folder / "real").iterdir()} == {
        "candidate-01.png",
        "contact-sheet.png",
        "edit.json",
    }
