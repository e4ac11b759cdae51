"""One picture that shows the original, what was painted, and the ranked candidates."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.candidate import Candidate
from models.config import LabelSet
from models.request import NOT_PAINTED

THUMB = 480  # longer side of a picture, pixels
GAP = 12
CAPTION = 30
COLUMNS = 3
BACKGROUND, TEXT = (36, 36, 38), (225, 225, 228)


def contact_sheet(
    photo: np.ndarray, paint: np.ndarray, candidates: list[Candidate], label_set: LabelSet, limit: int = 10
) -> np.ndarray:
    """Original, paint and up to `limit` candidates, best first, each with its likelihood; (h, w, 3) uint8.

    photo: (H, W, 3) uint8; paint: (H, W) uint8, NOT_PAINTED where nothing was painted.
    """
    painted = "painted: " + _painted_names(paint, label_set)
    tiles = [
        ("original", _thumb(photo)),
        (painted, _thumb(_overlay(photo, paint, label_set))),
    ]
    for rank, candidate in enumerate(candidates[:limit], 1):
        likelihood = f"{candidate.nats_per_token:.2f} nats/token, log p {candidate.log_likelihood:.1f}"
        tiles.append((f"{rank}. {likelihood}, seed {candidate.seed}", _thumb(candidate.apply(photo))))
    height, width = tiles[0][1].shape[:2]
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (GAP + columns * (width + GAP), GAP + rows * (height + CAPTION + GAP)), BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for number, (caption, picture) in enumerate(tiles):
        left = GAP + number % columns * (width + GAP)
        top = GAP + number // columns * (height + CAPTION + GAP)
        sheet.paste(Image.fromarray(picture), (left, top))
        pen.text((left, top + height + 6), _fitted(caption, font, width), fill=TEXT, font=font)
    return np.asarray(sheet)


def _thumb(picture: np.ndarray) -> np.ndarray:
    scale = THUMB / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)


def _overlay(photo: np.ndarray, paint: np.ndarray, label_set: LabelSet) -> np.ndarray:
    colors = np.array([label.color for label in label_set.labels], np.uint8)
    result = photo.copy()
    painted = paint != NOT_PAINTED
    result[painted] = (photo[painted] * 0.25 + colors[paint[painted]] * 0.75).astype(np.uint8)
    return result


def _painted_names(paint: np.ndarray, label_set: LabelSet) -> str:
    return ", ".join(label_set.labels[i].name for i in np.unique(paint[paint != NOT_PAINTED]))


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    while text and font.getlength(text) > width:
        text = text[:-2].rstrip(" .") + "…" if len(text) > 2 else ""
    return text
