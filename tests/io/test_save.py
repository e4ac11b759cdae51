from __future__ import annotations

import errno
import io
import os
import re
import resource
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from app.io.errors import ExportError
from app.io.pictures import exif
from app.io.pictures.photo import Photo, decode_photo, load_photo
from app.io.pictures.save import save_photo

AI_MARK = b"http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
SUFFIXES = [".png", ".tif", ".jpg"]
GPS, CAMERA = 0x8825, 0x8769


@pytest.fixture
def private_photo(samples) -> Photo:
    data = samples.file("JPEG", samples.pixels(3), icc=samples.wide(), exif=samples.exif(6))
    return decode_photo(data)


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def xmp_of(path: Path) -> bytes:
    """The XMP packet as independent readers find it."""
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as file:
            tag = file.pages[0].tags.get(700)
            return bytes(tag.value) if tag else b""
    return opened(path).info.get("xmp", b"")


def exif_of(path: Path) -> Image.Exif:
    return opened(path).getexif()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
def test_that_png_and_tiff_keep_every_bit_profile_and_alpha(samples, tmp_path, suffix, dtype, channels):
    kind = "PNG" if dtype == np.uint8 else "PNG16"
    photo = decode_photo(samples.file(kind, samples.pixels(channels, dtype), icc=samples.wide()))
    edited = samples.pixels(3, dtype, seed=5)
    path = tmp_path / f"out{suffix}"

    assert save_photo(path, edited, photo) == []

    again = load_photo(path)
    assert np.array_equal(again.full, edited) and again.full.dtype == dtype
    assert again.icc == samples.wide()
    assert (again.alpha is None) == (channels == 3)
    assert photo.alpha is None or np.array_equal(again.alpha, photo.alpha)
    if suffix != ".png":
        stored = tifffile.imread(path)
        assert np.array_equal(stored[..., :3], edited)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_that_sixteen_bit_files_keep_every_bit_through_open_and_save(samples, tmp_path, suffix):
    for kind in ("PNG16", "TIFF16"):
        photo = decode_photo(samples.file(kind, samples.pixels(4, np.uint16)))
        save_photo(tmp_path / f"a{suffix}", photo.full, photo)
        again = load_photo(tmp_path / f"a{suffix}")
        assert np.array_equal(np.dstack([again.full, again.alpha]), samples.pixels(4, np.uint16))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_that_a_default_export_tells_nothing_private(samples, secrets, private_photo, tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    save_photo(path, private_photo.full, private_photo)
    data = path.read_bytes()
    assert not [secret for secret in secrets if secret in data]
    written = exif_of(path)
    assert GPS not in written and not written.get_ifd(GPS)
    assert not written.get_ifd(1), "an embedded thumbnail"
    assert str(tmp_path).encode() not in data


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_that_a_default_export_keeps_how_the_photo_was_taken(samples, tmp_path, suffix, order):
    photo = decode_photo(samples.file("PNG", samples.pixels(3), exif=samples.exif(8, order)))
    path = tmp_path / f"out{suffix}"
    save_photo(path, photo.full, photo)
    written = exif_of(path)
    assert (written[0x010F], written[0x0110], written[0x8298]) == ("Maker", "Model X", "(c) Studio")
    camera = written.get_ifd(CAMERA)
    assert float(camera[0x829A]) == pytest.approx(0.004)
    assert (camera[0x9003], camera[0xA434]) == ("2024:05:06 07:08:09", "35mm F1.8")
    assert written.get(0x0112, 1) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_that_private_fields_are_kept_when_asked_for(samples, tmp_path, kind, suffix):
    photo = decode_photo(samples.file(kind, samples.pixels(3), exif=samples.exif(6)))
    path = tmp_path / f"out{suffix}"
    save_photo(path, photo.full, photo, keep_private=True)
    written = exif_of(path)
    assert [float(part) for part in written.get_ifd(GPS)[2]] == [48.0, 12.0, 30.0]
    assert written.get_ifd(CAMERA)[0xA431] == "SERIAL-4711"
    assert written[0x013B] == "Jane Owner"
    assert b"MAKERNOTE" in path.read_bytes()
    assert written.get(0x0112, 1) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_that_ai_edits_are_marked_unless_there_are_none(private_photo, tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    save_photo(path, private_photo.full, private_photo)
    assert re.search(b"<Iptc4xmpExt:DigitalSourceType>" + re.escape(AI_MARK), xmp_of(path))
    save_photo(path, private_photo.full, private_photo, ai_edited=False)
    assert not xmp_of(path) and AI_MARK not in path.read_bytes()


def test_that_jpeg_keeps_the_profile_and_says_what_it_cannot_hold(samples, tmp_path):
    photo = decode_photo(samples.file("PNG16", samples.pixels(4, np.uint16), icc=samples.wide()))
    notes = save_photo(tmp_path / "out.jpg", photo.full, photo)
    assert notes == [
        "JPEG has no transparency; it was left out.",
        "JPEG holds 8 bits a channel; the finer steps were left out.",
    ]
    again = load_photo(tmp_path / "out.jpg")
    assert again.icc == samples.wide() and again.size == photo.size and again.alpha is None


def test_that_jpeg_quality_is_the_one_asked_for(samples, tmp_path):
    photo = decode_photo(samples.file("PNG", samples.pixels(3)))
    sizes = []
    for quality in (20, 60, 95):
        save_photo(tmp_path / "out.jpg", photo.full, photo, quality=quality)
        sizes.append((tmp_path / "out.jpg").stat().st_size)
    assert sizes == sorted(set(sizes))


def test_that_exif_too_long_for_jpeg_is_left_out_with_a_note(samples, tmp_path):
    fields = exif.parse(samples.exif())
    comment = exif.Field(7, 70_000, bytes(70_000))
    long = exif.Exif(fields.order, fields.main, {**fields.camera, 0x9286: comment}, fields.gps).to_bytes()
    photo = decode_photo(samples.file("PNG", samples.pixels(3), exif=long))
    assert "too long" in save_photo(tmp_path / "out.jpg", photo.full, photo, keep_private=True)[0]
    assert not exif_of(tmp_path / "out.jpg")
    assert save_photo(tmp_path / "out.jpg", photo.full, photo) == []


def test_that_depths_of_picture_and_alpha_are_brought_together(samples, tmp_path):
    deep = decode_photo(samples.file("PNG16", samples.pixels(4, np.uint16)))
    save_photo(tmp_path / "a.png", deep.rgb8, deep)
    assert np.array_equal(load_photo(tmp_path / "a.png").full, deep.rgb8)
    shallow = decode_photo(samples.file("PNG", samples.pixels(4)))
    save_photo(tmp_path / "b.png", samples.pixels(3, np.uint16), shallow)
    assert np.array_equal(load_photo(tmp_path / "b.png").alpha, shallow.alpha.astype(np.uint16) * 257)


def test_that_what_cannot_be_saved_is_refused_with_one_line(samples, tmp_path):
    photo = decode_photo(samples.file("PNG", samples.pixels(3)))
    (tmp_path / "folder.png").mkdir()
    for name, image, reason in (
        ("out.gif", photo.full, "suffix"),
        ("out", photo.full, "suffix"),
        ("absent/out.png", photo.full, "folder does not exist"),
        ("folder.png", photo.full, "is a folder"),
        ("nul\0.png", photo.full, "could not be written"),
        ("out.png", photo.full[1:], "size"),
        ("out.png", photo.full.astype(np.float32), "float32"),
    ):
        with pytest.raises(ExportError, match=reason) as caught:
            save_photo(tmp_path / name, image, photo)
        assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.png"]


@pytest.mark.parametrize("step", ["fsync", "replace", "open"])
@pytest.mark.parametrize(("code", "reason"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "not writable")])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_that_a_failed_save_leaves_the_old_file_and_nothing_else(
    private_photo, tmp_path, monkeypatch, step, code, reason, suffix
):
    path = tmp_path / f"out{suffix}"
    path.write_bytes(b"the old bytes")

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch, pytest.raises(ExportError, match=reason) as caught:
        patch.setattr(os, step, fail)
        save_photo(path, private_photo.full, private_photo)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"the old bytes"
    assert list(tmp_path.iterdir()) == [path]


def test_that_a_write_cut_short_leaves_the_old_file_and_nothing_else(private_photo, tmp_path):
    path = tmp_path / "out.png"
    path.write_bytes(b"the old bytes")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(ExportError):
            save_photo(path, private_photo.full, private_photo)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"the old bytes"
    assert list(tmp_path.iterdir()) == [path]


def test_that_an_interrupted_save_leaves_no_temporary_file(private_photo, tmp_path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_photo(tmp_path / "out.png", private_photo.full, private_photo)
    assert list(tmp_path.iterdir()) == []


def test_that_links_and_permissions_survive_a_save(private_photo, tmp_path):
    target, link = tmp_path / "real.png", tmp_path / "link.png"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    save_photo(link, private_photo.full, private_photo)
    assert link.is_symlink() and target.stat().st_mode & 0o777 == 0o640
    assert np.array_equal(load_photo(target).full, private_photo.full)


def test_that_a_new_file_follows_the_umask(private_photo, tmp_path):
    (tmp_path / "plain").touch()
    save_photo(tmp_path / "out.png", private_photo.full, private_photo)
    assert (tmp_path / "out.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_that_saving_twice_gives_the_same_bytes(private_photo, tmp_path):
    for suffix in SUFFIXES:
        save_photo(tmp_path / f"a{suffix}", private_photo.full, private_photo)
        save_photo(tmp_path / f"b{suffix}", private_photo.full, private_photo)
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_that_pillow_decodes_the_png_without_complaint(private_photo, tmp_path):
    save_photo(tmp_path / "out.png", private_photo.full, private_photo)
    opened(tmp_path / "out.png").verify()
