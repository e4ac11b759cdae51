"""OpenRaster (.ora): the picture in layers, for Krita, GIMP and MyPaint.

https://www.openraster.org/baseline/file-layout-spec.html, version 0.0.5: a ZIP whose first
entry, stored, is `mimetype`.
"""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import dataclass
from xml.etree import ElementTree

import cv2
import numpy as np

from ..atomic import write_atomically
from .depth import to_eight_bit, to_sixteen_bit
from .photo import Photo
from .save import XMP_AI_EDITED, encode_png, with_alpha
from .screen_colors import srgb_profile

SUFFIX = ".ora"
_MIME = "image/openraster"
_THUMBNAIL = 256  # pixels of its longer side, as the specification asks for
_LABELS_OPACITY = 0.6


@dataclass(frozen=True)
class _Layer:
    name: str
    data: bytes
    x: int = 0
    y: int = 0
    hidden: bool = False
    opacity: float = 1.0


def save_ora(
    path: str | os.PathLike[str],
    picture: np.ndarray,
    painted: np.ndarray,
    photo: Photo,
    labels: np.ndarray,
    colors: np.ndarray,
) -> None:
    """Write the layers original, edit (transparent where nothing was painted) and label map (hidden) in one step.

    picture: (H, W, 3) uint8 or uint16, the edited photo. painted: (H, W) bool, what edits were asked to change.
    labels: (H, W) uint8 of the picture; colors: (N, 3) uint8 by label. The edit laid over the original is `picture`,
    bit for bit, wherever the photo is opaque or fully transparent. Edit and merged picture are marked (XMP) as partly
    generated; no EXIF data is written. Raises ExportError; what was at `path` is then untouched.
    """
    write_atomically(path, encode_ora(picture, painted, photo, labels, colors))


def encode_ora(picture: np.ndarray, painted: np.ndarray, photo: Photo, labels: np.ndarray, colors: np.ndarray) -> bytes:
    """The bytes of the file; see `save_ora`."""
    original = to_sixteen_bit(photo.full) if picture.dtype == np.uint16 else to_eight_bit(photo.full)
    # of a 16-bit layer without a profile, Krita asks which one it has, for every layer again
    icc = photo.icc or (srgb_profile() if picture.dtype == np.uint16 else None)
    layers = [_Layer("Label map", _label_picture(labels, colors), hidden=True, opacity=_LABELS_OPACITY)]
    if painted.any():
        layers.append(_edit(picture, painted, photo, icc))
    layers.append(_Layer("Original", encode_png(with_alpha(original, photo), icc)))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as pack:
        pack.writestr("mimetype", _MIME)
        pack.writestr("stack.xml", _stack(picture.shape[1], picture.shape[0], layers), zipfile.ZIP_DEFLATED)
        for number, layer in enumerate(layers):
            pack.writestr(_source(number), layer.data)
        xmp = XMP_AI_EDITED if painted.any() else None
        pack.writestr("mergedimage.png", encode_png(with_alpha(picture, photo), icc, xmp=xmp))
        pack.writestr("Thumbnails/thumbnail.png", _thumbnail(to_eight_bit(picture)))
    return file.getvalue()


def _source(number: int) -> str:
    return f"data/layer{number}.png"


def _edit(picture: np.ndarray, painted: np.ndarray, photo: Photo, icc: bytes | None) -> _Layer:
    """The painted pixels, cut to their box."""
    rows, columns = np.flatnonzero(painted.any(1)), np.flatnonzero(painted.any(0))
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    pixels = with_alpha(picture, photo)[box]
    opaque = np.full(painted[box].shape, np.iinfo(picture.dtype).max, picture.dtype)
    alpha = np.where(painted[box], pixels[..., 3] if photo.alpha is not None else opaque, 0).astype(picture.dtype)
    data = encode_png(np.dstack([pixels[..., :3], alpha]), icc, xmp=XMP_AI_EDITED)
    return _Layer("Scenebrush edit", data, box[1].start, box[0].start)


def _label_picture(labels: np.ndarray, colors: np.ndarray) -> bytes:
    table = np.zeros((256, 3), np.uint8)
    table[: len(colors)] = colors
    return encode_png(table[labels])


def _thumbnail(picture: np.ndarray) -> bytes:
    height, width = picture.shape[:2]
    scale = min(1.0, _THUMBNAIL / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return encode_png(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _stack(width: int, height: int, layers: list[_Layer]) -> bytes:
    image = ElementTree.Element("image", version="0.0.5", w=str(width), h=str(height))
    stack = ElementTree.SubElement(image, "stack")
    for number, layer in enumerate(layers):
        ElementTree.SubElement(
            stack,
            "layer",
            name=layer.name,
            src=_source(number),
            x=str(layer.x),
            y=str(layer.y),
            opacity=f"{layer.opacity:g}",
            visibility="hidden" if layer.hidden else "visible",
        )
    return ElementTree.tostring(image, encoding="UTF-8", xml_declaration=True)
