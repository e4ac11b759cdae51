"""What an evaluation found, as text and as a sheet of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .cases import Case

Row = dict[str, Any]


def save_sheet(sheet: Sequence[tuple[Case, list[np.ndarray]]], path: Path, rows: int = 12) -> None:
    """Original, what is hidden, and the candidates (most likely first), a row each, as one PNG."""
    step = max(1, len(sheet) // rows)
    strips = []
    for case, pictures in sheet[::step][:rows]:
        hidden = case.photo.copy()
        hidden[case.hidden] = 255
        strips.append(np.concatenate([case.photo, hidden, *pictures], 1))
    Image.fromarray(np.concatenate(strips, 0)).save(path)


def lines(tables: dict[str, list[Row]]) -> list[str]:
    """The tables as text (Markdown)."""
    found = []
    for title, rows in tables.items():
        if not rows:
            continue
        found += [f"### {title}", "", "| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
        for row in rows:
            found.append("| " + " | ".join(_shown(value) for value in row.values()) + " |")
        found.append("")
    return found


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
