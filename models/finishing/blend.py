"""Laplacian blending of generated pixels into the photo (specification, section 8; Burt and Adelson 1983).

The clean blend keeps its transition band inside the painted area: unpainted pixels come out bit-identical.
"""

from __future__ import annotations

import cv2
import numpy as np

STEP = 2.0  # pixels inside a large painted area where the generated picture takes over
MAX_BAND = 24.0  # pixels; how far the coarsest bands mix on into the paint
BLEND_MARGIN = 48  # pixels round the edit that the pyramid looks at


def blend(
    generated: np.ndarray, original: np.ndarray, paint: np.ndarray, share: np.ndarray | None = None
) -> np.ndarray:
    """Blend `generated` into `original` where painted.

    generated, original: (h, w, 3) uint8 of any size, the edit with up to BLEND_MARGIN pixels round it; paint:
    (h, w) bool. What lies beyond the arrays counts as painted (it is beyond the photo's border). share: (h, w)
    float32 in 0…1, the largest part of `generated` in each pixel; None: all.
    Returns (h, w, 3) uint8, equal to `original` in every byte outside the paint.
    """
    if not paint.any():
        return original.copy()
    height, width = paint.shape
    inside = _depth(paint)
    band = min(MAX_BAND, max(1.0, 0.4 * float(inside.max())))
    step = min(STEP, band / 4)
    # a steep weight: each level of the pyramid widens it to its own scale, so fine detail stays crisp at the border
    weight = np.clip((inside - step) / 2 + 0.25, 0.0, 1.0).astype(np.float32)
    if share is not None:
        weight = np.minimum(weight, share)
    levels = max(1, int(np.log2(band)) - 1)  # the coarsest band must not reach across the edit
    pad = (-height % 2**levels, -width % 2**levels)

    def padded(x: np.ndarray) -> np.ndarray:
        return cv2.copyMakeBorder(x.astype(np.float32), 0, pad[0], 0, pad[1], cv2.BORDER_REPLICATE)

    mixed = _pyramid_blend(padded(generated), padded(original), padded(weight), levels)[:height, :width]
    # Near the border the pyramid still holds some of both pictures; the depth takes it back to the photo.
    edge = np.clip(inside / max(1.0, 2 * step), 0.0, 1.0)[:, :, None]
    mixed = mixed * edge + original * (1 - edge)
    return np.where(paint[:, :, None], np.clip(np.rint(mixed), 0, 255).astype(np.uint8), original)


def _depth(paint: np.ndarray) -> np.ndarray:
    """(h, w) float32: distance in pixels of each painted pixel to the nearest unpainted one."""
    padded = np.pad(paint, 1, mode="edge").astype(np.uint8)
    if padded.all():
        return np.full(paint.shape, 4 * MAX_BAND, np.float32)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]


def _pyramid_blend(first: np.ndarray, second: np.ndarray, weight: np.ndarray, levels: int) -> np.ndarray:
    """Blend float32 pictures band by band: weight 1 takes `first`."""
    stack = []
    for _ in range(levels):
        smaller = [cv2.pyrDown(x) for x in (first, second, weight)]
        size = (first.shape[1], first.shape[0])
        bands = [x - cv2.pyrUp(s, dstsize=size) for x, s in zip((first, second), smaller[:2], strict=True)]
        stack.append((bands[0], bands[1], weight))
        first, second, weight = smaller
    result = first * weight[..., None] + second * (1 - weight[..., None])
    for one, two, share in reversed(stack):
        result = cv2.pyrUp(result, dstsize=(one.shape[1], one.shape[0]))
        result = result + one * share[..., None] + two * (1 - share[..., None])
    return result


def reference_blend(generated: np.ndarray, original: np.ndarray, mask: np.ndarray, levels: int) -> np.ndarray:
    """The published blend: changes unpainted pixels near the border and rounds at every level.

    generated, original: (H, W, 3) uint8, sides divisible by 2**(levels - 1); mask: (H, W) float in [0, 1].
    Returns (H, W, 3) uint8.
    """
    weight = np.repeat((mask >= 0.5).astype(np.float32)[:, :, None], 3, 2)
    pyramids: list[list[np.ndarray]] = []
    for picture in (generated, original, weight):
        pyramid = [picture]
        for _ in range(levels - 1):
            pyramid.append(cv2.pyrDown(pyramid[-1]))
        pyramids.append([level.astype(np.float32) for level in pyramid])
    first, second, share = pyramids
    result = np.zeros(0, np.float32)
    for level in reversed(range(levels)):
        a, b = first[level], second[level]
        if level < levels - 1:
            a, b = a - cv2.pyrUp(first[level + 1]), b - cv2.pyrUp(second[level + 1])
        mixed = a * share[level] + b * (1 - share[level])
        result = mixed if level == levels - 1 else cv2.pyrUp(result) + mixed
    return np.clip(result, 0, 255).astype(np.uint8)
