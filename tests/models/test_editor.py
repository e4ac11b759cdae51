"""Any photo and any paint give candidates; unpainted pixels stay."""

from __future__ import annotations

import numpy as np
import pytest

from models.config import Semantics
from models.editor import BATCH
from models.request import NOT_PAINTED, EditRequest, Progress
from tests.helpers import box_paint, some_photo
from tests.models.edits import (
    CASES,
    PAINTS,
    check,
    engine,
    request,
    small_request,
)


@pytest.mark.parametrize("semantics", list(Semantics))
@pytest.mark.parametrize(("size", "name"), CASES, ids=str)
def test_that_any_photo_and_any_paint_give_candidates(size: tuple[int, int], name: str, semantics: Semantics) -> None:
    editor, edit = engine(semantics), request(PAINTS[name](*size), samples=2)
    before = edit.photo.copy(), edit.labels.copy(), edit.paint.copy()
    candidates = list(editor.run(edit))
    check(editor, edit, candidates)
    assert all(np.array_equal(a, b) for a, b in zip(before, (edit.photo, edit.labels, edit.paint), strict=True))
    if size == (300, 200) and name == "full":
        assert not np.array_equal(candidates[0].apply(edit.photo), candidates[1].apply(edit.photo))


def test_that_a_wide_edit_of_a_large_photo_is_generated_scaled_down() -> None:
    edit = request(PAINTS["full"](700, 500), samples=1)
    (window,) = engine().plan(edit.paint)
    assert window.scaled and window.resolution == 512
    candidates = list(engine().run(edit))
    check(engine(), edit, candidates)
    assert len(candidates[0].tokens) == 1024


@pytest.mark.parametrize("semantics", list(Semantics))
@pytest.mark.parametrize("window", [256, 512])
@pytest.mark.parametrize("name", ["thin stroke", "islands", "one pixel"])
def test_that_the_tokens_counted_before_are_the_tokens_drawn(name: str, window: int, semantics: Semantics) -> None:
    edit = request(PAINTS[name](330, 420), window, samples=1)
    drawn = next(engine(semantics).run(edit)).tokens
    assert engine(semantics).count_tokens(edit.paint, window) == len(drawn)


def test_that_thin_strokes_draw_every_token_that_they_touch() -> None:
    paint = PAINTS["thin stroke"](256, 256)
    rows, columns = np.nonzero(paint != NOT_PAINTED)
    (candidate,) = engine().run(request(paint, 256, samples=1))
    assert len(candidate.tokens) == len(set(zip(rows // 16, columns // 16, strict=True)))


def test_that_islands_far_apart_are_drawn_in_windows_of_their_own() -> None:
    paint = box_paint(300, 1200, 20, 20, 60, 60)
    paint[100:130, 1100:1150] = 2
    edit = request(paint, samples=2)
    assert len(engine().plan(paint)) == 2
    candidates = list(engine().run(edit))
    check(engine(), edit, candidates)
    masks = [window.codes.size for window in candidates[0].windows]
    assert len(masks) == 2
    assert masks == [256, 256]


@pytest.mark.parametrize(
    ("size", "box", "window"),
    [
        ((300, 320), (101, 37, 150, 170), None),
        ((530, 600), (203, 99, 277, 333), 512),
        ((430, 700), (40, 20, 402, 655), None),  # scaled down
        ((90, 75), (20, 10, 61, 33), None),  # mirrored beyond the photo
    ],
)
def test_that_what_lies_under_the_paint_has_no_influence(
    size: tuple[int, int], box: tuple[int, int, int, int], window: str | int
) -> None:
    """End to end: neither the photo's pixels nor the old labels there, not by one bit of a likelihood."""
    paint = box_paint(*size, *box)
    one = request(paint, window, samples=2)
    painted = (paint != NOT_PAINTED)[:, :, None]
    other = np.where(painted, 255 - some_photo(*size, seed=9), one.photo)
    labels = np.where(painted[:, :, 0], 5, one.labels).astype(np.uint8)
    two = EditRequest(other, labels, paint, one.settings, window)
    for first, second in zip(engine().run(one), engine().run(two), strict=True):
        assert np.array_equal(first.tokens, second.tokens)
        assert np.array_equal(first.token_log_likelihoods, second.token_log_likelihoods)


def test_that_the_label_and_the_surroundings_do_have_influence() -> None:
    edit = small_request(samples=1)
    tokens = next(engine().run(edit)).tokens
    relabelled = np.where(edit.paint == NOT_PAINTED, NOT_PAINTED, 1).astype(np.uint8)
    assert not np.array_equal(tokens, next(engine().run(request(relabelled, samples=1))).tokens)
    elsewhere = request(edit.paint, samples=1, photo=some_photo(260, 280, seed=5))
    assert not np.array_equal(tokens, next(engine().run(elsewhere)).tokens)


@pytest.mark.parametrize("semantics", list(Semantics))
@pytest.mark.parametrize("window", [256, 512])
def test_that_the_same_request_gives_the_same_bytes(window: int, semantics: Semantics) -> None:
    edit = request(box_paint(520, 540, 200, 220, 240, 290), window, samples=3, seed=8)
    for first, second in zip(engine(semantics).run(edit), engine(semantics).run(edit), strict=True):
        assert np.array_equal(first.tokens, second.tokens)
        assert np.array_equal(first.token_log_likelihoods, second.token_log_likelihoods)
        assert np.array_equal(first.apply(edit.photo), second.apply(edit.photo))


@pytest.mark.parametrize("window", [256, 512])
def test_that_candidate_k_does_not_depend_on_how_many_are_drawn(window: int) -> None:
    paint = box_paint(520, 540, 200, 220, 240, 290)
    many = list(engine().run(request(paint, window, samples=BATCH + 2, seed=4)))
    for index in (0, 2, BATCH, BATCH + 1):
        (alone,) = engine().run(request(paint, window, samples=1, seed=4 + index))
        assert alone.seed == many[index].seed
        assert np.array_equal(alone.tokens, many[index].tokens)
        assert abs(alone.log_likelihood - many[index].log_likelihood) <= 1e-4 * abs(alone.log_likelihood)


def test_that_settings_reach_the_sampler() -> None:
    greedy = [c.tokens for c in engine().run(small_request(samples=3, top_k=1))]
    assert all(np.array_equal(greedy[0], tokens) for tokens in greedy)
    assert len({tuple(c.tokens) for c in engine().run(small_request(samples=3))}) == 3
    hot, cold = (
        np.mean([c.log_likelihood for c in engine().run(small_request(samples=4, temperature=t, top_k=None))])
        for t in (3.0, 0.3)
    )
    assert cold > hot


def test_that_every_stage_is_reported_and_timed() -> None:
    steps: list[Progress] = []
    edit = request(box_paint(520, 540, 200, 220, 240, 290), 512, samples=2)
    run = engine().run(edit, progress=steps.append)
    list(run)
    assert [s for s in dict.fromkeys(step.stage for step in steps)] == ["encode", "guide", "sketch", "sga", "decode"]
    for stage in ("guide", "sga"):
        done = [(s.done, s.total) for s in steps if s.stage == stage]
        assert [d for d, _ in done] == list(range(1, done[0][1] + 1)) and len({t for _, t in done}) == 1
    assert all(s.candidates == (0, 1) for s in steps if s.stage in ("guide", "sga"))
    assert set(run.seconds) == {"encode", "guide", "block lists", "sga", "decode", "blend"}
    assert all(seconds >= 0 for seconds in run.seconds.values())
