"""The log file: what went wrong, for whoever helps; never what the user paints."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path

_BYTES, _FILES = 500_000, 3


@contextlib.contextmanager
def logging_to(folder: Path) -> Iterator[None]:
    """Write the whole program's log to `folder`/scenebrush.log meanwhile, or nowhere if it cannot be made.

    The file is renamed to scenebrush.log.1 (to .3) when it is full.
    """
    root, level = logging.getLogger(), logging.getLogger().level
    handler: logging.Handler = logging.NullHandler()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(log_file(folder), maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()


def log_file(folder: Path) -> Path:
    return folder / "scenebrush.log"


def last_lines(folder: Path, count: int = 50) -> list[str]:
    """The newest lines of the log, oldest first; none when there is no log."""
    try:
        return log_file(folder).read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
    except OSError:
        return []
