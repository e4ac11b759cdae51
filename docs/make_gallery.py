"""Makes docs/gallery/*.jpg: twelve edits fixed in advance (cases.json) of photos that nobody trained on.

python docs/make_gallery.py [--photos ../shared/data/photos] [--checkpoint DIR] [--only NAME] [--measure]

Each picture shows photo and paint, then eight versions by rank: as drawn above, textured below. All is drawn at the
photo's own size with the editor's usual settings; exemplars that were cut from the edited photo are left out.
--measure prints what tells a kept picture from another (models/evaluation/keeping.py).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from models.drawing.ranking import rank  # noqa: E402
from models.editor import SceneEditor  # noqa: E402
from models.evaluation.evaluate import BACKBONE  # noqa: E402
from models.evaluation.keeping import Edited, summary, told_apart  # noqa: E402
from models.evaluation.metrics import Eye  # noqa: E402
from models.opening import open_editor  # noqa: E402
from models.request import NOT_PAINTED, USUAL, EditRequest  # noqa: E402
from models.texture.exemplars import library  # noqa: E402

GALLERY = ROOT / "docs" / "gallery"
VERSIONS = 8
WIDTH = 420  # of a cell
Case = dict[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=ROOT.parent / "shared" / "data" / "photos")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--only")
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    if not options.photos.exists():
        sys.exit(f"{options.photos}: no such folder; give the folder of the photos")
    editor = open_editor(options.checkpoint, "cpu")
    measured: dict[str, list[Edited]] = {"as drawn": [], "textured": []}
    for case in json.loads((GALLERY / "cases.json").read_text()):
        if options.only in (None, case["name"]):
            page, edits = drawn(editor, options.photos, case)
            Image.fromarray(page).save(GALLERY / f"{case['name']}.jpg", quality=80)
            print(GALLERY / f"{case['name']}.jpg", flush=True)
            for name, some in edits.items():
                measured[name] += some
    backbone = options.photos.parents[1] / "parts" / BACKBONE
    if options.measure and backbone.exists():
        eye = Eye(backbone)
        print("real against real:", told_apart(measured["as drawn"], lambda p: eye.look(p).statistics, real=True))
        for name, edits in measured.items():
            print(name, summary(edits, lambda patch: eye.look(patch).statistics))


def drawn(editor: SceneEditor, folder: Path, case: Case) -> tuple[np.ndarray, dict[str, list[Edited]]]:
    """The page of a case, and its best two versions either way."""
    name = str(case["photo"])
    photo = np.array(Image.open(folder / f"{name}.jpg").convert("RGB"))
    labels = np.array(Image.open(folder / f"{name}.png"))
    wanted, new = painted(editor, case, labels)
    paint = np.where(wanted, new, NOT_PAINTED).astype(np.uint8)
    editor.exemplars = tuple(exemplar for exemplar in library() if exemplar.source != name)
    settings = replace(USUAL, samples=VERSIONS, seed=1)
    versions = rank(list(editor.run(EditRequest(photo, labels, paint, settings))))
    either = {
        "as drawn": [(v.swapped() if v.textured else v).apply(photo) for v in versions],
        "textured": [v.apply(photo) for v in versions],
    }
    after = np.where(wanted, new, labels).astype(np.uint8)
    edits = {way: [Edited(photo, p, wanted, after, name) for p in some[:2]] for way, some in either.items()}
    shown = photo.copy()
    color = np.array(editor.label_set.labels[new].color)
    shown[wanted] = (0.35 * shown[wanted] + 0.65 * color).astype(np.uint8)
    box = around(wanted)
    rows = [np.hstack([cell(photo, "photo", None), cell(shown, str(case["new"]), None)])]
    for way, pictures in either.items():
        rows += [
            np.hstack([cell(p, f"{n}", box) if n > first + 1 else cell(p, f"{way} {n}", box)
                       for n, p in list(enumerate(pictures, 1))[first : first + 4]])
            for first in (0, 4)
        ]  # fmt: skip
    width = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]), edits


def painted(editor: SceneEditor, case: Case, labels: np.ndarray) -> tuple[np.ndarray, int]:
    """Where a case paints (H, W) bool, and the index of its label."""
    names = [label.name for label in editor.label_set.labels]
    height, width = labels.shape
    corners = np.array(case["outline"]) * (width, height)
    inside = cv2.fillPoly(np.zeros(labels.shape, np.uint8), [corners.round().astype(np.int32)], 1) > 0
    old = case["old"]
    assert isinstance(old, list)
    wanted = inside & np.isin(labels, [names.index(name) for name in old]) if old else inside
    return wanted, names.index(str(case["new"]))


def around(wanted: np.ndarray) -> tuple[slice, slice]:
    """The painted area with some of what is round it."""
    rows, columns = np.flatnonzero(wanted.any(1)), np.flatnonzero(wanted.any(0))
    margin = int(0.15 * max(np.ptp(rows), np.ptp(columns))) + 40
    return slice(max(0, rows[0] - margin), rows[-1] + margin), slice(max(0, columns[0] - margin), columns[-1] + margin)


def cell(picture: np.ndarray, caption: str, box: tuple[slice, slice] | None) -> np.ndarray:
    part = np.ascontiguousarray(picture if box is None else picture[box])
    size = (WIDTH, round(WIDTH * part.shape[0] / part.shape[1]))
    small = Image.fromarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA))
    pen, font = ImageDraw.Draw(small), ImageFont.load_default(size=15)
    pen.rectangle((0, 0, 12 + pen.textlength(caption, font=font), 22), fill=(20, 20, 20))
    pen.text((6, 3), caption, font=font, fill=(235, 235, 235))
    return np.array(small)


if __name__ == "__main__":
    main()
