"""Tiny random models, photos and checkpoints for tests of the engine: nothing is read from disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from torch import nn

from models.checkpoints.write import save_checkpoint
from models.config import Label, LabelSet, ModelConfig, SegmenterConfig, Semantics, TransformerConfig, VQGANConfig
from models.device import choose_device
from models.editor import SceneEditor
from models.networks.assembly import Networks
from models.networks.transformers.transformer import Transformer
from models.networks.vqgan.vqgan import VQGAN
from models.request import NOT_PAINTED

LABELS = 6
CODES = 48
LABEL_CODES = 24
LABEL_SET = LabelSet(
    "tiny",
    tuple(
        Label(name, (20 * index, 255 - 30 * index, 40), rare=name == "reef")
        for index, name in enumerate(("unknown", "sky", "sea", "grass", "rock", "reef"))
    ),
)
assert len(LABEL_SET) == LABELS


def examples(count: int) -> settings:
    """Hypothesis settings of this suite: the same examples on every run, no time limit per example."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=count, derandomize=True, deadline=None, suppress_health_check=checks, database=None)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny products are faster, and their sums always in the same order, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- configurations ----------------------------------------------------------------------------------------


def tiny_transformer_config(semantics: Semantics = Semantics.CLEAN, **changes: object) -> TransformerConfig:
    """Two layers of each kind; the published options in reference semantics, those of our own models in clean."""
    published = TransformerConfig(
        vocab_size=CODES,
        condition_vocab_size=CODES,
        d_model=32,
        heads=2,
        encoder_layers=2,
        decoder_layers=2,
        ffn_dim=48,
        peg_encoder=(0, 1),
        peg_decoder=(0,),
    )
    if semantics is Semantics.CLEAN:
        published = dataclasses.replace(published, positions="block+cell", hint="target")
    return dataclasses.replace(published, **changes)  # type: ignore[arg-type]


def tiny_vqgan_config(norm: str = "position", **changes: object) -> VQGANConfig:
    """Of photos: `norm` "position" as our own models, "group" (region norm and attention) as the published one."""
    if norm == "position":
        sizes = VQGANConfig(
            3, 3, (8, 8, 12), 1, 8, 8, CODES, attention=False, masked=True, norm=norm, stem=4, tail=(8, 4)
        )  # fmt: skip
    else:
        sizes = VQGANConfig(3, 3, (32, 32, 64), 1, 16, 8, CODES, attention=True, masked=True, norm=norm, stem=4,
                            tail=(32, 32))  # fmt: skip
    return dataclasses.replace(sizes, **changes)  # type: ignore[arg-type]


def tiny_config(
    semantics: Semantics = Semantics.CLEAN, norm: str = "position", sga: bool = True, segmenter: bool = False
) -> ModelConfig:
    """A whole model of some ten thousand parameters, for windows of 256 and 512 pixels.

    In reference semantics the image model starts at full resolution, as the published one does: its masks are of
    pixels.
    """
    clean = semantics is Semantics.CLEAN
    changes: dict[str, object] = {"known_features": clean}
    if clean:
        changes |= {"decoder_labels": LABELS, "decoder_noise": 2}
    if not clean:
        small = (4, 4, 8, 8, 12) if norm == "position" else (32, 32, 32, 32, 64)
        changes |= {"stem": 1, "tail": (), "channels": small}
    transformer = tiny_transformer_config(semantics)
    return ModelConfig(
        semantics=semantics,
        image_vqgan=tiny_vqgan_config(norm, **changes),
        label_vqgan=VQGANConfig(
            LABELS, LABELS, (8, 8, 8), 1, 8, 8, LABEL_CODES, attention=False, norm="position", stem=4, tail=(8, 8)
        ),
        guide=transformer,
        sga=transformer if sga else None,
        resolutions=(256, 512) if sga else (256,),
        segmenter=SegmenterConfig((8, 8, 8, 8), side=64, scenery=(8,)) if segmenter else None,
    )


# --- random networks ---------------------------------------------------------------------------------------


def tiny_transformer(config: TransformerConfig | None = None, seed: int = 0) -> Transformer:
    """Random weights wide enough that attention is far from uniform and the logits have a spread of about 2."""
    model = Transformer(config or tiny_transformer_config())
    _widen_transformer(model, seed)
    return model.eval().requires_grad_(False)


def tiny_vqgan(config: VQGANConfig | None = None, semantics: Semantics = Semantics.CLEAN, seed: int = 0) -> VQGAN:
    model = VQGAN(config or tiny_vqgan_config(), semantics)
    _widen_vqgan(model, seed)
    return model.eval().requires_grad_(False)


def tiny_networks(config: ModelConfig | None = None, seed: int = 0) -> Networks:
    """All networks of a configuration with random weights, every code in use."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = Networks(config or tiny_config())
    for number, module in enumerate(networks.children()):
        if isinstance(module, Transformer):
            _widen_transformer(module, 10 * seed + number)
        elif isinstance(module, VQGAN):
            _widen_vqgan(module, 10 * seed + number)
    return networks.eval().requires_grad_(False)


def tiny_editor(
    semantics: Semantics = Semantics.CLEAN, seed: int = 0, config: ModelConfig | None = None, device: str = "cpu"
) -> SceneEditor:
    """A SceneEditor over random weights."""
    return SceneEditor(tiny_networks(config or tiny_config(semantics), seed), LABEL_SET, choose_device(device), "tiny")


def save_tiny_checkpoint(folder: Path, config: ModelConfig | None = None, seed: int = 0) -> Path:
    networks = tiny_networks(config, seed)
    save_checkpoint(
        folder,
        name="tiny",
        config=networks.config,
        label_set=LABEL_SET,
        training={"steps": 0},
        tensors=networks.state_dict(),
    )
    return folder


def _widen_transformer(model: Transformer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    width = model.config.d_model
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.1 * noise)
            elif parameter.ndim < 2:
                parameter.copy_(0.1 * noise)
            elif name.endswith(("q_proj.weight", "k_proj.weight", "lm_head.weight")):
                parameter.copy_(2 * width**-0.5 * noise)
            elif parameter.ndim == 4:
                parameter.copy_(0.2 * noise)
            elif "shared" in name or "embed" in name:
                parameter.copy_(noise)
            else:
                parameter.copy_(width**-0.5 * noise)


def _widen_vqgan(model: VQGAN, seed: int) -> None:
    """Random weights that keep the spread through the layers; the codebook is taken from features of noise."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, module in sorted(model.named_modules()):
            if isinstance(module, nn.Conv2d):
                fan = module.weight[0].numel()
                module.weight.copy_(1.4 * fan**-0.5 * torch.randn(module.weight.shape, generator=generator))
                if module.bias is not None:
                    module.bias.copy_(0.1 * torch.randn(module.bias.shape, generator=generator))
        for name, parameter in sorted(model.named_parameters()):
            if "norm" in name:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_((1 if name.endswith("weight") else 0) + 0.2 * noise)
        picture = torch.rand(1, model.config.in_channels, 256, 256, generator=generator) * 2 - 1
        if model.config.in_channels > 3:
            picture = torch.zeros_like(picture).scatter_(1, picture.argmax(1, keepdim=True), 1.0)
        features = model.encode(picture)[0].flatten(1).t()
        rows = torch.randint(len(features), (model.config.codes,), generator=generator)
        noise = torch.randn(model.quantize.embedding.weight.shape, generator=generator)
        model.quantize.embedding.weight.copy_(features[rows] + 0.3 * features.std() * noise)


# --- pictures and drawing -----------------------------------------------------------------------------------


def some_photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: a gradient with noise, so that every pixel and every token differs from the next."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    ramp = np.stack([rows * 0.5, columns * 0.4, (rows + columns) * 0.3], 2) % 200
    return (ramp + rng.integers(0, 56, (height, width, 3))).astype(np.uint8)


def some_labels(height: int, width: int) -> np.ndarray:
    """(H, W) uint8: sky above, sea in the middle, grass below."""
    return (1 + np.arange(height)[:, None] * 3 // max(1, height) + np.zeros((1, width), np.int64)).astype(np.uint8)


def paint_of(mask: np.ndarray, label: int = 4) -> np.ndarray:
    """(H, W) bool -> a request's paint."""
    return np.where(mask, label, NOT_PAINTED).astype(np.uint8)


def box_paint(height: int, width: int, top: int, left: int, bottom: int, right: int, label: int = 4) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return paint_of(mask, label)
