"""Cancelling between two tokens, and memory that runs out."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest
import torch

from models import device
from models.candidate import Candidate
from models.drawing import sampling
from models.drawing.samplers import asset as module
from models.editor import BATCH, SceneEditor
from models.errors import DeviceError
from models.finishing import finish
from models.networks.vqgan.vqgan import VQGAN
from models.request import Cancelled, CancelToken, EditRequest, Progress
from tests.helpers import box_paint, tiny_editor
from tests.models.edits import (
    check,
    engine,
    request,
    small_request,
)

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
