"""Makes docs/gallery/edits.jpg: six edits of unseen photos, all eight versions of each, in the order of their rank.

python docs/make_gallery.py ../shared/data/photos [CHECKPOINT [FILE.jpg]]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from models.drawing.ranking import rank  # noqa: E402
from models.editor import SceneEditor, open_editor  # noqa: E402
from models.request import NOT_PAINTED, USUAL, EditRequest  # noqa: E402

LONGER_SIDE = 1000  # pixels; a 512 window then holds a good part of the photo
CELL = (300, 200)
VERSIONS = 8


@dataclass(frozen=True)
class Case:
    """Of `photo`, what is labelled one of `old` inside an outline (points x, y as shares; () = all) becomes `new`."""

    photo: str
    old: tuple[str, ...]
    new: str
    outline: tuple[tuple[float, float], ...] = ()


CASES = (
    Case("10-alpine-meadow", ("grass", "field"), "lake",
         ((0, 0.74), (0.2, 0.68), (0.5, 0.7), (0.74, 0.77), (0.66, 0.9), (0.35, 0.99), (0, 0.98))),
    Case("09-rubihorn", ("mountain", "rock", "hill", "grass", "plant"), "tree",
         ((0, 0.32), (0.22, 0.36), (0.38, 0.55), (0.6, 0.85), (0.62, 1), (0, 1))),
    Case("22-sand-dunes", ("sky",), "clouds",
         ((0.05, 0.3), (0.3, 0.14), (0.6, 0.2), (0.9, 0.12), (1, 0.2), (1, 0.42), (0.7, 0.46), (0.4, 0.42))),
    Case("15-haukland-beach", ("sea",), "sand",
         ((0.36, 0.78), (0.5, 0.68), (0.72, 0.66), (0.86, 0.74), (0.86, 1), (0.36, 1))),
    Case("07-kamikochi-river", ("tree",), "mountain"),
    Case("18-picos-de-europa", ("grass", "earth", "mountain"), "snow",  # the map calls the meadow's left "mountain"
         ((0, 0.445), (0.15, 0.48), (0.275, 0.51), (0.38, 0.545), (0.45, 0.575), (0.53, 0.595), (0.66, 0.625),
          (0.785, 0.66), (1, 0.71), (1, 1), (0, 1))),
)  # fmt: skip


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data" / "photos"
    if not folder.exists():
        sys.exit(f"{folder}: no such folder; give the folder of the photos")
    editor = open_editor(Path(sys.argv[2]) if len(sys.argv) > 2 else None, "cpu")
    rows = [row(editor, folder, case) for case in CASES]
    target = Path(sys.argv[3]) if len(sys.argv) > 3 else ROOT / "docs" / "gallery" / "edits.jpg"
    target.parent.mkdir(exist_ok=True)
    Image.fromarray(np.vstack(rows)).save(target, quality=82)
    print(target)


def row(editor: SceneEditor, folder: Path, case: Case) -> np.ndarray:
    photo, labels = scaled(folder, case.photo)
    height, width = labels.shape
    names = [label.name for label in editor.label_set.labels]
    inside = np.ones(labels.shape, np.uint8)
    if case.outline:
        corners = np.array(case.outline) * (width, height)
        inside = cv2.fillPoly(np.zeros(labels.shape, np.uint8), [corners.round().astype(np.int32)], 1)
    wanted = np.isin(labels, [names.index(name) for name in case.old]) & (inside > 0)
    paint = np.where(wanted, names.index(case.new), NOT_PAINTED).astype(np.uint8)
    settings = replace(USUAL, samples=VERSIONS, seed=1)
    ranked = rank(list(editor.run(EditRequest(photo, labels, paint, settings, 512))))
    shown = photo.copy()
    color = np.array(editor.label_set.labels[names.index(case.new)].color)
    shown[wanted] = (0.35 * shown[wanted] + 0.65 * color).astype(np.uint8)
    cells = [cell(photo, "photo"), cell(shown, case.new)]
    cells += [cell(candidate.apply(photo), str(place)) for place, candidate in enumerate(ranked, 1)]
    half = (len(cells) + 1) // 2
    cells += [np.zeros_like(cells[0])] * (2 * half - len(cells))
    return np.vstack([np.hstack(cells[:half]), np.hstack(cells[half:])])


def scaled(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    photo = np.array(Image.open(folder / f"{name}.jpg").convert("RGB"))
    labels = np.array(Image.open(folder / f"{name}.png"))
    factor = LONGER_SIDE / max(labels.shape)
    size = round(labels.shape[1] * factor), round(labels.shape[0] * factor)
    return (
        cv2.resize(photo, size, interpolation=cv2.INTER_AREA),
        cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST),
    )


def cell(picture: np.ndarray, text: str) -> np.ndarray:
    """The middle of a picture, with a caption."""
    part = ImageOps.fit(Image.fromarray(picture), CELL, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(part)
    draw.rectangle((0, 0, 10 + 8 * len(text), 19), fill=(20, 20, 20))
    draw.text((5, 3), text, fill=(240, 240, 240), font=ImageFont.load_default(13))
    return np.array(part)


if __name__ == "__main__":
    main()
