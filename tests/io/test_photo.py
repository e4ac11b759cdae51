from __future__ import annotations

import hashlib
import io
import random
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.io.errors import PhotoError
from app.io.pictures.depth import to_eight_bit
from app.io.pictures.photo import decode_photo, load_photo
from app.io.pictures.save import save_photo

KINDS = [("JPEG", 3)] + [(kind, channels) for kind in ("PNG", "TIFF", "WEBP", "PNG16", "TIFF16") for channels in (3, 4)]


def one_line_error(data: bytes, **limits: float) -> str:
    with pytest.raises(PhotoError) as caught:
        decode_photo(data, **limits)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


def pillow_file(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **options)
    return file.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def png16(pixels: np.ndarray, colour: int, *extra: bytes) -> bytes:
    """A 16-bit PNG of any colour type, written by hand."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = png_header(pixels.shape[1], pixels.shape[0], 16, colour)
    return header + b"".join(extra) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def whole_files(samples) -> dict[str, bytes]:
    """One valid small file of each kind, with profile and EXIF."""
    deep, shallow = samples.pixels(4, np.uint16), samples.pixels(3)
    files = {
        kind: samples.file(kind, deep if "16" in kind else shallow, icc=samples.srgb(), exif=samples.exif(6))
        for kind in ("JPEG", "PNG", "TIFF", "WEBP", "PNG16", "TIFF16")
    }
    files["BMP"] = samples.file("BMP", shallow)
    files["progressive JPEG"] = pillow_file(Image.fromarray(shallow), "JPEG", progressive=True)
    files["raw TIFF"] = samples.file("TIFF16", shallow)
    return files


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("profile", ["srgb", "wide", None])
@pytest.mark.parametrize(("kind", "channels"), KINDS)
def test_that_a_photo_is_upright_once_with_its_profile_and_alpha(
    samples, turn, tmp_path, kind, channels, profile, orientation
):
    icc = getattr(samples, profile)() if profile else None
    stored = samples.pixels(channels, np.uint16 if "16" in kind else np.uint8)
    data = samples.file(kind, stored, icc=icc, exif=samples.exif(orientation, ">" if orientation % 2 else "<"))
    if kind == "JPEG":
        stored = np.asarray(Image.open(io.BytesIO(data)))
    expected = turn(stored, orientation)

    photo = decode_photo(data)

    assert np.array_equal(photo.full, expected[..., :3]) and photo.full.dtype == stored.dtype
    assert photo.icc == icc
    assert (photo.alpha is None) == (channels == 3)
    assert photo.alpha is None or np.array_equal(photo.alpha, expected[..., 3])
    assert (photo.size, photo.rgb8.dtype) == (expected.shape[:2], np.uint8)
    for name in ("again.png", "again.tif"):
        save_photo(tmp_path / name, photo.full, photo)
        again = load_photo(tmp_path / name)
        assert np.array_equal(again.full, photo.full) and again.icc == icc
        assert photo.alpha is None or np.array_equal(again.alpha, photo.alpha)
        assert Image.open(io.BytesIO((tmp_path / name).read_bytes())).getexif().get(0x0112, 1) == 1


def test_that_the_original_file_stays_at_hand(samples, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(samples.file("PNG", samples.pixels(3)))
    photo = load_photo(path)
    assert photo.source_bytes == path.read_bytes()
    assert photo.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (photo.path, photo.format) == (path, "PNG")
    assert photo.full is photo.rgb8


def test_that_the_eight_bit_view_is_the_nearest_and_exact_for_widened_values():
    values = np.arange(65536, dtype=np.uint16)
    view = to_eight_bit(values)
    assert np.array_equal(view, np.round(values / 257).astype(np.uint8))
    assert np.array_equal(to_eight_bit(np.arange(256, dtype=np.uint16) * 257), np.arange(256))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_that_every_png_mode_looks_as_pillow_shows_it(samples, mode):
    image = Image.fromarray(samples.pixels(4 if "A" in mode else 3)).convert(mode)
    photo = decode_photo(pillow_file(image))
    assert np.array_equal(photo.rgb8, np.asarray(image.convert("RGB")))
    assert (photo.alpha is not None) == (mode in ("LA", "RGBA"))


def test_that_palette_transparency_becomes_alpha(samples):
    image = Image.fromarray(samples.pixels(3)).quantize(16)
    data = pillow_file(image, transparency=3)
    assert np.array_equal(decode_photo(data).alpha, np.where(np.asarray(image) == 3, 0, 255))


@pytest.mark.parametrize("channels", [1, 3])
def test_that_a_transparent_colour_of_a_sixteen_bit_png_becomes_alpha(samples, channels):
    pixels = samples.pixels(channels, np.uint16)
    key = chunk(b"tRNS", np.atleast_1d(pixels[2, 5]).astype(">u2").tobytes())
    photo = decode_photo(png16(pixels, 0 if channels == 1 else 2, key))
    expected = np.full(pixels.shape[:2], 65535)
    expected[2, 5] = 0
    assert np.array_equal(photo.alpha, expected)
    assert np.array_equal(photo.full, np.atleast_3d(pixels) + np.zeros(3, np.uint16))


def test_that_sixteen_bit_grey_with_alpha_keeps_every_bit(samples):
    pixels = samples.pixels(2, np.uint16)
    photo = decode_photo(png16(pixels, 4))
    assert (photo.full == pixels[..., :1]).all() and np.array_equal(photo.alpha, pixels[..., 1])


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_that_cmyk_becomes_srgb_by_its_own_profile(samples, kind):
    image = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    photo = decode_photo(pillow_file(image, kind, icc_profile=samples.grey_inks()))
    red, green, blue = (int(value) for value in photo.rgb8[4, 4])
    assert max(red, green, blue) - min(red, green, blue) <= 2 and 170 < red < 200  # L* 75, not cyan
    assert photo.icc[16:20] == b"RGB "


def test_that_cmyk_without_a_usable_profile_is_still_opened(samples):
    image = Image.fromarray(samples.pixels(4), "CMYK")
    for icc in (None, b"not a profile", samples.srgb()):
        photo = decode_photo(pillow_file(image, "TIFF", **({"icc_profile": icc} if icc else {})))
        assert np.array_equal(photo.rgb8, np.asarray(image.convert("RGB"))) and photo.icc is None


def test_that_a_grey_profile_is_not_put_on_rgb_pixels(samples):
    grey = samples.srgb()[:16] + b"GRAY" + samples.srgb()[20:]
    photo = decode_photo(samples.file("PNG", samples.pixels(1), icc=grey))
    assert photo.icc is None


def test_that_associated_alpha_is_divided_out(samples):
    alpha = np.maximum(samples.pixels(1, np.uint16, seed=1), 1)
    colours = np.minimum(samples.pixels(3, np.uint16), alpha[..., None])
    pixels = np.dstack([colours, alpha])
    photo = decode_photo(tiff(pixels, photometric="rgb", extrasamples=["assocalpha"]))
    assert np.array_equal(photo.alpha, alpha)
    assert np.abs(photo.full * (alpha[..., None] / 65535) - colours).max() <= 0.51


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", None])
@pytest.mark.parametrize("order", ["<", ">"])
def test_that_compressed_sixteen_bit_grey_tiff_keeps_every_bit(samples, compression, order):
    pixels = samples.pixels(1, np.uint16)
    file = io.BytesIO()
    if order == "<":
        Image.fromarray(pixels).save(file, "TIFF", compression=compression)
    else:
        tifffile.imwrite(
            file,
            pixels,
            byteorder=order,
            predictor=compression == "tiff_adobe_deflate",
            **({"compression": "zlib"} if compression == "tiff_adobe_deflate" else {}),
        )
    assert (decode_photo(file.getvalue()).full == pixels[..., None]).all()


def test_that_depths_that_cannot_be_kept_are_refused_with_the_reason(samples):
    deep = samples.pixels(4, np.uint16)
    cases = {
        "float": tiff(samples.pixels(1).astype(np.float32)),
        "float RGB": tiff(samples.pixels(3).astype(np.float32), photometric="rgb"),
        "32-bit": tiff(samples.pixels(1).astype(np.int32)),
        "32-bit RGB": tiff(samples.pixels(3).astype(np.uint32), photometric="rgb"),
        "signed": tiff(samples.pixels(1).astype(np.int16)),
        "16-bit CMYK": tiff(deep, photometric="separated"),
        "16-bit planar": tiff(np.ascontiguousarray(deep[..., :3].transpose(2, 0, 1)), photometric="rgb"),
        "16-bit grey with alpha": tiff(deep[..., :2], photometric="minisblack", extrasamples=["unassalpha"]),
        "16-bit inverted grey": tiff(deep[..., 0], photometric="miniswhite"),
    }
    for name, data in cases.items():
        assert "RGB" in (message := one_line_error(data)) or "8 or 16" in message, name


def test_that_the_first_frame_of_an_animation_is_opened(samples):
    frames = [Image.fromarray(samples.pixels(3, seed=seed)) for seed in (0, 1)]
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        data = pillow_file(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert np.array_equal(decode_photo(data).rgb8, samples.pixels(3))


def test_that_paths_without_a_photo_give_one_clear_line(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "notes.png").write_bytes(b"just some text\n")
    for name, reason in (
        ("absent.png", "does not exist"),
        (".", "is not a file"),
        ("empty.png", "is empty"),
        ("notes.png", "is not a JPEG, PNG, TIFF, WebP or BMP"),
        ("nul\0.png", "does not exist"),
        ("line\nbreak.png", "does not exist"),
    ):
        with pytest.raises(PhotoError, match=reason) as caught:
            load_photo(f"{tmp_path}/{name}")
        assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_that_an_unreadable_file_gives_one_clear_line(samples, tmp_path, monkeypatch):
    (tmp_path / "photo.png").write_bytes(samples.file("PNG", samples.pixels(3)))

    def denied(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", denied)
    with pytest.raises(PhotoError, match="Permission denied"):
        load_photo(tmp_path / "photo.png")


@pytest.mark.parametrize("size", [(20000, 20000), (10001, 10000), (2**31 - 1, 2**31 - 1)])
def test_that_too_many_pixels_are_refused_from_the_header(size, monkeypatch):
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    monkeypatch.setattr("cv2.imdecode", lambda *_: pytest.fail("decoded"))
    for depth in (8, 16):
        data = png_header(*size, depth) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
        assert "100 megapixels" in one_line_error(data)


def test_that_the_limit_is_the_one_given(samples):
    data = samples.file("PNG", samples.pixels(3))
    pixels = samples.height * samples.width
    assert decode_photo(data, max_megapixels=pixels / 1e6).size == (samples.height, samples.width)
    one_line_error(data, max_megapixels=(pixels - 1) / 1e6)


def test_that_pillows_limit_is_as_before_afterwards():
    before = Image.MAX_IMAGE_PIXELS
    one_line_error(png_header(20000, 20000))
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    "kind", ["JPEG", "progressive JPEG", "PNG", "TIFF", "raw TIFF", "WEBP", "BMP", "PNG16", "TIFF16"]
)
def test_that_half_a_picture_is_never_shown(whole_files, kind):
    whole = decode_photo(whole_files[kind])
    data = whole_files[kind]
    for length in {*range(0, len(data), 7), *range(max(0, len(data) - 60), len(data))}:
        try:
            photo = decode_photo(data[:length])
        except PhotoError:
            continue
        assert np.array_equal(photo.full, whole.full), f"{length} of {len(data)} bytes"


def test_that_a_sixteen_bit_png_with_rows_missing_is_refused_though_its_check_sums_are_right():
    rows = zlib.compress(b"\0" * (1 + 30 * 6) * 19)
    one_line_error(png_header(30, 20, 16) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "PNG16", "TIFF16"])
def test_that_damaged_files_give_only_photo_errors(whole_files, kind):
    data = whole_files[kind]
    chance = random.Random(kind)
    for _ in range(250):
        mutated = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 4, 16))):
            # Half of the hits near the start, where headers and directories are.
            at = chance.randrange(min(len(mutated), chance.choice((200, len(mutated)))))
            mutated[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        if chance.random() < 0.2:
            start = chance.randrange(len(mutated))
            del mutated[start : start + chance.randrange(1, 40)]
        try:
            decode_photo(bytes(mutated), max_megapixels=1)
        except PhotoError as error:
            assert "\n" not in str(error)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"RIFF", b"BM"]), st.binary()
)
def test_that_garbage_gives_only_photo_errors(start, garbage):
    one_line_error(start + garbage)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_that_damaged_exif_never_costs_the_photo(samples, data):
    block = bytearray(samples.exif(6))
    for _ in range(data.draw(st.integers(1, 8))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(0, len(block)))
    photo = decode_photo(samples.file("PNG", samples.pixels(3), exif=bytes(block[:length])))
    assert photo.rgb8.shape[2] == 3
