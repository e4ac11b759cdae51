"""Draw six edits with two checkouts and compare every byte: `python tools/same_edits.py OLD NEW`.

A refactoring must not change what is drawn. OLD and NEW are folders of this project (`git worktree add ../old REV`
makes one). Each edit runs in a process of its own on one thread; pictures must be the same bytes, `edit.json` the same
but for what it says of time. Prints a line an edit, exit code 1 when anything differs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

SAMPLE = Path(__file__).resolve().parent.parent / "resources" / "sample"
TIMES = ("seconds", "timings", "device", "peak_bytes", "duration")  # fields of edit.json that may differ


def edits(folder: Path) -> dict[str, list[str]]:
    """Name -> arguments of `main.py edit`; makes the masks that they need in `folder`."""
    photo = Image.open(SAMPLE / "lake-sherburne.jpg").convert("RGB")
    paint, labels = SAMPLE / "lake-sherburne.paint.png", SAMPLE / "lake-sherburne.png"
    small, rows, columns = photo.resize((640, 400)), *np.mgrid[:400, :640]
    small.save(folder / "small.png")
    for name, inside in {
        "disc": (rows - 200) ** 2 + (columns - 320) ** 2 < 60**2,
        "band": (rows > 150) & (rows < 200),
        "islands": ((rows - 80) ** 2 + (columns - 80) ** 2 < 900) | ((rows - 320) ** 2 + (columns - 560) ** 2 < 900),
    }.items():
        Image.fromarray((inside * 255).astype(np.uint8)).save(folder / f"{name}.png")
    small_photo = str(folder / "small.png")
    whole = [str(SAMPLE / "lake-sherburne.jpg"), "--paint", str(paint), "--labels", str(labels)]
    return {
        "sample": [*whole, "--samples", "2"],
        "sample as drafts": [*whole, "--draft", "--samples", "3", "--seed", "5"],
        "disc at 256": [small_photo, "--mask", str(folder / "disc.png"), "--label", "lake", "--window", "256"],
        "disc at 512": [small_photo, "--mask", str(folder / "disc.png"), "--label", "grass", "--window", "512",
                        "--samples", "5", "--keep", "2", "--outline", "0", "--label-strength", "1"],
        "band": [small_photo, "--mask", str(folder / "band.png"), "--label", "mountain", "--samples", "1",
                 "--sketch-strength", "0", "--top-k", "50"],
        "islands": [small_photo, "--mask", str(folder / "islands.png"), "--label", "clouds", "--samples", "2",
                    "--temperature", "0.8", "--outline", "2"],
    }


def draw(checkout: Path, arguments: list[str], out: Path) -> dict[str, object]:
    """File name -> bytes of all pictures of one edit, and its `edit.json` without times."""
    command = [sys.executable, "main.py", "edit", *arguments, "--out", str(out), "--quiet", "--threads", "1",
               "--device", "cpu"]
    subprocess.run(command, cwd=checkout, check=True)
    result: dict[str, object] = {path.name: path.read_bytes() for path in sorted(out.glob("*.png"))}
    return result | {"edit.json": _without_times(json.loads((out / "edit.json").read_text()))}


def _without_times(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key not in TIMES}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    old, new = (Path(argument).resolve() for argument in sys.argv[1:])
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, (title, arguments) in enumerate(edits(folder).items()):
            before = draw(old, arguments, folder / f"old-{number}")
            after = draw(new, arguments, folder / f"new-{number}")
            other = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
            failed += bool(other)
            print(f"{title}: {'DIFFERS in ' + ', '.join(other) if other else f'{len(before)} files alike'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
