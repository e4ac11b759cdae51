"""Where the icons and other resources lie."""

from __future__ import annotations

from pathlib import Path

RESOURCES = Path(__file__).resolve().parents[3] / "resources"


def icon_file(name: str) -> Path:
    return RESOURCES / "icons" / f"{name}.svg"
