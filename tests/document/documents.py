"""Small documents and candidates for tests."""

from __future__ import annotations

import hashlib

import numpy as np

from app.document.document import Document
from app.io.pictures.photo import Photo
from models.candidate import Candidate, DrawnWindow, Patch, Window
from models.request import NOT_PAINTED


def make_photo(width: int = 40, height: int = 30, seed: int = 0) -> Photo:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Photo(pixels, pixels, None, None, None, None, hashlib.sha256(b"").hexdigest(), b"", "PNG")


def make_document(width: int = 40, height: int = 30) -> Document:
    return Document(make_photo(width, height))


def make_candidate(document: Document, paint: np.ndarray, seed: int = 0) -> Candidate:
    """One patch over the whole photo, random where painted."""
    rng = np.random.default_rng(1000 + seed)
    drawn = rng.integers(0, 256, document.picture.shape, dtype=np.uint8)
    mask = paint != NOT_PAINTED
    pixels = np.where(mask[..., None], drawn, document.picture)
    tokens = np.arange(3)
    codes = np.zeros((16, 16), np.int64)
    window = DrawnWindow(Window(0, 0, 256, 256), Patch(0, 0, pixels, mask), codes, codes.astype(np.float32), codes)
    return Candidate(0, seed, tokens, -np.ones(3), -3.0, (window,))


def state_of(document: Document) -> tuple[bytes, ...]:
    """All layers as bytes."""
    return tuple(layer.tobytes() for layer in (document.start, document.applied, document.paint, document.picture))
