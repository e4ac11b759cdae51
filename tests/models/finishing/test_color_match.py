"""Errors of colour beside the paint are carried into it; other content, other lightness and far places are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.finishing.color_match import TRUSTED, match_colors
from tests.helpers import examples

SIDE = 256
LEFT = np.zeros((SIDE, SIDE), bool)
LEFT[:, : SIDE // 2] = True
ERROR = np.array([-14, 9, 5])


def even(*color: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), color, np.uint8)


def grained(picture: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 6, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def shifted(picture: np.ndarray, by: np.ndarray | int = ERROR) -> np.ndarray:
    return np.clip(picture.astype(int) + by, 0, 255).astype(np.uint8)


def test_that_a_sky_drawn_a_little_off_gets_the_color_of_the_photo_beside_it() -> None:
    photo = grained(even(120, 150, 190))
    matched = match_colors(shifted(photo), photo, LEFT)
    off = (matched.astype(int) - photo)[:, 64:128].mean((0, 1))
    assert np.abs(off).max() < 1.0, "near the border nothing is left of the error"
    drawn, wanted = (picture[:, 100:120].astype(float).std((0, 1)) for picture in (matched, photo))
    assert drawn == pytest.approx(wanted, rel=0.05), "texture is as drawn"


def test_that_the_photo_itself_is_never_touched() -> None:
    photo = grained(even(120, 150, 190))
    generated = shifted(photo)
    assert np.array_equal(match_colors(generated, photo, LEFT)[~LEFT], generated[~LEFT])


def test_that_other_content_is_no_error() -> None:
    """Beyond the border the decoder drew forest where the photo has snow."""
    generated = even(40, 60, 40)
    matched = match_colors(generated, even(40 + 4 * int(TRUSTED), 220, 200), LEFT)
    assert np.abs(matched.astype(int) - generated).max() <= 1


def test_that_dark_trees_do_not_lend_their_error_to_the_sky() -> None:
    photo = even(200, 210, 230)
    photo[SIDE // 2 :, SIDE // 2 :] = (30, 40, 25)  # trees beside the lower half of the painted sky
    generated = photo.copy()
    generated[SIDE // 2 :, SIDE // 2 :] = (50, 40, 45)
    matched = match_colors(generated, photo, LEFT)
    assert np.abs(matched.astype(int) - generated)[:, :128].max() <= 1


def test_that_far_from_the_border_what_was_drawn_stays() -> None:
    paint = np.ones((64, 1024), bool)
    paint[:, -64:] = False
    photo = np.full((64, 1024, 3), 128, np.uint8)
    generated = shifted(photo)
    matched = match_colors(generated, photo, paint).astype(int)
    assert np.abs(matched[:, 900:940] - 128).max() <= 2
    assert np.array_equal(matched[:, :400], generated[:, :400])


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.5])
def test_that_a_larger_window_is_matched_over_as_much_of_the_picture(scale: float) -> None:
    paint = np.zeros((round(96 * scale), round(192 * scale)), bool)
    paint[:, : paint.shape[1] // 2] = True
    photo = np.full((*paint.shape, 3), 128, np.uint8)
    matched = match_colors(shifted(photo), photo, paint, scale).astype(int)
    left = np.abs(matched - 128).max(2).mean(0)
    assert left[round(60 * scale) : round(96 * scale)].max() <= 2


@given(
    st.tuples(st.integers(1, 70), st.integers(1, 70)).flatmap(
        lambda size: st.tuples(
            arrays(np.uint8, (*size, 3)), arrays(np.uint8, (*size, 3)), arrays(np.bool_, size), st.floats(0.3, 9)
        )
    )
)
@examples(40)
def test_that_any_size_paint_and_scale_is_matched_inside_the_paint_only(case) -> None:
    generated, photo, paint, scale = case
    matched = match_colors(generated, photo, paint, scale)
    assert matched.dtype == np.uint8 and np.array_equal(matched[~paint], generated[~paint])
    if not paint.any() or paint.all() or np.array_equal(generated, photo):
        assert np.array_equal(matched, generated)
