"""The engine's promises on the CPU and, with `pytest -m cuda` on a machine that has one, on a GPU.

The same tests run on both, so that those for the GPU cannot rot where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from models.candidate import Candidate
from models.checkpoints.read import default_checkpoint_folder
from models.drawing.guiding import guide_block_lists
from models.drawing.ranking import rank, score
from models.drawing.samplers.asset import known_condition
from models.editor import SceneEditor
from models.errors import DeviceError
from models.networks.transformers.transformer import Visible
from models.opening import open_editor
from models.request import NOT_PAINTED, Draft, EditRequest, InFull, Progress, Reroll, SamplingSettings
from models.training.precision import Precision
from tests.helpers import box_paint, some_labels, some_photo, tiny_editor

SIZE = 540
HALF = 2e-2  # relative error of a joint likelihood in half precision


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    yield request.param
    if request.param == "cuda":
        torch.cuda.empty_cache()


def edit(window: int = 512, **basis: object) -> EditRequest:
    paint = box_paint(SIZE, SIZE, 200, 220, 290, 330)
    settings = SamplingSettings(4, seed=5, label_strength=1.5, sketch_strength=0.5, outline=1.0)
    return EditRequest(some_photo(SIZE, SIZE), some_labels(SIZE, SIZE), paint, settings, window, **basis)  # type: ignore[arg-type]


def unpainted_is_kept(request: EditRequest, candidate: Candidate) -> bool:
    outside = request.paint == NOT_PAINTED
    return np.array_equal(candidate.apply(request.photo)[outside], request.photo[outside])


@pytest.mark.parametrize("window", [256, 512])
def test_that_seeds_rank_and_unpainted_pixels_hold(device: str, window: int) -> None:
    engine = tiny_editor(device=device)
    first, second = list(engine.run(edit(window))), list(engine.run(edit(window)))
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.tokens, other.tokens) and one.log_likelihood == other.log_likelihood
        assert unpainted_is_kept(edit(window), one)
    ranked = rank(first)
    assert [c.log_likelihood for c in ranked] == sorted((c.log_likelihood for c in first), reverse=True)


def test_that_a_draft_at_256_is_drawn_in_full_as_it_was(device: str) -> None:
    engine = tiny_editor(device=device)
    drafts = list(engine.run(edit(256, way=Draft())))
    (full,) = engine.run(edit(256, way=InFull((drafts[1],))))
    assert np.array_equal(full.tokens, drafts[1].tokens)


def test_that_drafts_rerolls_previews_and_attention_run(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.drawing.previews.FIRST", 0.0)
    engine = tiny_editor(device=device)
    drafts = list(engine.run(edit(way=Draft())))
    steps: list[Progress] = []
    (full,) = engine.run(edit(way=InFull((drafts[0],))), None, steps.append, 1000.0)
    assert any(step.previews for step in steps if step.stage == "sga")
    again = list(engine.run(edit(way=Reroll.worst(full, 0.2))))
    assert all(unpainted_is_kept(edit(), candidate) for candidate in [full, *again])
    assert engine.attention(edit(), full)[0].shape == (256, 256)


def test_that_a_rescore_is_what_was_drawn(device: str) -> None:
    engine = tiny_editor(device=device)
    request = edit(256)
    (planned,) = engine._plan(request.paint, 256).windows
    level = engine.encoder.encode(request, planned, 0).low
    model = engine.networks.guiding_transformer
    plain = EditRequest(request.photo, request.labels, request.paint, SamplingSettings(2, seed=3), 256)
    for candidate in engine.run(plain):
        codes = torch.from_numpy(candidate.windows[0].codes.reshape(1, -1).copy()).to(level.codes.device)
        encoded = known_condition(engine.device, model, level, None, level.condition)
        with engine.device.autocast():
            again = float(score(model, encoded, codes, level.edit, level.grid).sum())
        limit = HALF if engine.device.cuda else 1e-4
        assert again == pytest.approx(candidate.log_likelihood, rel=limit)


@pytest.mark.slow
def test_that_the_default_checkpoint_agrees_with_the_cpu_in_single_precision(device: str) -> None:
    """Of the same codes: nats per token in half precision against the CPU's."""
    request = edit(512)
    reference = open_editor(default_checkpoint_folder(), "cpu")
    candidate = next(iter(reference.run(request)))
    engine = open_editor(default_checkpoint_folder(), device)
    nats = [_nats(e, request, candidate) for e in (reference, engine)]
    assert nats[1] == pytest.approx(nats[0], rel=HALF if engine.device.cuda else 1e-6)


def _nats(engine: SceneEditor, request: EditRequest, candidate: Candidate) -> float:
    (planned,) = engine._plan(request.paint, request.window).windows
    scene = engine.encoder.encode(request, planned, 0)
    level, low = scene.final, scene.low
    sga, guide = engine.networks.transformer, engine.networks.guiding_transformer
    assert sga is not None

    sketch = torch.from_numpy(candidate.windows[0].guide_codes.reshape(1, -1).copy()).to(low.codes.device)
    lists = guide_block_lists(guide, sketch, low.edit, low.condition, sga.config.top_k_blocks, engine.semantics)
    visible = Visible.of(lists)
    codes = torch.from_numpy(candidate.windows[0].codes.reshape(1, -1).copy()).to(level.codes.device)
    encoded = known_condition(engine.device, sga, level, visible, level.condition)
    with engine.device.autocast():
        return -float(score(sga, encoded, codes, level.edit, level.grid, visible).mean())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_that_a_full_gpu_is_one_clear_line_and_the_next_job_runs() -> None:
    engine = tiny_editor(device="cuda")
    total = torch.cuda.get_device_properties(0).total_memory
    try:
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + 2**20) / total)
        with pytest.raises(DeviceError, match="memory ran out"):
            list(engine.run(edit(512)))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert len(list(engine.run(edit(512)))) == 4


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_that_the_predicted_peak_is_near_the_measured_one() -> None:
    engine = open_editor(default_checkpoint_folder(), "cuda")
    request = edit(512)
    list(engine.run(request))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    list(engine.run(request))
    measured = torch.cuda.max_memory_allocated() - before
    predicted = engine.estimate_bytes(request.paint, 512, 4)
    print(f"predicted {predicted / 2**20:.0f} MiB, measured {measured / 2**20:.0f} MiB")
    assert 0.85 * measured <= predicted <= 3 * measured  # too little would fail, too much only makes batches smaller


def test_that_training_takes_the_device(device: str) -> None:
    precision = Precision.choose(device)
    assert precision.device.type == device
    with precision.autocast():
        product = torch.ones(2, 2, device=precision.device) @ torch.ones(2, 2, device=precision.device)
    assert product.dtype == (torch.bfloat16 if precision.bf16 else torch.float32)
