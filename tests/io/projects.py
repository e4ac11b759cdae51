"""Small projects for tests."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from app.io.pictures.maps import packed
from app.io.project import ProjectData, SavedCandidate, SavedRun
from models.candidate import Candidate, DrawnWindow, Patch, Window
from models.request import NOT_PAINTED, SamplingSettings

HEIGHT, WIDTH = 40, 60


def source(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def candidate(seed: int = 0) -> Candidate:
    rng = np.random.default_rng(seed)
    mask = rng.random((10, 12)) < 0.5
    surprise = np.full((16, 16), np.nan, np.float32)
    surprise[3:5, 4:6] = rng.random((2, 2))
    return Candidate(
        index=seed,
        seed=100 + seed,
        tokens=rng.integers(0, 1024, 4),
        token_log_likelihoods=-rng.random(4),
        truncated_log_likelihood=-1.5,
        windows=(
            DrawnWindow(
                Window(-98, -108, 256, 256),
                _patch(rng.integers(0, 256, (10, 12, 3), np.uint8), mask, textured=seed == 0),
                rng.integers(0, 1024, (16, 16)),
                surprise,
                rng.integers(0, 1024, (16, 16)),
            ),
        ),
        draft=bool(seed % 2),
    )


def _patch(pixels: np.ndarray, mask: np.ndarray, textured: bool) -> Patch:
    return Patch(5, 6, pixels, mask, 255 - pixels, ("tree", "grass"), True) if textured else Patch(5, 6, pixels, mask)


def project(runs: int = 2, seed: int = 0) -> ProjectData:
    rng = np.random.default_rng(seed)
    paint = np.full((HEIGHT, WIDTH), NOT_PAINTED, np.uint8)
    paint[5:20, 10:30] = 3
    applied = np.full((HEIGHT, WIDTH), NOT_PAINTED, np.uint8)
    applied[30:35, 40:50] = 7
    settings = SamplingSettings(samples=2, seed=5, temperature=0.9, top_k=None, label_strength=2.5)
    saved = tuple(
        SavedRun(
            title=f"Lake {number}",
            kind="full",
            paint=paint,
            before=packed(rng.integers(0, 20, (HEIGHT, WIDTH), np.uint8)),
            settings=settings,
            window=256,
            tokens=4,
            candidates=(SavedCandidate(candidate(0), starred=True), SavedCandidate(candidate(1), applied=True)),
        )
        for number in range(runs)
    )
    return ProjectData(
        source=source(seed),
        name="valley.png",
        start=rng.integers(0, 20, (HEIGHT, WIDTH), np.uint8),
        applied=applied,
        paint=paint,
        edit=(40, 30, rng.integers(0, 256, (5, 10, 3), np.uint8)),
        labels_loaded=True,
        labels=("sky", "lake"),
        runs=saved,
    )
