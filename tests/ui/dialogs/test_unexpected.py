"""Errors that nobody expected: logged whole, told once, from any thread."""

from __future__ import annotations

import logging
import sys
import threading

import pytest
from PySide6.QtCore import QObject

from app.io.log import last_lines, log_file, logging_to
from app.ui.dialogs.unexpected import UnexpectedErrors
from app.ui.panels.message_bar import Kind
from tests.ui.window_fixtures import WAIT


class Listener(QObject):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.threads: list[threading.Thread] = []

    def hear(self, kind: Kind, text: str) -> None:
        assert kind is Kind.ERROR
        self.told.append(text)
        self.threads.append(threading.current_thread())


@pytest.fixture
def errors(qapp):
    watch, listener = UnexpectedErrors(), Listener()
    watch.message.connect(listener.hear)
    yield watch, listener.told
    listener.deleteLater()
    watch.deleteLater()


def fail(watch: UnexpectedErrors, error: BaseException) -> None:
    try:
        raise error
    except BaseException as raised:
        watch.report(type(raised), raised, raised.__traceback__)


def test_that_an_error_is_one_calm_line_and_whole_in_the_log(errors, caplog) -> None:
    watch, told = errors
    fail(watch, ValueError("the lake is dry.\nsecond line"))
    assert len(told) == 1 and "\n" not in told[0]
    assert "the lake is dry. Your work is still here" in told[0]
    assert "ValueError" in caplog.text and "second line" in caplog.text


def test_that_an_error_at_every_repaint_is_told_once(errors, caplog) -> None:
    watch, told = errors
    for number in range(100):
        fail(watch, ValueError(f"try {number}"))
    assert len(told) == 1 and caplog.text.count("Traceback") == 1
    fail(watch, KeyError("another one"))
    assert len(told) == 2


def test_that_an_error_of_another_thread_is_shown_from_this_one(qapp, qtbot, caplog) -> None:
    watch, listener = UnexpectedErrors(), Listener()
    watch.message.connect(listener.hear)
    thread = threading.Thread(target=fail, args=(watch, ValueError("elsewhere")))
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: bool(listener.told), timeout=WAIT)
    assert listener.threads == [threading.current_thread()]
    listener.deleteLater()
    watch.deleteLater()


def test_that_the_hook_is_put_back(errors, monkeypatch) -> None:
    watch, told = errors
    passed = []
    before = lambda *error: passed.append(error)  # noqa: E731
    monkeypatch.setattr(sys, "excepthook", before)
    watch.start()
    assert sys.excepthook == watch.report
    fail(watch, KeyboardInterrupt())
    assert len(passed) == 1 and told == []
    watch.stop()
    assert sys.excepthook is before


def test_that_the_log_turns_over_and_ends_with_the_program(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("app.io.log._BYTES", 2000)
    handlers = list(logging.getLogger().handlers)
    with logging_to(tmp_path / "log"):
        for number in range(300):
            logging.getLogger("app").info("line %d of many", number)
    assert logging.getLogger().handlers == handlers
    files = sorted(path.name for path in (tmp_path / "log").iterdir())
    assert files == ["scenebrush.log", "scenebrush.log.1", "scenebrush.log.2", "scenebrush.log.3"]
    assert all(path.stat().st_size <= 2000 for path in (tmp_path / "log").iterdir())
    assert "line 299" in last_lines(tmp_path / "log", 1)[0]


def test_that_a_log_that_cannot_be_made_is_no_reason_not_to_start(tmp_path) -> None:
    (tmp_path / "file").touch()
    with logging_to(tmp_path / "file"):
        logging.getLogger("app").error("nobody reads this")
    assert not log_file(tmp_path / "file").exists()
