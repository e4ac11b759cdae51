"""Where Scenebrush keeps its own files; SCENEBRUSH_HOME puts them all into one folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

_APP = "scenebrush"


def state_folder() -> Path:
    """Recovery snapshots, recent files."""
    home = os.environ.get("SCENEBRUSH_HOME")
    return Path(home) if home else Path(platformdirs.user_state_dir(_APP, appauthor=False))


def config_folder() -> Path:
    """The settings."""
    home = os.environ.get("SCENEBRUSH_HOME")
    return Path(home) if home else Path(platformdirs.user_config_dir(_APP, appauthor=False))


def log_folder() -> Path:
    """The log."""
    home = os.environ.get("SCENEBRUSH_HOME")
    return Path(home) / "log" if home else Path(platformdirs.user_log_dir(_APP, appauthor=False))
