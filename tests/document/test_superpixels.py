"""The edge-snapping brush: whole regions, hard edges, one step."""

from __future__ import annotations

import time

import numpy as np
import pytest

from app.document.brush import Point
from app.document.document import Document
from app.document.geometry import Rect
from app.document.superpixels import Superpixels
from models.request import NOT_PAINTED
from tests.document.documents import make_photo


def halves(height: int, width: int) -> np.ndarray:
    """A photo with one straight vertical edge and some noise."""
    rng = np.random.default_rng(0)
    photo = np.full((height, width, 3), 60.0)
    photo[:, width // 2 :] = 190
    return np.clip(photo + rng.normal(0, 6, photo.shape), 0, 255).astype(np.uint8)


def document(photo: np.ndarray) -> Document:
    made = Document(make_photo(*photo.shape[:2]))
    made.superpixels = Superpixels.of(photo)
    return made


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (200, 301), (1500, 2100)])
def test_that_every_pixel_belongs_to_one_region(size: tuple[int, int]) -> None:
    found = Superpixels.of(halves(*size))
    count = np.zeros(size, int)
    for number in range(len(found.boxes)):
        rect, mask = found.region(np.array([number]))
        count[rect.slices] += mask
    assert (count == 1).all()


def test_that_the_regions_under_a_mask_hold_all_of_it() -> None:
    found = Superpixels.of(halves(200, 300))
    mask = np.zeros((40, 50), bool)
    mask[5:30, 7:20] = True
    rect = Rect(60, 70, 50, 40)
    box, region = found.region(found.under(rect, mask))
    whole = np.zeros((200, 300), bool)
    whole[box.slices] = region
    assert whole[rect.slices][mask].all()


def test_that_a_stroke_beside_an_edge_does_not_cross_it() -> None:
    made = document(halves(240, 320))
    stroke = made.begin_stroke(5, "Paint", made.superpixels)
    for y in range(30, 210, 10):
        stroke.line_to(Point(145, y), 50)  # reaches 10 pixels over the edge
    assert stroke.finish() is not None
    painted = made.paint != NOT_PAINTED
    assert painted[40:200, 130:155].mean() > 0.95
    assert painted[:, 168:].sum() == 0
    assert set(np.unique(made.paint)) == {5, NOT_PAINTED}


def test_that_a_dot_paints_at_least_the_region_under_it() -> None:
    made = document(halves(240, 320))
    stroke = made.begin_stroke(5, "Paint", made.superpixels)
    assert not stroke.line_to(Point(100, 100), 1).empty
    assert made.paint[100, 100] == 5


def test_that_undo_and_abort_take_everything_back_and_locks_hold() -> None:
    made = document(halves(240, 320))
    made.start[:120] = 3
    made.locked = frozenset({3})
    before = made.paint.copy()
    stroke = made.begin_stroke(5, "Paint", made.superpixels)
    stroke.line_to(Point(60, 118), 40)
    stroke.line_to(Point(90, 125), 40)
    step = stroke.finish()
    assert (made.paint[:120] == NOT_PAINTED).all() and (made.paint[120:] == 5).any()
    made.revert(step)
    assert np.array_equal(made.paint, before)
    stroke = made.begin_stroke(5, "Paint", made.superpixels)
    stroke.line_to(Point(60, 180), 40)
    stroke.abort()
    assert np.array_equal(made.paint, before)


def test_that_large_photos_snap_quickly() -> None:
    """Prints the time to find the regions of 12 megapixels and of one stamp there."""
    photo = halves(3072, 4096)
    started = time.perf_counter()
    found = Superpixels.of(photo)
    seconds = time.perf_counter() - started
    made = Document(make_photo(3072, 4096))
    stroke = made.begin_stroke(5, "Paint", found)
    times = []
    for step in range(60):
        began = time.perf_counter()
        stroke.line_to(Point(500 + 30 * step, 900 + 10 * step), 200)
        times.append(time.perf_counter() - began)
    times.sort()
    print(
        f"regions of 12 MP: {seconds:.1f} s; stamp: median {times[30] * 1000:.1f} ms, slowest {times[-1] * 1000:.1f} ms"
    )
    assert len(found.boxes) > 1000
