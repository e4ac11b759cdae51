"""What somebody who helps needs to know, as text; no place on the disk is told in full."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from PySide6 import __version__ as pyside_version
from PySide6.QtCore import qVersion

from app.io.log import last_lines

_PACKAGES = ("scenebrush", "torch", "torchvision", "numpy", "opencv-python-headless", "pillow")


def diagnostics(device: str, checkpoint: str, log_folder: Path | None) -> str:
    """device, checkpoint: as shown to the user; log_folder: None without a log."""
    lines = [f"Scenebrush on {platform.platform()}", f"Python {sys.version.split()[0]}, {platform.machine()}"]
    lines.append(f"PySide6 {pyside_version}, Qt {qVersion()}")
    lines += [f"{name} {_version(name)}" for name in _PACKAGES]
    lines += [f"Device: {device or 'no model'}", f"Checkpoint: {checkpoint or 'none'}"]
    logged = [] if log_folder is None else last_lines(log_folder)
    lines += ["", f"Last {len(logged)} lines of the log:", *logged]
    return "\n".join(lines).replace(str(Path.home()), "~")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
