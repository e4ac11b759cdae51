"""The published ASSET models: their configurations, and label sets for weights that come without one.

Source: specification of the published model, sections 2, 3, 7 and 12.
"""

from __future__ import annotations

import colorsys
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import GUIDE_RESOLUTION, Label, LabelSet, ModelConfig, Semantics, TransformerConfig, VQGANConfig
from ..errors import CheckpointError

LANDSCAPE_1024 = "asset-landscape-1024"
COCO_512 = "asset-coco-512"
PUBLISHED_NAMES = (LANDSCAPE_1024, COCO_512)

_COCO_STUFF = Path(__file__).resolve().parents[2] / "resources" / "labels" / "coco-stuff-182.tsv"
_GOLDEN_RATIO = 0.6180339887498949
_LABEL_CODES = 1024

# What the published code fixes and our engine does not vary; a config file that says otherwise is refused.
_FIXED = {
    "n_blocks": 64,
    "start_position": 256,
    "layer_norm_eps": 1e-5,
    "group_norm_eps": 1e-6,
    "transformer.max_position_embeddings": 256,
    "transformer.block_h": 16,
    "transformer.block_w": 4,
    "image_vqgan.double_z": False,
    "image_vqgan.downsample_legacy": False,
    "image_vqgan.resolution": 256,
    "seg_vqgan.double_z": False,
    "seg_vqgan.resolution": 256,
    "sizes.guide": GUIDE_RESOLUTION,
}


def published_config(name: str) -> ModelConfig:
    """The configuration of a published model, by one of `PUBLISHED_NAMES`; CheckpointError for other names."""
    if name == LANDSCAPE_1024:
        return _published(vocab_size=1024, labels=182, resolution=1024, guide_dropout=0.0)
    if name == COCO_512:
        return _published(vocab_size=8192, labels=183, resolution=512, guide_dropout=0.1)
    raise CheckpointError(f"no published model is called {name!r}; choose {' or '.join(PUBLISHED_NAMES)}")


def config_from_fixture(data: Any) -> ModelConfig:
    """The configuration in a JSON file laid out like the parity fixtures' `config.json`.

    Sections `transformer`, `image_vqgan`, `seg_vqgan`, `sizes` (`high`, `guide`) with the published code's field
    names, and `top_k_blocks`. Raises CheckpointError naming the field that is missing, malformed or contradictory.
    """
    for name, value in _FIXED.items():
        found = _look_up(data, name, value)
        if found != value:
            raise CheckpointError(f"{name} is {found!r}; only {value!r} is possible, correct the config file")
    transformer = _transformer(data)
    image = _vqgan(data, "image_vqgan")
    label = _vqgan(data, "seg_vqgan")
    _same(data, "image_vqgan.n_embed", transformer.vocab_size)
    _same(data, "mask_token", transformer.mask_token, optional=True)
    _same(data, "start_token", transformer.start_token, optional=True)
    _same(data, "seg_vqgan.n_labels", label.in_channels, optional=True)
    _same(data, "seg_vqgan.out_ch", label.in_channels)
    high = _size(data, "sizes.high")
    if high <= GUIDE_RESOLUTION or high % GUIDE_RESOLUTION or label.masked:
        raise CheckpointError("sizes.high must be a multiple of 256 above it, seg_vqgan not masked; correct the config")
    return ModelConfig(
        semantics=Semantics.REFERENCE,
        image_vqgan=image,
        label_vqgan=label,
        guide=transformer,
        sga=transformer,
        resolutions=(GUIDE_RESOLUTION, high),
    )


def label_set_for(count: int) -> LabelSet:
    """A label set with `count` labels (1 to 255) and generated colours.

    182 and 183 are COCO-Stuff's names (183: with "unlabelled" first), as in the published landscape and COCO models;
    any other number gets "label 0", "label 1", …. Raises CheckpointError when the list of names cannot be read.
    """
    if count == 182:
        return _colored("COCO-Stuff", _coco_stuff_names())
    if count == 183:
        return _colored("COCO-Stuff with unlabelled", ("unlabelled", *_coco_stuff_names()))
    return _colored(f"{count} labels", tuple(f"label {index}" for index in range(count)))


def _published(*, vocab_size: int, labels: int, resolution: int, guide_dropout: float) -> ModelConfig:
    sga = TransformerConfig(
        vocab_size=vocab_size,
        condition_vocab_size=vocab_size,  # rows of `embed_cond`; the label codebook uses the first 1024
        d_model=1024,
        heads=16,
        encoder_layers=7,
        decoder_layers=15,
        ffn_dim=4096,
        peg_encoder=tuple(range(7)),
        peg_decoder=(0,),
    )
    label_vqgan = VQGANConfig(
        in_channels=labels,
        out_channels=labels,
        channels=(128, 128, 256, 256, 512),
        res_blocks=2,
        z_channels=256,
        embed_dim=256,
        codes=_LABEL_CODES,
    )
    return ModelConfig(
        semantics=Semantics.REFERENCE,
        image_vqgan=dataclasses.replace(label_vqgan, in_channels=3, out_channels=3, codes=vocab_size, masked=True),
        label_vqgan=label_vqgan,
        guide=dataclasses.replace(sga, dropout=guide_dropout),
        sga=sga,
        resolutions=(GUIDE_RESOLUTION, resolution),
    )


def _transformer(data: Any) -> TransformerConfig:
    encoder_layers = _size(data, "transformer.encoder_layers")
    decoder_layers = _size(data, "transformer.decoder_layers")
    heads = _size(data, "transformer.encoder_attention_heads")
    ffn_dim = _size(data, "transformer.encoder_ffn_dim")
    _same(data, "transformer.decoder_attention_heads", heads)
    _same(data, "transformer.decoder_ffn_dim", ffn_dim)
    vocab_size = _size(data, "transformer.vocab_size")
    peg = _list(data, "transformer.PEG_list")
    dropout = _look_up(data, "transformer.dropout", 0.0)
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise CheckpointError("transformer.dropout must be a number from 0 to below 1; correct the config file")
    return TransformerConfig(
        vocab_size=vocab_size,
        condition_vocab_size=vocab_size,
        d_model=_size(data, "transformer.d_model"),
        heads=heads,
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
        ffn_dim=ffn_dim,
        peg_encoder=_peg_layers(peg, "E", encoder_layers),
        peg_decoder=_peg_layers(peg, "D", decoder_layers),
        peg_kernel=_size(data, "transformer.PEG_ks"),
        top_k_blocks=_size(data, "top_k_blocks"),
        positions="block" if peg else "cell",
        dropout=dropout,
    )


def _peg_layers(entries: list[Any], side: str, layers: int) -> tuple[int, ...]:
    """The layers of one side ("E" or "D") in a list of "E_all", "E_<i>", "D_all", "D_<i>"."""
    found: set[int] = set()
    for entry in entries:
        kind, _, which = entry.partition("_") if isinstance(entry, str) else ("", "", "")
        if kind not in ("E", "D") or not (which == "all" or (which.isdecimal() and len(which) < 4)):
            raise CheckpointError(f"transformer.PEG_list: {entry!r} is not E_all, D_all, E_<i> or D_<i>; correct it")
        if kind == side:
            found.update(range(layers) if which == "all" else [int(which)])
    if any(layer >= layers for layer in found):
        raise CheckpointError(f"transformer.PEG_list: layer {max(found)} of {layers} {side} layers; correct it")
    return tuple(sorted(found))


def _vqgan(data: Any, section: str) -> VQGANConfig:
    mult = _list(data, f"{section}.ch_mult")
    base = _size(data, f"{section}.ch")
    if len(mult) != 5 or any(type(factor) is not int or not 1 <= factor <= 64 for factor in mult):
        raise CheckpointError(f"{section}.ch_mult must be five small integers; correct the config file")
    attention = _list(data, f"{section}.attn_resolutions")
    if attention not in ([], [16]):
        raise CheckpointError(f"{section}.attn_resolutions must be [16] or []; correct the config file")
    kinds = (_look_up(data, f"{section}.conv_type", None), _look_up(data, f"{section}.norm_type", None))
    if kinds not in ((None, None), ("PartialConv", "RegionNorm")):
        raise CheckpointError(f"{section}: conv_type and norm_type must be PartialConv and RegionNorm, or both absent")
    return VQGANConfig(
        in_channels=_size(data, f"{section}.in_channels"),
        out_channels=_size(data, f"{section}.out_ch"),
        channels=tuple(base * factor for factor in mult),
        res_blocks=_size(data, f"{section}.num_res_blocks"),
        z_channels=_size(data, f"{section}.z_channels"),
        embed_dim=_size(data, f"{section}.embed_dim"),
        codes=_size(data, f"{section}.n_embed"),
        attention=bool(attention),
        masked=kinds[0] is not None,
    )


_MISSING = object()


def _look_up(data: Any, name: str, default: Any = _MISSING) -> Any:
    """The value at a dotted name, or `default`; CheckpointError when there is neither."""
    for part in name.split("."):
        if not isinstance(data, Mapping):
            raise CheckpointError(f"the config has no section for {name!r}; lay it out like the fixtures' config.json")
        data = data.get(part, _MISSING)
        if data is _MISSING:
            if default is _MISSING:
                raise CheckpointError(f"the config lacks {name!r}; add it to the config file")
            return default
    return data


def _size(data: Any, name: str) -> int:
    value = _look_up(data, name)
    if type(value) is not int or not 1 <= value <= 2**20:
        raise CheckpointError(f"{name}: {str(value)[:80]!r} is no possible size; correct the config file")
    return value


def _list(data: Any, name: str) -> list[Any]:
    value = _look_up(data, name)
    if not isinstance(value, list):
        raise CheckpointError(f"{name}: {str(value)[:80]!r} is no list; correct the config file")
    return value


def _same(data: Any, name: str, value: int, *, optional: bool = False) -> None:
    found = _look_up(data, name, value if optional else _MISSING)
    if found != value:
        raise CheckpointError(f"{name} is {str(found)[:80]} where the rest asks for {value}; correct the config file")


def _coco_stuff_names() -> tuple[str, ...]:
    try:
        lines = _COCO_STUFF.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CheckpointError(f"{_COCO_STUFF}: cannot be read ({error.strerror}); reinstall Scenebrush") from None
    rows = [line.split("\t") for line in lines if line[:1].isdigit()]
    if [row[0] for row in rows] != [str(index) for index in range(182)] or any(len(row) != 2 for row in rows):
        raise CheckpointError(f"{_COCO_STUFF}: is damaged; reinstall Scenebrush")
    return tuple(row[1] for row in rows)


def _colored(name: str, names: tuple[str, ...]) -> LabelSet:
    labels = []
    for index, label in enumerate(names):
        # Golden-ratio steps keep neighbouring indices far apart in hue; three tones separate near-equal hues.
        saturation, value = ((0.65, 0.90), (0.50, 0.70), (0.80, 0.55))[index % 3]
        red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1.0, saturation, value)
        labels.append(Label(label, (round(red * 255), round(green * 255), round(blue * 255))))
    return LabelSet(name, tuple(labels))
