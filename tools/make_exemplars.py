"""Cuts resources/exemplars from ../shared/data by tools/exemplars.json: `python tools/make_exemplars.py`.

A row of the table: name (label-distance-number), source (photo or crop of the 512 pack), distance, light, look, and the
polygon (x, y as shares of the source) that is truly that label, drawn by hand and looked at (`--sheet FILE.jpg`).
Only sources that may ship are known here (CC0, public domain, CC BY).
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
TARGET = ROOT / "resources" / "exemplars"
LONGEST = 1100  # pixels of a crop's longer side
QUALITY = 90
INNER = 3  # pixels left out along the polygon

BUDGIE = "https://github.com/BuddiesOfBudgie/budgie-backgrounds"
OCEANIC = "https://github.com/tetiana-kolmychek/oceanic-awesomewm-theme"
XUBUNTU = "https://github.com/Xubuntu/xubuntu-community-artwork"
LOMIRI = "Debian package lomiri-wallpapers-16.04"
CREDITS = {  # source photo: title, author, licence, where it comes from
    "01-desert-dune": ("Extreme Desert Hike", "not named (submitted to Budgie Backgrounds)", "CC0 1.0", BUDGIE),
    "02-lake-sherburne": ("Lake Sherburne", "not named (submitted to Budgie Backgrounds)", "CC0 1.0", BUDGIE),
    "03-tea-gardens": ("Tea Gardens", "not named (submitted to Budgie Backgrounds)", "CC0 1.0", BUDGIE),
    "18-picos-de-europa": ("Picos de Europa", "Aitzol Berasategi", "CC BY 4.0", LOMIRI),
    "22-sand-dunes": ("photo 119758 on Unsplash", "Jared Evans", "CC0 1.0", "https://github.com/pop-os/wallpapers"),
    "h393": ("sunset", "Aitzol Berasategi", "CC BY 4.0", LOMIRI),
    "h490": ("jad-limcaco-183877", "Jad Limcaco", "public domain", "https://github.com/pop-os/wallpapers"),
    "h505": ("Pexels photo 105518", "not named (Pexels)", "CC0 1.0", OCEANIC),
    "h508": ("Pexels photo 164201", "not named (Pexels)", "CC0 1.0", OCEANIC),
    "h510": ("Pexels photo 373409", "not named (Pexels)", "CC0 1.0", OCEANIC),
    "h514": ("Pexels photo 434614", "not named (Pexels)", "CC0 1.0", OCEANIC),
    "h518": ("Pexels photo 574021", "not named (Pexels)", "CC0 1.0", OCEANIC),
    "h519": ("Pexels photo 69762", "not named (Pexels)", "CC0 1.0", OCEANIC),
    "h523": ("Pexels photo 188029", "not named (Pexels)", "CC0 1.0", OCEANIC),
    "h528": ("Pexels photo 539681", "not named (Pexels)", "CC0 1.0", OCEANIC),
    "h600": ("Mountainous View", "Sven Scheuermeier", "CC0 1.0", XUBUNTU),
    "h606": ("The Sky Is The Limit", "Kaushik Panchal", "CC0 1.0", XUBUNTU),
    "h607": ("Lighthouse", "Dominik Czernetzky", "CC BY 4.0", XUBUNTU),
    "h614": ("Untitled 0026", "Mike Sinko", "CC BY 3.0", XUBUNTU),
    "h620": ("Field", "Tibor Mokanszki", "CC BY 4.0", XUBUNTU),
    "h624": ("Kanchanjunga Peaks", "Pushkar Deshpande", "CC BY 4.0", XUBUNTU),
}


def picture_of(source: str) -> np.ndarray:
    """(h, w, 3) uint8 of a photo or of a crop of the 512 pack."""
    if source[0] != "h":
        return np.array(Image.open(DATA / "photos" / f"{source}.jpg").convert("RGB"))
    with tarfile.open(DATA / "landscape-512" / "pack-00.tar") as pack:
        name = next(n for n in pack.getnames() if Path(n).name == f"{source}.jpg")
        member = pack.extractfile(name)
        assert member is not None
        return np.array(Image.open(io.BytesIO(member.read())).convert("RGB"))


def cut(name: str, source: str, polygon: list[list[float]]) -> tuple[np.ndarray, np.ndarray, float]:
    """The crop, its mask (bool) and the centre row of the crop in its source, 0–1."""
    picture = picture_of(source)
    height, width = picture.shape[:2]
    corners = np.round(np.array(polygon) * (width, height)).astype(np.int32)
    mask = cv2.fillPoly(np.zeros((height, width), np.uint8), [corners], 255)
    mask = cv2.erode(mask, np.ones((2 * INNER + 1,) * 2, np.uint8), borderValue=255)
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    crop, mask = picture[box], mask[box]
    while max(crop.shape[:2]) > LONGEST:  # too large: its middle, at its own scale
        axis = int(crop.shape[1] > crop.shape[0])
        spare = crop.shape[axis] - LONGEST
        middle = slice(spare // 2, spare // 2 + LONGEST)
        crop, mask = (crop[:, middle], mask[:, middle]) if axis else (crop[middle], mask[middle])
    return crop, mask > 127, float((rows[0] + rows[-1]) / 2 / height)


def main() -> None:
    if not DATA.exists():
        sys.exit(f"{DATA}: not here; the exemplars can only be cut with the shared data beside the checkout")
    TARGET.mkdir(parents=True, exist_ok=True)
    for old in [*TARGET.glob("*.jpg"), *TARGET.glob("*.png")]:
        old.unlink()
    items, shown = [], []
    for name, source, distance, light, look, polygon in json.loads((ROOT / "tools" / "exemplars.json").read_text()):
        photo = source.split("_")[0] if source[0] == "h" else source
        title, author, licence, url = CREDITS[photo]
        crop, mask, position = cut(name, source, polygon)
        Image.fromarray(crop).save(TARGET / f"{name}.jpg", quality=QUALITY, subsampling=0, optimize=True)
        Image.fromarray(mask.astype(np.uint8) * 255).convert("1").save(TARGET / f"{name}.png", optimize=True)
        items.append({
            "id": name, "file": f"{name}.jpg", "mask": f"{name}.png", "label": name.split("-")[0],
            "distance": distance, "light": light, "look": look, "source": photo, "position": round(position, 3),
            "title": title, "author": author, "licence": licence, "url": url,
        })  # fmt: skip
        shown.append((name, crop, mask))
    card = {"format": 1, "label_set": "landscape-20", "exemplars": items}
    (TARGET / "card.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (TARGET / "CREDITS.md").write_text(credits_page(items), encoding="utf-8")
    if "--sheet" in sys.argv:
        sheet(shown, Path(sys.argv[sys.argv.index("--sheet") + 1]))
    size = sum(path.stat().st_size for path in TARGET.iterdir())
    print(f"{len(items)} exemplars of {len({item['source'] for item in items})} photos, {size / 2**20:.2f} MiB")


def credits_page(items: list[dict[str, object]]) -> str:
    lines = [
        "# Exemplars of texture: sources",
        "",
        "Each is a crop of the named photo, with a mask drawn by hand. Otherwise unchanged.",
        "`tools/make_exemplars.py` cuts them again.",
        "",
        "| exemplars | title | author | licence | from |",
        "|---|---|---|---|---|",
    ]
    for photo in dict.fromkeys(str(item["source"]) for item in items):
        names = ", ".join(str(item["id"]) for item in items if item["source"] == photo)
        title, author, licence, url = CREDITS[photo]
        lines.append(f"| {names} | {title} | {author} | {licence} | {url} |")
    return "\n".join(lines) + "\n"


def sheet(shown: list[tuple[str, np.ndarray, np.ndarray]], path: Path) -> None:
    """All crops with the outlines of their masks."""
    width, height, columns = 300, 230, 7
    page = np.zeros((-(-len(shown) // columns) * height, columns * width, 3), np.uint8)
    for number, (name, crop, mask) in enumerate(shown):
        small = min((width - 4) / crop.shape[1], (height - 18) / crop.shape[0])
        size = (max(1, int(crop.shape[1] * small)), max(1, int(crop.shape[0] * small)))
        picture = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
        inside = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        picture[cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0] = (255, 0, 255)
        top, left = number // columns * height, number % columns * width
        page[top + 16 : top + 16 + size[1], left : left + size[0]] = picture
        label = f"{name} {crop.shape[1]}x{crop.shape[0]}"
        cv2.putText(page, label, (left + 2, top + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1)
    Image.fromarray(page).save(path)


if __name__ == "__main__":
    main()
