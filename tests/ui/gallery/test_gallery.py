"""The gallery: order, stacks, stars, drafts and what is drawn again, in the real window with a fake engine."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtTest import QTest

from app.studio.arrange import ALIKE, Order, arranged
from app.studio.runs import Entry, RunKind
from app.ui.gallery.gallery_items import frame_of, mark_box
from app.ui.main_window import MainWindow
from models.candidate import Candidate, DrawnWindow, Patch, Window
from models.errors import RequestError
from models.request import NOT_PAINTED, Reroll
from tests.ui.control.test_generating import finished, paint_and_generate
from tests.ui.fake_engine import FakeEngine
from tests.ui.window_fixtures import WAIT, drag


def entry(index: int, likelihood: float, gray: int) -> Entry:
    tokens = np.zeros(4, np.int64)
    candidate = Candidate(index, index, tokens, np.full(4, likelihood / 4), likelihood, ())
    return Entry(candidate, np.full((30, 40, 3), gray, np.uint8))


def generated(open_window, photo_file, qtbot, count: int = 4, engine: FakeEngine | None = None) -> MainWindow:
    window = open_window(engine, photo=photo_file)
    paint_and_generate(window, qtbot, count)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    return window


def drafted(open_window, photo_file, qtbot, count: int = 4) -> MainWindow:
    window = open_window(photo=photo_file)
    window.session.set_label(window.session.label_set.index("lake"))
    drag(window.canvas, (60, 60), (380, 220))
    window.panel.count.setValue(count)
    qtbot.waitUntil(window.panel.generate.isEnabled, timeout=WAIT)
    QTest.mouseClick(window.panel.drafts, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    return window


# order and stacks ---------------------------------------------------------------------------------------------------


def test_that_likely_and_newest_keep_every_candidate() -> None:
    entries = [entry(1, -10, 0), entry(2, -20, 0), entry(0, -30, 200)]
    assert [s.front for s in arranged(entries, Order.LIKELY)] == entries
    assert [s.front.candidate.index for s in arranged(entries, Order.NEWEST)] == [2, 1, 0]


def test_that_varied_shows_the_farthest_first_and_stacks_what_looks_alike() -> None:
    entries = [entry(0, -10, 100), entry(1, -20, 102), entry(2, -30, 250), entry(3, -40, 150)]
    stacks = arranged(entries, Order.VARIED)
    assert [s.front.candidate.index for s in stacks] == [0, 2, 3]
    assert [e.candidate.index for e in stacks[0].behind] == [1]
    assert sum(1 + len(s.behind) for s in stacks) == len(entries), "none is lost"


@pytest.mark.parametrize("seed", range(5))
def test_that_no_two_fronts_look_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    entries = [entry(k, -k, int(rng.integers(0, 256))) for k in range(12)]
    grays = [int(s.front.picture[0, 0, 0]) for s in arranged(entries, Order.VARIED)]
    assert all(abs(a - b) >= ALIKE for i, a in enumerate(grays) for b in grays[:i])


def test_that_sorting_keeps_the_chosen_version_and_its_rank(open_window, photo_file, qtbot) -> None:
    window = generated(open_window, photo_file, qtbot, 6)
    gallery, run = window.gallery, window.gallery.run
    gallery.choose(run.entries[3].candidate)
    gallery.sort.setCurrentIndex(gallery.sort.findData(Order.NEWEST))
    assert gallery.chosen is run.entries[3]
    assert gallery.model.rank(run.entries[3]) == 4
    assert [e.candidate.index for e in gallery.model.shown] == [5, 4, 3, 2, 1, 0]
    window.grab()


def test_that_a_stack_opens_and_hides_nothing_for_good(open_window, photo_file, qtbot) -> None:
    window = generated(open_window, photo_file, qtbot, 4)
    gallery, run = window.gallery, window.gallery.run
    for one in run.entries:
        one.picture = run.entries[0].picture
    gallery.sort.setCurrentIndex(gallery.sort.findData(Order.VARIED))
    assert gallery.model.shown == [run.entries[0]]
    window.grab()
    gallery.view.stack_clicked.emit(gallery.model.index(0))
    assert len(gallery.model.shown) == 4


# stars --------------------------------------------------------------------------------------------------------------


def test_that_a_star_is_set_by_click_and_by_key(open_window, photo_file, qtbot) -> None:
    window = generated(open_window, photo_file, qtbot)
    gallery = window.gallery
    first = gallery.model.shown[0]
    box = mark_box(frame_of(QRectF(gallery.view.visualRect(gallery.model.index(0)))))
    place = QPoint(round(box.center().x()), round(box.center().y()))
    QTest.mouseClick(gallery.view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    assert first.starred
    gallery.choose(first.candidate)
    gallery.view.setFocus()
    QTest.keyClick(gallery.view, Qt.Key.Key_Period)
    assert not first.starred


# drafts -------------------------------------------------------------------------------------------------------------


def test_that_ticked_drafts_are_drawn_in_full_with_their_seeds(open_window, photo_file, qtbot) -> None:
    window = drafted(open_window, photo_file, qtbot)
    gallery, run = window.gallery, window.gallery.run
    assert run.kind is RunKind.DRAFT and all(e.candidate.draft for e in run.entries)
    for one in run.entries[:2]:
        gallery.view.marked.emit(gallery.model.index(gallery.model.row(one)))
    wanted = {e.candidate.seed for e in run.entries[:2]}
    assert "2 in full" in gallery.apply_button.text()
    window.grab()
    QTest.mouseClick(gallery.apply_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(window.generation.runs) == 2 and finished(window), timeout=WAIT)
    full = window.generation.runs[-1]
    assert {e.candidate.seed for e in full.entries} == wanted
    assert not any(e.candidate.draft for e in full.entries)
    assert not window.session.document.unexported, "nothing is applied by drawing in full"


def test_that_a_draft_is_never_applied_itself(open_window, photo_file, qtbot) -> None:
    window = drafted(open_window, photo_file, qtbot)
    window.gallery.choose(window.gallery.run.entries[0].candidate)
    QTest.keyClick(window.canvas, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(window.generation.runs) == 2 and finished(window), timeout=WAIT)
    assert np.array_equal(window.session.document.picture, window.session.document.photo.rgb8)
    assert len(window.generation.runs[-1].entries) == 1


def test_that_drafts_of_a_small_edit_are_full_versions(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    drag(window.canvas, (100, 100), (140, 110))
    qtbot.waitUntil(window.panel.drafts.isEnabled, timeout=WAIT)
    window.generation.generate_drafts()
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    assert window.generation.runs[-1].kind is RunKind.FULL


def test_that_sketches_stand_in_the_places_of_versions_to_come(open_window, photo_file, qtbot) -> None:
    window = open_window(FakeEngine(step_seconds=0.03), photo_file)
    paint_and_generate(window, qtbot, 3)
    run = window.generation.runs[-1]
    qtbot.waitUntil(lambda: len(run.previews) > 0, timeout=WAIT)
    window.grab()
    qtbot.waitUntil(lambda: len(run.entries) == 1, timeout=WAIT)
    assert 0 not in run.previews and len(run.pending_previews) == 2
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    assert not run.previews


# drawing again ------------------------------------------------------------------------------------------------------


def test_that_the_unlikely_part_is_drawn_again_as_a_run_of_its_own(open_window, photo_file, qtbot) -> None:
    engine = FakeEngine()
    window = generated(open_window, photo_file, qtbot, 3, engine)
    base = window.gallery.run.entries[1]
    window.gallery.choose(base.candidate)
    QTest.keyClick(window, Qt.Key.Key_R)
    qtbot.waitUntil(lambda: len(window.generation.runs) == 2 and finished(window), timeout=WAIT)
    asked = engine.runs[-1].way
    assert asked.candidate is base.candidate
    drawn = np.isfinite(base.candidate.windows[0].surprise)
    assert asked.tokens[0].sum() == max(1, round(0.2 * drawn.sum()))
    kept = base.candidate.windows[0].surprise[drawn & ~asked.tokens[0]]
    assert base.candidate.windows[0].surprise[asked.tokens[0]].min() >= kept.max()
    assert "drawn again in part" in window.gallery._facts.text()
    assert window.generation.runs[0].entries[1] is base, "the version it came from stays"


def test_that_an_outlined_patch_is_drawn_again(open_window, photo_file, qtbot) -> None:
    engine = FakeEngine()
    window = generated(open_window, photo_file, qtbot, 2, engine)
    window.gallery.choose(window.gallery.run.entries[0].candidate)
    paint = window.session.document.paint.copy()
    window.gallery.patch_chosen()
    window.grab()
    drag(window.canvas, (90, 90), (140, 90), (140, 130), (90, 130))
    qtbot.waitUntil(lambda: len(window.generation.runs) == 2 and finished(window), timeout=WAIT)
    tokens = engine.runs[-1].way.tokens[0]
    assert 0 < tokens.sum() < np.isfinite(engine.runs[-1].way.candidate.windows[0].surprise).sum()
    assert np.array_equal(window.session.document.paint, paint), "outlining paints nothing"


def test_that_an_outline_beside_the_edit_says_so(open_window, photo_file, qtbot) -> None:
    window = generated(open_window, photo_file, qtbot, 2)
    window.gallery.choose(window.gallery.run.entries[0].candidate)
    window.gallery.patch_chosen()
    drag(window.canvas, (400, 260), (430, 260), (430, 290), (400, 290))
    assert "inside the outline" in window.messages.text.text()
    assert len(window.generation.runs) == 1


def test_that_tokens_are_found_under_a_region() -> None:
    surprise = np.full((16, 16), np.nan, np.float32)
    surprise[4:8, 4:8] = np.arange(16).reshape(4, 4)
    tokens = np.zeros(16, np.int64)
    codes, patch = np.zeros((16, 16), np.int64), Patch(0, 0, np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0), bool))
    drawn = DrawnWindow(Window(-16, 32, 256, 256), patch, codes, surprise, codes)
    candidate = Candidate(0, 0, tokens, -np.arange(16.0), 0.0, (drawn,))
    region = np.zeros((400, 400), bool)
    region[32 + 64 : 32 + 80, 48:50] = True  # row 4, column (48 + 16) / 16 = 4
    assert np.argwhere(Reroll.inside(candidate, region).tokens[0]).tolist() == [[4, 4]]
    assert Reroll.worst(candidate, 0.25).tokens[0].sum() == 4
    assert Reroll.worst(candidate, 0.0).tokens[0].sum() == 1
    with pytest.raises(RequestError):
        Reroll.inside(candidate, ~region & False)


# uncertainty and recall ---------------------------------------------------------------------------------------------


def test_that_the_uncertainty_shows_over_the_preview_only(open_window, photo_file, qtbot) -> None:
    window = generated(open_window, photo_file, qtbot)
    plain = window.canvas.grab().toImage()
    QTest.keyClick(window, Qt.Key.Key_U)
    assert window.canvas.grab().toImage() != plain
    QTest.keyClick(window, Qt.Key.Key_U)
    assert window.canvas.grab().toImage() == plain


def test_that_settings_and_seed_of_a_version_come_back_locked(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    window.panel.temperature.setValue(0.8)
    window.panel.strength.setValue(5.0)
    paint_and_generate(window, qtbot, 3)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    chosen = window.gallery.run.entries[2]
    window.panel.temperature.setValue(1.5)
    window.panel.strength.setValue(1.0)
    window.gallery.choose(chosen.candidate)
    window.gallery.recall.click()
    assert window.panel.seed.value() == chosen.candidate.seed and window.panel.lock.isChecked()
    assert window.panel.temperature.value() == 0.8 and window.panel.strength.value() == 5.0
    assert (window.session.document.paint != NOT_PAINTED).any()


def test_that_the_estimate_is_measured_before_the_first_run(open_window, photo_file, qtbot) -> None:
    window = open_window(photo=photo_file)
    drag(window.canvas, (100, 100), (180, 120))
    qtbot.waitUntil(lambda: "about" in window.panel.estimate.text(), timeout=WAIT)


def test_that_a_click_shows_where_the_model_looked(open_window, photo_file, qtbot) -> None:
    window = generated(open_window, photo_file, qtbot)
    window.gallery.choose(window.gallery.run.entries[0].candidate)
    QTest.keyClick(window, Qt.Key.Key_U, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: window.canvas.attention_shown, timeout=WAIT)
    before = window.canvas.grab().toImage()
    paint = window.session.document.paint.copy()
    drag(window.canvas, (150, 110))
    assert window.canvas.grab().toImage() != before
    assert np.array_equal(window.session.document.paint, paint), "looking paints nothing"
    QTest.keyClick(window.canvas, Qt.Key.Key_Escape)
    assert not window.canvas.attention_shown and window.canvas.previewing


def test_that_a_run_without_versions_says_so(open_window, photo_file, qtbot) -> None:
    window = open_window(FakeEngine(step_seconds=0.05), photo_file)
    paint_and_generate(window, qtbot, 1)
    qtbot.waitUntil(lambda: bool(window.generation.runs), timeout=WAIT)
    assert not window.gallery._empty.isVisible()
    window.generation.cancel_all()
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    assert window.gallery._empty.isVisible() and "no versions" in window.gallery._empty.text()
    assert not window.gallery.view.isVisible()
