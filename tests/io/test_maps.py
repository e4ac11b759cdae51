from __future__ import annotations

import io
import os
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.io.errors import ExportError, MapError
from app.io.pictures.maps import decode_index_map, encode_index_map, load_index_map, load_mask, save_index_map

COLORS = np.random.default_rng(3).integers(0, 256, (182, 3), np.uint8)
SIZE = (11, 17)


def png(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def indices(high: int = 256) -> np.ndarray:
    return np.random.default_rng(1).integers(0, high, SIZE, np.uint8)


@given(seed=st.integers(0, 2**32 - 1), high=st.integers(1, 256), known=st.integers(0, 256))
def test_that_a_label_map_round_trips_whatever_its_colours(seed, high, known):
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, high, SIZE, np.uint8)
    data = encode_index_map(labels, chance.integers(0, 256, (known, 3), np.uint8))
    assert np.array_equal(decode_index_map(data, SIZE), labels)


def test_that_a_saved_label_map_shows_its_colours(tmp_path):
    save_index_map(tmp_path / "map.png", indices(182), COLORS)
    assert np.array_equal(load_index_map(tmp_path / "map.png", SIZE, "label map"), indices(182))
    with Image.open(tmp_path / "map.png") as shown:
        assert np.array_equal(np.asarray(shown.convert("RGB")), COLORS[indices(182)])


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_that_a_palette_is_read_as_indices_never_as_colours(bits):
    labels = indices(2**bits)
    image = Image.fromarray(labels)
    image.putpalette([200, 100, 50] * 2**bits)  # all the same colour
    assert np.array_equal(decode_index_map(png(image, bits=bits, transparency=0), SIZE), labels)


def test_that_grey_is_read_as_indices():
    assert np.array_equal(decode_index_map(png(Image.fromarray(indices())), SIZE), indices())


@pytest.mark.parametrize("mode", ["1", "RGB", "RGBA", "LA", "I;16"])
def test_that_colours_are_refused_as_indices(mode):
    with pytest.raises(MapError, match="colours instead of indices"):
        decode_index_map(png(Image.new(mode, SIZE[::-1])), SIZE)


def test_that_a_map_of_another_size_is_refused_naming_both(tmp_path):
    (tmp_path / "map.png").write_bytes(png(Image.fromarray(indices())))
    for load in (lambda path, size: load_index_map(path, size, "label map"), load_mask):
        with pytest.raises(MapError, match=r"17x11 but the photo is 20x10; use") as caught:
            load(tmp_path / "map.png", (10, 20))
        assert str(tmp_path) in str(caught.value)


def test_that_damaged_maps_give_only_map_errors(tmp_path):
    data = encode_index_map(indices(), COLORS)
    chance = random.Random(0)
    damaged = [b"", b"text", data[:8], data[:20], *(data[:length] for length in range(0, len(data), 9))]
    for _ in range(200):
        mutated = bytearray(data)
        mutated[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        damaged.append(bytes(mutated))
    path = tmp_path / "map.png"
    for bad in damaged:
        with pytest.raises(MapError) as caught:
            decode_index_map(bad, SIZE)
        assert "\n" not in str(caught.value)
        path.write_bytes(bad)
        with pytest.raises(MapError):
            load_mask(path, SIZE)


def test_that_a_missing_map_gives_one_clear_line(tmp_path):
    for name in ("absent.png", ".", "nul\0.png"):
        with pytest.raises(MapError) as caught:
            load_index_map(tmp_path / name, SIZE, "label map")
        assert "\n" not in str(caught.value)
        with pytest.raises(MapError):
            load_mask(tmp_path / name, SIZE)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "I;16"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_that_a_mask_is_whatever_is_not_black(tmp_path, mode, kind):
    if (mode, kind) == ("I;16", "BMP"):
        pytest.skip("BMP has no 16-bit grey")
    painted = indices(2).astype(bool)
    image = Image.fromarray(painted.astype(np.uint16)) if mode == "I;16" else Image.fromarray(painted).convert(mode)
    image.save(tmp_path / "mask", kind)
    assert np.array_equal(load_mask(tmp_path / "mask", SIZE), painted)


def test_that_one_faint_channel_is_painted_and_transparent_colour_is_not(tmp_path):
    pixels = np.zeros((*SIZE, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[2, 3, 2] = 1
    pixels[4, 5] = (255, 255, 255, 0)
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    mask = load_mask(tmp_path / "mask.png", SIZE)
    assert mask.dtype == bool and np.argwhere(mask).tolist() == [[2, 3]]


def test_that_a_blurring_format_is_refused_as_mask(tmp_path):
    Image.fromarray(indices()).save(tmp_path / "mask.jpg")
    with pytest.raises(MapError, match="blurs its edges"):
        load_mask(tmp_path / "mask.jpg", SIZE)


def test_that_a_failed_map_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "map.png"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ExportError, match="disk is full"):
        save_index_map(path, indices(), COLORS)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
