"""Drafts, their full drawing, partial re-drawing, and steering: what changes and what must not."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch

from models.candidate import Candidate
from models.drawing.guiding import attention_rollout
from models.drawing.ranking import rank
from models.drawing.steering import Sketch, Steering, code_colors
from models.editor import SceneEditor
from models.errors import RequestError
from models.networks.vqgan.vqgan import VQGAN
from models.request import NOT_PAINTED, Draft, EditRequest, InFull, Progress, Reroll, SamplingSettings
from tests.helpers import CODES, box_paint, some_labels, some_photo, tiny_editor

SIZE = 540


@lru_cache(maxsize=1)
def engine() -> SceneEditor:
    return tiny_editor()


def request(window: int = 512, settings: SamplingSettings | None = None, **basis: object) -> EditRequest:
    paint = box_paint(SIZE, SIZE, 200, 220, 250, 300)
    settings = settings or SamplingSettings(samples=2, seed=5)
    return EditRequest(some_photo(SIZE, SIZE), some_labels(SIZE, SIZE), paint, settings, window, **basis)  # type: ignore[arg-type]


@lru_cache(maxsize=2)
def drawn(window: int = 512) -> tuple[Candidate, ...]:
    return tuple(engine().run(request(window)))


def same(one: Candidate, other: Candidate) -> bool:
    pixels = all(np.array_equal(a.pixels, b.pixels) for a, b in zip(one.patches, other.patches, strict=True))
    return pixels and np.array_equal(one.tokens, other.tokens)


def test_that_a_draft_is_drawn_by_the_guide_alone_and_keeps_unpainted_pixels() -> None:
    edit = request(way=Draft())
    stages = []
    drafts = list(engine().run(edit, progress=lambda step: stages.append(step.stage)))
    assert "sga" not in stages
    for draft in drafts:
        assert draft.draft and draft.windows[0].codes.shape == (16, 16)
        picture = draft.apply(edit.photo)
        unpainted = edit.paint == NOT_PAINTED
        assert np.array_equal(picture[unpainted], edit.photo[unpainted])
        assert not np.array_equal(picture, edit.photo)


@pytest.mark.parametrize("window", [256, 512])
def test_that_a_chosen_draft_in_full_is_the_candidate_of_its_seed(window: int) -> None:
    drafts = list(engine().run(request(window, way=Draft())))
    full = list(engine().run(request(window, way=InFull((drafts[1],)))))
    assert len(full) == 1 and full[0].seed == drafts[1].seed and not full[0].draft
    assert same(full[0], drawn(window)[1])
    assert np.allclose(full[0].token_log_likelihoods, drawn(window)[1].token_log_likelihoods, rtol=1e-4)


def test_that_the_surprise_map_holds_each_tokens_own_likelihood() -> None:
    for candidate in drawn():
        surprise = candidate.windows[0].surprise
        assert surprise.shape == (32, 32)
        assert np.isfinite(surprise).sum() == len(candidate.tokens)
        assert np.isclose(np.nansum(surprise), -candidate.log_likelihood, rtol=1e-5)


@pytest.mark.parametrize("window", [256, 512])
def test_that_a_reroll_changes_the_chosen_tokens_only(window: int) -> None:
    base = drawn(window)[0]
    surprise = base.windows[0].surprise
    worst = surprise >= np.nanquantile(surprise, 0.7)
    again = list(engine().run(request(window, way=Reroll(base, (worst,)), settings=SamplingSettings(3, seed=77))))
    assert len(again) == 3
    for candidate in again:
        assert np.array_equal(candidate.windows[0].codes[~worst], base.windows[0].codes[~worst])
        assert len(candidate.tokens) == len(base.tokens)
        assert candidate.places == base.places
    assert any(not np.array_equal(c.windows[0].codes, base.windows[0].codes) for c in again)


@pytest.mark.parametrize("window", [256, 512])
def test_that_a_rerolled_candidate_is_scored_as_a_whole(window: int) -> None:
    """Forcing the same tokens in one go gives the same joint likelihood, so that both rank alike."""
    base = drawn(window)[0]
    surprise = base.windows[0].surprise
    worst = surprise >= np.nanquantile(surprise, 0.999)  # one token, drawn greedily from few
    settings = SamplingSettings(1, seed=base.seed, top_k=CODES)
    for candidate in engine().run(request(window, settings, way=Reroll(base, (worst,)))):
        unchanged = np.array_equal(candidate.windows[0].codes, base.windows[0].codes)
        assert unchanged == np.isclose(candidate.log_likelihood, base.log_likelihood, rtol=1e-5)
        assert np.isclose(np.nansum(candidate.windows[0].surprise), -candidate.log_likelihood, rtol=1e-5)


def test_that_a_reroll_of_another_edit_is_refused() -> None:
    base = drawn(512)[0]
    tokens = (np.isfinite(base.windows[0].surprise),)
    with pytest.raises(RequestError, match="another edit"):
        list(engine().run(request(256, way=Reroll(base, tokens))))
    with pytest.raises(RequestError, match="no drawn token"):
        Reroll(base, (np.zeros((32, 32), bool),))
    with pytest.raises(RequestError, match="another edit"):
        Reroll(base, (np.ones((16, 16), bool),))
    with pytest.raises(RequestError, match="no draft is chosen"):
        InFull(())


def test_that_a_sketch_of_every_candidate_is_shown_before_the_full_drawing() -> None:
    steps: list[Progress] = []
    list(engine().run(request(), progress=steps.append))
    shown = [step for step in steps if step.previews]
    assert [step.candidates for step in shown] == [(0, 1)]
    assert all(len(step.previews) == len(step.candidates) for step in shown)
    place = steps.index(shown[0])
    assert {s.stage for s in steps[:place]} == {"encode", "guide"} and steps[place + 1].stage == "sga"


@pytest.mark.parametrize("window", [256, 512])
def test_that_steering_changes_the_drawing_but_ranks_by_the_model_alone(window: int) -> None:
    """A steered candidate re-scored by forcing its tokens without steering has the same likelihood."""
    settings = SamplingSettings(2, seed=5, label_strength=4.0, sketch_strength=2.0)
    steered = list(engine().run(request(window, settings)))
    plain = drawn(window)
    assert not all(same(a, b) for a, b in zip(steered, plain, strict=True))
    one = steered[0]
    surprise = one.windows[0].surprise
    some = np.isfinite(surprise) & (np.indices(surprise.shape).sum(0) % 7 == 0)
    again = next(engine().run(request(window, SamplingSettings(1, seed=9), way=Reroll(one, (some,)))))
    known = ~some & np.isfinite(surprise)
    first = np.argmax(some.ravel() & np.isfinite(surprise).ravel())
    before = known.ravel() & (np.arange(known.size) < first)
    if window == 256:  # raster order is drawing order: tokens before the first redrawn one keep their likelihood
        assert before.any()
        assert np.allclose(again.windows[0].surprise.ravel()[before], surprise.ravel()[before], rtol=1e-3)
    assert rank(steered)[0].log_likelihood == max(c.log_likelihood for c in steered)


def test_that_label_strength_one_and_no_sketch_leave_the_logits_alone() -> None:
    logits, other = torch.randn(3, CODES), torch.randn(3, CODES)
    assert torch.equal(Steering().bend(logits, [], 0), logits)
    assert torch.allclose(Steering(None, 1.0).bend(logits, [other], 0), logits)
    assert torch.allclose(Steering(None, 3.0).bend(logits, [other], 0), other + 3 * (logits - other), atol=1e-5)


def test_that_a_sketch_favours_codes_of_its_colour() -> None:
    colors = torch.tensor([[-1.0, -1, -1], [0, 0, 0], [1, 1, 1]])
    targets = torch.tensor([[[0.9, 0.9, 0.9]], [[-0.8, -1, -0.9]]])
    bent = Steering(sketch=Sketch(targets, colors, 1.0)).bend(torch.zeros(2, 3), [], 0)
    assert bent.argmax(1).tolist() == [2, 0]


def test_that_every_code_has_a_colour() -> None:
    colors = code_colors(engine().networks.first_stage_model)
    assert colors.shape == (CODES, 3) and colors.abs().max() <= 1 and colors.std() > 0


@pytest.mark.parametrize(("name", "value"), [("label_strength", 0.5), ("label_strength", 11), ("sketch_strength", -1)])
def test_that_strengths_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(RequestError, match="strength"):
        SamplingSettings(**{name: value})  # type: ignore[arg-type]


def test_that_the_speed_of_every_resolution_is_measured() -> None:
    speeds = engine().measure()
    assert set(speeds) == {256, 512}
    assert all(speed.fixed >= 0 and speed.per_token >= 0 for speed in speeds.values())
    assert speeds[512].fixed + 1000 * speeds[512].per_token > 0


def test_that_attention_looks_only_at_the_picture_and_at_what_was_drawn_before() -> None:
    edit = request()
    (seen,) = engine().attention(edit, drawn()[0])
    assert seen.shape == (256, 256) and (seen >= 0).all()
    assert (seen.sum(1) <= 1 + 1e-4).all() and (seen.sum(1) > 0.1).all()


def test_that_a_token_does_not_depend_on_later_ones_in_the_rollout() -> None:
    """Without the encoder's part, row j reaches only tokens before j."""
    guide = engine().networks.guiding_transformer
    codes = torch.arange(256) % CODES
    mask = torch.zeros(256, dtype=torch.bool)
    whole = attention_rollout(guide, codes, mask, torch.zeros(256, dtype=torch.long))
    changed = codes.clone()
    changed[200:] = (changed[200:] + 7) % CODES
    mask[200:] = True  # hidden from the encoder, so only the decoder could tell the difference
    one = attention_rollout(guide, codes, mask, torch.zeros(256, dtype=torch.long))
    other = attention_rollout(guide, changed, mask, torch.zeros(256, dtype=torch.long))
    assert torch.allclose(one[:200], other[:200], atol=1e-6)
    assert not torch.allclose(one[201:], other[201:], atol=1e-6)
    assert whole.shape == one.shape


def test_that_the_encoder_is_paid_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts drawn in full, parts drawn again and the attention view encode nothing that was encoded before."""
    editor, calls = tiny_editor(), []
    encode = VQGAN.encode

    def counted(self: VQGAN, *arguments: object, **options: object) -> torch.Tensor:
        calls.append(self)
        return encode(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(VQGAN, "encode", counted)
    drafts = list(editor.run(request(way=Draft())))
    assert calls
    first = len(calls)
    (full,) = editor.run(request(way=InFull((drafts[0],))))
    assert len(calls) == 2 * first, "only the finer level was new"
    list(editor.run(request(way=Reroll.worst(full, 0.2))))
    editor.attention(request(), full)
    list(editor.run(request(settings=SamplingSettings(samples=1, seed=9))))
    assert len(calls) == 2 * first
    other = request()
    other.photo[210, 230] ^= 1
    list(editor.run(EditRequest(other.photo, other.labels, other.paint, other.settings, 512, way=Draft())))
    assert len(calls) > 2 * first, "another photo is encoded"


def test_that_kept_levels_stay_within_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.drawing.scene.KEPT_BYTES", 1)
    editor = tiny_editor()
    list(editor.run(request()))
    assert len(editor.encoder._kept) == 1
    assert same(next(editor.run(request())), drawn()[0])
