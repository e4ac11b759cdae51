"""A wide-gamut photo in the real window: shown converted, kept as it is."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from PySide6.QtGui import QColorSpace, QImage

from app.io.pictures.screen_colors import ScreenColors
from app.ui.look.images import to_rgb
from app.ui.main_window import MainWindow
from tests.ui.control.test_generating import finished, paint_and_generate
from tests.ui.window_fixtures import WAIT, on_canvas

FILE_GREEN = (90, 200, 60)
ADOBE = bytes(QColorSpace(QColorSpace.NamedColorSpace.AdobeRgb).iccProfile().data())
SCREEN_GREEN = tuple(int(v) for v in ScreenColors(ADOBE).convert(np.full((1, 1, 3), FILE_GREEN, np.uint8))[0, 0])


def wide_photo(folder: Path, icc: bytes = ADOBE) -> Path:
    path = folder / "wide.png"
    Image.new("RGB", (440, 300), FILE_GREEN).save(path, icc_profile=icc)
    return path


def seen(window: MainWindow, x: int = 300, y: int = 250) -> tuple[int, ...]:
    spot = on_canvas(window.canvas, x, y)
    picture = to_rgb(window.canvas.grab().toImage().convertToFormat(QImage.Format.Format_RGB32))
    return tuple(int(v) for v in picture[spot.y(), spot.x()])


def test_that_picture_preview_original_and_thumbnail_show_the_profiles_colours(open_window, tmp_path, qtbot) -> None:
    assert SCREEN_GREEN != FILE_GREEN
    window = open_window(photo=wide_photo(tmp_path))
    assert seen(window) == SCREEN_GREEN
    paint_and_generate(window, qtbot, 1)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    assert window.canvas.previewing and seen(window) == SCREEN_GREEN
    assert SCREEN_GREEN in {tuple(pixel) for pixel in window.gallery.run.entries[0].picture[0].tolist()}
    window.canvas.hold_original(True)
    assert seen(window) == SCREEN_GREEN
    window.canvas.hold_original(False)
    window.gallery.apply_chosen()
    assert seen(window) == SCREEN_GREEN


def test_that_values_and_profile_of_the_file_are_edited_and_exported(open_window, tmp_path, qtbot) -> None:
    window = open_window(photo=wide_photo(tmp_path))
    assert (window.session.document.picture == FILE_GREEN).all()
    with qtbot.waitSignal(window.files.exported, timeout=WAIT):
        window.files.export(tmp_path / "out.png")
    saved = Image.open(io.BytesIO((tmp_path / "out.png").read_bytes()))
    assert (np.array(saved) == FILE_GREEN).all() and saved.info["icc_profile"] == ADOBE


def test_that_a_broken_profile_shows_the_values_of_the_file_without_a_word(open_window, tmp_path) -> None:
    window = open_window(photo=wide_photo(tmp_path, ADOBE[:200]))
    assert seen(window) == FILE_GREEN
    assert not window.messages.isVisible()


def test_that_a_tile_is_converted_when_it_is_made_and_not_when_it_is_drawn(open_window, tmp_path, monkeypatch) -> None:
    converted = []
    convert = ScreenColors.convert
    monkeypatch.setattr(ScreenColors, "convert", lambda colors, rgb: converted.append(1) or convert(colors, rgb))
    window = open_window(photo=wide_photo(tmp_path))
    window.canvas.repaint()
    made = len(converted)
    assert made
    for _ in range(5):
        window.canvas.repaint()
    assert len(converted) == made
