"""Labels continued from round an area, and the paint that removes things."""

from __future__ import annotations

import numpy as np

from app.document.surroundings import continued
from models.request import NOT_PAINTED
from tests.document.documents import make_document


def test_that_each_pixel_gets_the_label_nearest_outside() -> None:
    labels = np.full((20, 30), 1, np.uint8)
    labels[:, 15:] = 2
    labels[5:15, 10:20] = 7  # the object
    area = labels == 7
    found = continued(labels, area)
    assert set(np.unique(found)) == {1, 2} and np.array_equal(found[~area], labels[~area])
    assert (found[5:15, 10:12] == 1).all() and (found[5:15, 18:20] == 2).all()


def test_that_a_horizon_runs_on_behind_a_tall_object() -> None:
    labels = np.full((60, 80), 1, np.uint8)
    labels[30:] = 2  # sky above, sea below
    area = np.zeros(labels.shape, bool)
    area[5:50, 30:50] = True
    labels[area] = 7
    found = continued(labels, area)
    assert (found[10:28, 30:50] == 1).all() and (found[32:48, 30:50] == 2).all()


def test_that_what_is_to_go_is_not_continued_from_beside() -> None:
    labels = np.full((40, 60), 1, np.uint8)
    labels[10:30, 20:50] = 7  # a house, of which the left half is painted over
    area = np.zeros(labels.shape, bool)
    area[8:32, 15:35] = True
    assert (continued(labels, area)[area] == 1).all()


def test_that_everything_and_nothing_stay_as_they_are() -> None:
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for area in (np.zeros((3, 4), bool), np.ones((3, 4), bool)):
        assert np.array_equal(continued(labels, area), labels)


def test_that_the_paint_takes_the_labels_round_it_and_can_be_taken_back() -> None:
    document = make_document()
    document.set_start_labels(3, "all")
    step = document.fill(2, 2, 5, "fill")
    assert step is not None
    painted = document.paint != NOT_PAINTED
    before = document.paint.copy()
    if painted.all():
        document.paint[:1] = NOT_PAINTED
        painted = document.paint != NOT_PAINTED
        before = document.paint.copy()
    made = document.paint_surroundings()
    assert made is not None and (document.paint[painted] == 3).all()
    assert (document.paint[~painted] == NOT_PAINTED).all()
    document.revert(made)
    assert np.array_equal(document.paint, before)
