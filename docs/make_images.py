"""Makes the pictures of README and docs from the real window and the default checkpoint.

QT_QPA_PLATFORM=offscreen python docs/make_images.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PySide6.QtCore import QSize
from PySide6.QtWidgets import QApplication

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.document.brush import Point  # noqa: E402
from app.io.pictures.contact_sheet import contact_sheet  # noqa: E402
from app.ui.look.theme import apply_theme  # noqa: E402
from app.ui.main_window import MainWindow  # noqa: E402
from models.drawing.ranking import rank  # noqa: E402
from models.opening import open_editor  # noqa: E402
from models.request import USUAL, EditRequest  # noqa: E402

IMAGES = ROOT / "docs" / "images"
SAMPLE = ROOT / "resources" / "sample" / "lake-sherburne.jpg"
STROKES = (("clouds", 130, ((1350, 300), (1600, 230), (1900, 260), (2150, 330))),)


def main() -> None:
    application = QApplication(sys.argv[:1])
    apply_theme(application)
    window = MainWindow(lambda: open_editor(None, "cpu"))
    window.resize(QSize(1440, 900))
    window.show()
    window.files.open_sample()
    wait(application, lambda: window.session.document is not None and window.session.label_set is not None)
    for label, size, points in STROKES:
        window.session.set_label(window.session.label_set.index(label))
        window.session.set_brush_size(size)
        window.session.begin_stroke(Point(*points[0]))
        for point in points[1:]:
            window.session.stroke_to(Point(*point))
        window.session.end_stroke()
    wait(application, window.panel.generate.isEnabled)
    before_after(window)
    shot(window, "using-paint")
    panel, gallery = window.panel, window.gallery
    panel.lock.setChecked(True)
    panel.seed.setValue(7)
    panel.resolution.setCurrentIndex(panel.resolution.findData(512))
    panel.count.setValue(6)
    wait(application, lambda: "512" in panel.estimate.text() and "about" in panel.estimate.text())
    finish(application, window, window.generation.generate_drafts)
    for entry in gallery.run.entries[1:4:2]:
        gallery.view.marked.emit(gallery.model.index(gallery.model.row(entry)))
    shot(window, "using-drafts")
    finish(application, window, window.generation.generate)
    gallery.choose(gallery.run.entries[0].candidate)
    gallery.star_chosen()
    wait(application, lambda: False, seconds=0.5)
    window.grab().save(str(IMAGES / "editor.png"))
    gallery.heat.setChecked(True)
    wait(application, lambda: False, seconds=0.2)
    shot(window, "using-uncertainty")
    window.shut_down()


def shot(window: MainWindow, name: str) -> None:
    window.grab().save(str(IMAGES / f"{name}.jpg"), quality=86)


def finish(application: QApplication, window: MainWindow, start: Callable[[], None]) -> None:
    """Start a run and wait for its end."""
    start()
    wait(application, lambda: window.generation.runs[-1].state.terminal)


def before_after(window: MainWindow) -> None:
    document = window.session.document
    assert document is not None
    engine = open_editor(None, "cpu")
    request = EditRequest(
        document.picture,
        document.start,
        document.paint,
        replace(USUAL, seed=1),
    )
    ranked = rank(list(engine.run(request)))
    sheet = contact_sheet(document.picture, document.paint, ranked[:1], engine.label_set)
    cv2.imwrite(str(IMAGES / "before-after.png"), np.ascontiguousarray(sheet[:, :, ::-1]))


def wait(application: QApplication, done, seconds: float = 120) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        application.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main()
