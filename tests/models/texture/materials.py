"""Small pictures with textures that can be told apart, for tests of the texture stage."""

from __future__ import annotations

import numpy as np

from models.texture.exemplars import Exemplar
from models.texture.stage import DrawnArea, Scenery

NAMES = ("other", "sky", "grass", "rock", "building")
SKY, GRASS, ROCK, BUILDING = 1, 2, 3, 4
HEIGHT, WIDTH = 200, 260


def grassy(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(height, width, 3) uint8: green blades, strong fine contrast."""
    rng = np.random.default_rng(seed)
    blades = np.repeat(rng.normal(0, 28, (height // 4 + 1, width)), 4, 0)[:height]
    base = np.array([70, 120, 50]) + blades[..., None] * np.array([0.8, 1.0, 0.6])
    return np.clip(base, 0, 255).astype(np.uint8)


def scene(paint: tuple[slice, slice], label: int = GRASS) -> tuple[Scenery, np.ndarray]:
    """A sky over grass, and the paint (H, W) uint8: one label in a box, 255 elsewhere."""
    photo, labels = grassy(HEIGHT, WIDTH), np.full((HEIGHT, WIDTH), GRASS, np.uint8)
    photo[:80], labels[:80] = (150, 180, 220), SKY
    painted = np.full((HEIGHT, WIDTH), 255, np.uint8)
    painted[paint] = label
    return Scenery(photo, labels, painted != 255, NAMES, 0.0, 1.0, 0.4), painted


def smeared(scenery: Scenery, painted: np.ndarray, color: tuple[int, int, int] = (72, 118, 52)) -> DrawnArea:
    """What a model might draw there: the colour without any texture."""
    plan = scenery.photo.copy()
    plan[painted != 255] = color
    box = (slice(0, HEIGHT), slice(0, WIDTH))
    return DrawnArea(plan, painted.copy(), painted != 255, 2.0, None, painted, box)


def exemplar(label: str, pixels: np.ndarray, name: str = "one") -> Exemplar:
    return Exemplar(name, label, loaded=(pixels, np.ones(pixels.shape[:2], bool)))


def detail(picture: np.ndarray, area: np.ndarray) -> float:
    """Mean difference of neighbouring rows and columns inside an area."""
    grey = picture.astype(float).mean(2)
    down, right = np.abs(np.diff(grey, axis=0)), np.abs(np.diff(grey, axis=1))
    return float(down[area[1:] & area[:-1]].mean() + right[area[:, 1:] & area[:, :-1]].mean())
