"""Texture in whole edits: tokens, ranking and unpainted pixels do not change, and both ways are kept."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from models.candidate import Candidate
from models.editor import SceneEditor
from models.errors import RequestError
from models.request import (
    NOT_PAINTED,
    Cancelled,
    CancelToken,
    Draft,
    EditRequest,
    Progress,
    Reference,
    Reroll,
    SamplingSettings,
)
from tests.helpers import box_paint, some_labels, some_photo, tiny_editor

SIZE = 300
GRASS, SEA = 3, 2


@pytest.fixture(autouse=True)
def any_colors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model's colours are far from any photo's; its texture is wanted all the same."""
    monkeypatch.setattr("models.texture.stage.TOO_FAR", float("inf"))


@lru_cache(maxsize=1)
def engine() -> SceneEditor:
    return tiny_editor()


def photo() -> np.ndarray:
    """A gentle gradient with fine grain, so that the photo's own pixels go well together."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(90, 140, SIZE)[:, None, None] + np.zeros((1, SIZE, 3))
    return np.clip(ramp + rng.normal(0, 12, (SIZE, SIZE, 1)), 0, 255).astype(np.uint8)


def request(texture: str = "auto", **changes: object) -> EditRequest:
    paint = box_paint(SIZE, SIZE, 210, 60, 280, 200, GRASS)
    settings = SamplingSettings(2, seed=5, texture=texture)
    return EditRequest(photo(), some_labels(SIZE, SIZE), paint, settings, 256, **changes)  # type: ignore[arg-type]


@lru_cache(maxsize=8)
def drawn(texture: str) -> tuple[Candidate, ...]:
    return tuple(engine().run(request(texture)))


def test_that_texture_changes_neither_tokens_nor_likelihood() -> None:
    for plain, textured in zip(drawn("drawn"), drawn("photo"), strict=True):
        assert np.array_equal(plain.tokens, textured.tokens)
        assert np.array_equal(plain.token_log_likelihoods, textured.token_log_likelihoods)
        assert not plain.textured and textured.textured and not textured.as_drawn
        assert textured.patches[0].textured == ("grass",)


def test_that_unpainted_pixels_stay_and_painted_ones_come_from_the_photo() -> None:
    edit = request()
    for candidate in drawn("photo"):
        picture = candidate.apply(edit.photo)
        unpainted = edit.paint == NOT_PAINTED
        assert np.array_equal(picture[unpainted], edit.photo[unpainted])
        assert np.abs(picture[220:270, 70:190].astype(float).mean() - edit.photo[220:270].astype(float).mean()) < 20


def test_that_a_version_shows_both_ways() -> None:
    for plain, textured in zip(drawn("drawn"), drawn("photo"), strict=True):
        other = textured.swapped()
        assert other.as_drawn and np.array_equal(other.patches[0].pixels, plain.patches[0].pixels)
        back = other.swapped()
        assert not back.as_drawn and np.array_equal(back.patches[0].pixels, textured.patches[0].pixels)
        assert plain.swapped().patches[0] is plain.patches[0]


def test_that_the_same_seed_gives_the_same_pixels_again() -> None:
    again = list(engine().run(request("photo")))
    for one, other in zip(drawn("photo"), again, strict=True):
        assert np.array_equal(one.patches[0].pixels, other.patches[0].pixels)


def test_that_drafts_and_previews_are_as_drawn() -> None:
    assert not any(candidate.textured for candidate in engine().run(request("auto", way=Draft())))


def test_that_a_label_without_material_stays_as_drawn() -> None:
    edit = request("photo")
    rock = np.where(edit.paint == GRASS, 4, NOT_PAINTED).astype(np.uint8)  # the photo has none
    edit = replace(edit, paint=rock)
    assert not any(candidate.textured for candidate in engine().run(edit))


def test_that_a_part_drawn_again_keeps_the_rest_of_the_texture() -> None:
    base = drawn("photo")[0]
    tokens = np.zeros(base.windows[0].surprise.shape, bool)
    known = np.argwhere(np.isfinite(base.windows[0].surprise))
    tokens[tuple(known[len(known) // 2])] = True
    edit = request("photo", way=Reroll(base, (tokens,)))
    for again in engine().run(edit):
        new, old = again.patches[0], base.patches[0]
        differs = (new.pixels != old.pixels).any(2)
        assert differs.any()
        rows, columns = np.nonzero(differs)
        assert np.ptp(rows) < 16 and np.ptp(columns) < 16  # one token


def test_that_a_reference_gives_its_texture() -> None:
    rng = np.random.default_rng(1)
    stripes = np.zeros((200, 240, 3), np.uint8)
    stripes[:] = (np.arange(240) // 3 % 2 * 70 + 80)[None, :, None]
    stripes += rng.integers(0, 6, stripes.shape).astype(np.uint8)
    reference = Reference(stripes, np.full((200, 240), GRASS, np.uint8), "stripes")
    for candidate in engine().run(request("reference", reference=reference)):
        picture = candidate.apply(photo())[230:262, 80:180].astype(float).mean(2)
        across, down = np.abs(np.diff(picture, axis=1)).mean(), np.abs(np.diff(picture, axis=0)).mean()
        assert candidate.textured and across > 2 * down


def test_that_several_references_are_all_offered() -> None:
    """The first photo shows none of the label; the texture comes from the second."""
    empty = Reference(np.zeros((80, 90, 3), np.uint8), np.full((80, 90), 1, np.uint8), "empty")
    stripes = np.zeros((200, 240, 3), np.uint8)
    stripes[::6] = (250, 240, 40)
    full = Reference(stripes, np.full((200, 240), GRASS, np.uint8), "stripes")
    alone = next(engine().run(request("reference", reference=empty)))
    both = next(engine().run(request("reference", reference=replace(empty, others=(full,)))))
    assert alone.patches[0].textured == () and both.patches[0].textured == ("grass",)


def test_that_a_missing_reference_and_unknown_sources_are_refused() -> None:
    with pytest.raises(RequestError, match="choose a reference"):
        request("reference")
    with pytest.raises(RequestError, match="texture is 'velvet'"):
        request("velvet")


def test_that_it_reports_and_can_be_stopped_there() -> None:
    cancel = CancelToken()

    def report(step: Progress) -> None:
        if step.stage == "texture":
            cancel.cancel()

    with pytest.raises(Cancelled):
        list(engine().run(request("photo"), cancel, report))


def test_that_large_regions_are_textured_at_half_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.texture.maker.FINEST", 4_000)
    edit = request("photo")
    for candidate in engine().run(edit):
        assert candidate.textured
        picture = candidate.apply(edit.photo)
        assert np.array_equal(picture[edit.paint == NOT_PAINTED], edit.photo[edit.paint == NOT_PAINTED])


@pytest.mark.parametrize("size", [(40, 300), (257, 33), (64, 64)])
def test_that_photos_of_any_size_work(size: tuple[int, int]) -> None:
    height, width = size
    paint = box_paint(height, width, height // 3, 4, height - 3, width - 2, SEA)
    settings = SamplingSettings(1, seed=1, texture="auto", outline=1.0)
    edit = EditRequest(some_photo(height, width), some_labels(height, width), paint, settings)
    (candidate,) = engine().run(edit)
    picture = candidate.apply(edit.photo)
    assert np.array_equal(picture[paint == NOT_PAINTED], edit.photo[paint == NOT_PAINTED])


def test_that_the_engine_can_be_given_other_exemplars() -> None:
    """An evaluation leaves out those of the photo that it edits."""
    rock = replace(request("library"), paint=box_paint(SIZE, SIZE, 210, 60, 280, 200, 4))
    other = tiny_editor()
    assert any(candidate.textured for candidate in other.run(rock))
    other.exemplars = ()
    assert not any(candidate.textured for candidate in other.run(rock))
