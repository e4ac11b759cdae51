"""What somebody who helps needs to know, as text; no place on the disk is told in full."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from PySide6 import __version__ as pyside_version
from PySide6.QtCore import qVersion

from app.io.log import last_lines

_PACKAGES = ("torch", "torchvision", "numpy", "opencv-python-headless", "pillow")


def diagnostics(device: str, checkpoint: str, log_folder: Path | None) -> str:
    """device: as shown to the user; checkpoint: its sha256; log_folder: None without a log."""
    lines = [*versions(), f"Device: {device or 'no model'}", f"Checkpoint: {checkpoint or 'none'}"]
    logged = [] if log_folder is None else last_lines(log_folder)
    lines += ["", f"Last {len(logged)} lines of the log:", *logged]
    return without_home("\n".join(lines))


def versions() -> list[str]:
    """One line each for the system and what runs on it."""
    lines = [f"Scenebrush {own_version()} on {platform.platform()}"]
    lines.append(f"Python {sys.version.split()[0]}, {platform.machine()}")
    lines.append(f"PySide6 {pyside_version}, Qt {qVersion()}")
    return lines + [f"{name} {_version(name)}" for name in _PACKAGES]


def own_version() -> str:
    return _version("scenebrush")


def without_home(text: str) -> str:
    """The text with the user's folder, however it is written, as "~"."""
    home = Path.home()
    spellings = {str(home), home.as_posix(), str(home.resolve()), repr(str(home))[1:-1]}
    for spelling in sorted(spellings, key=len, reverse=True):
        if len(spelling) > 1:  # a home of "/" would be everywhere
            text = text.replace(spelling, "~")
    return text


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
