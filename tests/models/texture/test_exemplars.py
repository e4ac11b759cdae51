"""The library that ships: complete cards, sound masks, licences that allow it; and clear errors for others."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.config import label_set_from_json
from models.errors import RequestError
from models.request import Reference
from models.texture.exemplars import DISTANCES, LIBRARY, library
from models.texture.maker import exemplars_of
from models.texture.profiles import NEVER, PROFILES

LICENCES = {"CC0 1.0", "public domain", "CC BY 2.0", "CC BY 3.0", "CC BY 4.0"}
LABELS = LIBRARY.parent / "labels" / "landscape-20.json"


def test_that_every_exemplar_is_whole_and_may_ship() -> None:
    card = json.loads((LIBRARY / "card.json").read_text())
    names = {label.name for label in label_set_from_json(json.loads(LABELS.read_text())).labels}
    credits_page = (LIBRARY / "CREDITS.md").read_text()
    listed = set()
    for item in card["exemplars"]:
        assert item["label"] in names and item["distance"] in DISTANCES and item["licence"] in LICENCES
        assert all(item[key] for key in ("id", "title", "author", "url", "source", "light", "look"))
        assert 0 <= item["position"] <= 1
        assert item["id"] in credits_page and item["title"] in credits_page
        listed |= {item["file"], item["mask"]}
    assert listed | {"card.json", "CREDITS.md"} == {path.name for path in LIBRARY.iterdir()}
    assert sum(path.stat().st_size for path in LIBRARY.iterdir()) <= 8_000_000


def test_that_masks_fit_and_hold_enough() -> None:
    for exemplar in library():
        pixels, mask = exemplar.load()
        assert pixels.dtype == np.uint8 and mask.dtype == bool and pixels.shape[:2] == mask.shape
        assert mask.mean() > 0.3 and mask.sum() >= 64 * 64, exemplar.name


def test_that_the_common_labels_have_several_looks() -> None:
    looks = Counter(exemplar.label for exemplar in library())
    for label in ("clouds", "mountain", "tree", "grass", "rock", "sand", "snow", "plant", "earth"):
        assert looks[label] >= 2, label
        assert PROFILES[label].library < NEVER


def test_that_a_folder_of_pairs_is_a_library(tmp_path: Path) -> None:
    Image.fromarray(np.full((80, 90, 3), 90, np.uint8)).save(tmp_path / "tree-mine.jpg")
    Image.fromarray(np.full((80, 90), 255, np.uint8)).save(tmp_path / "tree-mine.png")
    (one,) = library(tmp_path)
    assert one.label == "tree" and one.load()[1].all()


def test_that_unusable_libraries_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="holds no exemplars"):
        library(tmp_path / "nowhere")
    (tmp_path / "card.json").write_text('{"format": 1, "exemplars": [{}]}')
    with pytest.raises(RequestError, match="is damaged"):
        library(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(np.zeros((80, 90, 3), np.uint8)).save(other / "tree-a.jpg")
    Image.fromarray(np.zeros((70, 90), np.uint8)).save(other / "tree-a.png")
    with pytest.raises(RequestError, match="not of the size"):
        library(other)[0].load()


def test_that_a_reference_gives_one_exemplar_a_label() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(60, 90, (120, 160, 3)).astype(np.uint8)
    labels = np.where(np.arange(160) < 100, 2, 1).astype(np.uint8)[None].repeat(120, 0)
    labels[:4, :4] = 3  # too little of it
    found = exemplars_of(Reference(picture, labels, "holiday.jpg"), ("other", "sky", "grass", "rock"))
    assert {e.label: e.name for e in found} == {"sky": "sky of holiday.jpg", "grass": "grass of holiday.jpg"}
