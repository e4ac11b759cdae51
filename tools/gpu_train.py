"""What a few minutes of a GPU are for: the image VQGAN on TAEF2, then guide and SGA on its codes, and a checkpoint.

`python tools/gpu_train.py --seconds 480 --data DIR … --parts DIR --decoder FILE --out DIR`; each stage gets its share
of the seconds. First the decoder alone learns on today's codes (its weights are kept: decoder.safetensors), then
encoder and codebook too. `--batch 2 --device cpu` tries it without a GPU.
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
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from models.checkpoints.read import default_checkpoint_folder, load_checkpoint  # noqa: E402
from models.checkpoints.write import save_checkpoint  # noqa: E402
from models.errors import ScenebrushError  # noqa: E402
from models.networks.assembly import expected_shapes  # noqa: E402
from models.networks.presets import latent_config  # noqa: E402
from models.training.train import Options, export, train_stage  # noqa: E402
from models.training.weights import stage_weights  # noqa: E402

DECODER_ALONE, WHOLE, GUIDE, SGA = 0.38, 0.3, 0.16, 0.16  # shares of the seconds


def start_checkpoint(decoder: Path, taef2: Path, folder: Path) -> None:
    """Today's checkpoint with the latent decoder of a file in place of its own decoder."""
    loaded = load_checkpoint(default_checkpoint_folder(), expected_shapes)
    config = latent_config(len(loaded.label_set))
    old = ("first_stage_model.decoder.", "first_stage_model.post_quant_conv.")
    tensors = {k: v for k, v in loaded.tensors.items() if not k.startswith(old)}
    tensors |= {f"first_stage_model.decoder.latents.{k}": v.float() for k, v in load_file(str(decoder)).items()}
    pictures = {k: v.float() for k, v in load_file(str(taef2)).items() if k.startswith("decoder.")}
    tensors |= {f"first_stage_model.decoder.pictures.{k.removeprefix('decoder.')}": v for k, v in pictures.items()}
    assert {k: tuple(v.shape) for k, v in tensors.items()} == expected_shapes(config)
    save_checkpoint(folder, name="start", config=config, label_set=loaded.label_set, training={}, tensors=tensors)


def main() -> None:
    given = _options()
    torch.set_float32_matmul_precision("high")
    work = given.work
    start_checkpoint(given.decoder, given.parts / "taef2_fp16.safetensors", work / "start")
    usual = Options(
        tuple(given.data), work / "runs", device=given.device, start=work / "start", latents=True, quiet=True,
        resident=True, backbone=given.parts / "efficientnet_lite0_fp16.safetensors", steps=given.steps,
        crop=256, texture_weight=1.5, variants=given.variants, resume=False, batch=given.batch,
    )  # fmt: skip
    ends = time.monotonic() + given.seconds

    def train(name: str, options: Options, share: float, shares: float) -> None:
        minutes = max(0.0, ends - time.monotonic()) / 60 * share / shares
        began = time.monotonic()
        figures = train_stage(name, replace(options, minutes=minutes))
        print(name, figures, f"{time.monotonic() - began:.0f} s", flush=True)

    image = replace(usual, adversarial_start=given.adversarial_start, adversarial_weight=given.adversarial_weight)
    train("image-vqgan", replace(image, decoder_only=True, learning_rate=5e-4), DECODER_ALONE, 1.0)
    weights = stage_weights(usual.runs, "image-vqgan", None)
    own = "decoder.latents."
    latents = {k.removeprefix(own): v.half().contiguous() for k, v in weights.tensors.items() if k.startswith(own)}
    given.out.mkdir(parents=True, exist_ok=True)
    save_file(latents, str(given.out / "decoder.safetensors"), metadata={"steps": str(weights.step)})
    for sheet in sorted((usual.runs / "image-vqgan").glob("*.png"))[-1:]:
        shutil.copy(sheet, given.out / "decoder.png")
    if given.whole:  # resumes with the discriminator and moments as they are; encoder and codebook learn, too
        train("image-vqgan", replace(image, resume=True, learning_rate=2e-4), WHOLE, WHOLE + GUIDE + SGA)
        for sheet in sorted((usual.runs / "image-vqgan").glob("*.png"))[-1:]:
            shutil.copy(sheet, given.out / "whole.png")
        try:
            guide = replace(usual, batch=given.batch or 128, learning_rate=4e-4, dropout=0.1)
            train("guide", guide, GUIDE, GUIDE + SGA)
            sga = replace(usual, batch=given.batch or 32, learning_rate=2.5e-4, dropout=0.1, enlarged=600)
            train("sga", sga, SGA, SGA)
        except (RuntimeError, ScenebrushError):  # what is made so far comes back all the same
            traceback.print_exc()
        export(usual, work / "checkpoint", "landscape-20 on TAEF2")
        for file in (work / "checkpoint").iterdir():
            shutil.copy(file, given.out / file.name)
    shutil.copytree(usual.runs, given.out / "runs", ignore=shutil.ignore_patterns("*.safetensors", "*.npz", "*.png"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--parts", type=Path, required=True, help="folder with TAEF2 and the backbone")
    parser.add_argument("--decoder", type=Path, required=True, help="latent decoder to begin with")
    parser.add_argument("--work", type=Path, default=Path("/tmp/gpu-work"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--variants", type=int, default=2)
    parser.add_argument("--adversarial-start", type=int, default=200)
    parser.add_argument("--adversarial-weight", type=float, default=0.8)
    parser.add_argument("--decoder-alone", dest="whole", action="store_false")
    return parser.parse_args()


if __name__ == "__main__":
    main()
