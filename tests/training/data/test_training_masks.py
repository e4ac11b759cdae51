"""Masks to train on: never empty, never too much, the shapes that they claim to be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.training.data.masks import MAX_RATIO, box_mask, brush_mask, component_mask, half, label_mask, training_mask
from tests.helpers import examples
from tests.training.training_data import pair

SEEDS = st.integers(0, 2**31)
SIDES = st.sampled_from([64, 128, 200, 256])


def some_map(side: int, seed: int, kind: str) -> np.ndarray:
    if kind == "one label":
        return np.full((side, side), 3, np.uint8)
    if kind == "noise":
        return np.random.default_rng(seed).integers(0, 6, (side, side)).astype(np.uint8)
    return pair(seed, side, side)[1]


KINDS = st.sampled_from(["blocks", "blocks", "noise", "one label"])


@given(SIDES, SEEDS, KINDS, st.sampled_from([0.6, 0.85, 0.45]))
@examples(150)
def test_that_a_training_mask_is_never_empty_and_never_too_much(side: int, seed: int, kind: str, ratio: float) -> None:
    """Too large a mask loses a random half, as in the paper: half the picture may be left."""
    mask = training_mask(some_map(side, seed, kind), np.random.default_rng(seed), ratio)
    assert mask.shape == (side, side) and mask.dtype == bool
    assert mask.any() and mask.mean() <= max(ratio, 0.5)


@given(SIDES, SEEDS, KINDS)
@examples(30)
def test_that_a_component_mask_is_one_component_and_its_rim(side: int, seed: int, kind: str) -> None:
    labels = some_map(side, seed, kind)
    mask = component_mask(labels, np.random.default_rng(seed))
    assert mask.any()
    reach = 2 * max(1, round(2 * side / 256))  # of a 5x5 dilation, so many times
    fitting = []
    for label in np.unique(labels):
        count, parts = cv2.connectedComponents((labels == label).astype(np.uint8), connectivity=8)
        for number in range(1, count):
            part = (parts == number).astype(np.uint8)
            if mask[part > 0].all():
                grown = cv2.dilate(part, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
                fitting.append(np.array_equal(grown, mask))
        if any(fitting):
            return
    assert any(fitting)


@given(SIDES, SEEDS)
@examples(80)
def test_that_boxes_and_brushes_fit_the_picture(side: int, seed: int) -> None:
    labels = some_map(side, seed, "blocks")
    box = box_mask(labels, np.random.default_rng(seed))
    rows, columns = np.nonzero(box)
    assert box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
    assert 0.1 * side <= np.ptp(rows) + 1 <= 0.81 * side
    brush = brush_mask(labels, np.random.default_rng(seed))
    assert brush.shape == labels.shape and brush.any()


@given(SEEDS)
@examples(40)
def test_that_a_half_is_one_of_the_four_halves(seed: int) -> None:
    mask = half((50, 80), np.random.default_rng(seed))
    top, left = np.zeros((50, 80), bool), np.zeros((50, 80), bool)
    top[:25], left[:, :40] = True, True
    assert any(np.array_equal(mask, other) for other in (top, ~top, left, ~left))


def test_that_all_kinds_of_masks_and_halves_occur() -> None:
    labels = some_map(128, 1, "blocks")
    shares = [training_mask(labels, np.random.default_rng(seed)).mean() for seed in range(200)]
    assert min(shares) < 0.05 and max(shares) > 0.3 and len(set(shares)) > 100
    assert len({half((8, 8), np.random.default_rng(seed)).tobytes() for seed in range(60)}) == 4


@pytest.mark.parametrize("side", [256, 512, 1024])
def test_that_a_mask_is_a_function_of_its_generator(side: int) -> None:
    labels = some_map(side, 2, "blocks")
    one, two = (training_mask(labels, np.random.default_rng(9), MAX_RATIO[side]) for _ in range(2))
    assert np.array_equal(one, two)


def test_that_small_regions_are_masked_as_often_as_large_ones() -> None:
    labels = np.zeros((200, 200), np.uint8)
    labels[150:180, 20:60] = 1  # 3 % of the picture
    rng = np.random.default_rng(4)
    hits = sum(mask[165, 40] and mask.mean() < 0.2 for mask in (label_mask(labels, rng) for _ in range(200)))
    assert 60 < hits < 140  # by area it would be 6
