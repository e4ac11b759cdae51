"""Cut the texture exemplars out of the data pack: `python tools/make_exemplars.py [DATA] [--sheet FILE]`.

Reads `tools/exemplars.json` (drawn by hand, picture by picture) and writes `resources/exemplars/`: a JPEG and a mask an
exemplar, `card.json` and `CREDITS.md`. DATA is the data pack (default `../shared/data`). `--sheet` also draws a contact
sheet with the masks' outlines; `--only` limits that sheet to ids that begin so and writes nothing else.

The table has `photos` (source id -> title, author, licence, url, note) and `exemplars`, each with the
card's own fields and
    picture   "photos/<stem>" or "landscape-512/<id>"
    rows      the part of its photo's height that the picture shows, [0, 1] if left out
    box       left, top, right, bottom of the crop, in pixels of the picture
    keep      polygons "x,y x,y ..." in pixels of the picture whose union is the mask (none: all of the box)
    drop      polygons taken out of it again
    luma      [low, high]: only where the lightness (0-255), smoothed by `smooth` px (default 4), is between
    margin    px taken off along the mask's border (default 4), the crop's own edges excepted
"""

from __future__ import annotations

import argparse
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "tools" / "exemplars.json"
FOLDER = ROOT / "resources" / "exemplars"
SMALLEST_PIECE = 400  # px: smaller islands and holes of a mask are noise, not drawn on purpose
CREDITS = ("title", "author", "licence", "url")


@dataclass(frozen=True)
class Exemplar:
    """One crop: `picture` (rows, columns, 3) uint8 RGB, `mask` (rows, columns) uint8, 0 or 255, `entry` of the card."""

    entry: dict[str, Any]
    picture: np.ndarray
    mask: np.ndarray

    @property
    def usable(self) -> float:
        return float((self.mask > 0).mean())


def read_picture(data: Path, name: str) -> Image.Image:
    """The RGB picture "photos/<stem>" or "landscape-512/<id>" of the data pack."""
    part, stem = name.split("/")
    if part == "photos":
        return Image.open(data / part / f"{stem}.jpg").convert("RGB")
    pack = json.loads((data / part / "split.json").read_text())["pack"][stem]
    with tarfile.open(data / part / pack) as tar:
        member = tar.extractfile(f"{stem}.jpg")
        if member is None:
            raise FileNotFoundError(f"{stem}.jpg in {pack}")
        return Image.open(member).convert("RGB")


def fill(shape: tuple[int, int], polygons: list[str], offset: tuple[int, int]) -> np.ndarray:
    """Boolean (rows, columns): inside any of the polygons, in pixels of a picture of which ours begins at `offset`."""
    canvas = np.zeros(shape, np.uint8)
    for polygon in polygons:
        points = np.array([[float(v) for v in point.split(",")] for point in polygon.split()])
        cv2.fillPoly(canvas, [np.round(points - offset).astype(np.int32)], 1)
    return canvas > 0


def without_specks(mask: np.ndarray) -> np.ndarray:
    """The boolean mask without islands, then without holes, of fewer than SMALLEST_PIECE pixels."""
    for value in (True, False):
        _, pieces, stats, _ = cv2.connectedComponentsWithStats((mask == value).astype(np.uint8), connectivity=4)
        small = stats[:, cv2.CC_STAT_AREA] < SMALLEST_PIECE
        small[0] = False
        mask = np.where(small[pieces], not value, mask)
    return mask


def cut_mask(row: dict[str, Any], picture: np.ndarray) -> np.ndarray:
    """uint8 (rows, columns) of the crop `picture`: 255 where the table's polygons and lightness say usable, else 0."""
    shape, offset = picture.shape[:2], (row["box"][0], row["box"][1])
    mask = fill(shape, row["keep"], offset) if row.get("keep") else np.ones(shape, bool)
    if "luma" in row:
        lightness = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        lightness = cv2.GaussianBlur(lightness, (0, 0), float(row.get("smooth", 4)))
        mask = without_specks(mask & (lightness >= row["luma"][0]) & (lightness <= row["luma"][1]))
    mask &= ~fill(shape, row.get("drop", []), offset)
    margin = int(row.get("margin", 4))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    mask = cv2.erode(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0
    return np.where(without_specks(mask), 255, 0).astype(np.uint8)


def cut(row: dict[str, Any], photos: dict[str, Any], data: Path) -> Exemplar:
    """The exemplar of one row of the table."""
    whole = read_picture(data, row["picture"])
    left, top, right, bottom = row["box"]
    if not (0 <= left < right <= whole.width and 0 <= top < bottom <= whole.height):
        raise ValueError(f"{row['id']}: box {row['box']} outside {whole.size}")
    part, stem = row["picture"].split("/")
    source = stem if part == "photos" else stem.split("_")[0]
    first, last = row.get("rows", (0.0, 1.0))
    entry = {key: row[key] for key in ("id", "label", "distance", "light", "look")}
    entry |= {"file": f"{row['id']}.jpg", "mask": f"{row['id']}.png", "source": source}
    entry["position"] = round(first + (last - first) * (top + bottom) / 2 / whole.height, 3)
    entry |= {key: photos[source][key] for key in CREDITS}
    picture = np.asarray(whole.crop((left, top, right, bottom)))
    return Exemplar(entry, picture, cut_mask(row, picture))


def write(exemplars: list[Exemplar], photos: dict[str, Any]) -> None:
    """Writes all files of the folder; those of exemplars that are no longer in the table go."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in [*FOLDER.glob("*.jpg"), *FOLDER.glob("*.png")]:
        path.unlink()
    for exemplar in exemplars:
        picture, mask = Image.fromarray(exemplar.picture), Image.fromarray(exemplar.mask)
        picture.save(FOLDER / exemplar.entry["file"], quality=90, subsampling=0, optimize=True)
        mask.save(FOLDER / exemplar.entry["mask"], optimize=True)
    lines = ",\n".join("  " + json.dumps(exemplar.entry, ensure_ascii=False) for exemplar in exemplars)
    card = f'{{"format": 1, "label_set": "landscape-20", "exemplars": [\n{lines}\n]}}\n'
    (FOLDER / "card.json").write_text(card, encoding="utf-8")
    (FOLDER / "CREDITS.md").write_text(credits_text(exemplars, photos), encoding="utf-8")


def credits_text(exemplars: list[Exemplar], photos: dict[str, Any]) -> str:
    """CREDITS.md: a row a photo."""
    lines = [
        "# Credits of the texture exemplars",
        "",
        "Crops of these photographs, with masks of our own. Written by `tools/make_exemplars.py`; do not edit here.",
        "",
        "| exemplars | title | author | licence | link | changes |",
        "|---|---|---|---|---|---|",
    ]
    for source, photo in photos.items():
        ids = ", ".join(exemplar.entry["id"] for exemplar in exemplars if exemplar.entry["source"] == source)
        if ids:
            licence = photo["licence"] + (f" ({photo['note']})" if photo.get("note") else "")
            lines.append(f"| {ids} | {photo['title']} | {photo['author']} | {licence} | <{photo['url']}> "
                         "| scaled, cropped and masked |")
    return "\n".join([*lines, "", "Licences: CC0 <https://creativecommons.org/publicdomain/zero/1.0/>, "
                      "CC BY 3.0 <https://creativecommons.org/licenses/by/3.0/>, "
                      "CC BY 4.0 <https://creativecommons.org/licenses/by/4.0/>.", ""])


def tile(exemplar: Exemplar, width: int) -> np.ndarray:
    """The crop `width` px wide under two lines of text; what is masked out is darkened, the mask outlined."""
    picture = exemplar.picture.copy()
    picture[exemplar.mask == 0] //= 3
    outlines, _ = cv2.findContours(exemplar.mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, (255, 0, 255), 1)
    rows, columns = picture.shape[:2]
    page = np.zeros((32 + round(rows * width / columns), width, 3), np.uint8)
    page[32:] = cv2.resize(picture, (width, len(page) - 32), interpolation=cv2.INTER_AREA)
    entry = exemplar.entry
    head = f"{entry['id']} {columns}x{rows} {exemplar.usable:.0%} {entry['light']} {entry['source']}"
    for line, text in enumerate((head, f"{entry['label']} {entry['distance']}: {entry['look']}")):
        cv2.putText(page, text, (2, 12 + 14 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
    return page


def sheet(exemplars: list[Exemplar], path: Path, width: int, columns: int) -> None:
    """Saves a contact sheet of all exemplars, `columns` beside one another."""
    bands = []
    for i in range(0, len(exemplars), columns):
        tiles = [tile(exemplar, width) for exemplar in exemplars[i : i + columns]]
        band = np.zeros((max(map(len, tiles)), width * columns, 3), np.uint8)
        for j, page in enumerate(tiles):
            band[: len(page), j * width : (j + 1) * width] = page
        bands.append(band)
    Image.fromarray(np.concatenate(bands)).save(path, quality=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--sheet", type=Path, help="also draw a contact sheet")
    parser.add_argument("--columns", type=int, default=4, help="of the sheet")
    parser.add_argument("--width", type=int, default=400, help="of a tile of the sheet, in pixels")
    parser.add_argument("--only", nargs="+", help="only a sheet, of the ids that begin so")
    options = parser.parse_args()
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    rows = [row for row in table["exemplars"] if not options.only or row["id"].startswith(tuple(options.only))]
    exemplars = [cut(row, table["photos"], options.data) for row in rows]
    if not options.only:
        write(exemplars, table["photos"])
        size = sum(path.stat().st_size for path in FOLDER.iterdir())
        print(f"{len(exemplars)} exemplars, {size / 1e6:.2f} MB")
    for exemplar in exemplars:
        if exemplar.usable < 0.3:
            print(f"{exemplar.entry['id']}: only {exemplar.usable:.0%} usable")
    if options.sheet:
        sheet(exemplars, options.sheet, options.width, options.columns)


if __name__ == "__main__":
    main()
