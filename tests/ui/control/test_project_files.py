"""Projects in the real window: saved, opened, asked about, remembered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QFileDialog, QMenu

from app.io.project import read_project
from app.io.recent import RecentFiles
from app.ui.control import files
from app.ui.main_window import MainWindow
from app.ui.panels.message_bar import Kind
from tests.ui.control.test_generating import finished, paint_and_generate
from tests.ui.window_fixtures import WAIT, drag


def with_work(open_window, photo_file: Path, qtbot, count: int = 3) -> MainWindow:
    """A window with an applied version, a star and fresh paint."""
    window = open_window(photo=photo_file)
    paint_and_generate(window, qtbot, count)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    window.gallery.star_chosen()
    window.gallery.apply_chosen()
    drag(window.canvas, (300, 200), (340, 210))
    return window


def saved(window: MainWindow, path: Path, qtbot) -> None:
    window.projects.save_to(path)
    qtbot.waitUntil(lambda: window.projects.path == path, timeout=WAIT)


def test_that_a_saved_project_opens_as_it_was(open_window, photo_file, qtbot, tmp_path) -> None:
    window = with_work(open_window, photo_file, qtbot)
    document, run = window.session.document, window.generation.runs[0]
    path = tmp_path / "work.scenebrush"
    assert window.isWindowModified()
    saved(window, path, qtbot)
    assert not window.isWindowModified() and "work.scenebrush" in window.windowTitle()

    other = open_window()
    photo_file.unlink()  # the project holds the photo itself
    other.files.open_path(path)
    qtbot.waitUntil(lambda: other.session.document is not None, timeout=WAIT)
    again = other.session.document
    for layer in ("picture", "paint", "start", "applied"):
        assert np.array_equal(getattr(again, layer), getattr(document, layer)), layer
    assert not other.isWindowModified() and not other.session.undo_stack.canUndo()
    restored = other.generation.runs[0]
    assert [e.candidate.seed for e in restored.entries] == [e.candidate.seed for e in run.entries]
    assert [e.starred for e in restored.entries] == [e.starred for e in run.entries] and restored.entries[0].starred
    assert other.gallery.model.applied == [restored.entries[0]]
    assert "0 px changed outside the paint" in other.status.locality.text()
    other.grab()


def test_that_restored_results_can_be_applied_and_drawn_again(open_window, photo_file, qtbot, tmp_path) -> None:
    window = with_work(open_window, photo_file, qtbot)
    saved(window, tmp_path / "work.scenebrush", qtbot)
    other = open_window(photo=tmp_path / "work.scenebrush")
    run = other.generation.runs[0]
    other.gallery.choose(run.entries[1].candidate)
    before = other.session.document.picture.copy()
    other.gallery.apply_chosen()
    assert not np.array_equal(other.session.document.picture, before)
    other.session.undo()
    assert np.array_equal(other.session.document.picture, before)
    other.gallery.choose(run.entries[1].candidate)
    other.gallery.reroll_chosen(0.2)
    qtbot.waitUntil(lambda: len(other.generation.runs) == 2 and finished(other), timeout=WAIT)
    assert len(other.generation.runs[1].entries) == other.panel.count.value()


def test_that_undoing_to_the_saved_state_is_clean_and_new_results_are_not(
    open_window, photo_file, qtbot, tmp_path
) -> None:
    window = with_work(open_window, photo_file, qtbot)
    saved(window, tmp_path / "work.scenebrush", qtbot)
    drag(window.canvas, (30, 30), (60, 40))
    assert window.projects.dirty
    window.session.undo()
    assert not window.projects.dirty
    window.generation.generate()
    qtbot.waitUntil(lambda: finished(window) and len(window.generation.runs) == 2, timeout=WAIT)
    assert window.projects.dirty


def test_that_a_failed_save_says_so_and_stays_unsaved(open_window, photo_file, qtbot, tmp_path) -> None:
    window = with_work(open_window, photo_file, qtbot)
    window.projects.save_to(tmp_path / "no such folder" / "work.scenebrush")
    qtbot.waitUntil(lambda: window.messages.kind is Kind.ERROR and window.messages.isVisible(), timeout=WAIT)
    assert "not saved" in window.messages.text.text()
    assert window.projects.dirty and window.projects.path is None


def test_that_a_damaged_project_leaves_the_open_photo(open_window, photo_file, qtbot, tmp_path) -> None:
    window = with_work(open_window, photo_file, qtbot)
    document = window.session.document
    bad = tmp_path / "bad.scenebrush"
    bad.write_bytes(b"no project")
    window.files.open_path(bad)
    qtbot.waitUntil(lambda: window.messages.kind is Kind.ERROR and window.messages.isVisible(), timeout=WAIT)
    assert "still open" in window.messages.text.text()
    assert window.session.document is document and len(window.generation.runs) == 1


@pytest.mark.parametrize(("answer", "opens"), [("stay", False), ("drop", True), ("save", True)])
def test_that_opening_another_photo_asks_about_unsaved_work(
    open_window, photo_file, qtbot, tmp_path, monkeypatch, answer, opens
) -> None:
    window = with_work(open_window, photo_file, qtbot)
    document = window.session.document
    target = tmp_path / "kept.scenebrush"
    monkeypatch.setattr(files, "ask_about_edits", lambda _: answer)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), ""))
    window.files.open_path(photo_file)
    if opens:
        qtbot.waitUntil(lambda: window.session.document is not document, timeout=WAIT)
    else:
        qtbot.wait(50)
        assert window.session.document is document
    assert target.exists() is (answer == "save")
    if answer == "save":
        data, _ = read_project(target)
        assert len(data.runs) == 1 and (data.paint != 255).any()


def test_that_save_asks_for_a_name_once(open_window, photo_file, qtbot, tmp_path, monkeypatch) -> None:
    window = with_work(open_window, photo_file, qtbot)
    asked: list[object] = []
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (asked.append(1) or str(tmp_path / "a"), ""))
    window.projects.save()
    qtbot.waitUntil(lambda: (tmp_path / "a.scenebrush").exists() and not window.projects.dirty, timeout=WAIT)
    drag(window.canvas, (30, 30), (60, 40))
    window.projects.save()
    qtbot.waitUntil(lambda: not window.projects.dirty, timeout=WAIT)
    assert len(asked) == 1


def test_that_recent_files_are_listed_newest_first_and_survive_a_restart(tmp_path: Path) -> None:
    store = tmp_path / "state" / "recent.json"
    paths = [tmp_path / f"{n}.png" for n in range(12)]
    recent = RecentFiles(store)
    for path in paths:
        path.touch()
        recent.add(path)
    recent.add(paths[5])
    assert RecentFiles(store).paths[:2] == [paths[5], paths[11]] and len(RecentFiles(store).paths) == 10
    paths[11].unlink()
    assert paths[11] not in RecentFiles(store).paths
    store.write_text("{broken")
    assert RecentFiles(store).paths == []


def test_that_the_recent_menu_opens_what_it_names(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    menu, number = QMenu(window), window.session.document_number
    window.projects.fill_recent(menu)
    assert menu.actions()[0].text() == photo_file.name
    menu.actions()[0].trigger()
    qtbot.waitUntil(lambda: window.session.document_number > number, timeout=WAIT)
    menu.actions()[-1].trigger()
    window.projects.fill_recent(menu)
    assert not menu.actions()[0].isEnabled()
