"""Files for `main.py edit`, and how it is run: in this process, with a tiny random checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import main
from tests.helpers import box_paint, save_tiny_checkpoint, some_labels, some_photo, tiny_config

SIZE = (90, 130)  # height, width


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    def without_notes(self) -> Result:
        """Without the lines that tell of the device and of a scaled window before the work begins."""
        lines = self.err.splitlines(keepends=True)
        return Result(self.code, self.out, "".join(line for line in lines if line.startswith("scenebrush: ")))


@dataclass(frozen=True)
class CommandLine:
    """A folder with photo.png, mask.png, paint.png and labels.png, and a checkpoint."""

    folder: Path
    checkpoint: Path
    capture: pytest.CaptureFixture[str]

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def write(self, name: str, pixels: np.ndarray) -> Path:
        path = self.folder / name
        Image.fromarray(pixels).save(path)
        return path

    def run(self, *arguments: object) -> Result:
        """`main.py ARGUMENTS` in this process."""
        self.capture.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            assert isinstance(stop.code, int)
            code = stop.code
        captured = self.capture.readouterr()
        return Result(code, captured.out, captured.err)

    def edit(self, *arguments: object, **changes: object) -> Result:
        """`main.py edit` of the sample files; a change of None leaves an option out, others replace it."""
        options: dict[str, object] = {
            "mask": self.folder / "mask.png",
            "label": "rock",
            "labels": self.folder / "labels.png",
            "out": self.out,
            "samples": 2,
            "checkpoint": self.checkpoint,
            "device": "cpu",
        }
        photo = changes.pop("photo", self.folder / "photo.png")
        options |= changes
        given = [part for name, value in options.items() if value is not None for part in (f"--{name}", value)]
        return self.run("edit", photo, *(str(part).replace("--top_k", "--top-k") for part in given), *arguments)


def make_files(folder: Path) -> None:
    height, width = SIZE
    paint = box_paint(*SIZE, 30, 40, 62, 81)
    Image.fromarray(some_photo(height, width)).save(folder / "photo.png")
    Image.fromarray(np.where(paint == 255, 0, 255).astype(np.uint8)).save(folder / "mask.png")
    Image.fromarray(paint).save(folder / "paint.png")
    Image.fromarray(some_labels(height, width)).save(folder / "labels.png")


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny", tiny_config(segmenter=True))


@pytest.fixture
def command_line(tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    make_files(tmp_path)
    return CommandLine(tmp_path, tiny_checkpoint, capsys)
