"""Parity with iLAT: two-stream VQGAN, local attention mask, transformer, drawing, and the soft mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..drawing.samplers.local import local_mask, plain_mask, released_mask, with_condition
from ..networks.transformers.local import LocalConfig, LocalTransformer
from ..networks.vqgan.quantize import quantiser_loss
from .record import Comparison, Record
from .two_stream import TwoStreamConv, TwoStreamVQGAN, pooled

UNIT, FEATURES, PICTURE, LOGITS, LOSS = 1e-5, 1e-4, 2e-4, 5e-4, 1e-4
MASKS = ("box", "scattered")  # of the two samples
SMALLEST = 16  # side of the coarsest soft mask and of the coarsest combined picture
LANDMARKS = (64, 256)  # widths on the way from a landmark to an entry
MakeMask = Callable[[Tensor], Tensor]


@torch.inference_mode()
def check_ilat(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> Iterator[Comparison]:
    """Every array of an `ilat-*` fixture."""
    inputs, expected = Record(folder / "inputs.npz"), Record(folder / "expected.npz")
    _check_convolutions(inputs, expected)
    _check_vqgan(config["vqgan"], tensors, inputs, expected)
    _check_masks(inputs, expected)
    network = LocalTransformer(
        LocalConfig(
            config["vocab"], config["vocab"], config["side"] ** 2, config["d"], config["heads"], config["layers"]
        )
    )
    network.load_state_dict(_under(tensors, "gpt."))
    _Drawing(network.eval(), inputs, expected).check()
    landmarks = _landmarks(config["d"])
    landmarks.load_state_dict(dict(zip(landmarks.state_dict(), _in_order(_under(tensors, "pose.")), strict=True)))
    expected.compare("pose_embedding", landmarks(_tensor(inputs, "pose")), UNIT)
    for side in (64, 256):
        expected.compare(f"blend.soft_{side}", soft_mask(_tensor(inputs, f"blend.mask_{side}").float()), UNIT)
    yield from expected.finish()
    yield from inputs.finish()


def _tensor(record: Record, name: str) -> Tensor:
    return torch.from_numpy(record.input(name))


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _in_order(tensors: dict[str, Tensor]) -> list[Tensor]:
    """Weight before bias, block after block."""
    return [tensors[f"block{n}.0.{part}"] for n in (1, 2, 3) for part in ("weight", "bias")]


def _landmarks(width: int) -> nn.Sequential:
    """(…, 3) x, y and visibility of a landmark -> what stands for it in the sequence."""
    sizes = (3, *LANDMARKS, width)
    layers = [(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(sizes)]
    return nn.Sequential(*(part for layer in layers for part in layer))


def _check_convolutions(inputs: Record, expected: Record) -> None:
    x, mask = _tensor(inputs, "unit.input"), _tensor(inputs, "unit.mask")
    for kernel, stride, padding in ((3, 1, 1), (4, 2, 1), (1, 1, 0)):
        weight = _tensor(inputs, f"unit.weight_{kernel}")
        conv = TwoStreamConv(weight.shape[1], weight.shape[0], kernel, stride, padding)
        conv.load_state_dict({"weight": weight, "bias": _tensor(inputs, f"unit.bias_{kernel}")})
        expected.compare(f"unit.out_{kernel}", conv(x, mask), UNIT)
        expected.compare(f"unit.plain_{kernel}", conv(x), UNIT)


def _check_vqgan(sizes: dict[str, Any], tensors: dict[str, Tensor], inputs: Record, expected: Record) -> None:
    widths = [sizes["channels"] * factor for factor in sizes["multipliers"]]
    parts = [sizes[key] for key in ("residual_blocks", "z_channels", "embed_dim", "codes")]
    vqgan = TwoStreamVQGAN(widths, *parts)
    vqgan.load_state_dict(_under(tensors, "vq."))
    vqgan.eval()
    image, mask = _tensor(inputs, "image"), _tensor(inputs, "mask")
    out = vqgan.encoder(image, mask)
    features = vqgan.quant_conv(out)
    codes = vqgan.quantize.indices(features)
    near = vqgan.quantize.features(codes, *features.shape[2:])
    small = pooled(mask, image.shape[2] // features.shape[2])
    mixed = near * small + features * (1 - small)
    expected.compare("encoder_out", out, FEATURES)
    expected.compare("encoder_out_nomask", vqgan.encoder(image, None), FEATURES)
    expected.compare("prequant", features, FEATURES)
    expected.compare("codes", codes)
    expected.compare("latent_mask", small)
    expected.compare("encoded", mixed, FEATURES)
    expected.compare("quant_loss", quantiser_loss(features, near, legacy=True), LOSS)
    expected.compare("decoded", vqgan.decode(mixed), PICTURE)
    whole = vqgan.decode(near)
    expected.compare("combined_decoded", whole, PICTURE)
    combined, side, number = image * (1 - mask) + whole * mask, image.shape[2] // 2, 0
    while side >= SMALLEST:
        expected.compare(f"combined_{number}", F.interpolate(combined, (side, side), mode="area"), PICTURE)
        side, number = side // 2, number + 1
    for module in list(vqgan.encoder.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.InstanceNorm2d):
                setattr(module, name, nn.Identity())
    largest = float(np.abs(expected.arrays["encoder_out_identity_norm"]).max())
    expected.compare("encoder_out_identity_norm", vqgan.encoder(image, mask), 2e-4 * largest)


def _packed(mask: Tensor) -> np.ndarray:
    return np.packbits(with_condition(mask).numpy().astype(np.uint8).reshape(-1))


def _check_masks(inputs: Record, expected: Record) -> None:
    for name in [n for n in inputs.arrays if n.startswith("mask.")]:
        masked = _tensor(inputs, name).flatten() > 0
        kind = name.removeprefix("mask.")
        expected.compare(f"attention.{kind}", released_mask(masked))
        expected.compare(f"attention_full.{kind}", _packed(released_mask(masked)))
        expected.compare(f"paper_attention.{kind}", local_mask(masked))
    example = _tensor(inputs, "paper.mask").flatten() > 0
    expected.compare("paper.reference_mask", released_mask(example))
    expected.compare("paper.paper_mask", local_mask(example))
    expected.compare("attention_causal_full", _packed(plain_mask(len(masked))))


class _Drawing:
    """The transformer on the fixture's codes."""

    def __init__(self, network: LocalTransformer, inputs: Record, expected: Record) -> None:
        self.network, self.expected = network, expected
        self.condition, self.codes = (_tensor(inputs, name).long() for name in ("condition", "tokens"))
        self.masks = {
            n.removeprefix("mask."): _tensor(inputs, n).flatten() > 0 for n in inputs.arrays if n.startswith("mask.")
        }

    def check(self) -> None:
        compare, masked = self.expected.compare, torch.stack([self.masks[name] for name in MASKS])
        condition, tokens = self._logits(self.codes, [released_mask(m) for m in masked])
        compare("logits_condition", condition, LOGITS)
        compare("logits_tokens", tokens, LOGITS)
        compare("paper_logits_tokens", self._logits(self.codes, [local_mask(m) for m in masked])[1], LOGITS)
        loss = self._loss(tokens, masked)
        compare("loss_masked", loss, LOSS)
        compare("perplexity", loss.exp(), 5e-4 * float(loss.exp()))
        plain = plain_mask(masked.shape[1])
        mixed = self._logits(self.codes, [released_mask(masked[0]), plain])[1]
        compare("loss_mixed", self._loss(mixed, torch.stack([masked[0], torch.ones_like(masked[1])])), LOSS)
        for name in self.masks:
            self._check_sample("sample", name, released_mask)
            self._check_sample("paper_sample", name, None)

    def _logits(self, codes: Tensor, masks: list[Tensor]) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = self.network(
            self.condition[: len(codes)], codes, with_condition(torch.stack(masks))
        )
        return found

    def _loss(self, logits: Tensor, masked: Tensor) -> Tensor:
        return F.cross_entropy(logits[:, :-1][masked], self.codes[masked])

    def _check_sample(self, prefix: str, name: str, moving: MakeMask | None) -> None:
        """The most likely codes of sample 0, in raster order; moving: makes the mask of what is still to be drawn."""
        if not self.expected.has(f"{prefix}_codes.{name}"):
            return
        codes, left = self.codes[:1].clone(), self.masks[name].clone()
        fixed, logits, masks = local_mask(left), [], []
        for token in left.nonzero()[:, 0].tolist():
            mask = fixed if moving is None else moving(left)
            found = self._logits(codes, [mask])[1][0, token]
            codes[0, token] = found.argmax()
            left[token] = False
            logits.append(found)
            masks.append(_packed(mask))
        self.expected.compare(f"{prefix}_codes.{name}", codes[0])
        self.expected.compare(f"{prefix}_logits.{name}", torch.stack(logits), LOGITS)
        self.expected.compare(f"{prefix}_masks.{name}", np.stack(masks))


def soft_mask(mask: Tensor) -> Tensor:
    """How much of the drawing shows, (B, 1, S, S): soft round the mask (B, 1, S, S) (specification, 3.8)."""
    side, size = mask.shape[2], SMALLEST
    shares = pooled(mask, side // size)
    while 2 * size < side:
        size *= 2
        shares = (F.interpolate(shares, scale_factor=2.0, mode="nearest") + pooled(mask, side // size)) / 2
    return F.interpolate(shares, (side, side), mode="bilinear", align_corners=False)
