"""One photo's way through the engine, on tiny random models: any photo, any paint, cancel, out of memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from models import device
from models.candidate import Candidate
from models.config import Semantics
from models.drawing import sampling
from models.drawing.samplers import asset as module
from models.editor import BATCH, SceneEditor
from models.errors import DeviceError, RequestError
from models.finishing import finish
from models.networks.vqgan.vqgan import VQGAN
from models.request import NOT_PAINTED, Cancelled, CancelToken, EditRequest, Progress, SamplingSettings
from tests.helpers import CODES, LABELS, box_paint, paint_of, some_labels, some_photo, tiny_config, tiny_editor


@lru_cache(maxsize=2)
def engine(semantics: Semantics = Semantics.CLEAN) -> SceneEditor:
    return tiny_editor(semantics)


def request(
    paint: np.ndarray, window: int | None = None, photo: np.ndarray | None = None, **settings: Any
) -> EditRequest:
    height, width = paint.shape
    photo = some_photo(height, width) if photo is None else photo
    return EditRequest(photo, some_labels(height, width), paint, SamplingSettings(**settings), window)


def small_request(**settings: Any) -> EditRequest:
    """An edit of about 20 tokens in a 256 window."""
    return request(box_paint(260, 280, 100, 110, 150, 170), **settings)


def stroke(height: int, width: int, thickness: int) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    cv2.line(mask, (width // 10, height // 8), (width - width // 7, height - height // 5), 1, thickness)
    return paint_of(mask > 0)


def islands(height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    rng = np.random.default_rng(1)
    for _ in range(25):
        row, column = int(rng.integers(height)), int(rng.integers(width))
        mask[row : row + 9, column : column + 5] = True
    mask[0, 0] = mask[-1, -1] = mask[0, -1] = True
    return paint_of(mask)


PAINTS: dict[str, Callable[[int, int], np.ndarray]] = {
    "thin stroke": lambda h, w: stroke(h, w, 1),
    "thick stroke": lambda h, w: stroke(h, w, 11),
    "full": lambda h, w: np.full((h, w), 2, np.uint8),
    "islands": islands,
    "one pixel": lambda h, w: box_paint(h, w, h // 2, w // 3, h // 2 + 1, w // 3 + 1),
    "border": lambda h, w: box_paint(h, w, 0, 0, h, min(3, w)),
}


def check(editor: SceneEditor, edit: EditRequest, candidates: list[Candidate]) -> None:
    """What holds for the candidates of every request."""
    painted = edit.paint != NOT_PAINTED
    settings = edit.settings
    assert [c.index for c in candidates] == list(range(settings.samples))
    assert [c.seed for c in candidates] == [settings.seed + k for k in range(settings.samples)]
    windows = editor.plan(edit.paint, edit.window)
    for candidate in candidates:
        assert len(candidate.tokens) == len(candidate.token_log_likelihoods)
        assert candidate.tokens.dtype == np.int64 and np.isin(candidate.tokens, np.arange(CODES)).all()
        assert np.isfinite(candidate.token_log_likelihoods).all() and (candidate.token_log_likelihoods <= 0).all()
        assert candidate.truncated_log_likelihood >= candidate.log_likelihood - 1e-6 or settings.temperature != 1
        assert candidate.places == windows
        assert [w.codes.shape for w in candidate.windows] == [(w.resolution // 16,) * 2 for w in windows]
        result = candidate.apply(edit.photo)
        assert result.shape == edit.photo.shape and result.dtype == np.uint8
        assert np.array_equal(result[~painted], edit.photo[~painted])
        edited = np.zeros(painted.shape, int)
        for patch in candidate.patches:
            height, width = patch.mask.shape
            assert patch.pixels.shape == (height, width, 3)
            edited[patch.y : patch.y + height, patch.x : patch.x + width] += patch.mask
        assert np.array_equal(edited, painted.astype(int))  # each painted pixel by one window


CASES = [
    *(((height, width), name) for height, width in ((1, 1), (17, 33), (300, 200)) for name in PAINTS),
    *(((700, 500), name) for name in ("thin stroke", "islands", "one pixel")),
]


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


# --- refusals -----------------------------------------------------------------------------------------------


class Negative:
    """The colours of a photo whose values are those of sRGB, turned round."""

    def convert(self, rgb: np.ndarray) -> np.ndarray:
        return 255 - rgb

    restore = convert


@pytest.mark.parametrize("window", [256, 512])
def test_that_a_photo_of_other_colours_is_drawn_into_as_one_of_srgb(window: int) -> None:
    paint = box_paint(540, 540, 200, 220, 250, 300)
    plain = request(paint, samples=1, window=window)
    other = dataclasses.replace(plain, photo=255 - plain.photo, colors=Negative())
    one, two = next(engine().run(plain)), next(engine().run(other))
    assert np.array_equal(one.tokens, two.tokens)
    before, after = one.apply(plain.photo), two.apply(other.photo)
    assert np.abs(255 - after.astype(int) - before).max() <= 1
    assert np.array_equal(after[paint == NOT_PAINTED], other.photo[paint == NOT_PAINTED])


def test_that_previews_show_what_is_drawn_over_the_sketch_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.drawing.previews.FIRST", 0.0)
    edit = request(box_paint(540, 540, 200, 220, 250, 300), samples=2, window=512)
    steps: list[Progress] = []
    drawn = list(engine().run(edit, None, steps.append, preview_share=1000.0))
    plain = list(engine().run(edit))
    assert all(np.array_equal(a.tokens, b.tokens) for a, b in zip(drawn, plain, strict=True))
    sketch = next(s.previews for s in steps if s.stage == "sketch")
    shown = [s.previews for s in steps if s.stage == "sga" and s.previews]
    assert len(shown) > 1 and all(len(previews) == 2 for previews in shown)
    changed = [int((previews[0].pixels != sketch[0].pixels).any(2).sum()) for previews in shown]
    assert changed == sorted(changed) and 0 < changed[0] < changed[-1]
    unpainted = edit.paint == NOT_PAINTED
    for patch in shown[-1]:
        region = patch.y + np.arange(len(patch.pixels))[:, None], patch.x + np.arange(patch.pixels.shape[1])[None]
        outside = unpainted[region]
        assert np.array_equal(patch.pixels[outside], edit.photo[region][outside])


def test_that_labels_out_of_range_are_refused() -> None:
    edit = small_request(samples=1)
    wrong = np.where(edit.paint == NOT_PAINTED, NOT_PAINTED, LABELS).astype(np.uint8)
    with pytest.raises(RequestError, match=f"paint: label index {LABELS} is unknown.*0 to {LABELS - 1}"):
        list(engine().run(request(wrong, samples=1)))
    labels = edit.labels.copy()
    labels[0, 0] = 200
    with pytest.raises(RequestError, match="label map: label index 200"):
        list(engine().run(EditRequest(edit.photo, labels, edit.paint)))


def refused(**changes: Any) -> str:
    facts: dict[str, Any] = {
        "photo": some_photo(20, 30),
        "labels": some_labels(20, 30),
        "paint": box_paint(20, 30, 1, 1, 5, 5),
    }
    with pytest.raises(RequestError) as caught:
        EditRequest(**(facts | changes))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_that_arrays_that_do_not_fit_are_refused_in_one_line() -> None:
    assert "nothing is painted" in refused(paint=np.full((20, 30), NOT_PAINTED, np.uint8))
    assert "29x20" in refused(paint=box_paint(20, 29, 1, 1, 5, 5))
    assert "label map" in refused(labels=some_labels(19, 30))
    assert "photo" in refused(photo=some_photo(20, 30)[:, :, :2])
    assert "photo" in refused(photo=some_photo(20, 30).astype(np.float32))
    assert "paint" in refused(paint=box_paint(20, 30, 1, 1, 5, 5).astype(np.int64))
    assert "window is 300" in refused(window=300)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("samples", 0),
        ("samples", -3),
        ("keep", 0),
        ("seed", -1),
        ("seed", 2**63),
        ("temperature", 0.0),
        ("temperature", -1.0),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", 0),
        ("top_p", 0.0),
        ("top_p", 1.5),
    ],
)
def test_that_settings_out_of_range_are_named(name: str, value: Any) -> None:
    with pytest.raises(RequestError, match=name.replace("_", "-")):
        SamplingSettings(**{name: value})


# --- models without an SGA transformer ----------------------------------------------------------------------


def test_that_a_model_without_sga_draws_with_its_guide() -> None:
    editor = tiny_editor(config=tiny_config(sga=False))
    edit = small_request(samples=2)
    run = editor.run(edit)
    check(editor, edit, list(run))
    assert set(run.seconds) == {"encode", "guide", "decode", "blend"}


@pytest.mark.parametrize("box", [(5, 5, 60, 70), (300, 300, 360, 380)])
def test_that_a_window_larger_than_the_model_draws_is_generated_at_its_size(box: tuple[int, int, int, int]) -> None:
    """Asked for 512 and without SGA, the guide's 256 pixels cover the whole window, or the request is refused."""
    editor = tiny_editor(config=tiny_config(sga=False))
    edit = request(box_paint(700, 600, *box), 512, samples=1)
    try:
        (candidate,) = editor.run(edit)
    except RequestError as error:
        assert "512" in str(error)
        return
    (window,), (codes,) = editor.plan(edit.paint, 512), (w.codes for w in candidate.windows)
    assert codes.shape[0] * 16 == window.resolution
    check(editor, edit, [candidate])


# --- labels -------------------------------------------------------------------------------------------------


def test_that_labels_are_unknown_without_a_segmenter() -> None:
    labels = engine().suggest_labels(some_photo(31, 17))
    assert labels.shape == (31, 17) and labels.dtype == np.uint8 and not labels.any()


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (300, 200), (3, 900), (1300, 40)])
def test_that_suggested_labels_fit_the_photo(size: tuple[int, int]) -> None:
    editor = tiny_editor(config=tiny_config(segmenter=True))
    labels = editor.suggest_labels(some_photo(*size))
    assert labels.shape == size and labels.dtype == np.uint8 and labels.max() < LABELS


def test_that_the_segmenter_follows_the_photo() -> None:
    """Turned upside down, its map must change: it looks at the picture and not only at the place."""
    editor = tiny_editor(config=tiny_config(segmenter=True))
    photo = np.zeros((128, 128, 3), np.uint8)
    photo[:64] = 250
    one, two = editor.suggest_labels(photo), editor.suggest_labels(photo[::-1].copy())
    assert not np.array_equal(one, two)


# --- cancel -------------------------------------------------------------------------------------------------


def cancelling(stage: str, after: int) -> tuple[CancelToken, Callable[[Progress], None], list[Progress]]:
    """A token that is cancelled when `stage` has been reported `after` times."""
    token, seen = CancelToken(), list[Progress]()

    def report(step: Progress) -> None:
        seen.append(step)
        if sum(s.stage == stage for s in seen) == after:
            token.cancel()

    return token, report, seen


@pytest.mark.parametrize(("stage", "after"), [("encode", 1), ("guide", 1), ("guide", 7), ("sga", 5), ("decode", 1)])
def test_that_a_job_stops_within_one_token_and_the_next_is_unharmed(stage: str, after: int) -> None:
    edit = request(box_paint(520, 540, 200, 220, 240, 290), 512, samples=2)
    expected = [c.tokens for c in engine().run(edit)]
    token, report, seen = cancelling(stage, after)
    with pytest.raises(Cancelled):
        list(engine().run(edit, token, report))
    assert seen[-1].stage == stage and sum(s.stage == stage for s in seen) == after  # not one step more
    again = [c.tokens for c in engine().run(edit)]
    assert all(np.array_equal(a, b) for a, b in zip(again, expected, strict=True))


def test_that_finished_candidates_are_kept_and_no_partial_one_is_given() -> None:
    token, finished = CancelToken(), list[Candidate]()
    steps = 0

    def report(step: Progress) -> None:
        nonlocal steps
        steps += step.stage == "guide" and step.candidates[0] == BATCH
        if steps == 3:
            token.cancel()

    edit = small_request(samples=BATCH + 3)
    with pytest.raises(Cancelled):
        for candidate in engine().run(edit, token, report):
            finished.append(candidate)
    assert [c.index for c in finished] == list(range(BATCH))
    whole = list(engine().run(edit))
    assert all(np.array_equal(a.tokens, b.tokens) for a, b in zip(finished, whole, strict=False))


def test_that_a_job_cancelled_before_it_starts_does_nothing() -> None:
    token = CancelToken()
    token.cancel()
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        list(engine().run(small_request(samples=1), token, seen.append))
    assert seen == [] and token.cancelled and not CancelToken().cancelled


# --- out of memory (design/trust.md, row 14) ----------------------------------------------------------------


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 1073741824 bytes."),
    MemoryError(),
]


@pytest.fixture
def fresh() -> SceneEditor:
    """An editor whose ladder no other test has gone down."""
    return tiny_editor()


def fail_draw_above(limit: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let `draw` fail for batches above `limit`, in the middle of the draw; returns the batch sizes tried."""
    tried: list[int] = []
    real = sampling.draw

    def draw(*arguments: Any, **options: Any) -> Generator[int, None, Any]:
        size = arguments[2].uniforms.shape[0]
        tried.append(size)
        steps = real(*arguments, **options)
        if size > limit:
            yield next(steps)
            raise type(error)(*error.args)
        return (yield from steps)

    monkeypatch.setattr(module, "draw", draw)
    return tried


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("limit", [1, 2])
def test_that_running_out_of_memory_while_drawing_makes_the_batch_smaller(
    limit: int, error: BaseException, fresh: SceneEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = small_request(samples=BATCH + 1)
    expected = list(fresh.run(edit))
    tried = fail_draw_above(limit, error, monkeypatch)
    candidates = list(fresh.run(edit))
    check(fresh, edit, candidates)
    assert tried[0] == BATCH and min(tried) >= 1 and max(tried[len(tried) // 2 :]) <= limit
    for one, two in zip(candidates, expected, strict=True):
        assert np.array_equal(one.tokens, two.tokens)


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_that_running_out_of_memory_while_decoding_ends_in_strips(
    error: BaseException, fresh: SceneEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = small_request(samples=2)
    expected = list(fresh.run(edit))
    real = VQGAN.decode

    def decode(self: VQGAN, features: torch.Tensor, *rest: object) -> torch.Tensor:
        if not all(getattr(m, "strips", True) for m in self.decoder.modules()):
            raise type(error)(*error.args)
        return real(self, features, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(VQGAN, "decode", decode)
    candidates = list(fresh.run(edit))
    check(fresh, edit, candidates)
    for one, two in zip(candidates, expected, strict=True):
        assert np.array_equal(one.tokens, two.tokens)
        gap = one.apply(edit.photo).astype(int) - two.apply(edit.photo)
        assert np.abs(gap).max() <= 1


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_that_the_ladder_ends_in_one_clear_line_and_the_next_job_runs(
    error: BaseException, fresh: SceneEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = small_request(samples=3)
    with monkeypatch.context() as patch:
        tried = fail_draw_above(0, error, patch)
        with pytest.raises(DeviceError) as caught:
            list(fresh.run(edit))
    message = str(caught.value)
    assert "\n" not in message and "memory ran out" in message and "--window" in message
    assert tried == [3, 1, 1]  # smaller batch, then strips
    check(fresh, edit, list(fresh.run(edit)))


def test_that_candidates_finished_before_memory_ran_out_are_kept(
    fresh: SceneEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[Candidate] = []
    with pytest.raises(DeviceError):
        for candidate in fresh.run(small_request(samples=BATCH + 2)):
            finished.append(candidate)
            if len(finished) == BATCH:
                fail_draw_above(0, ERRORS[0], monkeypatch)
    assert [c.index for c in finished] == list(range(BATCH))


@pytest.mark.parametrize("name", ["encode", "choose_lists", "blend"])
def test_that_running_out_of_memory_anywhere_is_one_clear_line(
    name: str, fresh: SceneEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ERRORS[0]

    edit = request(box_paint(520, 540, 200, 220, 240, 290), 512, samples=1)
    with monkeypatch.context() as patch:
        places = {"encode": VQGAN, "choose_lists": fresh.sampler, "blend": finish}
        patch.setattr(places[name], name, fail)
        with pytest.raises(DeviceError, match="memory ran out"):
            list(fresh.run(edit))
    check(fresh, edit, list(fresh.run(edit)))


def test_that_other_errors_are_not_taken_for_lack_of_memory(
    fresh: SceneEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = fail_draw_above(0, RuntimeError("shapes do not match"), monkeypatch)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        list(fresh.run(small_request(samples=2)))
    assert tried == [2]


def test_that_little_free_memory_means_a_small_batch_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    editor = tiny_editor()
    edit = small_request(samples=BATCH)
    need = device.estimate_bytes(editor.config, 256, 1)
    poor = type(editor.device)(editor.device.device, editor.device.line, int(need / 0.8) + 1)
    monkeypatch.setattr(editor, "device", poor)
    batches = {s.candidates for s in capture(editor, edit) if s.stage == "guide"}
    assert batches == {(0,), (1,), (2,), (3,)}


def capture(editor: SceneEditor, edit: EditRequest) -> list[Progress]:
    steps: list[Progress] = []
    list(editor.run(edit, progress=steps.append))
    return steps
