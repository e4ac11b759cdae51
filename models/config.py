"""Frozen configurations: architecture, semantics, label set.

A checkpoint's card holds a `ModelConfig` as JSON; `ModelConfig.from_json` is the only way in, so an
unknown or missing field is an error and no class is ever looked up by name.
"""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from typing import Any

from .errors import CheckpointError

TOKEN_PIXELS = 16  # one token covers 16x16 pixels at every resolution
GUIDE_RESOLUTION = 256


class Semantics(enum.StrEnum):
    """Which rules the engine follows.

    REFERENCE reproduces the published ASSET model with its quirks (specification, sections 4-8);
    CLEAN is what our own checkpoints use.
    """

    REFERENCE = "reference"
    CLEAN = "clean"


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of the guide or of the SGA transformer (specification, sections 2 and 3).

    `positions` are the sources of the position embedding: "block" is the published model's (one vector per
    block), "cell" a 16x16 table interpolated to the token grid, "block+cell" the sum.
    `hint` says which token's encoder output the first decoder layer adds to an input token: the token's own
    ("input", published) or the token that it has to predict ("target").
    """

    vocab_size: int
    condition_vocab_size: int
    d_model: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    ffn_dim: int
    peg_encoder: tuple[int, ...]
    peg_decoder: tuple[int, ...]
    peg_kernel: int = 5
    top_k_blocks: int = 3
    positions: str = "block"
    hint: str = "input"
    dropout: float = 0.0

    @property
    def mask_token(self) -> int:
        return self.vocab_size

    @property
    def start_token(self) -> int:
        return self.vocab_size + 1

    @property
    def head_dim(self) -> int:
        return self.d_model // self.heads

    def __post_init__(self) -> None:
        _require(self.d_model % self.heads == 0, "d_model must be a multiple of heads")
        _require(self.positions in ("block", "cell", "block+cell"), f"unknown positions {self.positions!r}")
        _require(self.hint in ("input", "target"), f"unknown hint {self.hint!r}")


@dataclass(frozen=True)
class VQGANConfig:
    """Sizes of an image or label VQGAN (specification, section 7).

    `channels` has one entry per level, finest first; `stem` is the space-to-depth factor before the finest
    level, so that stem * 2**(len(channels) - 1) = 16. `tail` holds the channels of the decoder's doubling
    steps back from the finest level to full resolution (log2(stem) entries).
    `norm` is "group" (GroupNorm; region norm where a mask is given) or "position" (over the channels of
    each position, so that nothing travels across the picture).
    `known_features`: the decoder reads unquantised encoder features outside the edit (iLAT, equation 4).
    `decoder_labels`: labels of the map that the decoder reads beside the codes, so that it knows what texture is
    asked for; 0: it reads codes only.
    `decoder_noise`: channels of noise that the decoder's fine levels read, from which it can make texture that the
    codes do not hold; 0: none.
    `latents`: channels at the codes' size and at twice that of a decoder that makes latents of a pretrained autoencoder
    (`latent_decoder.py`), whose own decoder makes the picture of them; (): the decoder makes pixels itself.
    """

    in_channels: int
    out_channels: int
    channels: tuple[int, ...]
    res_blocks: int
    z_channels: int
    embed_dim: int
    codes: int
    attention: bool = True
    masked: bool = False
    norm: str = "group"
    stem: int = 1
    tail: tuple[int, ...] = ()
    known_features: bool = False
    decoder_labels: int = 0
    decoder_noise: int = 0
    latents: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _require(self.norm in ("group", "position"), f"unknown norm {self.norm!r}")
        _require(
            self.stem * 2 ** (len(self.channels) - 1) == TOKEN_PIXELS,
            f"stem {self.stem} and {len(self.channels)} levels do not give {TOKEN_PIXELS} pixels a token",
        )
        grouped = (*self.channels, *self.tail) if self.norm == "group" else ()
        _require(all(c and c % 32 == 0 for c in grouped), f"group norm needs multiples of 32 channels, found {grouped}")
        _require(2 ** len(self.tail) == self.stem, f"tail {self.tail} does not undo stem {self.stem}")


@dataclass(frozen=True)
class SegmenterConfig:
    """Sizes of the small photo -> label map network; `side` is the length of the longer side it works at.

    context: blocks of wide depthwise convolutions at each of the scales, after the others (empty: none).
    scenery: widths of the layers that judge colours and contrasts (empty: nothing does).
    """

    channels: tuple[int, ...]
    res_blocks: int = 1
    side: int = 256
    context: tuple[int, ...] = ()
    scenery: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _require(
            len(self.context) in (0, len(self.channels)),
            f"segmenter.context: {len(self.context)} numbers for {len(self.channels)} scales; give one each or none",
        )


@dataclass(frozen=True)
class Label:
    """One entry of a label set: its index is its place in the set.

    either: of the labels with the same word here a photo shows one only, as lake or sea; "" = this one goes with all.
    """

    name: str
    color: tuple[int, int, int]
    rare: bool = False
    either: str = ""


@dataclass(frozen=True)
class LabelSet:
    """The labels a checkpoint knows, in index order (at most 255: 255 means "not painted")."""

    name: str
    labels: tuple[Label, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def index(self, name: str) -> int:
        """The index of a label by name (case-insensitive); raises KeyError when unknown."""
        for index, label in enumerate(self.labels):
            if label.name.lower() == name.strip().lower():
                return index
        raise KeyError(name)

    def exclusive(self) -> tuple[tuple[int, ...], ...]:
        """Groups of labels of which a photo shows one only."""
        words = sorted({label.either for label in self.labels} - {""})
        return tuple(tuple(k for k, label in enumerate(self.labels) if label.either == word) for word in words)


@dataclass(frozen=True)
class ModelConfig:
    """Everything needed to build the networks of one checkpoint."""

    semantics: Semantics
    image_vqgan: VQGANConfig
    label_vqgan: VQGANConfig
    guide: TransformerConfig
    sga: TransformerConfig | None
    resolutions: tuple[int, ...]  # window sides this checkpoint was trained for, ascending
    segmenter: SegmenterConfig | None = None

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> ModelConfig:
        """Build from a card's JSON; raises CheckpointError naming the field that is missing, unknown or wrong."""
        fields = _checked(cls, data, "config")
        try:
            fields["semantics"] = Semantics(fields["semantics"])
        except ValueError:
            raise CheckpointError(f"config.semantics: {fields['semantics']!r} is not one of reference, clean") from None
        for key in ("image_vqgan", "label_vqgan"):
            fields[key] = VQGANConfig(**_checked(VQGANConfig, fields[key], f"config.{key}"))
        for key in ("guide", "sga"):
            if fields.get(key) is not None:
                fields[key] = TransformerConfig(**_checked(TransformerConfig, fields[key], f"config.{key}"))
        if fields.get("segmenter") is not None:
            fields["segmenter"] = SegmenterConfig(**_checked(SegmenterConfig, fields["segmenter"], "config.segmenter"))
        return cls(**fields)


def label_set_from_json(data: Any) -> LabelSet:
    """Build a label set from {"name": …, "labels": [{"name", "color", "rare"?, "either"?}, …]}."""
    fields = _checked(LabelSet, data, "label set")
    entries = fields["labels"]
    _require(0 < len(entries) <= 255, f"label set: {len(entries)} labels; 1 to 255 are possible")
    labels = []
    for number, entry in enumerate(entries):
        item = _checked(Label, entry, f"label {number}")
        color = item["color"]
        _require(
            len(color) == 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in color),
            f"label {number}: color must be three integers 0-255",
        )
        labels.append(Label(**item))
    return LabelSet(name=fields["name"], labels=tuple(labels))


def _checked(cls: type, data: Any, where: str) -> dict[str, Any]:
    """The fields of dataclass `cls` in `data`, lists turned into tuples; CheckpointError on any mismatch."""
    if not isinstance(data, dict):
        raise CheckpointError(f"{where}: expected an object, found {type(data).__name__}")
    known = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise CheckpointError(f"{where}: unknown field {unknown[0]!r}; this checkpoint may need a newer Scenebrush")
    result: dict[str, Any] = {}
    for name, field in known.items():
        if name in data:
            value = data[name]
            _check_type(value, str(field.type), f"{where}.{name}")
            result[name] = tuple(value) if isinstance(value, list | tuple) else value
        elif field.default is dataclasses.MISSING:
            raise CheckpointError(f"{where}: field {name!r} is missing")
    return result


def _check_type(value: Any, annotation: str, where: str) -> None:
    """Check the plain JSON types of configuration fields (int, float, str, bool, tuples of int)."""
    simple = {"int": int, "float": (int, float), "str": str, "bool": bool}
    if annotation in simple:
        wrong_bool = isinstance(value, bool) and annotation != "bool"
        if wrong_bool or not isinstance(value, simple[annotation]):  # type: ignore[arg-type]
            raise CheckpointError(f"{where}: expected {annotation}, found {value!r}")
        if annotation == "int" and value < 0:
            raise CheckpointError(f"{where}: must not be negative, found {value}")
    elif annotation.startswith("tuple["):
        if not isinstance(value, list | tuple):
            raise CheckpointError(f"{where}: expected a list, found {value!r}")
        if "int" in annotation and not all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in value):
            raise CheckpointError(f"{where}: expected a list of integers, found {value!r}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise CheckpointError(message)
