"""`evaluate`: the paper's protocol on validation photos, beside classical baselines and ablations.

Hide a random semantic component of each photo, draw some candidates, keep the most likely one, compare with the
original (ASSET, section 4). Every table is a list of rows; a figure that could not be had is None.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from ..checkpoints.read import Checkpoint
from ..config import GUIDE_RESOLUTION
from ..device import choose_device
from ..drawing.samplers.asset import AssetSampler
from ..errors import RequestError
from ..grid import TokenGrid
from ..networks.pictures import one_hot, to_picture, to_pixels
from ..networks.transformers.blocks import BlockLists, random_lists
from ..networks.transformers.transformer import Transformer, Visible
from ..networks.vqgan.quantize import perplexity
from ..opening import editor_of
from ..request import USUAL, EditRequest, SamplingSettings
from ..training.data.codes import CodeSet, encode_crops, encode_pictures, joined
from ..training.data.pairs import DataSet
from ..training.losses.gridding import grid_strength
from ..training.precision import Precision
from ..training.stages.transformers import lists_from_truth, masked_loss, take
from .baselines import PatchRetrieval, fill_mean_color, fill_telea, mean_colors
from .cases import Case, cases
from .judges import Agreement, Judge, Labeller, OwnSegmenter, group_table
from .metrics import Eye, Features, frechet, perceptual, psnr, ssim
from .report import Row
from .textures import texture_rows
from .variants import VARIANTS, SlidingSampler, no_lists, sliding_nats

PLAIN = SamplingSettings()
BACKBONE = Path("perceptual") / "efficientnet_lite0_fp16.safetensors"
LABELLER = Path("labeller") / "deeplabv3_mnv2_ade20k32_int8_logits.tflite"
ON_CPU = Precision(torch.device("cpu"), False)


@dataclass(frozen=True)
class Setting:
    """What is evaluated. parts: folder of the backbone and the labeller (either may be absent).

    count: photos at 256; high_count: photos at the checkpoint's largest resolution; samples: candidates drawn of
    each, the most likely one counts.
    """

    data: DataSet
    checkpoint: Checkpoint
    parts: Path | None = None
    count: int = 60
    high_count: int = 12
    samples: int = 4
    report: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)


@dataclass
class Outcome:
    """The results of one method over all cases."""

    statistics: list[np.ndarray] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    similarities: list[float] = field(default_factory=list)
    agreement: Agreement = field(default_factory=Agreement)
    spreads: list[float] = field(default_factory=list)
    seconds: float = 0.0


class Evaluation:
    """Runs the parts of an evaluation; `tables` fills up as they finish."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.editor = editor_of(setting.checkpoint, choose_device("cpu"))
        parts = setting.parts
        self.eye = Eye(parts / BACKBONE) if parts is not None and (parts / BACKBONE).exists() else None
        self.judge = self._judge()
        self.table = group_table(self.editor.label_set)
        self.tables: dict[str, list[Row]] = {}
        self.sheet: list[tuple[Case, list[np.ndarray]]] = []

    def _judge(self) -> Judge:
        parts = self.setting.parts
        if parts is not None and (parts / LABELLER).exists():
            try:
                return Labeller(parts / LABELLER)
            except ImportError:
                self.setting.report("the labeller needs `pip install ai-edge-litert`; our own segmenter judges instead")
        return OwnSegmenter(self.editor)

    def run(self) -> dict[str, list[Row]]:
        setting = self.setting
        low = list(cases(setting.data, GUIDE_RESOLUTION, setting.count))
        if not low:
            raise RequestError("no validation photos of at least 256 px in the data; give another folder")
        self.tables["image VQGAN at 256"] = [self.vqgan(low)]
        self.tables["segmenter"] = [self.segmenter(low)]
        self.tables["transformers"] = self.transformers()
        self.tables["edits at 256"] = self.edits(low, GUIDE_RESOLUTION)
        high = self.editor.resolutions[-1]
        if high > GUIDE_RESOLUTION:
            found = list(cases(setting.data, high, setting.high_count))
            if found:
                self.tables[f"attention at {high}"] = self.attention(found, high)
                if self.eye is not None:
                    made = texture_rows(
                        self.editor, found, self.eye, self.judge, self.table, high, setting.samples, setting.report
                    )
                    self.tables[f"textures at {high}"] = made
        return self.tables

    # --- pictures ----------------------------------------------------------------------------------------

    def _note(self, outcome: Outcome, case: Case, real: Features | None, picture: np.ndarray) -> None:
        outcome.similarities.append(ssim(picture, case.photo))
        outcome.agreement.add(self.table[case.labels], self.judge.groups(picture), case.hidden)
        if self.eye is not None and real is not None:
            seen = self.eye.look(picture)
            outcome.statistics.append(seen.statistics)
            outcome.distances.append(perceptual(seen, real))

    def _row(self, name: str, outcome: Outcome, real: np.ndarray | None, count: int) -> Row:
        known = real is not None and len(outcome.statistics) > 2
        return {
            "method": name,
            "frechet": frechet(np.stack(outcome.statistics), real) if known and real is not None else None,
            "perceptual": _mean(outcome.distances),
            "ssim": _mean(outcome.similarities),
            "label accuracy": outcome.agreement.accuracy,
            "label mIoU": outcome.agreement.mean_iou,
            "diversity": _mean(outcome.spreads),
            "seconds": outcome.seconds / count if outcome.seconds else None,
        }

    def _draw(
        self, outcome: Outcome, case: Case, real: Features | None, side: int, settings: SamplingSettings = PLAIN
    ) -> tuple[list[np.ndarray], list[tuple[float, float]]]:
        """Candidates of a case, most likely first, noted in `outcome`; and (perceptual, agreement) of each."""
        settings = replace(settings, samples=self.setting.samples)
        started = time.perf_counter()
        request = EditRequest(case.photo, case.labels, case.paint, settings, side)
        drawn = sorted(self.editor.run(request), key=lambda c: c.nats_per_token)
        outcome.seconds += time.perf_counter() - started
        pictures = [candidate.apply(case.photo) for candidate in drawn]
        self._note(outcome, case, real, pictures[0])
        figures = []
        if self.eye is not None and real is not None:
            seen = [self.eye.look(picture) for picture in pictures]
            outcome.spreads += [perceptual(a, b) for a, b in combinations(seen, 2)]
            asked = self.table[case.labels]
            for features, picture in zip(seen, pictures, strict=True):
                right = (self.judge.groups(picture) == asked)[case.hidden].mean()
                figures.append((perceptual(features, real), float(right)))
        return pictures, figures

    def edits(self, found: Sequence[Case], side: int) -> list[Row]:
        """Our edits with the editor's settings and with plain sampling, the baselines and the real photos, each over
        the same cases."""
        train = self.setting.data.train
        colors = mean_colors(train, len(self.editor.label_set))
        retrieval = PatchRetrieval(train, side)
        fills: dict[str, Callable[[Case], np.ndarray]] = {
            "mean colour": lambda case: fill_mean_color(case, colors),
            "Telea": fill_telea,
            "patch retrieval": retrieval.fill,
            "real photos": lambda case: case.photo,
        }
        outcomes = {name: Outcome() for name in ("Scenebrush", "plain sampling", *fills)}
        ranked: list[list[tuple[float, float]]] = []
        reals = []
        for number, case in enumerate(found):
            real = None if self.eye is None else self.eye.look(case.photo)
            reals += [] if real is None else [real.statistics]
            pictures, figures = self._draw(outcomes["Scenebrush"], case, real, side, USUAL)
            self._draw(outcomes["plain sampling"], case, real, side)
            ranked.append(figures)
            self.sheet.append((case, pictures))
            for name, fill in fills.items():
                started = time.perf_counter()
                picture = fill(case)
                outcomes[name].seconds += time.perf_counter() - started
                self._note(outcomes[name], case, real, picture)
            if (number + 1) % 10 == 0:
                self.setting.report(f"edits at {side}: {number + 1} of {len(found)}")
        stacked = np.stack(reals) if reals else None
        self.tables["rank check"] = _rank_check(ranked)
        return [self._row(name, outcome, stacked, len(found)) for name, outcome in outcomes.items()]

    def attention(self, found: Sequence[Case], side: int) -> list[Row]:
        """The same weights with other attention (ASSET, Table 3), and the guide in a sliding window."""
        editor, usual = self.editor, self.editor.sampler
        nats = self._attention_nats(found, side)
        rows = []
        reals = [] if self.eye is None else [self.eye.look(case.photo) for case in found]
        for name in (*VARIANTS, "sliding guide"):
            if name in VARIANTS:
                editor.sampler = AssetSampler(editor.networks, editor.device, editor.pictures, VARIANTS[name])
            else:
                editor.sampler = SlidingSampler(editor.networks.guiding_transformer)
            outcome = Outcome()
            for number, case in enumerate(found):
                self._draw(outcome, case, reals[number] if reals else None, side)
            stacked = np.stack([real.statistics for real in reals]) if reals else None
            rows.append({**self._row(name, outcome, stacked, len(found)), "nats": nats[name]})
            self.setting.report(f"attention at {side}: {name}")
        editor.sampler = usual
        return rows

    # --- networks ----------------------------------------------------------------------------------------

    @torch.inference_mode()
    def vqgan(self, found: Sequence[Case]) -> Row:
        """Reconstruction of whole photos from their codes (and labels, where the decoder reads them)."""
        vqgan = self.editor.networks.first_stage_model
        outcome, values, tokens, reals, others, drawn = Outcome(), [], [], [], [], []
        for case in found:
            features = vqgan.encode(to_picture(case.photo))
            codes = vqgan.quantize.indices(features)
            hot = one_hot(case.labels, self.editor.config.label_vqgan.in_channels)
            rebuilt = vqgan.decode_tokens(codes, features.shape[2], features.shape[3], vqgan.label_shares(hot))
            picture = to_pixels(rebuilt, self.editor.semantics)
            values.append(psnr(picture, case.photo))
            tokens.append(codes.flatten())
            drawn.append(picture)
            real = None if self.eye is None else self.eye.look(case.photo)
            reals += [] if real is None else [real.statistics]
            self._note(outcome, case, real, picture)
            if isinstance(self.judge, Labeller):
                others.append((self.judge.statistics(picture), self.judge.statistics(case.photo)))
        row = self._row("reconstruction", outcome, np.stack(reals) if reals else None, len(found))
        used = perplexity(torch.cat(tokens), vqgan.config.codes)
        return {
            "psnr": _mean(values), "ssim": row["ssim"], "perceptual": row["perceptual"], "frechet": row["frechet"],
            "frechet by the labeller": _distance_of(others),
            "grid": grid_strength(map(to_picture, drawn)),
            "grid of the photos": grid_strength(to_picture(case.photo) for case in found),
            "code perplexity": used, "codes": vqgan.config.codes,
        }  # fmt: skip

    def segmenter(self, found: Sequence[Case]) -> Row:
        labels, groups, seconds = [], [], 0.0
        for case in found:
            started = time.perf_counter()
            guess = self.editor.suggest_labels(case.photo)
            seconds += time.perf_counter() - started
            labels.append(float((guess == case.labels).mean()))
            groups.append(float((self.table[guess] == self.table[case.labels]).mean()))
        return {
            "pixel accuracy": _mean(labels), "seven groups": _mean(groups), "seconds a photo": seconds / len(found)
        }  # fmt: skip

    def _codes(self, side: int, count: int) -> dict[int, CodeSet]:
        networks, pairs = self.editor.networks, self.setting.data.only(side).val
        pairs = tuple(p for p in pairs if not p.id.startswith("wal_"))
        pairs = pairs[:: max(1, len(pairs) // count)][:count]
        image, label = networks.first_stage_model, networks.cond_stage_model
        return encode_crops(pairs, 1, side, image, label, self.editor.config, ON_CPU, 2, progress=False)

    def _codes_of(self, found: Sequence[Case]) -> dict[int, CodeSet]:
        networks = self.editor.networks
        image, label = networks.first_stage_model, networks.cond_stage_model

        def codes(case: Case) -> dict[int, CodeSet]:
            return encode_pictures(
                case.photo[None], case.labels[None], [case.hidden], image, label, self.editor.config, ON_CPU
            )

        return joined([codes(case) for case in found])

    @torch.inference_mode()
    def transformers(self) -> list[Row]:
        """Nats per masked token, with the right labels and with those of another photo."""
        rows = []
        networks = self.editor.networks
        for name, model, side in (
            ("guide", networks.guiding_transformer, GUIDE_RESOLUTION),
            ("sga", networks.transformer, self.editor.resolutions[-1]),
        ):
            if model is None:
                continue
            sets = self._codes(side, 120 if side == GUIDE_RESOLUTION else 24)
            if not len(sets[side]):
                continue
            other = {s: CodeSet(c.target, c.known, c.mask, np.roll(c.condition, 1, 0)) for s, c in sets.items()}
            right, wrong = (self._nats(model, part, side, "sga") for part in (sets, other))
            rows.append(
                {
                    "network": name,
                    "resolution": side,
                    "nats": right,
                    "shuffled labels": wrong,
                    "label gap": wrong - right,
                }
            )
            self.setting.report(f"nats of {name}")
        return rows

    def _nats(self, model: Transformer, sets: dict[int, CodeSet], side: int, variant: str) -> float:
        """Mean over crops of the nats per masked token; at larger sides with the block lists of `variant`."""
        losses = []
        grid, config = TokenGrid.of_resolution(side), model.config
        guide, semantics = self.editor.networks.guiding_transformer, self.editor.semantics
        for row in range(len(sets[side])):
            rows = np.array([row])
            batch = take(sets[side], rows, ON_CPU.device)
            lists: BlockLists | None = None
            if side > GUIDE_RESOLUTION and variant == "sga":
                low = take(sets[GUIDE_RESOLUTION], rows, ON_CPU.device)
                lists = lists_from_truth(guide, low, self.editor.config, config.top_k_blocks)
            elif side > GUIDE_RESOLUTION and variant == "random blocks":
                lists = random_lists(config, 1, row, semantics=semantics)
            elif side > GUIDE_RESOLUTION and variant == "local only":
                lists = no_lists(config, 1)
            losses.append(masked_loss(model, batch, grid, None if lists is None else Visible.of(lists)).item())
        return float(np.mean(losses))

    @torch.inference_mode()
    def _attention_nats(self, found: Sequence[Case], side: int) -> dict[str, float]:
        networks = self.editor.networks
        assert networks.transformer is not None
        sets = self._codes_of(found)
        nats = {name: self._nats(networks.transformer, sets, side, name) for name in VARIANTS}
        codes, size, losses = sets[side], side // 16, []
        for row in range(len(codes)):
            batch = take(codes, np.array([row]), ON_CPU.device)
            known, target, mask, condition = (
                batch[k][0].view(size, size) for k in ("known", "target", "mask", "condition")
            )
            losses.append(-float(sliding_nats(networks.guiding_transformer, known, target, mask, condition).mean()))
        return {**nats, "sliding guide": float(np.mean(losses))}


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _distance_of(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float | None:
    """Fréchet distance of (ours, real) statistics; None of fewer than three."""
    return frechet(*(np.stack(part) for part in zip(*pairs, strict=True))) if len(pairs) > 2 else None


def _rank_check(ranked: Sequence[Sequence[tuple[float, float]]]) -> list[Row]:
    """Figures of the most likely and of the least likely quarter of each photo's candidates."""
    ranked = [figures for figures in ranked if len(figures) > 1]
    rows: list[Row] = []
    for name, part in (("most likely quarter", slice(None, 1)), ("least likely quarter", slice(-1, None))):
        chosen = []
        for figures in ranked:
            size = max(1, len(figures) // 4)
            wide = slice(None, size) if part.stop == 1 else slice(-size, None)
            chosen += list(figures[wide])
        rows.append(
            {
                "candidates": name,
                "perceptual": _mean([c[0] for c in chosen]),
                "label agreement": _mean([c[1] for c in chosen]),
            }
        )
    return rows if ranked else []
