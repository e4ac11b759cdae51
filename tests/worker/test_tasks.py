from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from app.worker.tasks import TaskThread


@pytest.fixture
def tasks(qapp) -> Iterator[TaskThread]:
    thread = TaskThread("test tasks")
    thread.start()
    yield thread
    assert thread.stop()
    thread.deleteLater()


def test_that_results_and_errors_arrive_in_the_gui_thread(tasks, qtbot) -> None:
    here = threading.get_ident()
    results: list[tuple[object, bool]] = []
    tasks.submit(threading.get_ident, lambda value: results.append((value, threading.get_ident() == here)), print)
    tasks.submit(lambda: 1 // 0, print, lambda e: results.append((type(e), threading.get_ident() == here)))
    qtbot.waitUntil(lambda: len(results) == 2, timeout=5000)
    assert results[0][0] != here
    assert results[0][1]
    assert results[1] == (ZeroDivisionError, True)
    assert not tasks.busy


def test_that_a_newer_task_with_the_same_key_replaces_the_older(tasks, qtbot) -> None:
    gate, results = threading.Event(), []
    tasks.submit(gate.wait, results.append, print)
    for number in range(10):
        tasks.submit(lambda number=number: number, results.append, print, key="plan")
    tasks.submit(lambda: "other", results.append, print, key="open")
    gate.set()
    qtbot.waitUntil(lambda: not tasks.busy, timeout=5000)
    assert results == [True, 9, "other"]


def test_that_a_forgotten_task_does_not_report(tasks, qtbot) -> None:
    gate, results = threading.Event(), []
    tasks.submit(gate.wait, results.append, print)
    tasks.submit(lambda: "plan", results.append, print, key="plan")
    tasks.forget("plan")
    gate.set()
    qtbot.waitUntil(lambda: not tasks.busy, timeout=5000)
    assert results == [True]
