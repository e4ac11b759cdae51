"""Opening a photo: upright pixels at the file's own depth, with its profile, transparency and EXIF."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from ..errors import PhotoError, one_line
from . import exif, png
from .depth import to_eight_bit
from .screen_colors import ScreenColors

_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")
_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_WITHOUT_ALPHA = ("1", "L", "P", "RGB", "RGBX", "YCbCr")
_TIFF_BITS, _TIFF_COLOURS, _TIFF_SAMPLES, _TIFF_PLANAR, _TIFF_EXTRA = 258, 262, 277, 284, 338
_pillow_limit_lock = threading.Lock()
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo as opened, upright, in the file's own colour values.

    rgb8: (H, W, 3) uint8. full: (H, W, 3) uint8 (the same object as rgb8) or uint16. alpha: (H, W) in full's dtype,
    not multiplied into the colours, or None. icc: the embedded profile, byte for byte, or None. exif: the EXIF block
    (see app.io.exif) with its orientation set to 1, or None. sha256 (hex) and source_bytes: of the file as it was.
    format: "JPEG", "PNG", "TIFF", "WEBP" or "BMP".
    """

    rgb8: np.ndarray = field(repr=False)
    full: np.ndarray = field(repr=False)
    alpha: np.ndarray | None = field(repr=False)
    icc: bytes | None = field(repr=False)
    exif: bytes | None = field(repr=False)
    path: Path | None
    sha256: str
    source_bytes: bytes = field(repr=False)
    format: str

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rgb8.shape[0], self.rgb8.shape[1]

    @cached_property
    def screen_colors(self) -> ScreenColors:
        """What shows this photo's pixels, or an edit of them, on the screen."""
        return ScreenColors(self.icc)

    @property
    def drawing_colors(self) -> ScreenColors | None:
        """What the model needs to draw in this photo's colours; None where its values are sRGB."""
        return None if self.screen_colors.plain else self.screen_colors


class _Refused(Exception):
    """(what, remedy) of a file that is understood and not accepted."""


def load_photo(path: str | os.PathLike[str], *, max_megapixels: float = 100.0) -> Photo:
    """Open the photo at `path`. max_megapixels: more is refused from the file's header, before decoding.

    Raises PhotoError, and nothing else, when there is no whole, readable photo.
    """
    try:
        largest = 64_000_000 + int(max_megapixels * 1e6) * 8  # four 16-bit channels, uncompressed, and metadata
        if not Path(path).is_file():
            what = "is not a file" if Path(path).exists() else "does not exist"
            raise PhotoError(one_line(path, what, "choose a photo"))
        if os.path.getsize(path) > largest:
            raise PhotoError(one_line(path, f"is larger than {largest // 10**6} MB", "choose a smaller photo"))
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        detail = getattr(error, "strerror", None) or str(error)
        raise PhotoError(one_line(path, f"cannot be read ({detail})", "check the file's permissions")) from error
    return decode_photo(data, Path(path), max_megapixels=max_megapixels)


def decode_photo(data: bytes, path: Path | None = None, *, max_megapixels: float = 100.0) -> Photo:
    """Open a photo from the bytes of its file; `path` is only recorded and named in errors. See `load_photo`."""
    damaged = "is damaged or incomplete", "use another copy of the file"
    try:
        with pillow_limit(round(max_megapixels * 1e6)):
            return _decode(data, path)
    except _Refused as refusal:
        what, remedy = refusal.args
        raise PhotoError(one_line(path, what, remedy)) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        what = f"has more than {max_megapixels:g} megapixels"
        raise PhotoError(one_line(path, what, "raise the limit in the settings or scale it down")) from error
    except UnidentifiedImageError as error:
        raise PhotoError(one_line(path, *_unidentified(data, damaged))) from error
    except MemoryError as error:
        raise PhotoError(one_line(path, "does not fit into memory", "close other programs or scale it down")) from error
    except Exception as error:  # decoders raise anything on hostile bytes: struct.error, KeyError, cv2.error…
        raise PhotoError(one_line(path, *damaged)) from error


@contextmanager
def pillow_limit(pixels: int) -> Iterator[None]:
    """Let Pillow itself refuse more pixels: it also checks TIFF tiles and WebP canvases before it allocates.

    Inside, Image.DecompressionBombWarning or -Error is raised above the limit.
    """
    with _pillow_limit_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged metadata, which is not needed
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _decode(data: bytes, path: Path | None) -> Photo:
    chunks: dict[bytes, bytes] = {}
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        if png.is_png(data):
            chunks = png.read_chunks(data)
        icc = image.info.get("icc_profile")
        block, orientation = _exif_of(image, data, chunks)
        if _is_sixteen_bit(image, data):
            full, alpha = _decode_sixteen_bit(image, data)
        elif image.mode == "CMYK":
            (full, icc), alpha = _convert_cmyk(image, icc), None
        else:
            full, alpha = _decode_eight_bit(image)
        file_format = "JPEG" if image.format == "MPO" else str(image.format)
    full = _upright(full, orientation)
    return Photo(
        rgb8=to_eight_bit(full),
        full=full,
        alpha=None if alpha is None else _upright(alpha, orientation),
        icc=icc if icc and icc[16:20] not in (b"GRAY", b"CMYK", b"Lab ") else None,  # the pixels are RGB now
        exif=block,
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        source_bytes=data,
        format=file_format,
    )


def _exif_of(image: Image.Image, data: bytes, chunks: dict[bytes, bytes]) -> tuple[bytes | None, int]:
    """The EXIF block with orientation 1, and the orientation still to be applied to the decoded pixels."""
    if image.format == "TIFF":
        fields = exif.parse(data)
        block = fields and exif.take_orientation(fields.to_bytes())[1]
        return block or None, 1  # both TIFF decoders, Pillow's and OpenCV's, turn the picture upright
    stored = chunks.get(b"eXIf") or image.info.get("exif")
    block = (stored or b"").removeprefix(b"Exif\0\0")
    if exif.parse(block) is None:
        return None, 1
    orientation, block = exif.take_orientation(block)
    return block, orientation


def _is_sixteen_bit(image: Image.Image, data: bytes) -> bool:
    if image.format == "PNG":
        return png.bit_depth(data) == 16
    if image.format != "TIFF":
        return False
    bits = set(image.tag_v2.get(_TIFF_BITS, (1,)))  # type: ignore[attr-defined]
    if not bits <= {1, 2, 4, 8, 16} or image.mode in ("I", "F"):
        kind = f"signed, floating-point or {max(bits)}-bit channels"
        raise _Refused(f"has {kind}", "save it with 8 or 16 unsigned bits a channel")
    return 16 in bits


def _decode_sixteen_bit(image: Image.Image, data: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    """By OpenCV: Pillow would cut 16-bit colours to 8."""
    tags = image.tag_v2 if image.format == "TIFF" else {}  # type: ignore[attr-defined]
    samples, extra = tags.get(_TIFF_SAMPLES, 1), tags.get(_TIFF_EXTRA, ())
    planar = tags.get(_TIFF_PLANAR, 1) != 1 and samples > 1
    if tags and (planar or (tags.get(_TIFF_COLOURS), samples) not in ((1, 1), (2, 3), (2, 4))):
        raise _Refused("has 16-bit colours stored in an unusual way", "save it as 16-bit RGB with interleaved channels")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("OpenCV cannot decode it")
    if pixels.dtype != np.uint16:
        raise _Refused("would lose its 16-bit depth", "save it as 16-bit PNG or uncompressed 16-bit TIFF")
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2), _grey_key_alpha(pixels, image.info.get("transparency"))
    colours = np.ascontiguousarray(pixels[..., 2::-1])
    if pixels.shape[2] == 3 or extra == (0,):
        return colours, None
    alpha = np.ascontiguousarray(pixels[..., 3])
    return (_divide_by(colours, alpha) if extra == (1,) else colours), alpha


def _grey_key_alpha(grey: np.ndarray, key: int | None) -> np.ndarray | None:
    """The one transparent grey of a PNG as alpha; OpenCV leaves it out."""
    return None if key is None else np.where(grey == key, 0, 65535).astype(np.uint16)


def _divide_by(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours without the alpha that was multiplied into them ("associated"), (H, W, 3) uint16."""
    divisor = np.maximum(alpha, 1).astype(np.uint32)[..., None]
    divided: np.ndarray = (colours.astype(np.uint32) * 65535 + divisor // 2) // divisor
    return divided.clip(max=65535).astype(np.uint16)


def _decode_eight_bit(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    if image.mode not in _WITH_ALPHA + _WITHOUT_ALPHA:
        raise _Refused(f"has colours of kind {image.mode}", "save it as RGB with 8 or 16 bits a channel")
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        pixels = np.asarray(image.convert("RGBA"))
        return np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])
    return np.array(image.convert("RGB")), None


def _convert_cmyk(image: Image.Image, icc: bytes | None) -> tuple[np.ndarray, bytes | None]:
    """CMYK → RGB (H, W, 3) uint8 and the profile it is in then: sRGB, or None when there was no usable one."""
    if icc:
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        try:
            converted = ImageCms.profileToProfile(image, io.BytesIO(icc), srgb, outputMode="RGB")
        except ImageCms.PyCMSError:
            pass  # a damaged profile: as if there were none
        else:
            return np.array(converted), srgb.tobytes()
    return np.array(image.convert("RGB")), None


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W, …) as the viewer should see it; orientation as in EXIF 2.32, tag 0x0112."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _unidentified(data: bytes, damaged: tuple[str, str]) -> tuple[str, str]:
    if not data:
        return "is empty", damaged[1]
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "is a kind of TIFF that cannot be read, or is damaged", "save it as RGB with 8 or 16 bits a channel"
    return "is not a JPEG, PNG, TIFF, WebP or BMP picture, or is damaged", "save it as PNG"
