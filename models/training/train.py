"""Training from the command line: one stage, or all of them, and the checkpoint they make together.

Each stage keeps its state under `<run folder>/<stage>/`; the weights of a finished stage are the moving
averages in its snapshot. `export` collects them into a checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from ..checkpoints.read import load_checkpoint, read_card
from ..checkpoints.write import save_checkpoint
from ..config import GUIDE_RESOLUTION, TOKEN_PIXELS, LabelSet, ModelConfig, label_set_from_json
from ..networks.assembly import expected_shapes
from ..networks.presets import EIGHT_BITS, default_config
from ..networks.transformers.transformer import Transformer
from ..networks.vqgan.vqgan import VQGAN
from . import team
from .data.code_cache import cached_codes
from .data.codes import CodeSet, crop_scales, encode_crops
from .data.fresh_codes import FreshCodes
from .data.pairs import DataSet, Pair, balanced
from .data.resident import ResidentCrops, resident_photos
from .loop import LoopSettings, Stage, run
from .losses.perceptual import STAGES as BACKBONE_STAGES
from .losses.perceptual import load_backbone
from .options import Options
from .precision import Precision
from .stages.image_vqgan import ImageVqganStage
from .stages.label_vqgan import LabelVqganStage
from .stages.segmenter import SegmenterStage
from .stages.transformers import TransformerStage
from .weights import PREFIX, SNAPSHOT, STAGES, StageWeights, TrainingError, checkpoint_weights, stage_weights

# Of the minutes of `train all`, the part that is planned for.
USED = 0.9
CODES_SHARE = 0.3  # of a transformer stage's minutes: so long its codes may take, with fewer crops if need be
ON_CUDA = 8  # a GPU takes batches so many times larger


def weights_of(options: Options, stage: str) -> StageWeights:
    return stage_weights(options.runs, stage, options.start)


def label_set_of(options: Options) -> LabelSet:
    try:
        return label_set_from_json(json.loads(options.labels.read_text()))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{options.labels}: the label set cannot be read ({error})") from error


def pairs_of(options: Options) -> DataSet:
    return DataSet.open(options.data, known=len(label_set_of(options)))


def config_of(options: Options) -> ModelConfig:
    """That of `start`, else the default one. Raises TrainingError when `start` has other labels."""
    labels = len(label_set_of(options))
    if options.start is None:
        return default_config(labels)
    config = read_card(options.start).config
    own = config.label_vqgan.in_channels
    if own != labels:
        raise TrainingError(f"{options.start}: has {own} labels, {options.labels} has {labels}; leave out --start")
    return config


@dataclass(frozen=True)
class StageSpec:
    """A stage: how it is made, its usual learning rate, and its share of the minutes of `train all`."""

    build: Callable[[Options, Precision], Stage]
    rate: float
    share: float


def train_stage(name: str, options: Options) -> dict[str, float]:
    """Train one stage for `options.minutes`, making its codes included; returns its last evaluation.

    Raises TrainingError when an earlier stage is missing.
    """
    if name not in SPECS:
        raise TrainingError(f"unknown stage {name!r}; choose one of {', '.join(STAGES)}")
    spec = SPECS[name]
    began = time.monotonic()
    precision = Precision.choose(options.device)
    stage = spec.build(options, precision)
    spent = (time.monotonic() - began) / 60
    settings = LoopSettings(
        folder=options.runs / name,
        minutes=None if options.minutes is None else max(0.0, options.minutes - spent),
        steps=options.steps,
        resume=options.resume,
        learning_rate=options.learning_rate or spec.rate,
        quiet=options.quiet,
        evaluate_minutes=options.evaluate_minutes,
        cooldown=options.cooldown,
        keep_best="nats" if options.resident and name in ("guide", "sga") else None,
    )
    resumed = options.resume and (settings.folder / SNAPSHOT).exists()
    if options.tokens.dropout is not None:
        for module in stage.modules.values():
            _set_dropout(module, options.tokens.dropout)
    fresh = resumed or options.start is None or (name == "sga" and options.tokens.from_guide)
    figures = run(stage, settings, None if fresh else _started(options.start, name))
    team.wait()  # the next stage reads what the first process has written
    return figures


def _set_dropout(module: nn.Module, share: float) -> None:
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = share


def _started(folder: Path | None, name: str) -> StageWeights:
    assert folder is not None
    return checkpoint_weights(load_checkpoint(folder, expected_shapes), name)


def train_all(options: Options) -> None:
    """All stages in order, going on from earlier states; together they take less than `options.minutes`.

    Each stage gets its share of the minutes that are left, so that a stage that took longer (its codes, its
    evaluation) takes them from all later ones.
    """
    ends = None if options.minutes is None else time.monotonic() + 60 * USED * options.minutes
    left = {name: spec.share for name, spec in SPECS.items()}
    for name in SPECS:
        minutes = None
        if ends is not None:
            minutes = max(0.0, ends - time.monotonic()) / 60 * left[name] / sum(left.values())
        del left[name]
        train_stage(name, replace(options, minutes=minutes, resume=True))


def export(options: Options, folder: Path, name: str) -> None:
    """Write a checkpoint of all stages' averaged weights; of several processes the first one does."""
    if not team.is_first():
        return
    config = config_of(options)
    tensors: dict[str, Tensor] = {}
    facts: dict[str, object] = {}
    for stage, prefix in PREFIX.items():
        weights = weights_of(options, stage)
        tensors |= {f"{prefix}.{key}": value for key, value in weights.tensors.items()}
        facts[stage] = {"steps": weights.step, "seconds": round(weights.seconds)}
    shapes = expected_shapes(config)
    wrong = [key for key in shapes if key not in tensors or tuple(tensors[key].shape) != shapes[key]]
    if wrong or set(tensors) != set(shapes):
        raise TrainingError(f"{options.runs}: the stages do not fit the configuration, first at {wrong[:1]}")
    labels = label_set_of(options)
    save_checkpoint(
        folder, name=name, config=config, label_set=labels, training=facts, tensors=tensors, eight_bits=EIGHT_BITS
    )


def _vqgans(options: Options, precision: Precision) -> tuple[VQGAN, VQGAN]:
    config = config_of(options)
    made = []
    for stage, sizes in (("image-vqgan", config.image_vqgan), ("label-vqgan", config.label_vqgan)):
        vqgan = VQGAN(sizes, config.semantics)
        vqgan.load_state_dict(weights_of(options, stage).tensors)
        made.append(precision.place(vqgan.eval().requires_grad_(False)))
    return made[0], made[1]


def _encoders_digest(options: Options) -> str:
    """Changes whenever the codes of a picture may change: a hash of both encoders and codebooks."""
    digest = hashlib.sha256()
    for stage in ("image-vqgan", "label-vqgan"):
        weights = weights_of(options, stage).tensors
        for key in sorted(k for k in weights if k.startswith(("encoder.", "quant"))):
            digest.update(weights[key].contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _codes(
    options: Options, precision: Precision, side: int, batch: int
) -> tuple[dict[int, CodeSet] | FreshCodes, dict[int, CodeSet]]:
    """Training and validation codes at a resolution, from the cache or made now or, for training, at each step."""
    every = data = pairs_of(options)
    if side > GUIDE_RESOLUTION:
        data = data.only(side)
    fitting = set(data.train)
    small = [pair for pair in every.train if pair not in fitting]
    few = min(options.tokens.enlarged, len(small))
    enlarged = tuple(small[k * len(small) // few] for k in range(few))
    if not data.train:
        raise TrainingError(f"no training pairs of at least {side} pixels in {', '.join(map(str, options.data))}")
    until = None if options.minutes is None else time.monotonic() + 60 * CODES_SHARE * options.minutes
    encoders = _encoders_digest(options)

    def kept(part: str, pairs: tuple[Pair, ...], seed: int) -> dict[int, CodeSet]:
        def make(begin: int) -> dict[int, CodeSet]:
            image, label = _vqgans(options, precision)
            config = config_of(options)
            return encode_crops(pairs, 1, side, image, label, config, precision, seed, until=until, begin=begin)

        return cached_codes(options.runs / "codes", part, side, pairs, encoders, make)

    val = kept("val", data.val, 2)
    if not options.resident:
        return kept("train", balanced(data.train, options.tokens.crops) + enlarged, 1), val
    photos = resident_photos(data.train + enlarged, side // TOKEN_PIXELS, precision.device, side)
    crops = ResidentCrops(photos, side, batch, 1, crop_scales(side), rounds=4)
    return FreshCodes(crops, *_vqgans(options, precision), precision), val


def _batch(options: Options, precision: Precision, usual: int) -> int:
    return options.batch or usual * (ON_CUDA if precision.device.type == "cuda" else 1)


def _image_vqgan(options: Options, precision: Precision) -> Stage:
    backbone = None if options.backbone is None else load_backbone(options.backbone, len(BACKBONE_STAGES))
    if backbone is None:
        if options.image.texture_weight:
            raise TrainingError("--texture-weight needs --backbone, the network whose features it compares")
        print("image-vqgan: no --backbone given, training without the perceptual loss", file=sys.stderr)
    return ImageVqganStage(
        config_of(options), len(label_set_of(options)), pairs_of(options), precision, backbone, options.image,
        batch=_batch(options, precision, 8), resident=options.resident,
    )  # fmt: skip


def _label_vqgan(options: Options, precision: Precision) -> Stage:
    return LabelVqganStage(config_of(options), pairs_of(options), precision, batch=_batch(options, precision, 24))


def _segmenter(options: Options, precision: Precision) -> Stage:
    backbone = None if options.backbone is None else load_backbone(options.backbone, len(BACKBONE_STAGES))
    batch = _batch(options, precision, 12)
    return SegmenterStage(config_of(options), pairs_of(options), precision, backbone=backbone, batch=batch)


def _guide(options: Options, precision: Precision) -> Stage:
    config, batch = config_of(options), _batch(options, precision, 16)
    train, val = _codes(options, precision, GUIDE_RESOLUTION, batch)
    return TransformerStage("guide", config, config.guide, train, val, precision, batch=batch)


def _sga(options: Options, precision: Precision) -> Stage:
    config, batch = config_of(options), _batch(options, precision, 6)
    if config.sga is None:
        raise TrainingError("this configuration has no SGA transformer")
    guide = Transformer(config.guide)
    guide.load_state_dict(weights_of(options, "guide").tensors)
    guide = guide.to(precision.device).eval().requires_grad_(False)
    train, val = _codes(options, precision, config.resolutions[-1], batch)
    return TransformerStage(
        "sga", config, config.sga, train, val, precision, guide=guide, batch=batch, rate=SPECS["sga"].rate
    )


SPECS = {  # in the order of `train all`
    "label-vqgan": StageSpec(_label_vqgan, rate=1e-3, share=0.05),
    "image-vqgan": StageSpec(_image_vqgan, rate=4e-4, share=0.45),
    "segmenter": StageSpec(_segmenter, rate=1e-3, share=0.1),
    "guide": StageSpec(_guide, rate=6e-4, share=0.2),
    "sga": StageSpec(_sga, rate=2.5e-4, share=0.2),
}
