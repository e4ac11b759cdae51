"""Pixels on the way to the screen."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QColor, QImage, QPainter, QRegion

from app.document.geometry import Rect
from app.document.reduced import reduced
from app.ui.canvas.tiles import TileLayer, level_for
from app.ui.canvas.view_transform import ViewTransform
from app.ui.look import images

APP = Path(__file__).resolve().parents[3] / "app"


def test_that_colours_survive_the_way_to_qt_and_back() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (7, 13, 3), dtype=np.uint8)
    assert np.array_equal(images.to_rgb(images.rgb_image(rgb)), rgb)


def test_that_images_own_their_pixels() -> None:
    rgb = np.full((5, 5, 3), 10, np.uint8)
    image = images.rgb_image(rgb)
    rgb[:] = 200
    assert image.pixelColor(2, 2) == QColor(10, 10, 10)


def test_that_overlay_colours_are_premultiplied() -> None:
    assert images.premultiplied((255, 128, 0), 0.5) == 0x80804000


@pytest.mark.parametrize("scale", [0.2, 0.5, 1.0])
def test_that_updated_tiles_equal_new_ones(scale: float) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (700, 1100, 3), dtype=np.uint8)
    bounds = Rect(0, 0, 1100, 700)

    def layer() -> TileLayer:
        return TileLayer(bounds, lambda rect, level: reduced(picture[rect.slices], level), overlay=False)

    def drawn(tiles: TileLayer) -> np.ndarray:
        canvas = QImage(1100, 700, QImage.Format.Format_RGB32)
        canvas.fill(0)
        painter = QPainter(canvas)
        tiles.paint(painter, ViewTransform(scale, 3, 5), QRegion(0, 0, 1100, 700))
        painter.end()
        return images.to_rgb(canvas)

    used = layer()
    drawn(used)
    for box in (Rect(3, 5, 17, 9), Rect(500, 300, 60, 40), Rect(1090, 690, 10, 10), Rect(0, 0, 1100, 700)):
        picture[box.slices] = rng.integers(0, 256, (box.height, box.width, 3), dtype=np.uint8)
        used.invalidate(box)
        assert np.array_equal(drawn(used), drawn(layer()))


def test_that_100_percent_shows_the_photo_pixel_by_pixel() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (600, 900, 3), dtype=np.uint8)
    layer = TileLayer(Rect(0, 0, 900, 600), lambda r, k: reduced(picture[r.slices], k), overlay=False)
    canvas = QImage(400, 300, QImage.Format.Format_RGB32)
    painter = QPainter(canvas)
    layer.paint(painter, ViewTransform(1.0, -300, -280), QRegion(0, 0, 400, 300))
    painter.end()
    assert np.array_equal(images.to_rgb(canvas), picture[280:580, 300:700])


def test_that_the_level_has_at_least_a_pixel_per_screen_pixel() -> None:
    assert [level_for(s) for s in (4.0, 1.0, 0.51, 0.5, 0.26, 0.25, 0.1)] == [0, 0, 0, 1, 1, 2, 3]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("folder", ["document", "io"])
def test_that_documents_and_files_need_no_qt(folder: str) -> None:
    for path in (APP / folder).glob("*.py"):
        assert not any(name.startswith("PySide6") for name in imported(path)), path


def test_that_worker_threads_know_no_widgets_and_no_pixmaps() -> None:
    """They import nothing of Qt but QtCore, so that every QWidget and QPixmap is made in the GUI thread."""
    for path in (APP / "worker").glob("*.py"):
        qt = {name for name in imported(path) if name.startswith("PySide6")}
        assert all(name.startswith("PySide6.QtCore") for name in qt), path


def test_that_one_module_knows_how_numpy_becomes_an_image() -> None:
    users = {path.name for path in APP.rglob("*.py") if "qimage2ndarray" in imported(path)}
    assert users == {"images.py"}
