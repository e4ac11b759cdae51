"""Commands for engineers: convert, parity, bench, train, evaluate. Heavy imports wait until one is run."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TypeVar

from app.arguments import above, whole, within
from models.errors import RequestError

V = TypeVar("V")


def train_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stage", choices=("label-vqgan", "image-vqgan", "guide", "sga", "segmenter", "all", "export"))
    parser.add_argument("--data", type=Path, action="append", default=[], metavar="DIR", help="may be repeated")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the state of the stages is kept")
    parser.add_argument("--out", type=Path, default=Path("checkpoints/default"), help="checkpoint folder of `export`")
    parser.add_argument("--name", default="default", help="name of the exported checkpoint")
    parser.add_argument("--label-set", type=Path, help="JSON file with the labels (default: landscape-20)")
    parser.add_argument("--backbone", type=Path, help="weights of the perceptual loss (image-vqgan)")
    parser.add_argument("--resume", action="store_true", help="go on from the state in --runs")
    parser.add_argument("--start", type=Path, metavar="CHECKPOINT", help="begin stages without a state from this one")
    parser.add_argument("--max-minutes", "--minutes-total", type=above(0), help="of the stage, or of `all` together")
    parser.add_argument("--max-steps", type=whole(1))
    parser.add_argument("--batch", type=whole(1))
    parser.add_argument(
        "--crops", type=whole(1), default=2, help="guide, sga: crops of each photo whose codes are kept"
    )
    parser.add_argument("--enlarged", type=whole(0), default=0, help="sga: so many smaller photos join, enlarged")
    parser.add_argument("--from-guide", action="store_true", help="sga: begin as a copy of the guide")
    parser.add_argument("--dropout", type=within(0, 1), metavar="P", help="guide, sga: while training")
    parser.add_argument("--learning-rate", type=above(0), help="default: the stage's own")
    parser.add_argument(
        "--adversarial-weight", type=within(0, 1000), help="share of the reconstruction gradient (default 0.1)"
    )
    parser.add_argument("--crop", type=int, choices=(128, 256), help="image-vqgan: side of its crops in pixels")
    parser.add_argument(
        "--texture-weight", type=within(0, 1000), help="image-vqgan: of the texture distance (needs --backbone)"
    )
    parser.add_argument("--adversarial-start", type=whole(0), help="step at which the adversarial loss begins")
    parser.add_argument(
        "--decoder-only", action="store_true", help="image-vqgan: keep encoder and codebook as they are"
    )
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=whole(1))


def use_threads(options: argparse.Namespace) -> None:
    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)


def convert_command(options: argparse.Namespace) -> int:
    from models.checkpoints.convert import convert
    from models.networks.assembly import expected_shapes

    print(f"written to {convert(options.sga, options.guiding, options.config, options.out, expected_shapes)}")
    return 0


def parity_command(options: argparse.Namespace) -> int:
    import torch

    from models.checks.parity import check_fixture

    torch.set_num_threads(1)  # as the fixtures were made
    compared = []
    with tempfile.TemporaryDirectory() as scratch:
        for comparison in check_fixture(options.fixture, Path(scratch) / "converted"):
            print(comparison.line(), flush=True)
            compared.append(comparison)
    failed = sum(not c.ok for c in compared)
    print(f"{len(compared)} comparisons, {failed} failed")
    if options.json is not None:
        options.json.write_text(json.dumps([c.__dict__ for c in compared], indent=1) + "\n")
    return 1 if failed else 0


def bench_command(options: argparse.Namespace) -> int:
    use_threads(options)
    from models.checks.bench import bench

    return bench(options.checkpoint, options.published_size, options.tokens, options.json, options.device)


def train_command(options: argparse.Namespace) -> int:
    use_threads(options)
    from models.training.options import LABELS, ImageOptions, Options, TokenOptions
    from models.training.train import export, train_all, train_stage

    usual = ImageOptions()
    image = ImageOptions(
        crop=options.crop or usual.crop,
        adversarial_start=_or(options.adversarial_start, usual.adversarial_start),
        adversarial_weight=_or(options.adversarial_weight, usual.adversarial_weight),
        texture_weight=_or(options.texture_weight, usual.texture_weight),
        decoder_only=options.decoder_only,
    )
    chosen = Options(
        data=tuple(options.data),
        runs=options.runs,
        minutes=options.max_minutes,
        steps=options.max_steps,
        resume=options.resume,
        device=options.device,
        labels=options.label_set or LABELS,
        backbone=options.backbone,
        batch=options.batch,
        quiet=options.quiet,
        learning_rate=options.learning_rate,
        start=options.start,
        image=image,
        tokens=TokenOptions(options.crops, options.enlarged, options.from_guide, options.dropout),
    )
    if options.stage == "export":
        export(chosen, options.out, options.name)
        print(f"written to {options.out}")
    elif not options.data:
        raise RequestError("give --data DIR, a folder with photo + label-map pairs")
    else:
        try:
            if options.stage == "all":
                train_all(chosen)
                export(chosen, options.out, options.name)
            else:
                train_stage(options.stage, chosen)
        except KeyboardInterrupt:
            print(f"scenebrush: stopped; --resume goes on from what is in {options.runs}", file=sys.stderr)
            return 130
    return 0


def evaluate_command(options: argparse.Namespace) -> int:
    use_threads(options)
    from models.checkpoints.read import default_checkpoint_folder, load_checkpoint
    from models.evaluation.evaluate import Evaluation, Setting
    from models.evaluation.report import lines, save_sheet
    from models.networks.assembly import expected_shapes
    from models.training.data.pairs import DataSet

    if options.parts is not None and not options.parts.is_dir():
        raise RequestError(f"{options.parts}: no such folder; give that of the backbone and the labeller")
    loaded = load_checkpoint(options.checkpoint or default_checkpoint_folder(), expected_shapes)
    evaluation = Evaluation(
        Setting(
            DataSet.open(options.data, options.unseen, len(loaded.label_set)),
            loaded,
            options.parts,
            options.count,
            max(1, options.count // 5),
            options.samples,
        )
    )
    tables = evaluation.run()
    facts = {"judge": evaluation.judge.name, "features": "EfficientNet-Lite0" if evaluation.eye else None}
    facts |= {"count": options.count, "samples": options.samples, "checkpoint": evaluation.setting.checkpoint.sha256}
    print("\n".join([", ".join(f"{k} {v}" for k, v in facts.items()), "", *lines(tables)]))
    if options.json is not None:
        options.json.write_text(json.dumps({"facts": facts, "tables": tables}, indent=1) + "\n")
    if options.sheet is not None:
        save_sheet(evaluation.sheet, options.sheet)
    return 0


def _or(given: V | None, usual: V) -> V:
    """What was given, also where it is 0."""
    return usual if given is None else given
