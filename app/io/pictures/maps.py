"""Label maps as indexed PNG, and masks as any lossless picture."""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from ..atomic import write_atomically
from ..errors import MapError, PhotoError, one_line
from . import png
from .photo import load_photo, pillow_limit

_LOSSLESS = ("PNG", "TIFF", "BMP")


def load_index_map(path: str | os.PathLike[str], size: tuple[int, int], what: str = "label map") -> np.ndarray:
    """The indices in the PNG at `path`; see `decode_index_map`."""
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        detail = getattr(error, "strerror", None) or str(error)
        raise MapError(one_line(path, f"the {what} cannot be read ({detail})", "check the path")) from error
    return decode_index_map(data, size, what, path)


def decode_index_map(
    data: bytes, size: tuple[int, int], what: str = "label map", path: str | os.PathLike[str] | None = None
) -> np.ndarray:
    """The indices of a palette or 8-bit grey PNG, (H, W) uint8; a palette's colours play no part.

    size: the photo's (height, width). what: what the map is, and path: where it came from, for messages.
    Raises MapError.
    """
    where, advice = path or what, "save it as PNG with a palette or 8-bit grey"
    try:
        if png.is_png(data):
            _check_size(where, what, png.dimensions(data), size)
        with pillow_limit(size[0] * size[1]), Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            png.read_chunks(data)
            if image.mode != "P" and (image.mode, png.bit_depth(data)) != ("L", 8):
                raise MapError(one_line(where, f"the {what} holds colours instead of indices", advice))
            return np.array(image)
    except MapError:
        raise
    except Exception as error:  # decoders raise anything on hostile bytes
        raise MapError(one_line(where, f"the {what} is damaged or not a PNG", advice)) from error


def load_mask(path: str | os.PathLike[str], size: tuple[int, int]) -> np.ndarray:
    """Where a PNG, TIFF or BMP has a colour other than black and is not fully transparent, (H, W) bool.

    size: the photo's (height, width). Raises MapError.
    """
    try:
        picture = load_photo(path, max_megapixels=max(100.0, size[0] * size[1] / 1e6))
    except PhotoError as error:
        raise MapError(str(error)) from error
    if picture.format not in _LOSSLESS:
        what = f"the mask is a {picture.format}, which blurs its edges"
        raise MapError(one_line(path, what, "save it as PNG"))
    _check_size(path, "mask", picture.size, size)
    mask: np.ndarray = np.any(picture.full, axis=2)
    return mask if picture.alpha is None else mask & (picture.alpha > 0)


def save_index_map(path: str | os.PathLike[str], index_map: np.ndarray, colors: np.ndarray) -> None:
    """Write `encode_index_map(index_map, colors)` in one step.

    Raises ExportError; a file that was at `path` is then untouched.
    """
    write_atomically(path, encode_index_map(index_map, colors))


def encode_index_map(index_map: np.ndarray, colors: np.ndarray) -> bytes:
    """(H, W) uint8 indices as a PNG with a palette.

    colors: (N, 3) uint8, N <= 256, the colour of index 0…N-1; further indices are kept and shown black.
    """
    palette = np.zeros((256, 3), np.uint8)  # always whole: with a short palette Pillow packs, and cuts, the indices
    palette[: len(colors)] = colors
    image = Image.fromarray(index_map)
    image.putpalette(palette.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def packed(index_map: np.ndarray) -> bytes:
    """A label map (H, W) uint8 in little memory."""
    return zlib.compress(np.ascontiguousarray(index_map).tobytes(), 1)


def unpacked(data: bytes, size: tuple[int, int]) -> np.ndarray:
    """The map (height, width) uint8 that was packed. Raises MapError when it is another one."""
    unpacker, count = zlib.decompressobj(), size[0] * size[1]
    try:
        found = unpacker.decompress(data, count + 1)
    except zlib.error as error:
        raise MapError(one_line("label map", "is damaged", "use another copy")) from error
    if len(found) != count:
        raise MapError(one_line("label map", "has another size than its photo", "use another copy"))
    return np.frombuffer(found, np.uint8).reshape(size)


def _check_size(path: str | os.PathLike[str], what: str, found: tuple[int, int], expected: tuple[int, int]) -> None:
    if found != expected:
        sizes = f"the {what} is {found[1]}x{found[0]} but the photo is {expected[1]}x{expected[0]}"
        raise MapError(one_line(path, sizes, "use one of the photo's size"))
