"""Parity with ASSET: the engine in `reference` semantics, stage by stage; nothing about sizes is assumed here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from ..checkpoints.convert import convert, read_ckpt
from ..checkpoints.published import config_from_fixture
from ..checkpoints.read import load_checkpoint
from ..config import GUIDE_RESOLUTION, ModelConfig, Semantics
from ..drawing.guiding import GUIDE_GRID, affinities, guide_block_lists
from ..drawing.masks import encoder_mask, token_mask
from ..drawing.ranking import score
from ..drawing.sampling import Drawn, DrawTask, draw, finish
from ..finishing.blend import reference_blend
from ..grid import TokenGrid
from ..networks.assembly import Networks, expected_shapes
from ..networks.pictures import one_hot, to_picture, to_pixels
from ..networks.transformers.transformer import AttentionMaps, Transformer, Visible
from ..request import SamplingSettings
from .asset_units import check_units
from .record import Comparison, Record

REFERENCE = Semantics.REFERENCE
GREEDY = SamplingSettings(samples=1, top_k=1)
TOP_K_10 = SamplingSettings(samples=1, temperature=0.9, top_k=10)
CROP = 200  # first row and column of `decoded_crop`


@torch.inference_mode()
def check_asset(folder: Path, raw: dict[str, Any], tensors: dict[str, Tensor], scratch: Path) -> Iterator[Comparison]:
    """Every array of an `asset-*` fixture; `scratch` is an empty folder for the converter's output."""
    config = config_from_fixture(raw)
    tensors.pop("cond_stage_model.colorize", None)
    networks = Networks(config).load(tensors)
    yield from check_units(Record(folder / "units.npz"))
    yield from _check_blend(Record(folder / "laplacian_blend.npz"))
    inputs = Record(folder / "inputs.npz")
    for case in sorted(folder.glob("case_*.npz")):
        yield from _Case(Record(case), inputs, networks, config, raw).run()
    yield from inputs.finish()
    yield from _check_converter(folder, config, tensors, scratch)


def _check_blend(record: Record) -> list[Comparison]:
    for name in [n for n in record.arrays if n.startswith("result_")]:
        number = name.removeprefix("result_")
        parts = [record.input(f"{part}_{number}") for part in ("gen", "orig", "mask", "levels")]
        record.compare(name, reference_blend(parts[0], parts[1], parts[2], int(parts[3])))
    return record.finish()


class _Case:
    """One edit of the fixture's picture, all stages."""

    def __init__(
        self, record: Record, inputs: Record, networks: Networks, config: ModelConfig, raw: dict[str, Any]
    ) -> None:
        self.record, self.inputs, self.networks, self.config = record, inputs, networks, config
        self.levels = int(raw["blend_levels"])
        self.grids = {"hi": TokenGrid.of_resolution(config.resolutions[-1]), "lo": GUIDE_GRID}
        assert networks.transformer is not None
        self.models: dict[str, Transformer] = {"hi": networks.transformer, "lo": networks.guiding_transformer}
        self.codes: dict[str, Tensor] = {}
        self.condition: dict[str, Tensor] = {}
        self.mask: dict[str, Tensor] = {}
        self.encoded: dict[str, Tensor] = {}

    def run(self) -> list[Comparison]:
        self._encode()
        greedy = self._draw("lo", GREEDY, None)
        self._compare_greedy("lo", "guide", greedy)
        visible = self._lists(greedy.codes)
        self._encode_tokens("hi", visible)
        self.record.compare("sga_encoder_output", self.encoded["hi"], 1e-4)
        drawn = self._draw("hi", GREEDY, visible)
        self._compare_greedy("hi", "sga", drawn)
        for size, name, seen in (("lo", "guide", None), ("hi", "sga", visible)):
            self._compare_teacher_forced(size, name, seen)
            self._compare_fixed(size, seen)
            self._compare_top_k(size, name, seen)
        self._decode(drawn.codes)
        return self.record.finish()

    def _encode(self) -> None:
        """Inputs at both resolutions, codes and masks (specification, section 1)."""
        image, mask = self.inputs.input("image"), self.inputs.input("mask_" + self.record.name.removeprefix("case_"))
        label = int(self.inputs.input("new_category_id"))
        share = mask.astype(np.float32) / 255
        edited = (share * label + (1 - share) * self.inputs.input("seg")).astype(np.uint8)
        small = (GUIDE_RESOLUTION, GUIDE_RESOLUTION)
        image256 = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        nearest = partial(cv2.resize, dsize=small, interpolation=cv2.INTER_NEAREST)
        mask256, seg256 = nearest(mask), nearest(edited)
        self.inputs.compare("image256", image256)
        self.record.compare("seg_edited", edited)
        self.record.compare("seg256", seg256)
        self.record.compare("mask256", mask256)
        sets = {"hi": (image, mask, edited), "lo": (image256, mask256, seg256)}
        for size, (photo, paint, labels) in sets.items():
            tokens = token_mask(paint, REFERENCE)
            vqgan, label_vqgan = self.networks.first_stage_model, self.networks.cond_stage_model
            features = vqgan.encode(to_picture(photo), encoder_mask(paint, tokens, REFERENCE))
            self.codes[size] = vqgan.quantize.indices(features)
            hot = one_hot(labels, self.config.label_vqgan.in_channels)
            self.condition[size] = label_vqgan.quantize.indices(label_vqgan.encode(hot))
            self.mask[size] = torch.from_numpy(tokens.reshape(-1))
            self.record.compare(f"z_prequant_{size}", features, 1e-4)
            self.record.compare(f"z_indices_{size}", self.codes[size])
            self.record.compare(f"c_indices_{size}", self.condition[size])
            self.record.compare(f"latent_mask_{size}", tokens)
        self.image, self.share = image, share
        self._encode_tokens("lo", None)

    def _encode_tokens(self, size: str, visible: Visible | None) -> None:
        model = self.models[size]
        hidden = self.codes[size].masked_fill(self.mask[size][None], model.config.mask_token)
        seen = None if visible is None else visible.encoder
        self.encoded[size] = model.encode(hidden, self.condition[size], self.grids[size], seen)

    def _draw(
        self, size: str, settings: SamplingSettings, visible: Visible | None, forced: Tensor | None = None
    ) -> Drawn:
        count = int(self.mask[size].sum())
        task = DrawTask(
            self.codes[size][0], self.mask[size], self.condition[size][0], self.grids[size], settings,
            torch.zeros(1, count, dtype=torch.float64), forced,
        )  # fmt: skip
        return finish(draw(self.models[size], self.encoded[size], task, REFERENCE, visible, keep_logits=True))

    def _compare_greedy(self, size: str, name: str, drawn: Drawn) -> None:
        side = self.grids[size].side
        self.record.compare(f"{name}_greedy", drawn.codes.view(1, side, side))
        assert drawn.logits is not None
        self.record.compare(f"{name}_step_logits", drawn.logits[0], 5e-4)

    def _lists(self, codes: Tensor) -> Visible:
        """Block lists from the guide over its own greedy sample, and what they come from."""
        maps = AttentionMaps()
        count = self.config.guide.top_k_blocks
        guide = self.networks.guiding_transformer
        lists = guide_block_lists(guide, codes, self.mask["lo"], self.condition["lo"][0], count, REFERENCE, maps)
        named = zip(
            ("encoder", "causal", "cross"), (lists.encoder, lists.causal, lists.cross), affinities(maps), strict=True
        )
        for name, chosen, affinity in named:
            self.record.compare(f"{name}_lists", chosen)
            self.record.compare(f"{name}_affinity", torch.stack(affinity), 2e-6)
            for stored in [n for n in self.record.arrays if n.startswith(f"{name}_attention_layer")]:
                layer, head = (int("".join(filter(str.isdigit, part))) for part in stored.split("_")[-2:])
                weights = getattr(maps, name)[layer][0, head]
                self.record.compare(stored, weights.numpy().astype(np.float16).astype(np.float32), 5e-4)
        return Visible.of(lists)

    def _teacher_forced(self, size: str, codes: Tensor, visible: Visible | None) -> Tensor:
        return self.models[size].decode(codes, self.encoded[size], self.grids[size], visible)

    def _compare_teacher_forced(self, size: str, name: str, visible: Visible | None) -> None:
        if not self.record.has(f"{name}_tf_logits"):
            return
        codes = torch.from_numpy(self.record.input(f"{name}_greedy").astype(np.int64)).flatten(1)
        logits = self._teacher_forced(size, codes, visible)
        official = torch.cat([logits[:, :1], self.grids[size].to_raster(logits[:, 1:])], 1)
        self.record.compare(f"{name}_tf_logits", official, 5e-4)

    def _compare_fixed(self, size: str, visible: Visible | None) -> None:
        """Likelihood of given random codes, by one teacher-forced pass."""
        codes = torch.from_numpy(self.record.input(f"fixed_codes_{size}").astype(np.int64))
        kept = (codes[0] != self.codes[size][0]) & ~self.mask[size]
        self.record.add(f"fixed_codes_{size} (known codes)", float(kept.sum()), 0)
        likelihood = score(self.models[size], self.encoded[size], codes, self.mask[size], self.grids[size], visible)[0]
        positions = self.grids[size].to_strip(self.mask[size][None])[0].nonzero()[:, 0]
        self.record.compare(f"fixed_strip_positions_{size}", positions)
        self.record.compare(f"fixed_token_nll_{size}", -likelihood, 5e-4)
        self.record.compare(f"fixed_nll_{size}", -likelihood.sum(), 2e-3)

    def _compare_top_k(self, size: str, name: str, visible: Visible | None) -> None:
        """The official random sample cannot be redrawn: its tokens are forced and their likelihood compared."""
        codes = torch.from_numpy(self.record.input(f"{name}_topk10_codes").astype(np.int64)).flatten(1)
        kept = (codes[0] != self.codes[size][0]) & ~self.mask[size]
        self.record.add(f"{name}_topk10_codes (known codes)", float(kept.sum()), 0)
        forced = self.grids[size].to_strip(codes)[:, self.grids[size].to_strip(self.mask[size][None])[0]]
        drawn = self._draw(size, TOP_K_10, visible, forced)
        impossible = float(torch.isinf(drawn.truncated).sum())
        self.record.add(f"{name}_topk10_codes (outside the top k)", impossible, 0)
        self.record.compare(f"{name}_topk10_nll", -drawn.truncated.sum(), 2e-3)

    def _decode(self, codes: Tensor) -> None:
        side = self.grids["hi"].side
        picture = self.networks.first_stage_model.decode_tokens(codes, side, side)
        if self.record.has("decoded_crop"):
            rows, columns = self.record.arrays["decoded_crop"].shape[1:]
            self.record.compare("decoded_crop", picture[0, :, CROP : CROP + rows, CROP : CROP + columns], 1e-4)
        pixels = to_pixels(picture, REFERENCE)
        self.record.compare_pixels("decoded", pixels)
        self.record.compare_pixels("blended", reference_blend(pixels, self.image, self.share, self.levels))


def _check_converter(
    folder: Path, config: ModelConfig, tensors: dict[str, Tensor], scratch: Path
) -> Iterator[Comparison]:
    """The .ckpt files give the same weights; hostile ones are read without doing anything."""
    convert(folder / "sga.ckpt", folder / "guiding.ckpt", folder / "config.json", scratch, expected_shapes)
    converted = load_checkpoint(scratch, expected_shapes).tensors
    names = set(converted) ^ set(tensors)
    yield Comparison("convert: names", len(names), 0, not names)
    different = sum(not torch.equal(converted[name], tensors[name]) for name in set(converted) & set(tensors))
    yield Comparison("convert: weights (tensors that differ)", different, 0, different == 0)
    for name in ("malicious.ckpt", "pl_class_key.ckpt"):
        yield _inert(folder / name, tensors)


def _inert(path: Path, tensors: dict[str, Tensor]) -> Comparison:
    before = set(Path.cwd().iterdir())
    read = read_ckpt(path)
    wrong = 0
    for key, value in read.items():
        table = tensors.get(key.replace("transformer.", "guiding_transformer.", 1))
        wrong += table is None or not torch.equal(table, value.float())
    created = set(Path.cwd().iterdir()) - before
    bad = wrong + len(created) + (0 if read else 1)
    return Comparison(f"convert: {path.name} is inert, its weights are right", bad, 0, bad == 0)
