"""A library of texture exemplars: crops of photographs of which a mask says what is truly one label.

A library is a folder with `card.json` (`resources/exemplars`; an artist's own folder needs only pairs `NAME.jpg` and
`NAME.png`, the mask, with names that begin with the label: `tree-far-03.jpg`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import RequestError

LIBRARY = Path(__file__).resolve().parents[2] / "resources" / "exemplars"
CARD = "card.json"
FORMAT = 1
DISTANCES = ("near", "middle", "far")


@dataclass(frozen=True, eq=False)
class Exemplar:
    """One crop. label: its name; distance: near, middle or far; source: the photo that it is cut from.

    position: centre row of the crop in its photo, 0 (top) to 1; light: a word. loaded: pixels and mask of one that is
    in no file.
    """

    name: str
    label: str
    picture: Path = Path()
    mask: Path = Path()
    distance: str = "middle"
    light: str = ""
    source: str = ""
    position: float = 0.5
    loaded: tuple[np.ndarray, np.ndarray] | None = None

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (h, w, 3) uint8 sRGB and mask (h, w) bool; RequestError when a file cannot be read."""
        if self.loaded is not None:
            return self.loaded
        try:
            with Image.open(self.picture) as picture, Image.open(self.mask) as mask:
                pixels, usable = np.array(picture.convert("RGB")), np.array(mask.convert("L")) > 127
        except (OSError, ValueError) as error:
            raise RequestError(f"{self.picture}: cannot be read as an exemplar ({error}); mend or remove it") from error
        if pixels.shape[:2] != usable.shape:
            raise RequestError(f"{self.mask}: is not of the size of {self.picture.name}; make a mask of its size")
        return pixels, usable


@lru_cache(maxsize=8)
def library(folder: Path = LIBRARY) -> tuple[Exemplar, ...]:
    """The exemplars of a folder, in the order of their names; RequestError when the folder is no library."""
    card = folder / CARD
    if not card.is_file():
        pairs = sorted(p for p in folder.glob("*.jpg") if p.with_suffix(".png").exists()) if folder.is_dir() else []
        if not pairs:
            raise RequestError(f"{folder}: holds no exemplars; give a folder of pairs NAME.jpg and NAME.png (the mask)")
        return tuple(Exemplar(p.stem, p.stem.split("-")[0], p, p.with_suffix(".png"), source=p.stem) for p in pairs)
    try:
        data = json.loads(card.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise RequestError(f"{card}: format {data['format']} is not known; a newer Scenebrush is needed")
        found = [
            Exemplar(
                item["id"], item["label"], folder / item["file"], folder / item["mask"],
                item["distance"], item["light"], item["source"], float(item["position"]),
            )
            for item in data["exemplars"]
        ]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{card}: is damaged ({error!r}); copy the folder again") from error
    return tuple(sorted(found, key=lambda exemplar: exemplar.name))
