"""Saving an edited photo: nothing lost that the format can hold, nothing private told, AI edits marked."""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

from ..atomic import write_atomically
from ..errors import ExportError, one_line
from . import png
from .depth import to_eight_bit, to_sixteen_bit
from .exif import parse
from .photo import Photo

_KINDS = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".jpg": "JPEG", ".jpeg": "JPEG"}
_TIFF_XMP = 700
_JPEG_EXIF_LIMIT = 65533 - 6  # one APP1 segment less its "Exif\0\0"

# IPTC photo metadata standard 2023.2, "Digital Source Type": a real photo with parts from a trained model.
XMP_AI_EDITED = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
    "<Iptc4xmpExt:DigitalSourceType>"
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
    "</Iptc4xmpExt:DigitalSourceType></rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="w"?>'
).encode()


@dataclass(frozen=True)
class ExportOptions:
    """quality: of JPEG, 1…100. bits: 8 or 16 a channel, 0 as the photo. keep_private: place, owner, serial numbers,
    comments, maker notes and the old thumbnail stay in the EXIF data."""

    quality: int = 95
    bits: int = 0
    keep_private: bool = False


def save_photo(
    path: str | os.PathLike[str],
    image: np.ndarray,
    photo: Photo,
    *,
    quality: int = 95,
    keep_private: bool = False,
    ai_edited: bool = True,
) -> list[str]:
    """Write `image`, an edit of `photo`, to `path` in one step; the suffix chooses PNG, TIFF or JPEG.

    image: (H, W, 3) uint8 or uint16, of the photo's size. PNG and TIFF hold exactly these values, with the photo's
    alpha; JPEG holds 8 bits and no alpha. The ICC profile is kept byte for byte. quality: of JPEG, 1…100.
    keep_private: also keep the EXIF fields that tell place, owner, serial numbers, comments, maker notes and the old
    thumbnail. ai_edited: mark the file (XMP) as partly generated. XMP and IPTC of the source are never copied.

    Returns one sentence for each thing that the format could not hold.
    Raises ExportError; the file that was at `path` is then untouched.
    """
    if image.shape != photo.rgb8.shape or image.dtype not in (np.uint8, np.uint16):
        what = f"got a {image.dtype} picture {image.shape} for a photo {photo.rgb8.shape}"
        raise ExportError(one_line(path, what, "save 8- or 16-bit RGB of the photo's size"))
    kind = _KINDS.get(Path(path).suffix.lower())
    if kind is None:
        raise ExportError(one_line(path, "has a suffix that cannot be saved", "use .png, .tif or .jpg"))
    notes: list[str] = []
    exif = _exif_to_write(photo, keep_private)
    xmp = XMP_AI_EDITED if ai_edited else None
    try:
        if kind == "PNG":
            data = encode_png(with_alpha(image, photo), photo.icc, exif, xmp)
        elif kind == "TIFF":
            data = _tiff(with_alpha(image, photo), photo.icc, exif, xmp)
        else:
            notes = _losses_of_jpeg(image, photo, exif)
            data = _jpeg(to_eight_bit(image), photo.icc, exif, xmp, quality)
    except (cv2.error, OSError, ValueError, struct.error) as error:
        raise ExportError(one_line(path, f"cannot be encoded ({error})", "save it in another format")) from error
    write_atomically(path, data)
    return notes


def has_private_fields(photo: Photo) -> bool:
    """Whether its EXIF data tells more than `save_photo` keeps by itself."""
    return photo.exif is not None and _exif_to_write(photo, False) != photo.exif


def _exif_to_write(photo: Photo, keep_private: bool) -> bytes | None:
    fields = parse(photo.exif) if photo.exif else None
    if fields is None or keep_private:
        return photo.exif
    public = fields.public()
    return public.to_bytes() if public.main or public.camera else None


def with_alpha(image: np.ndarray, photo: Photo) -> np.ndarray:
    """(H, W, 3) or, with the photo's alpha at the picture's depth, (H, W, 4)."""
    if photo.alpha is None:
        return image
    alpha = to_sixteen_bit(photo.alpha) if image.dtype == np.uint16 else to_eight_bit(photo.alpha)
    return np.dstack([image, alpha])


def encode_png(
    pixels: np.ndarray, icc: bytes | None = None, exif: bytes | None = None, xmp: bytes | None = None
) -> bytes:
    """(H, W, 3) or (H, W, 4) uint8 or uint16 as the bytes of a PNG file."""
    to_bgr = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    _, encoded = cv2.imencode(".png", cv2.cvtColor(pixels, to_bgr))
    chunks = []
    if icc:
        chunks.append(png.icc_chunk(icc))
    if exif:
        chunks.append((b"eXIf", exif))
    if xmp:
        chunks.append(png.xmp_chunk(xmp))
    return png.insert_chunks(encoded.tobytes(), chunks)


def _tiff(pixels: np.ndarray, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> bytes:
    fields = parse(exif) if exif else None
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        pixels,
        byteorder=fields.order if fields else "<",
        bigtiff=False,  # many programs cannot read it, nor could `add_to_tiff`
        photometric="rgb",
        extrasamples=["unassalpha"] if pixels.shape[2] == 4 else None,
        compression="zlib",
        compressionargs={"level": 1},  # level 6 takes seven times as long for 5 % less
        predictor=True,
        iccprofile=icc,
        extratags=[(_TIFF_XMP, "B", len(xmp), xmp, True)] if xmp else None,
        metadata=None,
        software=False,
    )
    return fields.add_to_tiff(file.getvalue()) if fields else file.getvalue()


def _losses_of_jpeg(image: np.ndarray, photo: Photo, exif: bytes | None) -> list[str]:
    notes = []
    if photo.alpha is not None:
        notes.append("JPEG has no transparency; it was left out.")
    if image.dtype == np.uint16:
        notes.append("JPEG holds 8 bits a channel; the finer steps were left out.")
    if exif and len(exif) > _JPEG_EXIF_LIMIT:
        notes.append("The EXIF data is too long for JPEG; it was left out.")
    return notes


def _jpeg(image: np.ndarray, icc: bytes | None, exif: bytes | None, xmp: bytes | None, quality: int) -> bytes:
    options: dict[str, bytes] = {}
    if icc:
        options["icc_profile"] = icc
    if exif and len(exif) <= _JPEG_EXIF_LIMIT:
        options["exif"] = b"Exif\0\0" + exif
    if xmp:
        options["xmp"] = xmp
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling=0, **options)
    return file.getvalue()
