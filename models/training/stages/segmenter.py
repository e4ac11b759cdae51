"""Stage `segmenter`: photo -> label map, trained on the data's label maps.

With a backbone, the network also learns to foretell that network's features at 1/16 and 1/32 (as hints in FitNets,
Romero et al. 2015): few photos teach what things look like, a network that has seen a million of them knows more.
What judges colours and contrasts (`scenery.py`) learns beside it, from whole photos in their own light.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import ModelConfig
from ...networks.segmenter.scenery import CELL, measures
from ...networks.segmenter.segmentation import SCALES, Segmenter, as_seen
from .. import team
from ..data.pairs import CropStream, DataSet
from ..losses.perceptual import Backbone, feature_distance
from ..precision import Precision

SIDE = 256
HINTS = ((2, 4, 112), (3, 6, 320))  # (feature map of ours, stage of the backbone, its channels)
HINT_WEIGHT = 0.5
POINTS = 512  # of each whole photo, whose measures are judged
FASTER = 5.0  # learning rate of what judges them, beside the network's


class SegmenterStage:
    name = "segmenter"
    frozen: tuple[str, ...] = ()

    def __init__(
        self,
        config: ModelConfig,
        data: DataSet,
        precision: Precision,
        *,
        backbone: Backbone | None = None,
        batch: int = 12,
        seed: int = 0,
    ) -> None:
        assert config.segmenter is not None
        self.precision, self.data = precision, data
        self.labels = config.label_vqgan.in_channels
        self.net = precision.place(Segmenter(config.segmenter, self.labels))
        self.backbone = None if backbone is None else precision.place(backbone)
        channels = config.segmenter.channels
        self.guess = precision.place(nn.ModuleList(nn.Conv2d(channels[level], c, 1) for level, _, c in HINTS))
        self.modules: dict[str, nn.Module] = {"segmenter": self.net, "guess": self.guess}
        judge = [] if self.net.scenery is None else list(self.net.scenery.parameters())
        apart = set(judge)
        trained = [p for module in self.modules.values() for p in module.parameters() if p not in apart]
        groups: list[dict[str, Any]] = [{"params": trained}, {"params": judge, "scale": FASTER}]
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "segmenter": torch.optim.AdamW(groups, 1e-3, betas=(0.9, 0.98), weight_decay=0.05)
        }
        self.run = team.runner(nn.ModuleList(self.modules.values()))
        self.side = config.segmenter.side
        longest = round(max(SCALES) * self.side)  # as large as the photos that it will be shown
        self.stream = CropStream(data.train, SIDE, batch, seed, scales=(0.5, 1.6), longest=longest)
        self.scenes = CropStream(data.train, SIDE, batch, seed + 1)

    def start_from(self, weights: dict[str, Tensor]) -> None:
        self.net.load_state_dict(weights)

    def examples(self, batch: Any) -> int:
        return len(batch[0])

    def batch(self, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Crops and their labels, measures of points of whole photos (B, POINTS, MEASURES) and the labels there."""
        photos, maps, rng = self.stream.batch(number)
        pictures = np.stack([_other_light(photo, rng) for photo in photos]) / 127.5 - 1
        rng = self.scenes.rng(number)
        points = [self._points(photo, labels, rng) for photo, labels in self.scenes.whole(number, rng)]
        told, wanted = (torch.stack(parts) for parts in zip(*points, strict=True))
        return torch.from_numpy(pictures).permute(0, 3, 1, 2), _labels(maps), told, wanted

    def _points(self, photo: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Measures (POINTS, MEASURES) of random places of a photo, mirrored or not, and the labels (POINTS,) there."""
        if rng.random() < 0.5:
            photo, labels = photo[:, ::-1], labels[:, ::-1]
        seen = as_seen(np.ascontiguousarray(photo), self.side)
        size = (seen.shape[3], seen.shape[2])
        small = cv2.resize(np.ascontiguousarray(labels), size, interpolation=cv2.INTER_NEAREST_EXACT)
        told, wanted = measures(seen)[0].flatten(0, 1), _labels(small[None]).flatten()
        at = torch.from_numpy(rng.integers(len(wanted), size=POINTS))
        return told[at], wanted[at]

    def step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], number: int) -> dict[str, float]:
        pictures, told = self.precision.move(batch[0]), batch[2].to(self.precision.device)
        labels, wanted = (part.to(self.precision.device) for part in (batch[1], batch[3]))
        with self.precision.autocast():
            logits, hints, judged = self.run(lambda: (*self._seen(pictures), self._judged(told)))
        seen = F.cross_entropy(logits.float(), labels, label_smoothing=0.05)
        heard = F.cross_entropy(judged.float().flatten(0, 1), wanted.flatten(), label_smoothing=0.02)
        loss = seen + HINT_WEIGHT * hints + heard
        self.optimisers["segmenter"].zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimisers["segmenter"].step()
        right = (logits.argmax(1) == labels).float().mean()
        figures = {"cross_entropy": seen, "hints": hints, "scenery": heard, "accuracy": right}
        return {name: value.item() for name, value in figures.items()}

    def _seen(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and how far our features are from foretelling the backbone's (0 to 4; 0 without one)."""
        maps = self.net.features(pictures)
        logits = self.net.decode(maps)
        if self.backbone is None:
            return logits, logits.new_zeros(())
        with torch.no_grad():
            known = self.backbone(pictures)
        guessed = [guess(maps[level]) for guess, (level, _, _) in zip(self.guess, HINTS, strict=True)]
        return logits, feature_distance(guessed, [known[stage] for _, stage, _ in HINTS]).mean()

    def _judged(self, told: Tensor) -> Tensor:
        if self.net.scenery is None:
            return told.new_zeros(*told.shape[:2], self.labels)
        return self.net.scenery.judge(told)

    @torch.no_grad()
    def evaluate(self, folder: Path, number: int) -> dict[str, float]:
        """Pixel agreement with the validation label maps."""
        right = total = 0
        for _, photo, labels in self.data.validation(2):
            guess = self.net.label_map(photo)
            right += int((guess == labels).sum())
            total += labels.size
        return {"accuracy": right / max(1, total)}


def _labels(maps: np.ndarray) -> Tensor:
    """(B, H, W) uint8 -> the label in the middle of each cell (B, H/4, W/4) int64."""
    return torch.from_numpy(maps[:, CELL // 2 :: CELL, CELL // 2 :: CELL].astype(np.int64))


def _other_light(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The photo (H, W, 3) under other light and through another lens: float32, 0…255.

    Exposure and colour cast, contrast, saturation. Stronger changes, blur, noise and covered boxes did harm
    (docs/training-log.md).
    """
    x = photo.astype(np.float32) * rng.uniform(0.75, 1.25) * rng.uniform(0.92, 1.08, 3).astype(np.float32)
    x = (x - x.mean()) * np.float32(rng.uniform(0.8, 1.2)) + x.mean()
    grey = x.mean(2, keepdims=True)
    x = grey + (x - grey) * np.float32(rng.uniform(0.6, 1.3))
    return np.clip(x, 0, 255).astype(np.float32)
