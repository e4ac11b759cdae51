"""A photo's colours in sRGB, as the screen shows them and the model draws them; the file keeps its own values."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

_STEPS = 9  # values a channel in the probe that tells whether a profile differs from sRGB
_UNSEEN = 1  # levels of difference that are rounding


class ScreenColors:
    """icc: the profile of the pixels. Without one, with sRGB or one that cannot be used, values stay as they are."""

    def __init__(self, icc: bytes | None) -> None:
        self._transform, self._back = (None, None) if not icc else _transforms(icc)
        if self._transform is not None:
            probe = _probe()
            difference = np.abs(self.convert(probe).astype(np.int16) - probe)
            if difference.max() <= _UNSEEN:
                self._transform = self._back = None

    @property
    def plain(self) -> bool:
        """Whether values are shown as they are."""
        return self._transform is None

    def convert(self, rgb: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8, h and w ≥ 1, → the same in sRGB; the very same array when nothing is to be converted."""
        return _applied(self._transform, rgb)

    def restore(self, rgb: np.ndarray) -> np.ndarray:
        """sRGB (h, w, 3) uint8 → values of the photo; the very same array when nothing is to be converted."""
        return _applied(self._back, rgb)


def _applied(transform: ImageCms.ImageCmsTransform | None, rgb: np.ndarray) -> np.ndarray:
    if transform is None:
        return rgb
    image = Image.fromarray(np.ascontiguousarray(rgb))
    ImageCms.applyTransform(image, transform, inPlace=True)
    return np.asarray(image)


def srgb_profile() -> bytes:
    """A profile that says sRGB, for files that should not leave it open."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _transforms(icc: bytes) -> tuple[ImageCms.ImageCmsTransform | None, ImageCms.ImageCmsTransform | None]:
    """To sRGB and back: relative colorimetric with black point compensation, as photo editors show photos.

    None for a damaged profile, and for the way back of one that has none.
    """
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        there = _transform(own, srgb)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None, None
    try:
        return there, _transform(srgb, own)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return there, None


def _transform(source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile) -> ImageCms.ImageCmsTransform:
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return ImageCms.buildTransform(source, target, "RGB", "RGB", intent, ImageCms.Flags.BLACKPOINTCOMPENSATION)


def _probe() -> np.ndarray:
    """(_STEPS², _STEPS, 3) uint8, evenly over all colours."""
    levels = np.linspace(0, 255, _STEPS).round().astype(np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, _STEPS, 3)
