"""What training is asked for; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

LABELS = Path(__file__).resolve().parents[2] / "resources" / "labels" / "landscape-20.json"


@dataclass(frozen=True)
class ImageOptions:
    """Of the image VQGAN.

    crop: side of the training crops in pixels; a decoder that is nearly done gains from 256.
    adversarial_start: step from which the discriminator learns; judge_alone: steps that it learns unheard (None: the
    usual ones); adversarial_weight: share of the reconstruction gradient.
    texture_weight: of the texture distance, which needs a backbone. decoder_only: codes stay what they are.
    """

    crop: int = 128
    adversarial_start: int = 3500
    adversarial_weight: float = 0.1
    judge_alone: int | None = None
    texture_weight: float = 0.0
    decoder_only: bool = False


@dataclass(frozen=True)
class TokenOptions:
    """Of guide and SGA.

    crops: of each photo, whose codes are kept. enlarged: sga: photos smaller than its resolution that join, enlarged.
    from_guide: sga: begin as a copy of the guide, even where `start` has an SGA.
    dropout: while training, instead of the configuration's.
    """

    crops: int = 2
    enlarged: int = 0
    from_guide: bool = False
    dropout: float | None = None


@dataclass(frozen=True)
class Options:
    """What the command line gives. data: folders; runs: where the state of the stages is kept.

    start: a checkpoint whose networks stand in for stages that have no state in `runs`. resident: all photos lie in the
    memory of the GPU, with new crops at each step. cooldown: share of the minutes in which the learning rate falls to
    nothing.
    """

    data: tuple[Path, ...]
    runs: Path
    minutes: float | None = None
    steps: int | None = None
    resume: bool = False
    device: str = "auto"
    labels: Path = LABELS
    backbone: Path | None = None
    batch: int | None = None
    quiet: bool = False
    learning_rate: float | None = None
    start: Path | None = None
    resident: bool = False
    evaluate_minutes: float = 10.0
    cooldown: float = 0.0
    image: ImageOptions = field(default_factory=ImageOptions)
    tokens: TokenOptions = field(default_factory=TokenOptions)
