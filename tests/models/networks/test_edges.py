"""Soft maps follow the edges of a picture."""

from __future__ import annotations

import numpy as np

from models.networks.segmenter.edges import EdgeFilter

EDGE, GUESSED = 260, 256  # columns: where the picture's edge is, and where the map believes it to be


def test_that_a_soft_border_moves_to_the_edge() -> None:
    picture = np.full((128, 512, 3), 60, np.uint8)
    picture[:, EDGE:] = 200
    picture += np.random.default_rng(0).integers(0, 12, picture.shape, np.uint8)
    soft = np.tile(np.clip((np.arange(512) - GUESSED) / 12 + 0.5, 0, 1), (128, 1)).astype(np.float32)
    found = EdgeFilter(picture)(soft) > 0.5
    assert (found[:, : EDGE - 1] == 0).mean() > 0.99 and found[:, EDGE:].mean() > 0.99
    assert (soft > 0.5)[:, GUESSED + 1 : EDGE].all(), "before, the border was elsewhere"


def test_that_without_edges_a_map_stays_but_for_smoothing() -> None:
    picture = np.full((128, 256, 3), 90, np.uint8)
    slope = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (128, 1))
    smooth = EdgeFilter(picture)(slope)
    assert np.abs(smooth - slope)[:, 16:-16].max() < 1e-3


def test_that_pictures_smaller_than_the_reach_are_taken() -> None:
    values = np.random.default_rng(1).random((5, 7), np.float32)
    assert np.allclose(EdgeFilter(np.zeros((5, 7, 3), np.uint8))(values), values, atol=1e-5)
