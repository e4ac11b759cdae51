"""Train the latent decoder of issue D's gate: `python tools/train_latents.py --minutes 60`, resumed where it stopped.

Frozen: encoder and codes of a checkpoint, TAEF2, the backbone. State and cache lie in runs/latent (ignored by git).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from models.checkpoints.read import default_checkpoint_folder, load_checkpoint  # noqa: E402
from models.networks.assembly import empty_networks, expected_shapes  # noqa: E402
from models.networks.taef2 import load_taef2  # noqa: E402
from models.training.data.pairs import DataSet  # noqa: E402
from models.training.loop import LoopSettings, run  # noqa: E402
from models.training.losses.perceptual import STAGES, load_backbone  # noqa: E402
from models.training.precision import Precision  # noqa: E402
from models.training.stages.latent_decoder import LatentDecoderStage, cache_pictures  # noqa: E402

SHARED = ROOT.parent / "shared"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--pictures", type=int, default=1536, help="of the training photos, the best ones first")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "latent")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    precision = Precision.choose("cpu")
    loaded = load_checkpoint(default_checkpoint_folder(), expected_shapes)
    vqgan = empty_networks(loaded.config).load(loaded.tensors).first_stage_model
    taef2 = load_taef2(SHARED / "parts" / "taef2" / "taef2_fp16.safetensors")
    backbone = load_backbone(SHARED / "parts" / "perceptual" / "efficientnet_lite0_fp16.safetensors", len(STAGES))
    labels = len(loaded.label_set)
    folders = [SHARED / "data" / name for name in ("landscape-512", "landscape-256")]
    data = DataSet.open(folders, known=labels)
    pairs = tuple(p for p in data.train if not p.id.startswith("wal_"))[: options.pictures]
    cached = cache_pictures(pairs, vqgan, taef2, options.runs / "cache")
    print(f"{len(cached)} pictures, bf16 {precision.bf16}", flush=True)
    stage = LatentDecoderStage(
        loaded.config, labels, data, cached, vqgan, taef2, backbone, precision, batch=options.batch
    )
    settings = LoopSettings(options.runs, options.minutes, resume=True, evaluate_minutes=15, learning_rate=4e-4)
    print(run(stage, settings))


if __name__ == "__main__":
    main()
