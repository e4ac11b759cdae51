"""Where the material that lies beside the checkout is found (fixtures, specification, data)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def shared_path(*parts: str) -> Path:
    """A path in $SCENEBRUSH_SHARED, or in ../shared beside the checkout; skips the test when it is not there."""
    root = os.environ.get("SCENEBRUSH_SHARED")
    folder = Path(root) if root else Path(__file__).resolve().parents[2] / "shared"
    path = folder.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not here; set SCENEBRUSH_SHARED to the folder with the shared fixtures")
    return path
