"""Parity with Taming Transformers: latent transformer, sliding window, losses and quantiser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..drawing.samplers.sliding import Place, coordinate_codes, place, walk, window
from ..drawing.sampling import filter_logits
from ..networks.transformers.causal import CausalConfig, CausalTransformer
from ..networks.vqgan.quantize import Codebook, quantiser_loss
from ..training.losses.vqgan import Objective, PublishedDiscriminator, judge_loss, weight_of
from .record import Comparison, Record

LOGITS, LOSS, LIKELIHOOD, VQ, WEIGHT = 5e-4, 1e-4, 5e-4, 3e-5, 1e-3
TAIL, EVERY = 3, 7


def check_taming(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> Iterator[Comparison]:
    """Every array of a `taming-*` fixture."""
    inputs, expected = Record(folder / "inputs.npz"), Record(folder / "expected.npz")
    for name, sizes in config["models"].items():
        parts = [sizes[key] for key in ("block_size", "d", "heads", "layers", "n_unmasked")]
        network = CausalTransformer(CausalConfig(config["vocab"], *parts))
        network.load_state_dict({k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")})
        with torch.inference_mode():
            _check_transformer(name, network.eval(), inputs, expected)
            for height, width in config["grids"][name]:
                _Walk(f"{name}.{height}x{width}", network, sizes["window"], inputs, expected).check()
    logits = torch.from_numpy(inputs.input("filter_logits"))
    for name in [n for n in expected.arrays if n.startswith("filter_top_")]:
        expected.compare(name, filter_logits(logits, int(name.rsplit("_", 1)[1]), None))
    expected.compare("coord_codes", coordinate_codes(*(int(side) for side in inputs.input("coord_size"))))
    _check_losses(config["vqgan_loss"], tensors, inputs, expected)
    _check_quantiser(config["vqgan_loss"]["beta"], inputs, expected)
    yield from expected.finish()
    yield from inputs.finish()


def _codes(inputs: Record, name: str) -> Tensor:
    return torch.from_numpy(inputs.input(name).astype(np.int64))


def _check_transformer(name: str, network: CausalTransformer, inputs: Record, expected: Record) -> None:
    condition, codes = _codes(inputs, f"{name}.tf_condition"), _codes(inputs, f"{name}.tf_codes")
    logits = network.predicted(condition, codes)
    expected.compare(f"{name}.tf_logits", logits, LOGITS)
    expected.compare(f"{name}.tf_loss", F.cross_entropy(logits.flatten(0, 1), codes.flatten()), LOSS)
    whole = network(torch.cat([condition, codes], 1))
    if expected.arrays[f"{name}.gpt_logits"].shape[1] < whole.shape[1]:
        whole = whole[:1, ::EVERY]
    expected.compare(f"{name}.gpt_logits", whole, LOGITS)
    keep = torch.from_numpy(inputs.input(f"{name}.pkeep_keep"))
    noisy = network.predicted(condition, replaced(codes, keep, _codes(inputs, f"{name}.pkeep_random")))
    expected.compare(f"{name}.pkeep_loss", F.cross_entropy(noisy.flatten(0, 1), codes.flatten()), LOSS)
    expected.compare(f"{name}.pkeep_logits_tail", noisy[:, -TAIL:], LOGITS)
    length = codes.shape[1]
    expected.compare(f"{name}.half", go_on_greedily(network, condition, codes[:, : length // 2], length))
    expected.compare(f"{name}.all", go_on_greedily(network, condition, codes[:, :0], length))


def replaced(codes: Tensor, keep: Tensor, random: Tensor) -> Tensor:
    """Input codes of training with noise: those that are not kept are random (specification, 2.2, pkeep)."""
    return torch.where(keep, codes, random)


def go_on_greedily(network: CausalTransformer, condition: Tensor, codes: Tensor, length: int) -> Tensor:
    """Codes (B, length): the given ones, then always the most likely next one, with keys and values kept."""
    logits, caches = network.go_on(torch.cat([condition, codes], 1), None)
    while codes.shape[1] < length:
        following = logits[:, -1:].argmax(2)
        codes = torch.cat([codes, following], 1)
        if codes.shape[1] < length:
            logits, caches = network.go_on(following, caches)
    return codes


class _Walk:
    """A window over one grid of the fixture."""

    def __init__(self, name: str, network: CausalTransformer, side: int, inputs: Record, expected: Record) -> None:
        self.name, self.network, self.side, self.inputs, self.expected = name, network, side, inputs, expected
        self.condition, self.fixed, self.start = (
            inputs.input(f"{name}.{part}").astype(np.int64) for part in ("condition", "fixed", "start")
        )
        self.probes = set(inputs.input(f"{name}.probe_steps").tolist())

    def check(self) -> None:
        height, width = self.condition.shape
        places = list(walk(height, width, self.side))
        fed, logits = [], []

        def note(step: int, sequence: Tensor, found: Tensor) -> None:
            logits.append(found)
            if step in self.probes:
                fed.append(sequence)

        drawn = self._draw(self.start, places, note)
        compare = self.expected.compare
        compare(f"{self.name}.greedy", drawn)
        compare(f"{self.name}.place", _numbers(places))
        compare(f"{self.name}.step_logits", torch.stack(logits), LOGITS)
        compare(f"{self.name}.probe_inputs", torch.stack(fed))
        scores = []
        for at in places:
            likely = self._logits(self.fixed, at)[1].double().log_softmax(0)
            scores.append(-float(likely[int(self.fixed[at.row, at.column])]))
        compare(f"{self.name}.fixed_nll", np.array(scores), LIKELIHOOD)
        self._check_completion()

    def _draw(self, start: np.ndarray, places: list[Place], note: Callable[[int, Tensor, Tensor], None]) -> np.ndarray:
        """The grid with the most likely code at each place, one after the other."""
        grid = start.copy()
        for step, at in enumerate(places):
            sequence, logits = self._logits(grid, at)
            note(step, sequence, logits)
            grid[at.row, at.column] = int(logits.argmax())
        return grid

    def _logits(self, grid: np.ndarray, at: Place) -> tuple[Tensor, Tensor]:
        """The sequence that is fed for a place, and the logits (V,) of its code."""
        parts = [torch.from_numpy(window(part, at, self.side).reshape(1, -1)) for part in (self.condition, grid)]
        found = self.network.predicted(*parts)[0, at.row_in * self.side + at.column_in]
        return torch.cat(parts, 1)[0, :-1], found

    def _check_completion(self) -> None:
        """The interactive script: half is kept; each row begins at the first one's column, as it does there."""
        height, width = self.fixed.shape
        first = height * width // 2
        grid = np.where(np.arange(height * width).reshape(height, width) < first, self.fixed, 0)
        places = [
            place(row, column, height, width, self.side)
            for row in range(first // width, height)
            for column in range(first % width, width)
        ]
        self.expected.compare(f"{self.name}.completion", self._draw(grid, places, lambda *_: None))
        self.expected.compare(f"{self.name}.completion_place", _numbers(places))


def _numbers(places: list[Place]) -> np.ndarray:
    return np.array([[at.row, at.column, at.row_in, at.column_in, at.top, at.left] for at in places])


def _check_losses(sizes: dict[str, Any], tensors: dict[str, Tensor], inputs: Record, expected: Record) -> None:
    real, fake = (torch.from_numpy(inputs.input(f"vq.{name}")) for name in ("real", "fake"))
    expected.compare("vq.d_losses", torch.stack([judge_loss(real, fake, kind) for kind in ("hinge", "vanilla")]), VQ)
    pairs = zip(
        *(torch.from_numpy(inputs.input(f"vq.grad_{n}")) for n in ("reconstruction", "adversarial")), strict=True
    )
    weights = [weight_of(one, other, sizes["disc_weight"]) for one, other in pairs]
    expected.compare("vq.adaptive_weight", torch.stack(weights), WEIGHT)
    judge = PublishedDiscriminator(sizes["discriminator_channels"], sizes["discriminator_layers"])
    state = {k.removeprefix("disc."): v for k, v in tensors.items() if k.startswith("disc.")}
    judge.load_state_dict(state, strict=False)  # statistics of batches come from the batches
    picture, features, kernel = (
        torch.from_numpy(inputs.input(f"vq.{n}")) for n in ("image", "features", "last_weight")
    )
    last = kernel.clone().requires_grad_()
    rebuilt = F.conv2d(features, last, padding=1)
    given = torch.tensor(sizes["codebook_loss_given"])
    for name in [n for n in expected.arrays if re.fullmatch(r"vq\.\w+\.step\d+", n)]:
        kind, step = name.split(".")[1], int(name.split("step")[1])
        objective = Objective(
            sizes["disc_start"], sizes["disc_weight"], sizes["disc_factor"], sizes["codebook_weight"], kind
        )
        parts = objective.generator(picture, rebuilt, last, judge, given, step)
        found = [*parts.values(), objective.discriminator(picture, rebuilt, judge, step)]
        expected.compare(name, torch.stack([value.detach() for value in found]), VQ)


def _check_quantiser(beta: float, inputs: Record, expected: Record) -> None:
    features, table = (torch.from_numpy(inputs.input(f"vq.{name}")) for name in ("z", "codebook"))
    for kind in ("legacy", "corrected"):
        z, e = features.clone().requires_grad_(), table.clone().requires_grad_()
        codebook = Codebook(*table.shape)
        codebook.embedding.weight.data.copy_(table)
        codes = codebook.indices(features)
        near = F.embedding(codes, e).view(len(z), *z.shape[2:], -1).permute(0, 3, 1, 2)
        loss = quantiser_loss(z, near, beta, legacy=kind == "legacy")
        expected.compare(f"vq.quant_loss_{kind}", loss, VQ)
        for name, gradient in zip("ze", torch.autograd.grad(loss, (z, e)), strict=True):
            expected.compare(f"vq.quant_grad_{name}_{kind}", gradient, VQ)
        expected.compare("vq.quant_indices", codes.flatten())
