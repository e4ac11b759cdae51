"""OpenRaster files: laid out as the specification says, and the layers give the picture back."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image
from PySide6.QtGui import QColorSpace

from app.io.errors import ExportError
from app.io.pictures.ora import encode_ora, save_ora
from app.io.pictures.photo import Photo, decode_photo
from app.io.pictures.screen_colors import ScreenColors

COLORS = np.array([(1, 2, 3), (40, 90, 180)], np.uint8)


def photo(kind: type = np.uint8, alpha: bool = False) -> Photo:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, np.iinfo(kind).max, (70, 90, 4 if alpha else 3)).astype(kind)
    _, data = cv2.imencode(".png", pixels)
    return decode_photo(data.tobytes(), Path("valley.png"))


def edited(source: Photo) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture, painted and labels of an edit with a ragged outline."""
    rng = np.random.default_rng(2)
    painted = np.zeros(source.size, bool)
    painted[20:40, 30:60] = rng.random((20, 30)) < 0.7
    picture = source.full.copy()
    picture[painted] = rng.integers(0, np.iinfo(picture.dtype).max, (int(painted.sum()), 3))
    return picture, painted, painted.astype(np.uint8)


def opened(data: bytes) -> tuple[zipfile.ZipFile, list[dict[str, str]]]:
    pack = zipfile.ZipFile(io.BytesIO(data))
    return pack, [layer.attrib for layer in ElementTree.fromstring(pack.read("stack.xml")).iter("layer")]


def image(pack: zipfile.ZipFile, name: str) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(pack.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_that_the_edit_over_the_original_is_the_picture_bit_for_bit(kind: type) -> None:
    source = photo(kind)
    picture, painted, labels = edited(source)
    pack, (hidden, edit, original) = opened(encode_ora(picture, painted, source, labels, COLORS))
    flat = image(pack, original["src"])
    assert np.array_equal(flat, source.full) and flat.dtype == kind
    top = image(pack, edit["src"])
    x, y = int(edit["x"]), int(edit["y"])
    opaque = top[..., 3] == np.iinfo(kind).max
    assert set(np.unique(top[..., 3])) <= {0, np.iinfo(kind).max}
    flat[y : y + top.shape[0], x : x + top.shape[1]][opaque] = top[..., :3][opaque]
    assert np.array_equal(flat, picture)
    assert np.array_equal(image(pack, "mergedimage.png"), picture)
    assert hidden["visibility"] == "hidden" and hidden["name"] == "Label map"
    assert np.array_equal(image(pack, hidden["src"]), COLORS[labels])


def profile_of(pack: zipfile.ZipFile, name: str) -> bytes | None:
    return Image.open(io.BytesIO(pack.read(name))).info.get("icc_profile")


def test_that_sixteen_bit_layers_say_their_profile_so_that_krita_need_not_ask() -> None:
    source = photo(np.uint16)
    pack, (_, edit, original) = opened(encode_ora(*edited(source)[:2], source, edited(source)[2], COLORS))
    for name in (edit["src"], original["src"], "mergedimage.png"):
        assert ScreenColors(profile_of(pack, name)).plain and profile_of(pack, name), "without one it is sRGB"
    own = replace(source, icc=bytes(QColorSpace(QColorSpace.NamedColorSpace.DisplayP3).iccProfile().data()))
    pack, (_, edit, original) = opened(encode_ora(*edited(own)[:2], own, edited(own)[2], COLORS))
    assert profile_of(pack, original["src"]) == profile_of(pack, edit["src"]) == own.icc


def test_that_the_file_is_laid_out_as_the_specification_says() -> None:
    source = photo()
    pack, layers = opened(encode_ora(*edited(source)[:2], source, edited(source)[2], COLORS))
    first = pack.infolist()[0]
    assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
    assert pack.read("mimetype") == b"image/openraster"
    root = ElementTree.fromstring(pack.read("stack.xml"))
    assert (root.get("w"), root.get("h")) == ("90", "70")
    assert {layer["src"] for layer in layers} <= set(pack.namelist())
    assert max(image(pack, "Thumbnails/thumbnail.png").shape[:2]) <= 256


def test_that_transparency_and_an_unedited_photo_are_kept() -> None:
    source = photo(alpha=True)
    nothing = np.zeros(source.size, bool)
    pack, layers = opened(encode_ora(source.full, nothing, source, nothing.astype(np.uint8), COLORS))
    assert [layer["name"] for layer in layers] == ["Label map", "Original"]
    assert np.array_equal(image(pack, layers[1]["src"])[..., 3], source.alpha)


def test_that_the_edit_of_a_cut_out_photo_leaves_its_holes_open() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (70, 90, 4)).astype(np.uint8)
    pixels[..., 3] = np.where(np.arange(90) < 45, 0, 255)
    source = decode_photo(cv2.imencode(".png", pixels)[1].tobytes(), Path("cut.png"))
    picture, painted, labels = edited(source)
    pack, (_, edit, original) = opened(encode_ora(picture, painted, source, labels, COLORS))
    flat, top = image(pack, original["src"]), image(pack, edit["src"])
    x, y = int(edit["x"]), int(edit["y"])
    under = flat[y : y + top.shape[0], x : x + top.shape[1]]
    under[top[..., 3] == 255] = top[top[..., 3] == 255]
    merged = image(pack, "mergedimage.png")
    assert np.array_equal(flat[..., 3], merged[..., 3]), "nothing shows where the photo is cut out"
    seen = merged[..., 3] == 255
    assert np.array_equal(flat[seen], merged[seen])


@pytest.mark.parametrize("anything", [False, True])
def test_that_generated_pixels_are_marked_and_only_they(anything: bool) -> None:
    source = photo()
    picture, painted = edited(source)[:2] if anything else (source.full, np.zeros(source.size, bool))
    pack, layers = opened(encode_ora(picture, painted, source, painted.astype(np.uint8), COLORS))
    marked = {name for name in pack.namelist() if b"compositeWithTrainedAlgorithmicMedia" in pack.read(name)}
    edit = {layer["src"] for layer in layers if layer["name"] == "Scenebrush edit"}
    assert marked == (edit | {"mergedimage.png"} if anything else set())


def test_that_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    source = photo()
    with pytest.raises(ExportError):
        save_ora(tmp_path / "none" / "a.ora", *edited(source)[:2], source, edited(source)[2], COLORS)
