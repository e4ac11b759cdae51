"""`main.py edit` refuses in one line with exit code 2, and leaves the folder as it was."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.checkpoints.write import save_checkpoint
from models.drawing.samplers import asset as engine_module
from models.networks.assembly import Networks
from models.networks.vqgan.vqgan import VQGAN
from tests.cli.command_line import SIZE, CommandLine, Result
from tests.helpers import LABEL_SET, LABELS, box_paint, some_labels, tiny_config, tiny_networks

OLD = {"candidate-01.png": b"an older result", "edit.json": b"{}", "notes.txt": b"mine"}


def refuse(command_line: CommandLine, *words: str, **changes: object) -> str:
    """Run the edit twice, into a folder that is not there and into one with files; returns the error line."""
    lines = []
    for old in ({}, OLD):
        out = command_line.folder / f"refused-{len(list(command_line.folder.iterdir()))}-{len(old)}"
        if old:
            out.mkdir()
            for name, content in old.items():
                (out / name).write_bytes(content)
        result = command_line.edit(**({"out": out} | changes))
        lines.append(one_line(result, *words))
        left = {path.name: path.read_bytes() for path in out.iterdir()} if out.exists() else {}
        assert left == old
    return lines[0]


def one_line(result: Result, *words: str) -> str:
    """The single line on stderr; it names the program and what is wrong, and nothing was printed besides."""
    assert result.code == 2, (result.code, result.err)
    assert result.err.count("\n") == 1 and result.err.endswith("\n"), result.err
    assert result.err.startswith("scenebrush: ") and "Traceback" not in result.err
    assert result.out == ""
    for word in words:
        assert word in result.err, (word, result.err)
    return result.err


# --- files --------------------------------------------------------------------------------------------------


def garbage(_: bytes) -> bytes:
    return bytes(range(256)) * 8


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def empty(_: bytes) -> bytes:
    return b""


DAMAGES = [garbage, half, empty]


@pytest.mark.parametrize("name", ["photo", "mask", "paint", "labels"])
def test_that_a_missing_file_is_named(command_line: CommandLine, name: str) -> None:
    changes: dict[str, object] = {name: command_line.folder / "nowhere.png"}
    if name == "paint":
        changes |= {"mask": None, "label": None}
    refuse(command_line, "nowhere.png", **changes)


@pytest.mark.parametrize("name", ["photo", "mask", "paint", "labels"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__)
def test_that_a_damaged_file_is_named(command_line: CommandLine, name: str, damage: Callable[[bytes], bytes]) -> None:
    path = command_line.folder / f"{name}.png"
    path.write_bytes(damage(path.read_bytes()))
    changes: dict[str, object] = {name: path}
    if name == "paint":
        changes |= {"mask": None, "label": None}
    refuse(command_line, f"{name}.png", **changes)


@pytest.mark.parametrize("name", ["photo", "mask", "paint", "labels"])
def test_that_a_folder_in_place_of_a_file_is_named(command_line: CommandLine, name: str) -> None:
    (command_line.folder / "folder.png").mkdir()
    changes: dict[str, object] = {name: command_line.folder / "folder.png"}
    if name == "paint":
        changes |= {"mask": None, "label": None}
    refuse(command_line, "folder.png", **changes)


@pytest.mark.parametrize("name", ["mask", "paint", "labels"])
def test_that_a_map_of_another_size_is_refused_with_both_sizes(command_line: CommandLine, name: str) -> None:
    other = command_line.write("other.png", np.zeros((SIZE[0] + 1, SIZE[1]), np.uint8))
    changes: dict[str, object] = {name: other}
    if name == "paint":
        changes |= {"mask": None, "label": None}
    refuse(command_line, "other.png", f"{SIZE[1]}x{SIZE[0] + 1}", f"{SIZE[1]}x{SIZE[0]}", **changes)


def test_that_an_empty_mask_is_refused(command_line: CommandLine) -> None:
    nothing = command_line.write("nothing.png", np.zeros(SIZE, np.uint8))
    refuse(command_line, "nothing.png", "nothing is painted", mask=nothing)
    unpainted = command_line.write("unpainted.png", np.full(SIZE, 255, np.uint8))
    refuse(command_line, "unpainted.png", "nothing is painted", mask=None, label=None, paint=unpainted)


def test_that_a_mask_with_soft_edges_is_refused(command_line: CommandLine) -> None:
    path = command_line.folder / "mask.jpg"
    Image.open(command_line.folder / "mask.png").save(path)
    refuse(command_line, "mask.jpg", "PNG", mask=path)


def test_that_a_coloured_paint_map_is_refused(command_line: CommandLine) -> None:
    coloured = command_line.write("coloured.png", np.zeros((*SIZE, 3), np.uint8))
    refuse(command_line, "coloured.png", mask=None, label=None, paint=coloured)


# --- labels -------------------------------------------------------------------------------------------------


def test_that_an_unknown_label_is_refused_with_near_names(command_line: CommandLine) -> None:
    assert "rock" in refuse(command_line, "'rok'", "unknown", label="rok").split("try")[1]
    refuse(command_line, "'volcano'", *(label.name for label in LABEL_SET.labels), label="volcano")
    refuse(command_line, "unknown to this checkpoint", label="ro\nck")


def test_that_a_label_index_out_of_range_is_refused(command_line: CommandLine) -> None:
    paint = command_line.write("far.png", box_paint(*SIZE, 1, 1, 9, 9, label=LABELS))
    refuse(command_line, "far.png", f"{LABELS}", f"0 to {LABELS - 1}", mask=None, label=None, paint=paint)
    labels = some_labels(*SIZE)
    labels[0, 0] = 250
    refuse(command_line, "map.png", "250", labels=command_line.write("map.png", labels))


def test_that_mask_label_and_paint_must_fit_each_other(command_line: CommandLine) -> None:
    refuse(command_line, "--mask", "--paint", mask=None, label=None)
    refuse(command_line, "--mask", "--paint", paint=command_line.folder / "paint.png")
    refuse(command_line, "--label", label=None)


# --- options ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("samples", 0, "samples"),
        ("samples", -1, "samples"),
        ("samples", "many", "--samples"),
        ("keep", 0, "keep"),
        ("seed", -1, "seed"),
        ("seed", 2**63, "seed"),
        ("seed", "x", "--seed"),
        ("temperature", 0, "temperature"),
        ("temperature", -2, "temperature"),
        ("temperature", "nan", "temperature"),
        ("temperature", "inf", "temperature"),
        ("temperature", "warm", "--temperature"),
        ("top_k", 0, "top-k"),
        ("top_k", "1.5", "--top-k"),
        ("window", 300, "--window"),
        ("threads", 0, "threads"),
        ("device", "tpu", "--device"),
    ],
)
def test_that_an_option_out_of_range_is_named(command_line: CommandLine, name: str, value: object, word: str) -> None:
    refuse(command_line, word, **{name: value})


def test_that_missing_and_unknown_options_are_one_line_too(command_line: CommandLine) -> None:
    one_line(command_line.run("edit"), "photo")
    one_line(command_line.run("edit", "photo.png"), "--out")
    one_line(command_line.edit("--colour", "red"), "--colour")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_that_an_absent_cuda_device_is_refused(command_line: CommandLine) -> None:
    refuse(command_line, "CUDA was asked for", "--device cpu", device="cuda")


# --- checkpoints --------------------------------------------------------------------------------------------


def remove_card(folder: Path) -> None:
    (folder / "card.json").unlink()


def weight_file(folder: Path) -> Path:
    return next(folder.glob("*.safetensors"))


def remove_weights(folder: Path) -> None:
    weight_file(folder).unlink()


def truncate_weights(folder: Path) -> None:
    path = weight_file(folder)
    path.write_bytes(path.read_bytes()[:-1000])


def change_weights(folder: Path) -> None:
    path = weight_file(folder)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))


def truncate_card(folder: Path) -> None:
    path = folder / "card.json"
    path.write_bytes(path.read_bytes()[:200])


def edit_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "card.json"
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))


def save_with(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = dict(tiny_networks(tiny_config()).state_dict())
    change(tensors)
    config = tiny_config()
    save_checkpoint(folder, name="x", config=config, label_set=LABEL_SET, training={}, tensors=tensors)


SHAPED = "guiding_transformer.lm_head.weight"
BROKEN: dict[str, Callable[[Path], object]] = {
    "missing": shutil.rmtree,
    "no card": remove_card,
    "half a card": truncate_card,
    "no weights": remove_weights,
    "truncated weights": truncate_weights,
    "wrong hash": change_weights,
    "a missing tensor": lambda folder: save_with(folder, lambda tensors: tensors.pop(SHAPED)),
    "an unknown tensor": lambda folder: save_with(folder, lambda tensors: tensors.update({"extra": torch.ones(3)})),
    "a tensor of another shape": lambda folder: save_with(
        folder, lambda tensors: tensors.update({SHAPED: tensors[SHAPED][:-1]})
    ),
    "a newer format": lambda folder: edit_card(folder, lambda card: card.update(format=99)),
    "unknown semantics": lambda folder: edit_card(folder, lambda card: card["config"].update(semantics="dotted.path")),
    "heads that do not divide": lambda folder: edit_card(folder, lambda card: card["config"]["guide"].update(heads=5)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_that_a_bad_checkpoint_is_refused(command_line: CommandLine, name: str) -> None:
    folder = command_line.folder / "broken"
    shutil.copytree(command_line.checkpoint, folder)
    BROKEN[name](folder)
    line = refuse(command_line, checkpoint=folder)
    assert len(line) < 700


def test_that_a_checkpoint_with_more_labels_than_its_networks_is_refused(command_line: CommandLine) -> None:
    """Else the label that the networks do not know ends in a crash."""
    more = dataclasses.replace(LABEL_SET, labels=(*LABEL_SET.labels, LABEL_SET.labels[-1]))
    folder = command_line.folder / "more"
    tensors = tiny_networks(tiny_config()).state_dict()
    save_checkpoint(folder, name="x", config=tiny_config(), label_set=more, training={}, tensors=tensors)
    paint = command_line.write("last.png", box_paint(*SIZE, 1, 1, 40, 40, label=LABELS))
    refuse(command_line, checkpoint=folder, mask=None, label=None, paint=paint)


def test_that_a_checkpoint_that_cannot_run_is_refused(command_line: CommandLine) -> None:
    """Group norm needs multiples of 32 channels; a card may claim anything."""
    config = tiny_config()
    folder = command_line.folder / "odd"
    tensors = Networks(config).state_dict()
    save_checkpoint(folder, name="x", config=config, label_set=LABEL_SET, training={}, tensors=tensors)
    card = json.loads((folder / "card.json").read_text())
    card["config"]["image_vqgan"] |= {"norm": "group", "channels": [33, 32, 32]}
    (folder / "card.json").write_text(json.dumps(card))
    refuse(command_line, checkpoint=folder)


# --- the folder ---------------------------------------------------------------------------------------------


def test_that_a_file_in_place_of_the_folder_is_refused(command_line: CommandLine) -> None:
    path = command_line.folder / "file"
    path.write_bytes(b"mine")
    one_line(command_line.edit(out=path), str(path))
    one_line(command_line.edit(out=path / "below"), str(path))
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["candidate-01.png", "contact-sheet.png", "edit.json"])
def test_that_a_folder_in_place_of_a_result_leaves_nothing_half_written(command_line: CommandLine, name: str) -> None:
    (command_line.out / name).mkdir(parents=True)
    one_line(command_line.edit(samples=1).without_notes(), str(command_line.out))
    assert [path.name for path in command_line.out.iterdir()] == [name]


@pytest.mark.parametrize("name", ["candidate-02.png", "contact-sheet.png", "edit.json"])
def test_that_a_full_disk_leaves_nothing_half_written(
    command_line: CommandLine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC while one of the files is written."""
    full_disk(name, monkeypatch)
    command_line.out.mkdir()
    (command_line.out / "candidate-01.png").write_bytes(b"an older result")
    one_line(command_line.edit().without_notes())
    assert {path.name: path.read_bytes() for path in command_line.out.iterdir()} == {
        "candidate-01.png": b"an older result"
    }


def full_disk(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let opening a file called `name` for writing fail as on a full disk, whoever opens it."""
    import builtins
    import io
    import os

    def guard(real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(path: Any, mode: Any = "r", *arguments: Any, **options: Any) -> Any:
            writing = (isinstance(mode, int) and mode & os.O_WRONLY) or (
                isinstance(mode, str) and set(mode) & set("wxa")
            )
            if writing and isinstance(path, str | os.PathLike) and os.path.basename(path) == name:
                raise OSError(28, "No space left on device", str(path))
            return real(path, mode, *arguments, **options)

        return opened

    def replace(source: Any, target: Any, **options: Any) -> None:
        if os.path.basename(target) == name and ".scenebrush-" in os.path.dirname(target):
            raise OSError(28, "No space left on device", str(target))
        real_replace(source, target, **options)

    real_replace = os.replace
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(io, "open", guard(io.open))
    monkeypatch.setattr(builtins, "open", guard(builtins.open))


# --- while it runs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["encode", "draw", "decode"])
def test_that_running_out_of_memory_is_one_line(
    command_line: CommandLine, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    if where == "draw":
        monkeypatch.setattr(engine_module, "draw", fail)
    else:
        monkeypatch.setattr(VQGAN, where, fail)
    result = command_line.edit()
    one_line(result.without_notes(), "memory ran out", "--window")
    assert not command_line.out.exists() or list(command_line.out.iterdir()) == []


def test_that_an_interrupted_edit_leaves_nothing(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(VQGAN, "decode", interrupt)
    result = command_line.edit()
    assert result.code == 130 and "Traceback" not in result.err
    assert list(command_line.out.iterdir()) == []
