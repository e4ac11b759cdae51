"""Photos to take textures from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.errors import RequestError

from .photo import PHOTO_SUFFIXES, Photo

MOST = 24  # photos that are read


def photos_in(path: Path) -> list[Path]:
    """The photo itself, or the first MOST photos of a folder; RequestError when it holds none."""
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in PHOTO_SUFFIXES)
    if not found:
        raise RequestError(f"{path}: holds no photos to take textures from; give one, or a folder of photos")
    return found[:MOST]


def named_pictures(photos: Sequence[Photo]) -> list[tuple[str, np.ndarray]]:
    """Their names and pictures (H, W, 3) uint8 sRGB, as `Reference.of` takes them."""
    return [(p.path.name if p.path else "the reference", p.screen_colors.convert(p.rgb8)) for p in photos]
