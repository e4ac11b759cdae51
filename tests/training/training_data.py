"""A small synthetic data folder: photos whose colours tell their labels, loose or in tar packs."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers import LABELS


def pair(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Photo (H, W, 3) and labels (H, W) uint8; the red of a photo is 40 times its label, within the noise of JPEG."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, LABELS, (5, 6)).astype(np.uint8)
    labels = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST))
    ramp = np.linspace(0, 255, width).astype(np.uint8)[None].repeat(height, 0)
    photo = np.stack([labels * 40, ramp, ramp[:, ::-1]], 2)
    return photo, labels


def files(seed: int, height: int, width: int) -> tuple[bytes, bytes]:
    """The JPEG and the PNG of a pair."""
    photo, labels = pair(seed, height, width)
    jpeg, png = io.BytesIO(), io.BytesIO()
    Image.fromarray(photo).save(jpeg, "JPEG", quality=97, subsampling=0)
    Image.fromarray(labels).save(png, "PNG")
    return jpeg.getvalue(), png.getvalue()


def write_loose(
    folder: Path, names: Sequence[str], size: tuple[int, int] = (300, 280), val: Sequence[str] | None = None
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        jpeg, png = files(number, *size)
        (folder / f"{name}.jpg").write_bytes(jpeg)
        (folder / f"{name}.png").write_bytes(png)
    if val is not None:
        (folder / "split.json").write_text(json.dumps({"val": list(val)}))
    return folder


def write_pack(
    folder: Path, names: Sequence[str], size: tuple[int, int] = (300, 280), val: Sequence[str] | None = None
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "pack-00.tar", "w") as tar:
        for number, name in enumerate(names):
            for suffix, content in zip((".jpg", ".png"), files(100 + number, *size), strict=True):
                info = tarfile.TarInfo(f"{name}{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    if val is not None:
        (folder / "split.json").write_text(json.dumps({"val": list(val)}))
    return folder
