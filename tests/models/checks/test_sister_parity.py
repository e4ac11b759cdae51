"""The fixtures of the sister systems pass whole, and our code, changed a little, fails them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from models.checks import ilat, maskgit, taming, two_stream
from models.checks.parity import SISTERS, check_fixture
from models.checks.record import Comparison
from models.drawing.samplers import parallel, sliding
from models.drawing.samplers.sliding import Place
from models.networks.transformers import causal, local
from models.networks.transformers.causal import CausalTransformer
from models.networks.transformers.local import LocalTransformer
from models.training.losses import vqgan
from tests.shared import shared_path

KINDS = ("taming", "ilat", "maskgit")
# Arrays that come from chance or are the work of others; every other one must be exact (specification, READMEs).
LOOSE = {
    "taming": {"logits": 5e-4, "fixed_nll": 5e-4, "loss": 1e-4, "vq.": 3e-5, "adaptive_weight": 1e-3, "filter": 0.0},
    "ilat": {
        "logits": 5e-4, "loss": 1e-4, "perplexity": 1.0, "unit.": 1e-5, "enc": 1e-4, "prequant": 1e-4, "identity": 0.1,
        "decoded": 2e-4, "combined": 2e-4, "soft": 1e-5, "pose": 1e-5,
    },
    "maskgit": {"logits": 5e-4, "selected_prob": 5e-5, "schedule": 2e-6, "loss": 2e-5, "composite": 1 / 255},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_that_every_array_of_the_fixture_is_compared_and_equal(kind: str, tmp_path: Path) -> None:
    folder = shared_path("fixtures", f"{kind}-tiny-A")
    rows = list(check_fixture(folder, tmp_path))
    assert [row.line() for row in rows if not row.ok] == []
    with np.load(folder / "expected.npz", allow_pickle=False) as file:
        names = set(file.files) - {"mask_counts_edge"}  # says where counts may differ by one
    compared = {row.name.removeprefix("expected: ").split(" (")[0] for row in rows}
    assert names <= compared
    for row in rows:
        limits = [limit for part, limit in LOOSE[kind].items() if part in row.name]
        assert row.tolerance <= max(limits, default=0.0), row


def test_that_a_stray_array_and_files_that_do_not_fit_are_noticed(tmp_path: Path) -> None:
    from models.errors import CheckpointError

    source, folder = shared_path("fixtures", "maskgit-tiny-A"), tmp_path / "fixture"
    folder.mkdir()
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    with np.load(source / "inputs.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(folder / "inputs.npz", **arrays, stray=np.zeros(3))
    assert [row.name for row in check_fixture(folder, tmp_path) if not row.ok] == ["inputs: stray (not compared)"]
    config = json.loads((source / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"d": 32}))
    with pytest.raises(CheckpointError, match="do not fit each other"):
        list(check_fixture(folder, tmp_path))


# --- mutations (specification, section 5) --------------------------------------------------------------------


def failed(kind: str) -> list[str]:
    """Names of the comparisons that fail."""
    folder = shared_path("fixtures", f"{kind}-tiny-A")
    config = json.loads((folder / "config.json").read_text())
    if kind == "taming":  # the smaller of the two models is enough
        config = config | {"models": {"w8": config["models"]["w8"]}, "grids": {"w8": [[8, 8], [9, 16]]}}
    tensors = {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
    check: Callable[..., Any] = next(check for field, check in SISTERS.items() if field in config)
    rows: list[Comparison] = list(check(folder, config, tensors))
    return [row.name for row in rows if not row.ok and "not compared" not in row.name]


def off_centre(row: int, column: int, height: int, width: int, side: int = 16, stride: int = 1) -> Place:
    top, left = (min(max(at - side // 2 + 1, 0), size - side) for at, size in ((row, height), (column, width)))
    return Place(row, column, top, left)


def unmoved(self: Any, grid: np.ndarray, at: Place) -> tuple[torch.Tensor, torch.Tensor]:
    """The condition's window stays where the first one was."""
    start = Place(0, 0, 0, 0)
    parts = [
        torch.from_numpy(sliding.window(part, place, self.side).reshape(1, -1))
        for part, place in ((self.condition, start), (grid, at))
    ]
    return torch.cat(parts, 1)[0, :-1], self.network.predicted(*parts)[0, at.row_in * self.side + at.column_in]


def swapped_order(self: CausalTransformer, condition: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    return self(torch.cat([codes[:, :-1], condition], 1))[:, condition.shape[1] - 1 :]


def one_early(self: CausalTransformer, condition: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    return self(torch.cat([condition, codes[:, :-1]], 1))[:, condition.shape[1] - 2 : -1]


def post_norm(self: causal.Block, x: torch.Tensor, seen: torch.Tensor, cache: Any = None) -> Any:
    mixed, kept = self.attn(x, seen, cache)
    x = self.ln1(x + mixed)
    return self.ln2(x + self.mlp(x)), kept


def column_major(height: int, width: int, side: int = 16, stride: int = 1) -> Any:
    return (sliding.place(row, column, height, width, side) for column in range(width) for row in range(height))


def nearest(mask: torch.Tensor, factor: int) -> torch.Tensor:
    return mask[:, :, ::factor, ::factor]


def start_masked(masked: torch.Tensor) -> torch.Tensor:
    whole = torch.cat([masked.new_ones(1), masked])
    return ~whole[None] | (whole[:, None] & torch.ones(len(whole), len(whole)).tril().bool())


def known_causal(masked: torch.Tensor) -> torch.Tensor:
    return ilat.plain_mask(len(masked)) & (RELEASED(masked) | True)


def restarted(self: LocalTransformer, condition: torch.Tensor, codes: torch.Tensor, seen: torch.Tensor) -> Any:
    half = self.pos_emb.weight.shape[0] // 2
    with torch.no_grad():
        self.pos_emb.weight[half:] = self.pos_emb.weight[:half].clone()
    return FORWARD(self, condition, codes, seen)


RELEASED, LOCAL, FORWARD, AFTER, AGAIN = (
    ilat.released_mask, ilat.local_mask, LocalTransformer.forward, parallel.masked_after, parallel.mask_again,
)  # fmt: skip


def earlier(name: str, step: int, steps: int, total: int, unknown: int) -> int:
    return AFTER(name, max(step - 1, 0), steps, total, unknown)


def ceiled(name: str, step: int, steps: int, total: int, unknown: int) -> int:
    ratio = np.float32(step + 1) / np.float32(steps)
    return max(1, min(unknown - 1, math.ceil(total * parallel.schedule(name, ratio, total))))


def unclamped(name: str, step: int, steps: int, total: int, unknown: int) -> int:
    ratio = np.float32(step + 1) / np.float32(steps)
    return int(np.float32(total) * parallel.schedule(name, ratio, total))


def of_all(name: str, step: int, steps: int, total: int, unknown: int) -> int:
    return AFTER(name, step, steps, 64, unknown)


def known_as_one(confidence: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    return AGAIN(confidence.masked_fill(confidence.isinf(), 0.0), count)


def over_tokens(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, smoothing: float) -> torch.Tensor:
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none", label_smoothing=smoothing)
    return (losses * weights.flatten()).sum() / weights.sum()


def quantiser(swapped: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda z, e, beta=0.25, legacy=False: swapped(z, e, beta, not legacy)


MUTATIONS: dict[str, tuple[str, list[tuple[Any, str, Any]]]] = {
    "window off centre": ("taming", [(sliding, "place", off_centre)]),
    "condition window not moved": ("taming", [(taming._Walk, "_logits", unmoved)]),
    "image before condition": ("taming", [(CausalTransformer, "predicted", swapped_order)]),
    "output one early": ("taming", [(CausalTransformer, "predicted", one_early)]),
    "post-norm": ("taming", [(causal.Block, "forward", post_norm)]),
    "tanh gelu": ("taming", [(causal.nn, "GELU", lambda: torch.nn.modules.GELU(approximate="tanh"))]),
    "pkeep inverted": ("taming", [(taming, "replaced", lambda c, k, r: torch.where(k, r, c))]),
    "column-major": ("taming", [(taming, "walk", column_major)]),
    "delta": ("taming", [(vqgan, "STEADY", 1e-6)]),
    "clamp": ("taming", [(vqgan, "LARGEST", 1e6)]),
    "legacy swapped": ("taming", [(taming, "quantiser_loss", quantiser(taming.quantiser_loss))]),
    "nearest for max-pool": ("ilat", [(two_stream, "pooled", nearest), (ilat, "pooled", nearest)]),
    "start masked": ("ilat", [(ilat, "released_mask", start_masked)]),
    "diagonal lost": ("ilat", [(ilat, "local_mask", lambda m: LOCAL(m) & ~torch.eye(len(m) + 1).bool())]),
    "mask transposed": ("ilat", [(ilat, "local_mask", lambda m: LOCAL(m).t())]),
    "known keys causal": ("ilat", [(ilat, "released_mask", known_causal)]),
    "head norm lost": ("ilat", [(local._Head, "forward", lambda self, x: F.gelu(self.dense(self.ln1(x))))]),
    "positions restarted": ("ilat", [(LocalTransformer, "forward", restarted)]),
    "r = t/T": ("maskgit", [(parallel, "masked_after", earlier)]),
    "ceil for floor": ("maskgit", [(parallel, "masked_after", ceiled)]),
    "no clamp": ("maskgit", [(maskgit, "masked_after", unclamped)]),
    "N = length": ("maskgit", [(parallel, "masked_after", of_all)]),
    "known = 1": ("maskgit", [(parallel, "mask_again", known_as_one)]),
    "at most for less": ("maskgit", [(maskgit, "mask_again", lambda c, n: c <= c.sort(1).values.gather(1, n))]),
    "least for most confident": ("maskgit", [(parallel, "mask_again", lambda c, n: AGAIN(-c, n))]),
    "loss over tokens": ("maskgit", [(maskgit, "masked_token_loss", over_tokens)]),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_that_a_mutation_is_caught_by_values(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, changes = MUTATIONS[name]
    for owner, attribute, value in changes:
        monkeypatch.setattr(owner, attribute, value)
    assert failed(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_that_nothing_fails_without_a_mutation(kind: str) -> None:
    assert failed(kind) == []
