"""The measures of a kept picture, on pictures whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from models.evaluation.keeping import Edited, repetition, sharpness, summary, told_apart


def noise(seed: int, size: int = 256, blur: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grey = cv2.GaussianBlur(rng.normal(0, 60, (size, size)).astype(np.float32), (0, 0), blur) * blur * 2
    return np.clip(128 + grey[..., None], 0, 255).astype(np.uint8).repeat(3, 2)


def edit(seed: int, result: np.ndarray | None = None) -> Edited:
    photo = noise(seed)
    area = np.zeros(photo.shape[:2], bool)
    area[20:120, 20:236] = True
    return Edited(photo, photo if result is None else result, area, np.full(area.shape, 3, np.uint8), f"photo {seed}")


def look(patch: np.ndarray) -> np.ndarray:
    grey = patch[..., 0].astype(np.float32)
    return np.array([np.abs(np.diff(grey, axis=k)).mean() for k in (0, 1)] + [grey.std(), grey.mean()])


def test_that_what_is_real_is_as_sharp_and_what_is_blurred_is_not() -> None:
    same = edit(1)
    assert sharpness(same) == pytest.approx(1, abs=0.1)
    blurred = replace(same, result=cv2.GaussianBlur(same.photo, (0, 0), 2))
    found = sharpness(blurred)
    assert found is not None and found < 0.6
    grainy = np.clip(same.photo + np.random.default_rng(0).normal(0, 70, same.photo.shape), 0, 255).astype(np.uint8)
    found = sharpness(replace(same, result=grainy))
    assert found is not None and found > 1.25


def test_that_tiles_repeat_and_noise_does_not() -> None:
    tile = noise(3, 64)
    area = np.ones((256, 256), bool)
    assert repetition(np.tile(tile, (4, 4, 1)), area) > 0.95
    assert repetition(noise(4), area) < 0.2
    round_area = np.hypot(*(np.mgrid[0:256, 0:256] - 128)) < 110
    assert repetition(np.tile(tile, (4, 4, 1)), round_area) > 0.9


def test_that_real_patches_cannot_be_told_and_blurred_ones_can() -> None:
    real = [edit(seed) for seed in range(12)]
    chance = told_apart(real, look)
    assert chance is not None and 0.3 < chance < 0.7
    halves = told_apart(real, look, real=True)
    assert halves is not None and 0.3 < halves < 0.7
    blurred = [replace(one, result=cv2.GaussianBlur(one.photo, (0, 0), 2)) for one in real]
    found = told_apart(blurred, look)
    assert found is not None and found > 0.95


def test_that_too_little_gives_no_figure() -> None:
    assert told_apart([edit(0)], look) is None
    tiny = edit(0)
    tiny = replace(tiny, area=np.pad(np.ones((8, 8), bool), ((0, 248), (0, 248))))
    assert sharpness(tiny) is None


def test_that_a_summary_has_every_figure() -> None:
    found = summary([edit(seed) for seed in range(6)], look)
    assert set(found) == {"told apart", "sharpness", "as sharp", "repetition"}
    assert found["as sharp"] == 1.0
