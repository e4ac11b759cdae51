"""As drawn against textured: what tells a kept picture, on hidden parts of photos, drawn with the editor's settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..drawing.ranking import rank
from ..editor import SceneEditor
from ..request import USUAL, EditRequest
from .baselines import fill_telea
from .cases import Case
from .judges import Agreement, Judge
from .keeping import Edited, summary, told_apart
from .metrics import Eye, frechet
from .report import Row

WAYS = ("as drawn", "textured", "OpenCV (Telea)", "the photo itself")
SMALLEST = 0.03  # of the picture; smaller hidden parts say little about texture


def texture_rows(
    editor: SceneEditor,
    cases: Sequence[Case],
    eye: Eye,
    judge: Judge,
    table: np.ndarray,
    side: int,
    samples: int = 4,
    report: Callable[[str], None] = lambda _: None,
) -> list[Row]:
    """One row a way: told apart, sharpness, repetition, Fréchet distance of the pictures, labels shown.

    The most likely of `samples` versions counts. table: (labels,) group of each label, for the judge.
    """
    made: dict[str, list[Edited]] = {way: [] for way in WAYS}
    settings = replace(USUAL, samples=samples, outline=0.0)  # the whole hidden part is to be seen
    for number, case in enumerate(cases):
        if case.hidden.mean() < SMALLEST:
            continue
        best = rank(list(editor.run(EditRequest(case.photo, case.labels, case.paint, settings, side))))[0]
        plain = best.swapped() if best.textured else best
        pictures = (plain.apply(case.photo), best.apply(case.photo), fill_telea(case), case.photo)
        for way, picture in zip(WAYS, pictures, strict=True):
            made[way].append(Edited(case.photo, picture, case.hidden, case.labels, case.id))
        report(f"textures at {side}: {number + 1} of {len(cases)}")
    real = _seen(made[WAYS[-1]], eye)
    return [_row(way, edits, real, eye, judge, table) for way, edits in made.items()]


def _row(way: str, edits: Sequence[Edited], real: np.ndarray, eye: Eye, judge: Judge, table: np.ndarray) -> Row:
    agreement = Agreement()
    for edit in edits:
        agreement.add(table[edit.labels], judge.groups(edit.result), edit.area)
    same = way == WAYS[-1]

    def look(patch: np.ndarray) -> np.ndarray:
        return eye.look(patch).statistics

    found = summary(edits, look)
    if same:
        found["told apart"] = told_apart(edits, look, real=True)
    distance = frechet(_seen(edits, eye), real) if len(edits) > 2 and not same else None
    return {"method": way, **found, "frechet": distance, "labels shown": agreement.accuracy, "pictures": len(edits)}


def _seen(edits: Sequence[Edited], eye: Eye) -> np.ndarray:
    """(N, d) statistics of the box round each painted part, at its own size."""
    return np.stack([eye.look(np.ascontiguousarray(edit.result[_box(edit.area)])).statistics for edit in edits])


def _box(area: np.ndarray) -> tuple[slice, slice]:
    """At least 64 pixels a side."""
    sides = []
    for axis, limit in ((1, area.shape[0]), (0, area.shape[1])):
        used = np.flatnonzero(area.any(axis))
        first, last = int(used[0]), int(used[-1]) + 1
        spare = max(0, 64 - (last - first))
        first = max(0, min(first - spare // 2, limit - 64))
        sides.append(slice(first, max(last, first + 64)))
    return sides[0], sides[1]
