"""Makes docs/gallery/edits.jpg: six edits of unseen photos, all eight versions of each, in the order of their rank.

python docs/make_gallery.py ../shared/data/photos [CHECKPOINT]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from models.editor import SceneEditor, open_editor  # noqa: E402
from models.ranking import rank  # noqa: E402
from models.request import (  # noqa: E402
    LABEL_STRENGTH,
    NOT_PAINTED,
    SKETCH_STRENGTH,
    EditRequest,
    SamplingSettings,
)

LONGER_SIDE = 1000  # pixels; a 512 window then holds a good part of the photo
CELL = (240, 160)
VERSIONS = 8


@dataclass(frozen=True)
class Case:
    """Of `photo`, what is labelled one of `old` inside `box` (left, top, right, bottom as shares) becomes `new`."""

    photo: str
    old: tuple[str, ...]
    new: str
    box: tuple[float, float, float, float]


CASES = (
    Case("10-alpine-meadow", ("grass", "field", "hill", "earth", "plant"), "lake", (0.3, 0.66, 0.68, 1.0)),
    Case("09-rubihorn", ("mountain", "rock", "hill", "grass", "plant"), "tree", (0.42, 0.45, 0.78, 0.95)),
    Case("02-lake-sherburne", ("sky",), "clouds", (0.55, 0.0, 0.93, 0.36)),
    Case("05-green-island", ("sea", "lake", "river"), "sand", (0.3, 0.55, 0.68, 0.95)),
    Case("07-kamikochi-river", ("tree", "plant"), "mountain", (0.5, 0.1, 0.88, 0.62)),
    Case("18-picos-de-europa", ("grass", "field", "hill", "earth"), "snow", (0.45, 0.55, 0.83, 0.98)),
)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data" / "photos"
    if not folder.exists():
        sys.exit(f"{folder}: no such folder; give the folder of the photos")
    editor = open_editor(Path(sys.argv[2]) if len(sys.argv) > 2 else None, "cpu")
    rows = [row(editor, folder, case) for case in CASES]
    target = ROOT / "docs" / "gallery" / "edits.jpg"
    target.parent.mkdir(exist_ok=True)
    Image.fromarray(np.vstack(rows)).save(target, quality=82)
    print(target)


def row(editor: SceneEditor, folder: Path, case: Case) -> np.ndarray:
    photo, labels = scaled(folder, case.photo)
    height, width = labels.shape
    names = [label.name for label in editor.label_set.labels]
    left, top, right, bottom = (round(v * s) for v, s in zip(case.box, (width, height) * 2, strict=True))
    inside = np.zeros(labels.shape, np.uint8)
    cv2.ellipse(inside, ((left + right) // 2, (top + bottom) // 2), ((right - left) // 2, (bottom - top) // 2),
                0, 0, 360, 1, -1)  # fmt: skip
    wanted = np.isin(labels, [names.index(name) for name in case.old]) & (inside > 0)
    paint = np.where(wanted, names.index(case.new), NOT_PAINTED).astype(np.uint8)
    settings = SamplingSettings(VERSIONS, seed=1, label_strength=LABEL_STRENGTH, sketch_strength=SKETCH_STRENGTH)
    ranked = rank(list(editor.run(EditRequest(photo, labels, paint, settings, 512))))
    shown = photo.copy()
    color = np.array(editor.label_set.labels[names.index(case.new)].color)
    shown[wanted] = (0.35 * shown[wanted] + 0.65 * color).astype(np.uint8)
    middle = (left + right) / 2 / width, (top + bottom) / 2 / height
    cells = [cell(photo, middle, "photo"), cell(shown, middle, case.new)]
    cells += [cell(candidate.apply(photo), middle, str(place)) for place, candidate in enumerate(ranked, 1)]
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


def cell(picture: np.ndarray, middle: tuple[float, float], text: str) -> np.ndarray:
    """The part of a picture round a point, with a caption."""
    height, width = picture.shape[:2]
    w, h = min(width, 600), min(height, 400)
    left = int(min(max(0, middle[0] * width - w / 2), width - w))
    top = int(min(max(0, middle[1] * height - h / 2), height - h))
    part = Image.fromarray(picture[top : top + h, left : left + w]).resize(CELL, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(part)
    draw.rectangle((0, 0, 10 + 8 * len(text), 19), fill=(20, 20, 20))
    draw.text((5, 3), text, fill=(240, 240, 240), font=ImageFont.load_default(13))
    return np.array(part)


if __name__ == "__main__":
    main()
