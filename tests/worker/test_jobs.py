"""The queue and the engine thread: states, cancelling, one end for every job, a quick stop."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from app.worker.engine_thread import EngineThread
from app.worker.job_queue import JobQueue
from app.worker.jobs import Found, JobEnd, JobState
from models.request import EditRequest, SamplingSettings
from tests.ui.fake_engine import FakeEngine, out_of_memory

Started = tuple[EngineThread, JobQueue, list[JobEnd], list[Found]]


def request(samples: int = 2) -> EditRequest:
    paint = np.full((64, 64), 255, np.uint8)
    paint[20:40, 20:40] = 3
    photo = np.zeros((64, 64, 3), np.uint8)
    return EditRequest(photo, np.zeros((64, 64), np.uint8), paint, SamplingSettings(samples=samples))


@pytest.fixture
def start(qapp, qtbot) -> Iterator[Callable[[FakeEngine], Started]]:
    threads = []

    def make(engine: FakeEngine) -> Started:
        thread = EngineThread(lambda: engine)
        queue = JobQueue(thread)
        ends: list[JobEnd] = []
        found: list[Found] = []
        queue.ended.connect(ends.append)
        thread.candidate_found.connect(found.append)
        threads.append((thread, queue))
        with qtbot.waitSignal(thread.opened, timeout=5000):
            thread.start()
        return thread, queue, ends, found

    yield make
    for thread, queue in threads:
        assert thread.stop()
        queue.deleteLater()
        thread.deleteLater()


def test_that_jobs_run_in_order_and_end_once(start, qtbot) -> None:
    _, queue, ends, found = start(FakeEngine())
    numbers = [queue.submit(request()).number for _ in range(3)]
    qtbot.waitUntil(lambda: len(ends) == 3, timeout=5000)
    assert [end.job for end in ends] == numbers
    assert all(end.state is JobState.FINISHED for end in ends)
    assert [f.job for f in found] == [n for n in numbers for _ in range(2)]


def test_that_cancelling_one_job_stops_no_other(start, qtbot) -> None:
    _, queue, ends, _ = start(FakeEngine(step_seconds=0.01))
    first, second, third = (queue.submit(request()).number for _ in range(3))
    queue.cancel(second)
    assert [(end.job, end.state) for end in ends] == [(second, JobState.CANCELLED)], "a waiting job ends on the spot"
    queue.cancel(first)
    qtbot.waitUntil(lambda: len(ends) == 3, timeout=5000)
    assert {end.job: end.state for end in ends} == {
        first: JobState.CANCELLED,
        second: JobState.CANCELLED,
        third: JobState.FINISHED,
    }


def test_that_a_cancelled_job_keeps_its_finished_candidates(start, qtbot) -> None:
    _, queue, ends, found = start(FakeEngine(step_seconds=0.01))
    queue.submit(request(samples=50))
    qtbot.waitUntil(lambda: len(found) >= 2, timeout=5000)
    asked = time.perf_counter()
    queue.cancel_running()
    qtbot.waitUntil(lambda: len(ends) == 1, timeout=5000)
    print(f"cancelled after {(time.perf_counter() - asked) * 1000:.0f} ms")
    assert ends[0].state is JobState.CANCELLED
    assert 2 <= len(found) < 50


def test_that_races_between_cancelling_and_finishing_end_every_job_once(start, qtbot) -> None:
    """200 jobs, each cancelled at a random time: before, while or after it runs."""
    _, queue, ends, _ = start(FakeEngine(steps=3))
    chance = random.Random(5)
    kept = []
    for _ in range(200):
        job = queue.submit(request(samples=1)).number
        if chance.random() < 0.7:
            if chance.random() < 0.5:
                qtbot.wait(chance.choice([0, 1, 2]))
            queue.cancel(job)
        else:
            kept.append(job)
    qtbot.waitUntil(lambda: len(ends) >= 200, timeout=20_000)
    qtbot.wait(50)
    assert sorted(end.job for end in ends) == list(range(1, 201))
    finished = {end.job for end in ends if end.state is JobState.FINISHED}
    assert set(kept) <= finished


def test_that_a_failed_job_says_why_and_the_next_one_runs(start, qtbot) -> None:
    engine = FakeEngine(fail_with=out_of_memory())
    _, queue, ends, _ = start(engine)
    queue.submit(request())
    qtbot.waitUntil(lambda: len(ends) == 1, timeout=5000)
    assert ends[0].state is JobState.FAILED
    assert "out of memory" in ends[0].message
    engine.fail_with = None
    queue.submit(request())
    qtbot.waitUntil(lambda: len(ends) == 2, timeout=5000)
    assert ends[1].state is JobState.FINISHED


def test_that_an_unexpected_error_ends_the_job_too(start, qtbot) -> None:
    _, queue, ends, _ = start(FakeEngine(fail_with=ZeroDivisionError("division by zero")))
    queue.submit(request())
    qtbot.waitUntil(lambda: len(ends) == 1, timeout=5000)
    assert ends[0].state is JobState.FAILED
    assert ends[0].message == "The edit failed: division by zero"


def test_that_at_most_twenty_reports_a_second_arrive_and_never_fall(start, qtbot) -> None:
    thread, queue, ends, _ = start(FakeEngine(steps=400, step_seconds=0.001))
    fractions: list[float] = []
    thread.job_progressed.connect(lambda progress: fractions.append(progress.fraction))
    queue.submit(request(samples=2))
    qtbot.waitUntil(lambda: len(ends) == 1, timeout=20_000)
    assert 2 <= len(fractions) <= 20 * ends[0].seconds + 2  # one more for the sketches
    assert fractions == sorted(fractions)
    assert fractions[-1] <= 1


def test_that_results_own_their_arrays_and_cannot_be_changed(start, qtbot) -> None:
    _, queue, ends, found = start(FakeEngine())
    queue.submit(request(samples=1))
    qtbot.waitUntil(lambda: len(ends) == 1, timeout=5000)
    patch = found[0].candidate.patches[0]
    with pytest.raises(ValueError):
        patch.pixels[0, 0] = 1
    with pytest.raises(ValueError):
        patch.mask[0, 0] = True


@pytest.mark.parametrize("attempt", range(5))
def test_that_stopping_in_the_middle_of_a_run_is_quick(start, qtbot, attempt: int) -> None:
    thread, queue, _, _ = start(FakeEngine(step_seconds=0.05, steps=1000))
    queue.submit(request())
    queue.submit(request())
    qtbot.wait(30 * attempt)
    asked = time.perf_counter()
    assert thread.stop()
    print(f"stopped after {(time.perf_counter() - asked) * 1000:.0f} ms")


def test_that_only_the_newest_suggestion_is_worked_on(start, qtbot) -> None:
    thread, *_ = start(FakeEngine(suggestion_seconds=0.05))
    numbers: list[int] = []
    thread.labels_suggested.connect(lambda suggestion: numbers.append(suggestion.number))
    for number in range(1, 6):
        thread.suggest_labels(number, np.zeros((8, 8, 3), np.uint8))
    qtbot.waitUntil(lambda: 5 in numbers, timeout=5000)
    assert len(numbers) <= 2


def test_that_an_engine_that_does_not_open_is_reported(qapp, qtbot) -> None:
    def broken() -> FakeEngine:
        raise out_of_memory()

    thread = EngineThread(broken)
    queue = JobQueue(thread)
    ends: list[JobEnd] = []
    queue.ended.connect(ends.append)
    with qtbot.waitSignal(thread.open_failed, timeout=5000) as failed:
        thread.start()
    assert "out of memory" in failed.args[0]
    queue.submit(request())
    qtbot.waitUntil(lambda: len(ends) == 1, timeout=5000)
    assert ends[0].state is JobState.FAILED
    assert thread.stop()
    queue.deleteLater()
    thread.deleteLater()


def test_that_the_speed_is_measured_when_nothing_else_is_to_be_done(start, qtbot, monkeypatch) -> None:
    """A measurement cannot be interrupted: what the user asks for goes first."""
    order: list[str] = []
    engine = FakeEngine(suggestion_seconds=0.2)
    measure, suggest = engine.measure, engine.suggest_labels
    monkeypatch.setattr(engine, "measure", lambda: (order.append("measure"), measure())[1])
    monkeypatch.setattr(engine, "suggest_labels", lambda photo: (order.append("suggest"), suggest(photo))[1])
    thread, queue, ends, _ = start(engine)
    with qtbot.waitSignal(thread.measured, timeout=10_000):
        thread.measure()
        thread.suggest_labels(1, np.zeros((64, 64, 3), np.uint8))
        queue.submit(request())
    assert order == ["suggest", "measure"] and len(ends) == 1
