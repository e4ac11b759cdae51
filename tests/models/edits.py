"""What the tests beside it share: requests of every kind, and what holds for their candidates."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from models.candidate import Candidate
from models.config import Semantics
from models.editor import SceneEditor
from models.request import NOT_PAINTED, EditRequest, SamplingSettings
from tests.helpers import CODES, box_paint, paint_of, some_labels, some_photo, tiny_editor


@lru_cache(maxsize=2)
def engine(semantics: Semantics = Semantics.CLEAN) -> SceneEditor:
    return tiny_editor(semantics)


def request(
    paint: np.ndarray, window: int | None = None, photo: np.ndarray | None = None, **settings: Any
) -> EditRequest:
    height, width = paint.shape
    photo = some_photo(height, width) if photo is None else photo
    return EditRequest(photo, some_labels(height, width), paint, SamplingSettings(**settings), window)


def small_request(**settings: Any) -> EditRequest:
    """An edit of about 20 tokens in a 256 window."""
    return request(box_paint(260, 280, 100, 110, 150, 170), **settings)


def stroke(height: int, width: int, thickness: int) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    cv2.line(mask, (width // 10, height // 8), (width - width // 7, height - height // 5), 1, thickness)
    return paint_of(mask > 0)


def islands(height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    rng = np.random.default_rng(1)
    for _ in range(25):
        row, column = int(rng.integers(height)), int(rng.integers(width))
        mask[row : row + 9, column : column + 5] = True
    mask[0, 0] = mask[-1, -1] = mask[0, -1] = True
    return paint_of(mask)


PAINTS: dict[str, Callable[[int, int], np.ndarray]] = {
    "thin stroke": lambda h, w: stroke(h, w, 1),
    "thick stroke": lambda h, w: stroke(h, w, 11),
    "full": lambda h, w: np.full((h, w), 2, np.uint8),
    "islands": islands,
    "one pixel": lambda h, w: box_paint(h, w, h // 2, w // 3, h // 2 + 1, w // 3 + 1),
    "border": lambda h, w: box_paint(h, w, 0, 0, h, min(3, w)),
}


def check(editor: SceneEditor, edit: EditRequest, candidates: list[Candidate]) -> None:
    """What holds for the candidates of every request."""
    painted = edit.paint != NOT_PAINTED
    settings = edit.settings
    assert [c.index for c in candidates] == list(range(settings.samples))
    assert [c.seed for c in candidates] == [settings.seed + k for k in range(settings.samples)]
    windows = editor.plan(edit.paint, edit.window)
    for candidate in candidates:
        assert len(candidate.tokens) == len(candidate.token_log_likelihoods)
        assert candidate.tokens.dtype == np.int64 and np.isin(candidate.tokens, np.arange(CODES)).all()
        assert np.isfinite(candidate.token_log_likelihoods).all() and (candidate.token_log_likelihoods <= 0).all()
        assert candidate.truncated_log_likelihood >= candidate.log_likelihood - 1e-6 or settings.temperature != 1
        assert candidate.places == windows
        assert [w.codes.shape for w in candidate.windows] == [(w.resolution // 16,) * 2 for w in windows]
        result = candidate.apply(edit.photo)
        assert result.shape == edit.photo.shape and result.dtype == np.uint8
        assert np.array_equal(result[~painted], edit.photo[~painted])
        edited = np.zeros(painted.shape, int)
        for patch in candidate.patches:
            height, width = patch.mask.shape
            assert patch.pixels.shape == (height, width, 3)
            edited[patch.y : patch.y + height, patch.x : patch.x + width] += patch.mask
        assert np.array_equal(edited, painted.astype(int))  # each painted pixel by one window


CASES = [
    *(((height, width), name) for height, width in ((1, 1), (17, 33), (300, 200)) for name in PAINTS),
    *(((700, 500), name) for name in ("thin stroke", "islands", "one pixel")),
]
