"""Profiles on the way to the screen, against Qt's own colour conversion."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PySide6.QtGui import QColorSpace

from app.io.pictures.screen_colors import ScreenColors
from app.ui.look import images

WIDE = (QColorSpace.NamedColorSpace.AdobeRgb, QColorSpace.NamedColorSpace.DisplayP3)


def profile(space: QColorSpace.NamedColorSpace) -> bytes:
    return bytes(QColorSpace(space).iccProfile().data())


def some_pixels(height: int = 40, width: int = 50) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("space", WIDE)
def test_that_wide_gamut_colours_come_out_as_qt_converts_them(space: QColorSpace.NamedColorSpace) -> None:
    rgb = some_pixels()
    image = images.rgb_image(rgb)
    image.setColorSpace(QColorSpace(space))
    image.convertToColorSpace(QColorSpace(QColorSpace.NamedColorSpace.SRgb))
    before = rgb.copy()
    shown = ScreenColors(profile(space)).convert(rgb)
    assert np.abs(shown.astype(int) - images.to_rgb(image)).max() <= 1
    assert np.abs(shown.astype(int) - rgb).max() > 50
    assert np.array_equal(rgb, before), "the document's values stay"


@pytest.mark.parametrize("icc", [None, b"", b"no profile", profile(QColorSpace.NamedColorSpace.SRgb)])
def test_that_srgb_no_profile_and_a_broken_one_leave_the_values_alone(icc: bytes | None) -> None:
    rgb = some_pixels()
    colors = ScreenColors(icc)
    assert colors.convert(rgb) is rgb and colors.plain


@pytest.mark.parametrize("seed", range(40))
def test_that_a_damaged_profile_is_no_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(profile(WIDE[0]))
    for place in rng.integers(0, len(data), 12):
        data[place] = rng.integers(0, 256)
    shown = ScreenColors(bytes(data[: rng.integers(100, len(data) + 1)])).convert(some_pixels())
    assert shown.shape == (40, 50, 3) and shown.dtype == np.uint8


@pytest.mark.parametrize("space", WIDE)
def test_that_what_is_drawn_gets_the_photos_values(space: QColorSpace.NamedColorSpace) -> None:
    """sRGB colours, all of which these profiles hold, come back as they were."""
    drawn, colors = some_pixels(), ScreenColors(profile(space))
    values = colors.restore(drawn)
    assert np.abs(values.astype(int) - drawn).max() > 20
    assert np.abs(colors.convert(values).astype(int) - drawn).mean() < 1
    assert ScreenColors(None).restore(drawn) is drawn


def test_that_a_part_of_a_picture_is_converted_as_in_the_whole() -> None:
    rgb, colors = some_pixels(), ScreenColors(profile(WIDE[1]))
    assert np.array_equal(colors.convert(rgb)[7:9, 5:30], colors.convert(rgb[7:9, 5:30]))


def test_that_a_tile_is_converted_in_little_time() -> None:
    """Prints the time of one 512² tile."""
    rgb, colors, times = some_pixels(512, 512), ScreenColors(profile(WIDE[0])), []
    for _ in range(10):
        started = time.perf_counter()
        colors.convert(rgb)
        times.append(time.perf_counter() - started)
    print(f"colours of a 512² tile: median {sorted(times)[5] * 1000:.1f} ms")
    assert min(times) < 0.1
