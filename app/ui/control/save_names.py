"""Asking where to save: a suffix that is left out is added, and no file is replaced without a question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget


def ask_save_name(window: QWidget, title: str, start: Path, filters: str, suffixes: Sequence[str]) -> Path | None:
    """The file to write, ending in one of `suffixes` (the first when none was typed); None when it was left."""
    name, _ = QFileDialog.getSaveFileName(window, title, str(start), filters)
    if not name:
        return None
    path = Path(name)
    if path.suffix.lower() in suffixes:
        return path
    path = path.with_name(path.name + suffixes[0])
    # the file dialog has only asked about the name without its suffix
    return path if not path.exists() or ask_replace(window, path) else None


def ask_replace(window: QWidget, path: Path) -> bool:
    button = QMessageBox.StandardButton
    answer = QMessageBox.question(
        window, "Scenebrush", f"{path.name} is there already. Replace it?", button.Yes | button.No, button.No
    )
    return answer == button.Yes
