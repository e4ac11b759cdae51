"""A photo's colours as an sRGB screen shows them, for looking only: edits and exports keep the file's values."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

_STEPS = 9  # values a channel in the probe that tells whether a profile differs from sRGB
_UNSEEN = 1  # levels of difference that are rounding


class ScreenColors:
    """icc: the profile of the pixels. Without one, with sRGB or one that cannot be used, values stay as they are."""

    def __init__(self, icc: bytes | None) -> None:
        self._transform = None if not icc else _transform(icc)
        if self._transform is not None:
            probe = _probe()
            difference = np.abs(self.convert(probe).astype(np.int16) - probe)
            if difference.max() <= _UNSEEN:
                self._transform = None

    @property
    def plain(self) -> bool:
        """Whether values are shown as they are."""
        return self._transform is None

    def convert(self, rgb: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8, h and w ≥ 1, → the same in sRGB; the very same array when nothing is to be converted."""
        if self._transform is None:
            return rgb
        image = Image.fromarray(np.ascontiguousarray(rgb))
        ImageCms.applyTransform(image, self._transform, inPlace=True)
        return np.asarray(image)


def srgb_profile() -> bytes:
    """A profile that says sRGB, for files that should not leave it open."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _transform(icc: bytes) -> ImageCms.ImageCmsTransform | None:
    """Relative colorimetric with black point compensation, as photo editors show photos; None for a damaged profile."""
    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(icc)),
            ImageCms.createProfile("sRGB"),
            "RGB",
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _probe() -> np.ndarray:
    """(_STEPS², _STEPS, 3) uint8, evenly over all colours."""
    levels = np.linspace(0, 255, _STEPS).round().astype(np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, _STEPS, 3)
