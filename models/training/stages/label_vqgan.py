"""Stage `label-vqgan`: codes of label maps, trained by cross-entropy (specification, section 7.6)."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import ModelConfig
from ...networks.vqgan.quantize import perplexity
from ...networks.vqgan.vqgan import VQGAN
from .. import team
from ..data.pairs import CropStream, DataSet
from ..precision import Precision
from .codebook import CodebookKeeper

SIDE = 128
LARGEST = 512  # pixels a side that an evaluation looks at


class LabelVqganStage:
    name = "label-vqgan"
    frozen: tuple[str, ...] = ()

    def __init__(
        self, config: ModelConfig, data: DataSet, precision: Precision, *, batch: int = 24, seed: int = 0
    ) -> None:
        self.precision, self.data = precision, data
        self.labels = config.label_vqgan.in_channels
        self.vqgan = precision.place(VQGAN(config.label_vqgan, config.semantics))
        self.keeper = CodebookKeeper(self.vqgan.quantize)
        self.modules: dict[str, nn.Module] = {"vqgan": self.vqgan, "keeper": self.keeper}
        trained = [p for n, p in self.vqgan.named_parameters() if not n.startswith("quantize.")]
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "vqgan": torch.optim.Adam(trained, 1e-3, betas=(0.5, 0.99))
        }
        self.run = team.runner(self.vqgan)
        self.stream = CropStream(data.train, SIDE, batch, seed, scales=(0.5, 1.0))

    def start_from(self, weights: dict[str, Tensor]) -> None:
        self.vqgan.load_state_dict(weights)
        self.keeper.adopt()

    def examples(self, batch: Any) -> int:
        return len(batch)

    def batch(self, number: int) -> Tensor:
        return torch.from_numpy(self.stream.batch(number)[1].astype(np.int64))

    def _hot(self, labels: Tensor) -> Tensor:
        return self.precision.move(F.one_hot(labels, self.labels).permute(0, 3, 1, 2).float())

    def step(self, batch: Tensor, number: int) -> dict[str, float]:
        labels = batch.to(self.precision.device)
        logits, commitment = self.run(lambda: self._rebuilt(labels, number))
        entropy = F.cross_entropy(logits.float(), labels)
        self.optimisers["vqgan"].zero_grad(set_to_none=True)
        (entropy + commitment).backward()
        nn.utils.clip_grad_norm_(self.vqgan.parameters(), 1.0)
        self.optimisers["vqgan"].step()
        return {"cross_entropy": entropy.item(), "perplexity": self.keeper.perplexity()}

    def _rebuilt(self, labels: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Logits of the labels after their way through the codes, and the commitment loss."""
        with self.precision.autocast():
            features = self.vqgan.encode(self._hot(labels))
        drawn, _, commitment = self.keeper.quantise(features.float(), number)
        with self.precision.autocast():
            return self.vqgan.decode(drawn), commitment

    @torch.no_grad()
    def evaluate(self, folder: Path, number: int) -> dict[str, float]:
        """Share of validation pixels whose label survives the codes, and code perplexity."""
        right, total, tokens = 0, 0, []
        for _, _, labels in islice(self.data.validation(), 64):
            labels = labels[: labels.shape[0] // 16 * 16, : labels.shape[1] // 16 * 16][:LARGEST, :LARGEST]
            index = torch.from_numpy(labels.astype(np.int64))[None].to(self.precision.device)
            features = self.vqgan.encode(self._hot(index))
            codes = self.vqgan.quantize.indices(features)
            logits = self.vqgan.decode_tokens(codes, features.shape[2], features.shape[3])
            right += int((logits.argmax(1) == index).sum())
            total += index.numel()
            tokens.append(codes.flatten().cpu())
        if not total:
            return {}
        return {
            "accuracy": right / max(1, total),
            "code_perplexity": perplexity(torch.cat(tokens), self.vqgan.config.codes),
        }
