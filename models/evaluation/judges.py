"""Judges of label agreement: does the picture show what the label map asked for?

They compare seven groups of labels, because single labels (river or lake, earth or field) are not reliable in the
data itself. The judge of record is a public ADE20K segmenter (`../shared/parts/labeller`); without it our own
segmenter judges, which is kinder to pictures made by the same checkpoint, and the table says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from ..config import LabelSet
from ..editor import SceneEditor

GROUPS: dict[str, tuple[str, ...]] = {
    "sky": ("sky", "clouds"),
    "mountain": ("mountain", "hill", "rock", "snow"),
    "open ground": ("sand", "earth", "grass", "field", "road"),
    "vegetation": ("tree", "plant", "flower"),
    "water": ("river", "lake", "sea", "waterfall"),
    "building": ("building",),
    "other": ("other",),
}
# The labeller's classes by group (its README); walls and hangings are cliffs unless there are buildings.
_CLASSES = ((3, 6), (17,), (4, 7, 10, 12, 14, 29, 30), (5, 18), (22, 27, 28), (2, 9, 15, 26), ())
_CLIFF_OR_WALL = (1, 19, 23)
_MOUNTAIN, _BUILDING, _OTHER = 1, 5, 6


class Judge(Protocol):
    name: str

    def groups(self, picture: np.ndarray) -> np.ndarray: ...  # (H, W, 3) uint8 -> (H, W) uint8 group index


def group_table(label_set: LabelSet) -> np.ndarray:
    """(labels,) uint8: the group of each label; labels of other sets count as "other"."""
    names = list(GROUPS.values())
    return np.array(
        [next((g for g, members in enumerate(names) if label.name in members), _OTHER) for label in label_set.labels],
        np.uint8,
    )


class Labeller:
    """DeepLabV3+ MobileNetV2, ADE20K, on the whole picture at 512 px (needs the package `ai-edge-litert`)."""

    name = "DeepLabV3+ MobileNetV2 (ADE20K)"

    def __init__(self, file: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._run: Any = Interpreter(str(file), num_threads=2)
        self._run.allocate_tensors()
        self._input = self._run.get_input_details()[0]["index"]
        self._output = self._run.get_output_details()[0]["index"]

    def statistics(self, picture: np.ndarray) -> np.ndarray:
        """(64,): mean and deviation of each class's logits over the picture; for a Fréchet distance by a network that
        ours were not trained with."""
        logits = self._logits(picture)
        return np.concatenate([logits.mean((0, 1)), logits.std((0, 1))]).astype(np.float64)

    def _logits(self, picture: np.ndarray) -> np.ndarray:
        """(128, 128, 32) float32."""
        self._run.set_tensor(self._input, cv2.resize(picture, (512, 512), interpolation=cv2.INTER_AREA)[None])
        self._run.invoke()
        quantised: np.ndarray = self._run.get_tensor(self._output)[0]
        return (quantised.astype(np.float32) - 69) * 0.1717084

    def groups(self, picture: np.ndarray) -> np.ndarray:
        logits = self._logits(picture)
        shares = np.exp(logits - logits.max(2, keepdims=True))
        shares /= shares.sum(2, keepdims=True)
        scores = np.stack([shares[..., list(classes)].sum(2) for classes in _CLASSES], 2)
        cliffs = _BUILDING if (scores.argmax(2) == _BUILDING).mean() > 0.02 else _MOUNTAIN
        scores[..., cliffs] += shares[..., list(_CLIFF_OR_WALL)].sum(2)
        scores[..., _OTHER] = 1 - scores[..., :_OTHER].sum(2)
        size = (picture.shape[1], picture.shape[0])
        return cv2.resize(scores, size, interpolation=cv2.INTER_LINEAR).argmax(2).astype(np.uint8)


class OwnSegmenter:
    """The segmenter of the checkpoint that is evaluated."""

    name = "the checkpoint's own segmenter"

    def __init__(self, editor: SceneEditor) -> None:
        self._editor, self._table = editor, group_table(editor.label_set)

    def groups(self, picture: np.ndarray) -> np.ndarray:
        return self._table[self._editor.suggest_labels(picture)]


class Agreement:
    """Counts of (asked, shown) groups over regions of many pictures."""

    def __init__(self) -> None:
        self.counts = np.zeros((len(GROUPS), len(GROUPS)), np.int64)

    def add(self, asked: np.ndarray, shown: np.ndarray, region: np.ndarray) -> float:
        """asked, shown (H, W) groups, region (H, W) bool; returns the share of equal pixels in the region."""
        np.add.at(self.counts, (asked[region], shown[region]), 1)
        return float((asked[region] == shown[region]).mean())

    @property
    def accuracy(self) -> float:
        return float(np.trace(self.counts) / max(1, self.counts.sum()))

    @property
    def mean_iou(self) -> float:
        """Mean intersection over union of the groups that were asked for."""
        hits = np.diag(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - hits
        return float(np.mean([h / u for h, u, asked in zip(hits, union, self.counts.sum(1), strict=True) if asked]))
