"""Frozen configurations: architecture, semantics, label set.

A checkpoint's card holds a `ModelConfig` as JSON; `ModelConfig.from_json` is the only way in, so an
unknown or missing field is an error and no class is ever looked up by name.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from .errors import CheckpointError

TOKEN_PIXELS = 16  # one token covers 16x16 pixels at every resolution
GUIDE_RESOLUTION = 256
C = TypeVar("C")
Count = Annotated[int, Field(ge=0)]
Byte = Annotated[int, Field(ge=0, le=255)]
STRICT = ConfigDict(strict=True, extra="forbid")


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

    __pydantic_config__ = STRICT

    vocab_size: Count
    condition_vocab_size: Count
    d_model: Count
    heads: Count
    encoder_layers: Count
    decoder_layers: Count
    ffn_dim: Count
    peg_encoder: tuple[Count, ...]
    peg_decoder: tuple[Count, ...]
    peg_kernel: Count = 5
    top_k_blocks: Count = 3
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

    __pydantic_config__ = STRICT

    in_channels: Count
    out_channels: Count
    channels: tuple[Count, ...]
    res_blocks: Count
    z_channels: Count
    embed_dim: Count
    codes: Count
    attention: bool = True
    masked: bool = False
    norm: str = "group"
    stem: Count = 1
    tail: tuple[Count, ...] = ()
    known_features: bool = False
    decoder_labels: Count = 0
    decoder_noise: Count = 0
    latents: tuple[Count, ...] = ()

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

    __pydantic_config__ = STRICT

    channels: tuple[Count, ...]
    res_blocks: Count = 1
    side: Count = 256
    context: tuple[Count, ...] = ()
    scenery: tuple[Count, ...] = ()

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

    __pydantic_config__ = STRICT

    name: str
    color: tuple[Byte, Byte, Byte]
    rare: bool = False
    either: str = ""


@dataclass(frozen=True)
class LabelSet:
    """The labels a checkpoint knows, in index order (at most 255: 255 means "not painted")."""

    __pydantic_config__ = STRICT

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

    __pydantic_config__ = STRICT

    semantics: Semantics
    image_vqgan: VQGANConfig
    label_vqgan: VQGANConfig
    guide: TransformerConfig
    sga: TransformerConfig | None
    resolutions: tuple[Count, ...]  # window sides this checkpoint was trained for, ascending
    segmenter: SegmenterConfig | None = None

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> ModelConfig:
        """Build from a card's JSON; raises CheckpointError naming the field that is missing, unknown or wrong."""
        return _checked(cls, data, "config")


def label_set_from_json(data: Any) -> LabelSet:
    """Build a label set from {"name": …, "labels": [{"name", "color", "rare"?, "either"?}, …]}."""
    found = _checked(LabelSet, data, "label set")
    _require(0 < len(found) <= 255, f"label set: {len(found)} labels; 1 to 255 are possible")
    return found


def _checked(cls: type[C], data: Any, where: str) -> C:
    """`cls` of JSON data, strictly: every field known and of its type. Raises CheckpointError in one line."""
    try:
        return TypeAdapter(cls).validate_json(json.dumps(data))
    except ValidationError as error:
        raise CheckpointError(_told(error.errors()[0], where)) from None


def _told(error: Any, where: str) -> str:
    """One line of what is wrong and where."""
    *parents, last = (where, *map(str, error["loc"]))
    place, kind = ".".join((*parents, last)), error["type"]
    if kind == "missing":
        return f"{'.'.join(parents)}: field {last!r} is missing"
    if kind == "unexpected_keyword_argument":
        return f"{'.'.join(parents)}: unknown field {last!r}; this checkpoint may need a newer Scenebrush"
    if kind == "dataclass_type":
        return f"{place}: expected an object, found {type(error['input']).__name__}"
    if kind == "enum":
        return f"{place}: {error['input']!r} is not one of {', '.join(Semantics)}"
    if kind == "greater_than_equal":
        return f"{place}: must not be negative, found {error['input']!r}"
    wanted = error["msg"].removeprefix("Input should be ")
    return f"{place}: expected {wanted}, found {error['input']!r}"


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise CheckpointError(message)
