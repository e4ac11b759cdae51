"""Train the latent decoder of issue D's gate: `python tools/train_latents.py --minutes 60`, resumed where it stopped.

Frozen: encoder and codes of a checkpoint, TAEF2, the backbone. State and crops lie in runs/latent (ignored by git).
With `--measure` nothing is trained: the gate's figures of the shipped decoder and of the newest averaged weights. With
`--export FILE` the averaged weights are written as float16.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from models.checkpoints.read import Checkpoint, default_checkpoint_folder, load_checkpoint  # noqa: E402
from models.drawing.masks import one_hot, to_picture, to_pixels  # noqa: E402
from models.evaluation.cases import Case, cases  # noqa: E402
from models.evaluation.judges import Labeller  # noqa: E402
from models.evaluation.metrics import Eye  # noqa: E402
from models.evaluation.reconstructions import Reconstructions  # noqa: E402
from models.networks.assembly import empty_networks, expected_shapes  # noqa: E402
from models.networks.taef2 import load_taef2  # noqa: E402
from models.networks.vqgan import VQGAN  # noqa: E402
from models.training.data.latents import SIDE, LatentCache  # noqa: E402
from models.training.data.pairs import DataSet  # noqa: E402
from models.training.loop import LoopSettings, run  # noqa: E402
from models.training.losses.perceptual import STAGES, load_backbone  # noqa: E402
from models.training.precision import Precision  # noqa: E402
from models.training.stages.image_vqgan import save_sheet  # noqa: E402
from models.training.stages.latent_decoder import LatentDecoderStage  # noqa: E402
from models.training.weights import SNAPSHOT, stage_weights  # noqa: E402

SHARED = ROOT.parent / "shared"
PARTS, DATA = SHARED / "parts", SHARED / "data"
BACKBONE = PARTS / "perceptual" / "efficientnet_lite0_fp16.safetensors"
PHOTOS, SHOWN = 100, 8  # that the gate is measured on, and rows of a contact sheet


@dataclass(frozen=True)
class Gate:
    """The gate's figures of the latent decoder on the photos of the log, beside the shipped decoder's."""

    vqgan: VQGAN
    checkpoint: Checkpoint
    found: list[Case]
    measured: Reconstructions

    @classmethod
    def open(cls, vqgan: VQGAN, checkpoint: Checkpoint) -> Gate:
        data = DataSet.open([DATA / "landscape-256"], known=len(checkpoint.label_set))
        found = list(cases(data, SIDE, PHOTOS))
        labeller = Labeller(PARTS / "labeller" / "deeplabv3_mnv2_ade20k32_int8_logits.tflite")
        return cls(vqgan, checkpoint, found, Reconstructions(found, Eye(BACKBONE), labeller))

    @torch.no_grad()
    def shipped(self, case: Case) -> np.ndarray:
        """A photo through its codes and the decoder that ships."""
        features = self.vqgan.encode(to_picture(case.photo))
        shares = self.vqgan.label_shares(one_hot(case.labels, len(self.checkpoint.label_set)))
        codes = self.vqgan.quantize.indices(features)
        return to_pixels(self.vqgan.decode_tokens(codes, *features.shape[2:], shares), self.vqgan.semantics)

    def latent(self, stage: LatentDecoderStage, case: Case) -> np.ndarray:
        labels = torch.from_numpy(case.labels.astype(np.int64))[None]
        return to_pixels(stage.rebuild(to_picture(case.photo), labels), self.vqgan.semantics)

    def figures(self, stage: LatentDecoderStage, folder: Path, number: int) -> dict[str, float]:
        """Also writes a contact sheet: original | shipped decoder | latent decoder."""
        rows: list[Tensor] = []
        for case in self.found[:: len(self.found) // SHOWN][:SHOWN]:
            pictures = (case.photo, self.shipped(case), self.latent(stage, case))
            rows.append(torch.cat([to_picture(picture) for picture in pictures], 3)[0])
        save_sheet(rows, folder / f"{stage.name}-{number:07d}.png", columns=2)
        return self.measured.figures(partial(self.latent, stage))


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    precision = Precision.choose("cpu")
    loaded = load_checkpoint(default_checkpoint_folder(), expected_shapes)
    vqgan = precision.place(empty_networks(loaded.config).load(loaded.tensors).first_stage_model)
    taef2 = load_taef2(PARTS / "taef2" / "taef2_fp16.safetensors")
    if options.export is not None:
        weights = stage_weights(options.runs, LatentDecoderStage.name, None)
        save_file({k: v.half().contiguous() for k, v in weights.tensors.items()}, options.export,
                  metadata={"steps": str(weights.step), "seconds": str(round(weights.seconds))})  # fmt: skip
        return
    labels = len(loaded.label_set)
    data = DataSet.open([DATA / name for name in ("landscape-512", "landscape-256")], known=labels)
    cache = LatentCache(options.runs / "crops", data.train, vqgan, taef2)
    gate = Gate.open(vqgan, loaded)
    stage = LatentDecoderStage(
        loaded.config, labels, cache, load_backbone(BACKBONE, len(STAGES)), precision, batch=options.batch,
        adversarial_start=options.adversarial_start, adversarial_weight=options.adversarial_weight,
        figures=lambda folder, number: gate.figures(stage, folder, number),
    )  # fmt: skip
    begun = (options.runs / stage.name / SNAPSHOT).exists() and not options.measure
    start = None if options.start is None or begun else stage_weights(options.start.parent, options.start.name, None)
    if options.measure:
        print("shipped", gate.measured.figures(gate.shipped), flush=True)
        weights = start or stage_weights(options.runs, stage.name, None)
        stage.start_from(weights.tensors)
        print(f"latent decoder, step {weights.step}", stage.evaluate(options.runs, weights.step), flush=True)
        return
    settings = LoopSettings(
        options.runs / stage.name, options.minutes, resume=True, evaluate_minutes=options.evaluate_minutes,
        learning_rate=options.learning_rate,
    )  # fmt: skip
    print(run(stage, settings, None if start is None else replace(start, step=0)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=4e-4)
    parser.add_argument("--adversarial-start", type=int, default=300)
    parser.add_argument("--adversarial-weight", type=float, default=0.8)
    parser.add_argument("--evaluate-minutes", type=float, default=25)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "latent")
    parser.add_argument("--start", type=Path, help="folder of a state whose averaged weights a new run begins with")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--export", type=Path, metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
