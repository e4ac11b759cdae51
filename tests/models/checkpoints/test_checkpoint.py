"""Checkpoints round-trip, and anything wrong with a card is a one-line CheckpointError within a second."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from models.checkpoints import write
from models.checkpoints.read import load_checkpoint
from models.config import LabelSet
from models.errors import CheckpointError
from tests.models.checkpoints.saved import (
    CONFIG,
    LABELS,
    SHAPES,
    edit_card,
    expected,
    refusal,
    save,
    snapshot,
    some_tensors,
    use_weights,
)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.bfloat16])
def test_that_a_saved_checkpoint_is_loaded_as_it_was(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = save(tmp_path / "new" / "tiny", dtype=dtype)
    loaded = load_checkpoint(tmp_path / "new" / "tiny", expected)
    assert (loaded.name, loaded.config, loaded.label_set, loaded.training) == ("tiny", CONFIG, LABELS, {"steps": 3})
    assert loaded.tensors.keys() == tensors.keys()
    for key, tensor in tensors.items():
        assert loaded.tensors[key].dtype == torch.float32
        assert torch.equal(loaded.tensors[key], tensor.to(dtype).float())


def test_that_networks_in_eight_bits_come_back_to_half_a_step_of_each_row(tmp_path: Path) -> None:
    tensors = some_tensors() | {"e.weight": torch.randn(64, 64) * torch.logspace(-6, 3, 64)[:, None]}
    save(tmp_path / "half", tensors=tensors, dtype=torch.float32)
    save(tmp_path / "small", tensors=tensors, dtype=torch.float32, eight_bits=("a.", "e."))
    loaded = load_checkpoint(tmp_path / "small", expected)
    assert all(torch.equal(loaded.tensors[key], tensors[key]) for key in SHAPES if key != "e.weight")
    step = tensors["e.weight"].abs().amax(1, keepdim=True) / 127
    error = (loaded.tensors["e.weight"] - tensors["e.weight"]).abs()
    assert (error <= 0.5001 * step).all() and error.max() > 0
    sizes = [sum(p.stat().st_size for p in (tmp_path / name).glob("*.safetensors")) for name in ("half", "small")]
    assert sizes[1] < 0.4 * sizes[0]
    again = save(tmp_path / "again", tensors=loaded.tensors, dtype=torch.float32, eight_bits=("e.",))
    assert torch.equal(load_checkpoint(tmp_path / "again", expected).tensors["e.weight"], again["e.weight"])


def test_that_files_stay_small_and_hold_each_tensor_once(tmp_path: Path) -> None:
    tensors = {f"layer.{number}.weight": torch.full((10, 10), float(number)) for number in range(60)}
    save(tmp_path, tensors=tensors, max_file_bytes=2_000)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) > 5
    assert all(path.stat().st_size <= 2_000 for path in files)
    loaded = load_checkpoint(tmp_path, lambda _: dict.fromkeys(tensors, (10, 10)))
    assert all(torch.equal(loaded.tensors[key], tensor) for key, tensor in tensors.items())
    assert sorted(key for path in files for key in safetensors.torch.load_file(path)) == sorted(tensors)


def test_that_tied_transposed_and_expanded_tensors_are_saved_as_values(tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3).requires_grad_()
    tensors = {"x": base, "y": base, "t": base.T, "zero": torch.zeros(1).expand(3, 3)}
    save(tmp_path, tensors=tensors)
    loaded = load_checkpoint(tmp_path).tensors
    assert all(torch.equal(loaded[key], tensor) for key, tensor in tensors.items())
    assert loaded["x"].data_ptr() != loaded["y"].data_ptr()


def test_that_the_sha256_follows_weights_and_config_only(tmp_path: Path) -> None:
    first = tmp_path / "first"
    save(first)
    save(tmp_path / "renamed", name="other", training={})
    save(tmp_path / "weights", tensors=some_tensors(1))
    save(tmp_path / "config", config=dataclasses.replace(CONFIG, resolutions=(256,)))
    digests = {path.name: load_checkpoint(path).sha256 for path in tmp_path.iterdir()}
    assert digests["first"] == digests["renamed"]
    assert len(set(digests.values())) == 3
    (old,) = first.glob("*.safetensors")
    use_weights(first, old.read_bytes(), "moved.safetensors")
    assert load_checkpoint(first).sha256 == digests["renamed"]


def test_that_a_second_save_replaces_the_first_and_leaves_other_files(folder: Path) -> None:
    use_weights(folder, next(folder.glob("*.safetensors")).read_bytes(), "listed.safetensors")
    (folder / "foreign.safetensors").write_bytes(b"somebody else's")
    tensors = save(folder, tensors=some_tensors(1))
    assert torch.equal(load_checkpoint(folder, expected).tensors["a.weight"], tensors["a.weight"])
    assert len(list(folder.iterdir())) == 3
    assert (folder / "foreign.safetensors").read_bytes() == b"somebody else's"


@pytest.mark.parametrize("broken", ["fsync", "replace"])
@pytest.mark.parametrize("call", [0, 1, 2])
def test_that_a_failed_save_keeps_the_older_checkpoint(
    folder: Path, monkeypatch: pytest.MonkeyPatch, broken: str, call: int
) -> None:
    before = snapshot(folder)
    real, calls = getattr(os, broken), []

    def failing(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1 + call * (2 if broken == "fsync" else 1):  # fsync: file, folder, file, …
            raise OSError(28, "No space left on device", "somewhere")
        return real(*arguments)

    monkeypatch.setattr(write.os, broken, failing)
    with pytest.raises(CheckpointError, match="No space left"):
        save(folder, tensors=some_tensors(1), max_file_bytes=9_000)
    monkeypatch.undo()
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tensors": {}}, "no tensors"),
        ({"tensors": {"x": torch.tensor([1e6])}}, "not finite as torch.float16"),
        ({"tensors": {"x": torch.tensor([float("nan")])}, "dtype": torch.float32}, "not finite"),
        ({"tensors": {"x": torch.tensor([1])}}, "floating point"),
        ({"training": {"when": object()}}, "JSON"),
        ({"training": {"loss": float("nan")}}, "JSON"),
        ({"name": " "}, "'name'"),
        ({"dtype": torch.float64}, "float64"),
        ({"label_set": LabelSet("none", ())}, "0 labels"),
    ],
)
def test_that_unsavable_checkpoints_are_refused(folder: Path, changes: dict[str, Any], words: str) -> None:
    before = snapshot(folder)
    with pytest.raises(CheckpointError, match=words):
        save(folder, **changes)
    assert snapshot(folder) == before


def test_that_a_missing_folder_or_card_is_named(tmp_path: Path) -> None:
    assert "no such checkpoint folder" in refusal(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    assert "is not a folder" in refusal(tmp_path / "file")
    assert "card is missing" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": 1, "format": 1}',
        b'{"format": NaN}',
        b" " * 5_000_000,
    ],
)
def test_that_a_card_that_is_no_json_object_is_refused(folder: Path, content: bytes) -> None:
    (folder / "card.json").write_bytes(content)
    refusal(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda card: card.update(format=3), "newer Scenebrush is needed"),
        (lambda card: card.update(format=True), "format"),
        (lambda card: card.update(format="1"), "format"),
        (lambda card: card.pop("format"), "format"),
        (lambda card: card.pop("label_set"), "'label_set' is missing"),
        (lambda card: card.update(extra=1), "'extra' is unknown"),
        (lambda card: card.update(name=3), "'name'"),
        (lambda card: card.update(training=[]), "'training'"),
        (lambda card: card.update(files=[]), "'files'"),
        (lambda card: card.update(files={}), "no weight files"),
        (lambda card: card.update(files={"w.safetensors": "abc"}), "64 hex digits"),
        (lambda card: card.update(files={"w.safetensors": "0" * 64}), "listed in the card but missing"),
        (lambda card: card["config"].update(surprise=1), "'surprise'"),
        (lambda card: card["config"].update(semantics="os.system"), "semantics"),
        (lambda card: card["config"].update(guide=5), "config.guide"),
        (lambda card: card["config"]["guide"].update(heads=0), "impossible"),
        (lambda card: card["config"]["guide"].update(encoder_layers=10**9), "encoder_layers"),
        (lambda card: card["config"]["guide"].update(d_model=2**40), "d_model"),
        (lambda card: card["config"]["guide"].update(dropout=1e999), "Infinity"),
        (lambda card: card["config"].update(resolutions=[256] * 1000), "resolutions"),
        (lambda card: card["label_set"].update(labels=7), "label"),
        (lambda card: card["label_set"].update(labels=[]), "0 labels"),
        (lambda card: card["label_set"]["labels"][0].update(color=[1, 2, 300]), "color"),
    ],
)
def test_that_a_wrong_card_is_refused(folder: Path, change: Callable[[dict[str, Any]], object], words: str) -> None:
    edit_card(folder, change)
    message = refusal(folder)
    assert words in message
    assert "card.json" in message or ".safetensors" in message


@pytest.mark.parametrize(
    "name",
    ["../w.safetensors", "a/w.safetensors", "a\\w.safetensors", "/etc/passwd", "..safetensors", "w.pkl",
     "C:w.safetensors", "w..safetensors", ".safetensors", "w.safetensors\n", "", "\u0000.safetensors"],
)  # fmt: skip
def test_that_file_names_that_leave_the_folder_are_refused(folder: Path, name: str) -> None:
    edit_card(folder, lambda card: card.update(files={name: "0" * 64}))
    assert "is refused" in refusal(folder)


def test_that_a_folder_or_pipe_in_place_of_a_weight_file_is_refused(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    path.unlink()
    path.mkdir()
    assert "missing" in refusal(folder)
    path.rmdir()
    if not hasattr(os, "mkfifo"):
        return
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match="missing"):
        load_checkpoint(folder)
