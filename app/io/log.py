"""The log file: what went wrong, for whoever helps; never what the user paints."""

from __future__ import annotations

import contextlib
import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

_BYTES, _FILES = 500_000, 3


def start_log(folder: Path) -> None:
    """Write warnings and errors of the whole program to `folder`/scenebrush.log, or nowhere if it cannot be made."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            log_file(folder), maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8", delay=True
        )
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(handler)
        logging.getLogger().setLevel(logging.INFO)


def log_file(folder: Path) -> Path:
    return folder / "scenebrush.log"


def last_lines(folder: Path, count: int = 50) -> list[str]:
    """The newest lines of the log, oldest first; none when there is no log."""
    try:
        return log_file(folder).read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
    except OSError:
        return []
