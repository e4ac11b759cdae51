"""The files opened last, newest first, in a small JSON file."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from .atomic import write_atomically
from .errors import ExportError

KEPT = 10


class RecentFiles:
    """file: where the list is kept; None: only in memory. A list that cannot be read or written is no error."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._paths: list[Path] = []
        if file is not None:
            with contextlib.suppress(OSError, ValueError, TypeError):
                self._paths = [Path(str(name)) for name in json.loads(file.read_text(encoding="utf-8"))][:KEPT]

    @property
    def paths(self) -> list[Path]:
        """Those that are still there."""
        return [path for path in self._paths if path.exists()]

    def add(self, path: Path) -> None:
        path = path.absolute()
        self._paths = [path, *(other for other in self._paths if other != path)][:KEPT]
        self._write()

    def clear(self) -> None:
        self._paths = []
        self._write()

    def _write(self) -> None:
        if self._file is not None:
            with contextlib.suppress(ExportError, OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(self._file, json.dumps([str(path) for path in self._paths]).encode())
