"""What a few minutes of a GPU are for: the image VQGAN, then guide and SGA on its codes, and a checkpoint.

`python tools/gpu_train.py --seconds 480 --data DIR … --backbone FILE --out DIR [--start CHECKPOINT]`; each stage gets
its share of the seconds, and what a stage has made comes back when a later one fails. `--batch 2 --device cpu` tries it
without a GPU.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from models.checkpoints.read import default_checkpoint_folder  # noqa: E402
from models.errors import ScenebrushError  # noqa: E402
from models.training.options import ImageOptions, Options, TokenOptions  # noqa: E402
from models.training.train import export, train_stage  # noqa: E402

IMAGE, GUIDE, SGA = 0.5, 0.28, 0.22  # shares of the seconds
EVALUATIONS = 5  # of each stage


def main() -> None:
    given = _options()
    torch.set_float32_matmul_precision("high")
    usual = Options(
        tuple(given.data), given.work / "runs", device=given.device, start=given.start, quiet=True, resident=True,
        backbone=given.backbone, steps=given.steps, resume=False, batch=given.batch,
        cooldown=0.4,
    )  # fmt: skip
    judged = ImageOptions(
        crop=256, texture_weight=1.5, adversarial_start=0, adversarial_weight=given.adversarial_weight,
        judge_alone=given.judge_alone,
    )  # fmt: skip
    image = replace(usual, image=judged, learning_rate=2.5e-4)
    guide = replace(usual, batch=given.batch or 128, learning_rate=5e-4, tokens=TokenOptions(dropout=0.05))
    sga = replace(
        usual,
        batch=given.batch or 32,
        learning_rate=2.5e-4,
        tokens=TokenOptions(dropout=0.1, enlarged=1600 if given.batch is None else 8, from_guide=True),
    )
    given.out.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + given.seconds
    left = {"image-vqgan": (image, IMAGE), "guide": (guide, GUIDE), "sga": (sga, SGA)}
    try:
        while left:
            shares = sum(share for _, share in left.values())
            name = next(iter(left))
            options, share = left.pop(name)
            minutes = max(0.0, ends - time.monotonic()) / 60 * share / shares
            began = time.monotonic()
            rare = minutes if name == "image-vqgan" else minutes / EVALUATIONS
            figures = train_stage(name, replace(options, minutes=minutes, evaluate_minutes=rare))
            print(name, figures, f"{time.monotonic() - began:.0f} s", flush=True)
            for sheet in sorted((usual.runs / name).glob("*.png"))[-1:]:
                shutil.copy(sheet, given.out / f"{name}.png")
    except (RuntimeError, ScenebrushError):  # what is made so far comes back all the same
        traceback.print_exc()
    export(usual, given.work / "checkpoint", given.name)
    for file in (given.work / "checkpoint").iterdir():
        shutil.copy(file, given.out / file.name)
    shutil.copytree(usual.runs, given.out / "runs", ignore=shutil.ignore_patterns("*.safetensors", "*.npz", "*.png"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--steps", type=int, help="of each stage, at most; those of the start count")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--start", type=Path, default=default_checkpoint_folder())
    parser.add_argument("--name", default="landscape-20 on TAEF2")
    parser.add_argument("--work", type=Path, default=Path("/tmp/gpu-work"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--judge-alone", type=int, default=100)
    parser.add_argument("--adversarial-weight", type=float, default=0.8)
    return parser.parse_args()


if __name__ == "__main__":
    main()
