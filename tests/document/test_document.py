from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from app.document.brush import Point
from app.document.document import Document
from app.document.locality import changed_outside_paint
from models.errors import RequestError
from models.request import NOT_PAINTED, SamplingSettings
from tests.document.documents import make_candidate, make_document


def paint(document: Document, x: float, y: float, size: int = 9, label: int = 1) -> None:
    stroke = document.begin_stroke(label, "stroke")
    stroke.line_to(Point(x, y), size)
    stroke.finish()


def test_that_one_drag_is_one_step_whatever_its_length() -> None:
    document = make_document()
    stroke = document.begin_stroke(3, "stroke")
    for k in range(30):
        stroke.line_to(Point(5 + k, 10 + k % 7), 5)
    step = stroke.finish()
    assert step is not None
    document.revert(step)
    assert not document.anything_painted


def test_that_a_stroke_that_changes_nothing_is_no_step() -> None:
    document = make_document()
    stroke = document.begin_stroke(NOT_PAINTED, "erase")
    stroke.line_to(Point(5, 5), 9)
    assert stroke.finish() is None


def test_that_a_new_stroke_aborts_one_still_open() -> None:
    document = make_document()
    document.begin_stroke(3, "lost").line_to(Point(5, 5), 9)
    document.begin_stroke(4, "next")
    assert not document.anything_painted


def test_that_the_eraser_brings_the_original_label_back() -> None:
    document = make_document()
    document.start[:] = 7
    paint(document, 10, 10, label=2)
    assert document.label_at(10, 10) == 2
    paint(document, 10, 10, label=NOT_PAINTED)
    assert document.label_at(10, 10) == 7


def test_that_apply_changes_painted_pixels_only_and_takes_over_their_labels() -> None:
    document = make_document()
    paint(document, 12, 12, label=4)
    asked = document.paint.copy()
    candidate = make_candidate(document, asked)
    document.apply(candidate, asked, "apply")
    mask = asked != NOT_PAINTED
    assert np.array_equal(document.picture[mask], candidate.patches[0].pixels[mask])
    assert np.array_equal(document.picture[~mask], document.photo.rgb8[~mask])
    assert (document.labels()[mask] == 4).all()
    assert not document.anything_painted
    assert changed_outside_paint(document) == 0


def test_that_edits_made_after_the_request_survive_its_candidate() -> None:
    document = make_document()
    paint(document, 8, 8)
    first = document.paint.copy()
    first_candidate = make_candidate(document, first, seed=1)
    document.clear_paint()
    paint(document, 30, 20, label=2)
    second = document.paint.copy()
    document.apply(make_candidate(document, second, seed=2), second, "second")
    there = document.picture[second != NOT_PAINTED].copy()
    document.apply(first_candidate, first, "first, drawn before")
    assert np.array_equal(document.picture[second != NOT_PAINTED], there)


def test_that_paint_changed_since_the_request_stays() -> None:
    document = make_document()
    paint(document, 12, 12, size=11, label=1)
    asked = document.paint.copy()
    paint(document, 12, 12, size=3, label=2)
    document.apply(make_candidate(document, asked), asked, "apply")
    assert document.paint[12, 12] == 2
    assert (document.paint[document.paint != NOT_PAINTED] == 2).all()


def test_that_a_second_candidate_replaces_the_first() -> None:
    document = make_document()
    paint(document, 12, 12)
    asked = document.paint.copy()
    one, two = make_candidate(document, asked, 1), make_candidate(document, asked, 2)
    document.apply(one, asked, "one")
    document.apply(two, asked, "two")
    assert np.array_equal(document.picture, two.apply(document.photo.rgb8))


def test_that_a_candidate_of_another_photo_is_refused() -> None:
    document, other = make_document(), make_document(20, 20)
    paint(other, 5, 5)
    with pytest.raises(ValueError):
        document.apply(make_candidate(other, other.paint), other.paint, "apply")


def test_that_the_preview_is_what_apply_gives() -> None:
    document = make_document()
    paint(document, 12, 12)
    asked = document.paint.copy()
    candidate = make_candidate(document, asked)
    shown = document.candidate_region(candidate, asked, document.bounds)
    document.apply(candidate, asked, "apply")
    assert np.array_equal(shown, document.picture)


def test_that_changed_pixels_are_counted_from_the_pixels() -> None:
    document = make_document()
    assert changed_outside_paint(document) == 0
    document.picture = document.picture.copy()
    document.picture[3, 4, 1] ^= 1
    document.picture[20, 30] ^= 255
    assert changed_outside_paint(document) == 2
    document.applied[3, 4] = 1
    assert changed_outside_paint(document) == 1


def test_that_exporting_and_undoing_decide_what_is_unexported() -> None:
    document = make_document()
    paint(document, 12, 12)
    assert not document.unexported
    asked = document.paint.copy()
    step = document.apply(make_candidate(document, asked), asked, "apply")
    assert step is not None and document.unexported
    document.mark_exported(document.picture_state)
    assert not document.unexported
    document.revert(step)
    assert document.unexported
    document.replay(step)
    assert not document.unexported


def test_that_a_suggestion_never_replaces_the_users_own_labels() -> None:
    document = make_document()
    suggested = np.full((30, 40), 5, np.uint8)
    assert document.suggest_start_labels(suggested)
    document.set_start_labels(2, "uniform")
    assert not document.suggest_start_labels(suggested)
    assert (document.labels() == 2).all()


def test_that_a_request_is_a_snapshot() -> None:
    document = make_document()
    with pytest.raises(RequestError):
        document.request(SamplingSettings(), None)
    paint(document, 12, 12)
    request = document.request(SamplingSettings(), None)
    before = request.paint.copy()
    paint(document, 25, 20, label=2)
    asked = document.paint.copy()
    document.apply(make_candidate(document, asked), asked, "apply")
    assert not np.array_equal(document.picture, document.photo.rgb8)
    assert np.array_equal(request.paint, before)
    assert np.array_equal(request.photo, document.photo.rgb8)


def test_that_a_closed_document_is_freed() -> None:
    document = make_document()
    paint(document, 12, 12)
    gone = weakref.ref(document)
    del document
    gc.collect()
    assert gone() is None
