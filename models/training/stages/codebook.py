"""Keeps a codebook alive while its encoder learns: moving averages and revival of unused codes.

A codebook started at random collapses to a few codes, so the first steps run without quantisation; then the
codebook is started from encoder outputs and follows them as moving averages. A code that nobody used for a
while is moved onto a random encoder output.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...networks.vqgan.quantize import Codebook
from .. import team

START = 250  # steps without quantisation
DECAY = 0.99
BETA = 0.25


class CodebookKeeper(nn.Module):
    usage: Tensor
    sums: Tensor
    started: Tensor

    def __init__(self, codebook: Codebook) -> None:
        super().__init__()
        self._codebook = (codebook,)  # not a submodule: its weights are saved with the VQGAN
        table = codebook.embedding.weight
        self.register_buffer("usage", torch.ones(len(table), device=table.device))
        self.register_buffer("sums", table.detach().clone())
        self.register_buffer("started", torch.zeros((), device=table.device))
        table.requires_grad_(False)

    def quantise(self, features: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """(B, dim, h, w) -> features for the decoder, tokens (B, h*w), commitment loss; updates the codebook."""
        codebook = self._codebook[0]
        flat = features.detach().permute(0, 2, 3, 1).reshape(-1, features.shape[1])
        if step < START and not self.started:
            return features, torch.zeros(len(features), flat.shape[0] // len(features)), features.square().mean() * 1e-3
        if not self.started:
            self._start(flat)
        drawn, tokens = codebook.straight_through(features)
        quantised = codebook.features(tokens, features.shape[2], features.shape[3])
        self._follow(flat, tokens.reshape(-1))
        return drawn, tokens, BETA * F.mse_loss(features, quantised)

    @torch.no_grad()
    def adopt(self) -> None:
        """Go on from the codebook as it is: an earlier run has made it."""
        self.sums.copy_(self._codebook[0].embedding.weight)
        self.usage.fill_(1.0)
        self.started.fill_(1)

    @torch.no_grad()
    def _start(self, flat: Tensor) -> None:
        table = self._codebook[0].embedding.weight
        picks = torch.randint(len(flat), (len(table),), device=flat.device)
        table.copy_(flat[picks] + 0.01 * flat.std() * torch.randn_like(table))
        team.same(table)
        self.adopt()

    @torch.no_grad()
    def _follow(self, flat: Tensor, tokens: Tensor) -> None:
        table = self._codebook[0].embedding.weight
        counts = torch.bincount(tokens, minlength=len(table)).float()
        sums = torch.zeros_like(self.sums).index_add_(0, tokens, flat)
        team.total(counts)
        team.total(sums)
        self.usage.mul_(DECAY).add_(counts, alpha=1 - DECAY)
        self.sums.mul_(DECAY).add_(sums, alpha=1 - DECAY)
        dead = self.usage < 0.02
        if dead.any():
            picks = torch.randint(len(flat), (int(dead.sum()),), device=flat.device)
            self.sums[dead] = team.same(flat[picks].clone())
            self.usage[dead] = 1.0
        table.copy_(self.sums / self.usage[:, None])

    def perplexity(self) -> float:
        share = self.usage / self.usage.sum()
        return float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum()))
