"""Natural outlines: ragged where a stroke cuts through a label, exact where it follows an edge, inside the paint."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.drawing.outline import WIDTH, Outline, natural_outline
from models.request import NOT_PAINTED, EditRequest, Reroll, SamplingSettings
from tests.helpers import box_paint, examples, some_labels, some_photo, tiny_editor

TOKEN = 16.0


def share_of(outline: Outline) -> np.ndarray:
    height, width = outline.paint.shape
    return outline.share_in(slice(0, height), slice(0, width))


def disc(side: int = 300, radius: int = 100, label: int = 2) -> np.ndarray:
    paint = np.full((side, side), NOT_PAINTED, np.uint8)
    cv2.circle(paint, (side // 2, side // 2), radius, label, -1)
    return paint


@given(st.integers(1, 140), st.integers(0, 2**31), st.floats(0, 4))
@examples(60)
def test_that_an_outline_stays_inside_the_paint(radius: int, seed: int, amount: float) -> None:
    paint = disc(radius=radius)
    labels = np.random.default_rng(seed).integers(0, 2, (300, 300)).astype(np.uint8)
    outline = natural_outline(labels, paint, amount, TOKEN)
    assert np.array_equal(outline.paint == NOT_PAINTED, paint == NOT_PAINTED)
    receded = outline.paint != paint
    assert np.array_equal(outline.paint[receded], labels[receded])
    share = share_of(outline)
    assert (share[~receded] == 1).all()
    assert share.min() >= 0 and (outline.paint == 2).any()


def test_that_a_stroke_through_one_label_gets_an_outline_of_its_own() -> None:
    paint = disc()
    outline = natural_outline(np.zeros_like(paint), paint, 1.0, TOKEN)
    receded = (outline.paint == 0) & (paint == 2)
    depth = cv2.distanceTransform((paint == 2).astype(np.uint8), cv2.DIST_L2, 5)
    assert 0.05 < receded.sum() / (paint == 2).sum() < 0.5
    assert depth[receded].max() <= WIDTH * TOKEN
    angles = np.arange(0, 360, 5)
    edges = []
    for angle in np.deg2rad(angles):
        way = np.arange(100)
        rows, columns = (150 + way * np.sin(angle)).astype(int), (150 + way * np.cos(angle)).astype(int)
        edges.append(int(way[outline.paint[rows, columns] == 2].max()))
    assert np.std(edges) > 3  # a circle has 0
    assert share_of(outline)[receded & (depth < 2)].mean() < 0.1
    part = outline.share_in(slice(40, 90), slice(100, 260))
    assert np.array_equal(part, share_of(outline)[40:90, 100:260])


def test_that_paint_along_an_edge_of_the_label_map_keeps_it() -> None:
    paint = np.full((200, 200), NOT_PAINTED, np.uint8)
    paint[:100] = 2
    labels = np.zeros((200, 200), np.uint8)
    labels[100:] = 1  # the stroke fills all of label 0, and the photo's border is no border of it
    outline = natural_outline(labels, paint, 1.0, TOKEN)
    assert np.array_equal(outline.paint, paint) and (share_of(outline) == 1).all()


def test_that_amount_0_is_as_painted_and_the_same_paint_has_the_same_outline() -> None:
    paint, labels = disc(), np.zeros((300, 300), np.uint8)
    assert np.array_equal(natural_outline(labels, paint, 0.0, TOKEN).paint, paint)
    one, two = (natural_outline(labels, paint, 1.0, TOKEN) for _ in range(2))
    assert np.array_equal(one.paint, two.paint) and np.array_equal(one.share, two.share)


def test_that_an_edit_with_an_outline_keeps_unpainted_pixels_and_its_drafts() -> None:
    engine, size = tiny_editor(), 540
    settings = SamplingSettings(2, seed=5, outline=1.0)
    labels = np.zeros_like(some_labels(size, size))
    paint = box_paint(size, size, 200, 220, 250, 300)
    request = EditRequest(some_photo(size, size), labels, paint, settings, 512)
    plain = EditRequest(some_photo(size, size), labels, paint, SamplingSettings(2, seed=5), 512)
    drawn, exact = list(engine.run(request)), list(engine.run(plain))
    unpainted = paint == NOT_PAINTED
    for candidate, other in zip(drawn, exact, strict=True):
        picture = candidate.apply(request.photo)
        assert np.array_equal(picture[unpainted], request.photo[unpainted])
        assert not np.array_equal(picture, other.apply(request.photo))
        assert len(candidate.tokens) == len(other.tokens)  # the same tokens are drawn
    worst = Reroll.worst(drawn[0], 0.05)
    again = next(engine.run(EditRequest(request.photo, labels, paint, settings, 512, way=worst)))
    assert np.array_equal(again.windows[0].codes[~worst.tokens[0]], drawn[0].windows[0].codes[~worst.tokens[0]])
