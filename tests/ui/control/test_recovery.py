"""Safety copies: written in the background, offered after a crash only, deleted only when asked."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.io.project import read_project
from app.ui.control import project_files
from app.ui.control.recovery import RecoveryFolder
from app.ui.main_window import MainWindow
from app.ui.panels.message_bar import Kind
from tests.io.projects import project
from tests.ui.control.test_generating import finished, paint_and_generate
from tests.ui.window_fixtures import WAIT, drag

_CRASH = """
import os, sys
sys.path.insert(0, sys.argv[2])
os.environ["QT_QPA_PLATFORM"] = "offscreen"
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from app.ui.control.recovery import RecoveryFolder
from tests.io.projects import project
application = QCoreApplication([])
folder = RecoveryFolder(Path(sys.argv[1]))
folder.write(project(1), Path("/somewhere/valley.scenebrush"))
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def crashed(home: Path) -> None:
    """Leave a safety copy behind as a killed Scenebrush does."""
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", _CRASH, str(home / "recovery"), str(root)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root)
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == b"written\n"
    assert RecoveryFolder(home / "recovery").found() == [], "its Scenebrush still runs"
    process.kill()
    process.wait()
    process.stdout.close()
    process.stdin.close()


def copies(home: Path) -> list[Path]:
    return sorted((home / "recovery").glob("*.scenebrush"))


def test_that_unsaved_work_is_copied_and_a_clean_end_leaves_nothing(open_window, photo_file, qtbot, home) -> None:
    window = open_window(photo=photo_file, home=home)
    assert copies(home) == []
    drag(window.canvas, (100, 100), (150, 110))
    assert window.projects._timer.isActive()
    started = time.perf_counter()
    window.projects.autosave()
    print(f"safety copy: {(time.perf_counter() - started) * 1000:.1f} ms on the GUI thread")
    qtbot.waitUntil(lambda: len(copies(home)) == 1, timeout=WAIT)
    data, _ = read_project(copies(home)[0])
    assert np.array_equal(data.paint, window.session.document.paint)
    window.projects.shut_down()
    assert copies(home) == []


def test_that_saving_and_undoing_make_the_copy_needless(open_window, photo_file, qtbot, home, tmp_path) -> None:
    window = open_window(photo=photo_file, home=home)
    drag(window.canvas, (100, 100), (150, 110))
    window.projects.autosave()
    qtbot.waitUntil(lambda: len(copies(home)) == 1, timeout=WAIT)
    window.projects.save_to(tmp_path / "work.scenebrush")
    qtbot.waitUntil(lambda: not window.projects.dirty, timeout=WAIT)
    assert copies(home) == []
    window.projects.autosave()
    assert copies(home) == [], "nothing is unsaved"


def test_that_a_copy_never_cuts_a_stroke_in_two(open_window, photo_file, qtbot, home) -> None:
    window = open_window(photo=photo_file, home=home)
    drag(window.canvas, (100, 100), (150, 110))
    drag(window.canvas, (200, 200), (230, 210), release=False)
    window.projects.autosave()
    assert window.session.painting and window.projects._timer.isActive()
    window.session.end_stroke()


def test_that_a_failing_copy_is_told_once(open_window, photo_file, qtbot, home, monkeypatch) -> None:
    window = open_window(photo=photo_file, home=home)
    told: list[str] = []
    window.projects.message.connect(lambda kind, text: told.append(text) if kind is Kind.WARNING else None)
    monkeypatch.setattr(RecoveryFolder, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "disk full")))
    for _ in range(3):
        drag(window.canvas, (100, 100), (150, 110))
        window.projects.autosave()
        qtbot.waitUntil(lambda: not window.projects._writer.busy, timeout=WAIT)
    assert len(told) == 1 and "safety copy" in told[0]


@pytest.mark.parametrize("answer", ["later", "delete", "recover"])
def test_that_work_left_by_a_crash_is_offered(open_window, qtbot, home, monkeypatch, answer) -> None:
    crashed(home)
    window: MainWindow = open_window(home=home)
    asked: list[str] = []
    monkeypatch.setattr(project_files, "ask_recovery", lambda _, found: asked.append(found.name) or answer)
    assert window.projects.offer_recovery() is (answer == "recover")
    assert asked == ["valley.png"]
    if answer == "recover":
        qtbot.waitUntil(lambda: window.session.document is not None, timeout=WAIT)
        assert np.array_equal(window.session.document.paint, project(1).paint)
        assert window.projects.dirty and window.projects.path == Path("/somewhere/valley.scenebrush")
        qtbot.waitUntil(lambda: copies(home) == [window.projects._recovery.mine], timeout=WAIT)
    else:
        assert len(copies(home)) == (1 if answer == "later" else 0)


def test_that_a_broken_copy_is_refused_calmly_and_kept(open_window, photo_file, qtbot, home, monkeypatch) -> None:
    crashed(home)
    copies(home)[0].write_bytes(b"half")
    window = open_window(home=home)
    monkeypatch.setattr(project_files, "ask_recovery", lambda *_: "recover")
    window.projects.offer_recovery()
    qtbot.waitUntil(lambda: window.messages.isVisible() and window.messages.kind is Kind.ERROR, timeout=WAIT)
    assert window.session.document is None and len(copies(home)) == 1
    window.files.open_path(photo_file)
    qtbot.waitUntil(lambda: window.session.document is not None, timeout=WAIT)
    assert not window.projects.dirty, "another photo is not taken for the broken copy"


def test_that_the_copy_of_a_large_photo_is_quick_for_the_gui_thread(open_window, qtbot, home, tmp_path) -> None:
    """Prints the time on a 24-megapixel photo with paint and a result."""
    pixels = np.kron(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8), np.ones((100, 100, 1), np.uint8))
    Image.fromarray(pixels).save(tmp_path / "large.png", compress_level=0)
    window = open_window(photo=tmp_path / "large.png", home=home)
    paint_and_generate(window, qtbot, 2)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    window.gallery.apply_chosen()
    times = []
    for _ in range(5):
        started = time.perf_counter()
        assert window.projects.data() is not None
        times.append(time.perf_counter() - started)
    print(f"safety copy of 24 megapixels: {sorted(times)[2] * 1000:.0f} ms on the GUI thread")
    window.projects.autosave()
    qtbot.waitUntil(lambda: len(copies(home)) == 1, timeout=WAIT)
