from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.io.pictures.depth import to_eight_bit, to_full_depth, to_sixteen_bit
from app.io.pictures.photo import decode_photo


def test_that_an_eight_bit_edit_is_passed_through(samples):
    photo = decode_photo(samples.file("PNG", samples.pixels(3)))
    edited = samples.pixels(3, seed=1)
    assert to_full_depth(photo, edited, np.ones(photo.size, bool)) is edited


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1))
def test_that_sixteen_bits_survive_wherever_nothing_was_changed(samples, seed, share):
    photo = decode_photo(samples.file("PNG16", samples.pixels(3, np.uint16)))
    chance = np.random.default_rng(seed)
    painted, redrawn = chance.random((2, *photo.size)) < share
    edited = np.where(redrawn[..., None], samples.pixels(3, seed=seed), photo.rgb8)

    result = to_full_depth(photo, edited, painted)

    changed = painted & (edited != photo.rgb8).any(axis=2)
    assert result.dtype == np.uint16
    assert np.array_equal(result[~changed], photo.full[~changed])
    assert np.array_equal(to_eight_bit(result[painted]), edited[painted])


def test_that_widening_and_narrowing_are_inverse():
    values = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_eight_bit(to_sixteen_bit(values)), values)
    assert to_sixteen_bit(values)[[0, 255]].tolist() == [0, 65535]
