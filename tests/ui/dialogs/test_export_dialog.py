"""Exporting in the real window: format, quality, depth, and what stays private."""

from __future__ import annotations

import zipfile

import cv2
import numpy as np
import pytest
from PIL import Image
from PySide6.QtWidgets import QFileDialog

from app.io.pictures.save import ExportOptions
from app.ui.control import save_names
from app.ui.dialogs import export_dialog
from app.ui.dialogs.export_dialog import ExportChoice, ExportDialog
from tests.ui.control.test_generating import finished, paint_and_generate
from tests.ui.window_fixtures import WAIT


def applied(open_window, photo_file, qtbot):
    window = open_window(photo=photo_file)
    paint_and_generate(window, qtbot, 1)
    qtbot.waitUntil(lambda: finished(window), timeout=WAIT)
    window.gallery.apply_chosen()
    return window


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".ora"])
def test_that_the_dialog_shows_what_matters_for_the_format(qtbot, suffix: str) -> None:
    dialog = ExportDialog(ExportChoice(suffix, ExportOptions(quality=80)), sixteen_bit=True, private=True)
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.quality.isVisible() is (suffix == ".jpg")
    assert dialog.bits.isVisible() is (suffix != ".jpg")
    assert dialog.keep_private.isVisible() is (suffix != ".ora")
    assert not dialog.keep_private.isChecked()
    assert dialog.choice == ExportChoice(suffix, ExportOptions(quality=80))
    dialog.close()


def test_that_the_chosen_format_and_quality_are_written_and_remembered(
    open_window, photo_file, qtbot, tmp_path, monkeypatch
) -> None:
    window = applied(open_window, photo_file, qtbot)
    sizes = {}
    for quality in (95, 20):
        choice = ExportChoice(".jpg", ExportOptions(quality=quality))
        monkeypatch.setattr(export_dialog, "ask_export", lambda *_, choice=choice: choice)
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, q=quality: (str(tmp_path / f"out{q}"), ""))
        with qtbot.waitSignal(window.files.exported, timeout=WAIT):
            window.files.export_dialog()
        assert window.files.export_choice == choice
        sizes[quality] = (tmp_path / f"out{quality}.jpg").stat().st_size
    assert sizes[20] < sizes[95]


def test_that_telling_the_place_is_asked_anew_for_every_file(qtbot) -> None:
    told = ExportChoice(".png", ExportOptions(keep_private=True))
    dialog = ExportDialog(told, sixteen_bit=False, private=True)
    qtbot.addWidget(dialog)
    assert not dialog.choice.options.keep_private
    dialog.keep_private.setChecked(True)
    assert dialog.choice == told
    dialog.close()


@pytest.mark.parametrize("replace", [False, True])
def test_that_a_file_is_not_replaced_unasked_when_its_suffix_was_left_out(
    open_window, photo_file, qtbot, tmp_path, monkeypatch, replace: bool
) -> None:
    window = open_window(photo=photo_file)
    (tmp_path / "out.png").write_bytes(b"precious")
    monkeypatch.setattr(export_dialog, "ask_export", lambda *_: ExportChoice(".png"))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "out"), ""))
    asked = []
    monkeypatch.setattr(save_names, "ask_replace", lambda window, path: asked.append(path.name) or replace)
    window.files.export_dialog()
    qtbot.waitUntil(lambda: not window.tasks.busy, timeout=WAIT)
    assert asked == ["out.png"]
    assert ((tmp_path / "out.png").read_bytes() != b"precious") is replace


def test_that_leaving_the_dialog_writes_nothing(open_window, photo_file, qtbot, tmp_path, monkeypatch) -> None:
    window = applied(open_window, photo_file, qtbot)
    monkeypatch.setattr(export_dialog, "ask_export", lambda *_: None)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: pytest.fail("asked for a name"))
    window.files.export_dialog()


def test_that_an_openraster_file_holds_the_layers(open_window, photo_file, qtbot, tmp_path) -> None:
    window = applied(open_window, photo_file, qtbot)
    with qtbot.waitSignal(window.files.exported, timeout=WAIT):
        window.files.export(tmp_path / "out.ora")
    with zipfile.ZipFile(tmp_path / "out.ora") as pack:
        merged = cv2.imdecode(np.frombuffer(pack.read("mergedimage.png"), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(merged[..., ::-1], window.session.document.picture)


@pytest.mark.parametrize("eight_bit", [False, True])
def test_that_a_sixteen_bit_photo_stays_so_unless_asked_otherwise(
    open_window, tmp_path, qtbot, monkeypatch, eight_bit: bool
) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 65536, (300, 440, 3)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), pixels)
    window = applied(open_window, tmp_path / "deep.png", qtbot)
    window.files.export_choice = ExportChoice(".tif", ExportOptions(bits=8 if eight_bit else 0))
    with qtbot.waitSignal(window.files.exported, timeout=WAIT):
        window.files.export(tmp_path / "out.tif")
    if eight_bit:
        assert np.array_equal(np.array(Image.open(tmp_path / "out.tif")), window.session.document.picture)
        return
    saved = cv2.imread(str(tmp_path / "out.tif"), cv2.IMREAD_UNCHANGED)
    unpainted = ~window.session.document.ever_painted
    assert saved.dtype == np.uint16 and np.array_equal(saved[unpainted], pixels[unpainted])


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_that_an_eight_bit_photo_can_be_exported_with_sixteen(open_window, photo_file, qtbot, tmp_path, suffix) -> None:
    window = applied(open_window, photo_file, qtbot)
    window.files.export_choice = ExportChoice(suffix, ExportOptions(bits=16))
    with qtbot.waitSignal(window.files.exported, timeout=WAIT):
        window.files.export(tmp_path / f"out{suffix}")
    saved = cv2.imread(str(tmp_path / f"out{suffix}"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert saved.dtype == np.uint16 and np.array_equal(saved, window.session.document.picture.astype(np.uint16) * 257)
