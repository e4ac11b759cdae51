"""Searching the results of all runs, in the real window with a fake engine."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.studio.arrange import Order
from app.ui.main_window import MainWindow
from tests.ui.control.test_generating import finished
from tests.ui.gallery.test_gallery import generated
from tests.ui.window_fixtures import WAIT, drag


def three_runs(open_window, photo_file, qtbot) -> MainWindow:
    """Full versions of lake (one applied, another starred), drafts of tree, full versions of clouds and snow."""
    window = generated(open_window, photo_file, qtbot, 2)
    window.gallery.choose(window.gallery.run.entries[1].candidate)
    window.gallery.star_chosen()
    window.gallery.choose(window.gallery.run.entries[0].candidate)
    window.gallery.apply_chosen()
    runs = window.generation
    for names, start in ((("tree",), runs.generate_drafts), (("clouds", "snow"), runs.generate)):
        for name in names:
            window.session.set_label(window.session.label_set.index(name))
            drag(window.canvas, (60, 60), (380, 220 + 30 * (name == "snow")))
        qtbot.waitUntil(window.panel.generate.isEnabled, timeout=WAIT)
        start()
        qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
        window.session.clear_paint()
    assert len(window.generation.runs) == 3
    return window


def found_in(window: MainWindow, query: str) -> list[tuple[int, int]]:
    """Number of the run and rank of what a search shows."""
    window.gallery.search.setText(query)
    shown, runs = window.gallery.model.shown, window.generation.runs
    return [(k, rank) for k, run in enumerate(runs) for rank, entry in enumerate(run.entries) if entry in shown]


def test_that_a_search_finds_versions_of_all_runs_by_label_seed_star_and_state(open_window, photo_file, qtbot) -> None:
    window = three_runs(open_window, photo_file, qtbot)
    tree = window.generation.runs[1]
    assert found_in(window, "LAK") == [(0, 0), (0, 1)]
    assert found_in(window, "snow clouds") == [(2, 0), (2, 1)], "every word narrows"
    assert found_in(window, "draft") == [(1, 0), (1, 1)]
    assert found_in(window, "applied") == [(0, 0)] and found_in(window, "starred") == [(0, 1)]
    assert found_in(window, "starred draft") == []
    assert (1, 1) in found_in(window, f"seed {tree.entries[1].candidate.seed}")
    assert not {(0, 0), (2, 0)} & set(found_in(window, f"tree {tree.entries[1].candidate.seed}"))
    assert "of 6 versions" in window.gallery._facts.text()
    window.grab()


def test_that_escape_brings_all_back_at_the_run_of_the_version_that_was_chosen(open_window, photo_file, qtbot) -> None:
    window = three_runs(open_window, photo_file, qtbot)
    gallery, (lake, _, last) = window.gallery, window.generation.runs
    found_in(window, "zebra")
    assert not gallery.view.isVisible() and "Esc" in gallery._empty.text()
    QTest.keyClick(gallery.search, Qt.Key.Key_Escape)
    assert gallery.run is last and gallery.model.shown == last.entries and gallery.view.isVisible()
    found_in(window, "lake")
    gallery.choose(lake.entries[1].candidate)
    QTest.keyClick(gallery.search, Qt.Key.Key_Escape)
    assert gallery.run is lake and gallery.chosen is lake.entries[1] and window.canvas.previewing
    assert "Run 1 of 3" in gallery._place.text()


def test_that_what_was_found_is_applied_drawn_and_discarded_in_its_own_run(open_window, photo_file, qtbot) -> None:
    window = three_runs(open_window, photo_file, qtbot)
    gallery, (lake, tree, last) = window.gallery, window.generation.runs
    found_in(window, "clouds")
    gallery.choose(last.entries[1].candidate)
    assert window.canvas.previewing
    gallery.apply_chosen()
    assert last.applied(window.session.document.picture_state) is last.entries[1]
    found_in(window, "lake")
    gallery.choose(lake.entries[1].candidate)
    gallery.discard_chosen()
    assert len(lake.entries) == 1 and gallery.chosen is lake.entries[0], "the next one found is chosen"
    found_in(window, "draft")
    gallery.choose(tree.entries[0].candidate)
    assert "in full" in gallery.apply_button.text()
    gallery.apply_chosen()
    qtbot.waitUntil(lambda: len(window.generation.runs) == 4 and finished(window), timeout=WAIT)
    assert window.generation.runs[-1].entries[0].candidate.seed == tree.entries[0].candidate.seed
    assert gallery.query == "" and gallery.run is window.generation.runs[-1], "a new run is shown, not the search"


def test_that_versions_found_are_sorted_by_what_can_be_compared(open_window, photo_file, qtbot) -> None:
    window = three_runs(open_window, photo_file, qtbot)
    gallery = window.gallery
    found_in(window, "seed")
    nats = [entry.candidate.nats_per_token for entry in gallery.model.shown]
    assert len(nats) == 6 and nats == sorted(nats)
    gallery.sort.setCurrentIndex(gallery.sort.findData(Order.NEWEST))
    runs = window.generation.runs
    newest = [sorted(run.entries, key=lambda e: -e.candidate.index) for run in reversed(runs)]
    assert gallery.model.shown == [entry for part in newest for entry in part]
