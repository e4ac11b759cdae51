"""Small photos of every kind, written with the libraries' own writers rather than with app.io."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

SECRETS = (b"SERIAL-4711", b"Jane Owner", b"/home/jane", b"THUMBNAIL-BYTES", b"MAKERNOTE")


@dataclass(frozen=True)
class Samples:
    """height, width: of every sample as stored in the file."""

    height: int = 11
    width: int = 17

    def pixels(self, channels: int, dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
        shape = (self.height, self.width, channels) if channels > 1 else (self.height, self.width)
        return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)

    def srgb(self) -> bytes:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        return profile[:24] + bytes(12) + profile[36:]  # without the time of its making

    def wide(self) -> bytes:
        """A second valid RGB profile: sRGB with the red primary of Display P3."""
        profile = bytearray(self.srgb())
        for at in range(132, 132 + 12 * struct.unpack_from(">I", profile, 128)[0], 12):
            name, offset, _ = struct.unpack_from(">4sII", profile, at)
            if name == b"rXYZ":
                struct.pack_into(">3i", profile, offset + 8, 33754, 15804, -69)
        return bytes(profile)

    def grey_inks(self) -> bytes:
        """A CMYK printer profile whose four inks are all neutral grey: each darkens by the same amount of L*."""
        same = bytes(range(256))
        corners = [(round(255 - 63.75 * inks.bit_count()), 128, 128) for inks in range(16)]
        matrix = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
        table = b"mft1" + bytes((0, 0, 0, 0, 4, 3, 2, 0)) + matrix + same * 4 + bytes(sum(corners, ())) + same * 3
        at = 128 + 4 + 12
        header = bytearray(128)
        struct.pack_into(">I4sI4s4s4s", header, 0, at + len(table), b"lcms", 0x02100000, b"prtr", b"CMYK", b"Lab ")
        header[36:40] = b"acsp"
        struct.pack_into(">3i", header, 68, 63190, 65536, 54061)  # the D50 white of the connection space
        return bytes(header) + struct.pack(">I4sII", 1, b"A2B0", at, len(table)) + table

    def exif(self, orientation: int = 1, order: str = "<", secrets: bool = True) -> bytes:
        """An EXIF block; with `secrets` it holds each of SECRETS, a place and an embedded thumbnail."""
        exif = Image.Exif()
        exif.endian = order
        exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", "Model X", orientation
        exif[0x8298] = "(c) Studio"
        camera = exif.get_ifd(0x8769)
        camera[0x829A], camera[0x9003], camera[0xA434] = 0.004, "2024:05:06 07:08:09", "35mm F1.8"
        if not secrets:
            return exif.tobytes().removeprefix(b"Exif\0\0")
        exif[0x013B], exif[0x010E] = "Jane Owner", "/home/jane/photo.raw"
        camera[0x927C], camera[0xA431], camera[0xA430] = b"MAKERNOTE" * 5, "SERIAL-4711", "Jane Owner"
        camera[0x9286] = b"ASCII\0\0\0/home/jane/notes"
        exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 30.0), 3: "E", 4: (11.0, 34.0, 0.0)})
        block = bytearray(exif.tobytes().removeprefix(b"Exif\0\0"))
        block += b"\0" * (len(block) % 2)
        (first,) = struct.unpack_from(order + "I", block, 4)
        link = first + 2 + 12 * struct.unpack_from(order + "H", block, first)[0]
        struct.pack_into(order + "I", block, link, len(block))
        thumbnail, at = b"THUMBNAIL-BYTES", len(block) + 2 + 24 + 4
        block += struct.pack(order + "HHHIIHHIII", 2, 0x0201, 4, 1, at, 0x0202, 4, 1, len(thumbnail), 0) + thumbnail
        return bytes(block)

    def file(self, kind: str, pixels: np.ndarray, *, icc: bytes | None = None, exif: bytes | None = None) -> bytes:
        """kind: "JPEG", "PNG", "WEBP", "TIFF", "BMP" of 8-bit pixels; "PNG16", "TIFF16" of 16-bit pixels."""
        if kind == "TIFF16":
            return self._tiff16(pixels, icc, exif)
        file = io.BytesIO()
        options: dict = {"icc_profile": icc} if icc else {}
        if exif:
            options["exif"] = b"Exif\0\0" + exif
        if kind == "WEBP":
            options |= {"lossless": True, "exact": True}
        if kind != "PNG16":
            Image.fromarray(pixels).save(file, kind, **options)
            return file.getvalue()
        # A Pillow PNG with the chunks, around OpenCV's 16-bit header and pixels.
        Image.new("RGB", (1, 1)).save(file, "PNG", **options)
        swap = [2, 1, 0, 3][: pixels.shape[2]] if pixels.ndim == 3 else slice(None)
        deep = cv2.imencode(".png", np.ascontiguousarray(pixels[..., swap]))[1].tobytes()
        small = file.getvalue()
        return deep[:33] + small[33 : small.index(b"IDAT") - 4] + deep[33:]

    def _tiff16(self, pixels: np.ndarray, icc: bytes | None, exif: bytes | None) -> bytes:
        orientation = 1
        if exif:
            reader = Image.Exif()
            reader.load(exif)
            orientation = reader[0x0112]
        file = io.BytesIO()
        grey = pixels.ndim == 2
        tifffile.imwrite(
            file,
            pixels,
            photometric="minisblack" if grey else "rgb",
            extrasamples=["unassalpha"] if not grey and pixels.shape[2] == 4 else None,
            iccprofile=icc,
            extratags=[(274, "H", 1, orientation, True)],
            metadata=None,
            rowsperstrip=4,
        )
        return file.getvalue()


@pytest.fixture(scope="session")
def samples() -> Samples:
    return Samples()


@pytest.fixture(scope="session")
def secrets() -> tuple[bytes, ...]:
    return SECRETS


@pytest.fixture(scope="session")
def turn() -> Callable[[np.ndarray, int], np.ndarray]:
    """Pillow's reading of EXIF orientation, for arrays of any depth: it turns a picture of pixel numbers."""
    turns = Image.Transpose
    operation = {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }

    def apply(pixels: np.ndarray, orientation: int) -> np.ndarray:
        if orientation == 1:
            return pixels
        height, width = pixels.shape[:2]
        numbers = Image.fromarray(np.arange(height * width, dtype=np.int32).reshape(height, width))
        order = np.asarray(numbers.transpose(operation[orientation]))
        return pixels.reshape(height * width, *pixels.shape[2:])[order]

    return apply
