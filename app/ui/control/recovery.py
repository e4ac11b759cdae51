"""Snapshots of unsaved work, one for each running Scenebrush, offered again after a crash."""

from __future__ import annotations

import contextlib
import datetime
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QLockFile
from PySide6.QtWidgets import QMessageBox, QWidget

from app.io.atomic import write_atomically
from app.io.project import SUFFIX, ProjectData, write_project


@dataclass(frozen=True)
class Snapshot:
    """Work that a Scenebrush left behind which does not run any more. project: where it was saved last, if ever."""

    file: Path
    name: str
    project: Path | None
    saved: datetime.datetime


class RecoveryFolder:
    """Keeps this instance's snapshot under a lock that only lives as long as the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.mine = folder / f"{secrets.token_hex(6)}{SUFFIX}"
        self._lock = _lock(self.mine)
        self._lock.tryLock(0)

    def write(self, data: ProjectData, project: Path | None) -> None:
        """Replace the snapshot; for a background thread. Raises ExportError."""
        about = {"name": data.name, "project": None if project is None else str(project)}
        write_atomically(_note(self.mine), json.dumps(about).encode())
        write_project(self.mine, data)

    def clear(self) -> None:
        """There is nothing unsaved."""
        _remove(self.mine)

    def close(self) -> None:
        self.clear()
        self._lock.unlock()

    def found(self) -> list[Snapshot]:
        """What instances that ended without leave have left, newest first."""
        snapshots = []
        for file in self._folder.glob(f"*{SUFFIX}"):
            lock = _lock(file)
            if file == self.mine or not lock.tryLock(0):
                continue  # its Scenebrush is still running
            lock.unlock()
            snapshots.append(_described(file))
        return sorted(snapshots, key=lambda s: s.saved, reverse=True)

    def delete(self, snapshot: Snapshot) -> None:
        _remove(snapshot.file)


def _lock(file: Path) -> QLockFile:
    lock = QLockFile(str(file.with_suffix(".lock")))
    lock.setStaleLockTime(0)  # stale only when its process is gone
    return lock


def _note(file: Path) -> Path:
    return file.with_suffix(".json")


def _remove(file: Path) -> None:
    for path in (file, _note(file)):
        with contextlib.suppress(OSError):
            path.unlink()


def _described(file: Path) -> Snapshot:
    about = {}
    with contextlib.suppress(OSError, ValueError):
        about = json.loads(_note(file).read_text(encoding="utf-8"))
    project = about.get("project") if isinstance(about, dict) else None
    name = about.get("name", "a photo") if isinstance(about, dict) else "a photo"
    saved = datetime.datetime.fromtimestamp(file.stat().st_mtime)
    return Snapshot(file, str(name), None if project is None else Path(str(project)), saved)


def ask_recovery(window: QWidget, snapshot: Snapshot) -> str:
    """ "recover", "later" or "delete"."""
    box = QMessageBox(window)
    box.setIcon(QMessageBox.Icon.NoIcon)
    box.setWindowTitle("Scenebrush")
    box.setText(f"Scenebrush ended unexpectedly while you worked on {snapshot.name}.")
    box.setInformativeText(f"The work as it was at {snapshot.saved:%H:%M on %d %B} can be opened again.")
    recover = box.addButton("Recover", QMessageBox.ButtonRole.AcceptRole)
    delete = box.addButton("Delete it", QMessageBox.ButtonRole.DestructiveRole)
    box.addButton("Not now", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(recover)
    box.exec()
    clicked = box.clickedButton()
    box.deleteLater()
    return "recover" if clicked is recover else "delete" if clicked is delete else "later"
