"""`main.py evaluate` on a tiny checkpoint and synthetic photos, and the ablation's other ways to attend."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.cli import main
from models.checkpoints.read import load_checkpoint
from models.evaluation.baselines import PatchRetrieval, fill_mean_color, fill_telea, mean_colors
from models.evaluation.cases import cases
from models.evaluation.evaluate import Evaluation, Setting
from models.evaluation.variants import no_lists, sliding_nats
from models.grid import TokenGrid
from models.networks.assembly import expected_shapes
from models.networks.transformers.blocks import random_lists
from models.networks.transformers.transformer import Visible
from models.training.data.pairs import DataSet
from tests.helpers import CODES, LABEL_CODES, LABELS, save_tiny_checkpoint, tiny_config, tiny_transformer
from tests.training.training_data import write_loose

NAMES = [f"photo{n}" for n in range(6)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_loose(tmp_path_factory.mktemp("evaluation") / "data", NAMES, (520, 530), val=NAMES[:3])


def test_that_the_tables_are_complete(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = save_tiny_checkpoint(tmp_path / "checkpoint", tiny_config(segmenter=True))
    files = [str(tmp_path / name) for name in ("out.json", "sheet.png")]
    given = ["evaluate", str(folder), "--checkpoint", str(checkpoint), "--count", "3", "--samples", "2"]
    assert main([*given, "--json", files[0], "--sheet", files[1]]) == 0
    told = capsys.readouterr().out
    record = json.loads(Path(files[0]).read_text())
    tables = record["tables"]
    assert {row["method"] for row in tables["edits at 256"]} == {
        "Scenebrush", "plain sampling", "mean colour", "Telea", "patch retrieval", "real photos",
    }  # fmt: skip
    assert [row["method"] for row in tables["attention at 512"]] == [
        "sga", "random blocks", "local only", "dense", "sliding guide",
    ]  # fmt: skip
    assert all(np.isfinite(row["nats"]) for row in tables["attention at 512"])
    assert [row["network"] for row in tables["transformers"]] == ["guide", "sga"]
    assert record["facts"]["judge"] == "the checkpoint's own segmenter" and "edits at 256" in told
    real = tables["edits at 256"][-1]
    assert real["ssim"] == pytest.approx(1.0) and real["frechet"] is None  # no backbone was given
    assert Image.open(files[1]).size == (256 * 4, 256 * 3)


def test_that_nats_are_those_of_the_pictures_that_are_drawn(folder: Path, tmp_path: Path) -> None:
    """The attention table's figures come from the same photos and masks."""
    checkpoint = load_checkpoint(save_tiny_checkpoint(tmp_path / "checkpoint", tiny_config()), expected_shapes)
    evaluation = Evaluation(Setting(DataSet.open([folder]), checkpoint))
    found = list(cases(evaluation.setting.data, 512, 2))
    sets = evaluation._codes_of(found)
    assert sorted(sets) == [256, 512] and len(sets[512]) == 2
    for case, row in zip(found, sets[512].mask, strict=True):
        assert np.array_equal(row.reshape(32, 32), case.hidden.reshape(32, 16, 32, 16).any((1, 3)))


def test_that_bad_arguments_are_one_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", str(folder), "--count", "0"])
    assert main(["evaluate", str(tmp_path / "nowhere")]) == 2
    assert all(line.startswith("scenebrush: ") for line in capsys.readouterr().err.splitlines())


def test_that_cases_are_the_same_every_time_and_hide_one_part(folder: Path) -> None:
    data = DataSet.open([folder])
    one, two = (list(cases(data, 256, 3)) for _ in range(2))
    assert [c.id for c in one] == NAMES[:3]
    for a, b in zip(one, two, strict=True):
        assert (a.photo == b.photo).all() and (a.hidden == b.hidden).all()
        assert 0 < a.hidden.mean() < 0.6 and a.photo.shape == (256, 256, 3)


def test_that_baselines_change_hidden_pixels_only(folder: Path) -> None:
    data = DataSet.open([folder])
    (case,) = cases(data, 256, 1)
    colors = mean_colors(data.train, LABELS)
    assert np.abs(colors[:, 0].astype(int) - 40 * np.arange(LABELS)).max() < 12  # as the synthetic photos are made
    retrieval = PatchRetrieval(data.train, 256)
    for picture in (fill_mean_color(case, colors), fill_telea(case), retrieval.fill(case)):
        assert (picture[~case.hidden] == case.photo[~case.hidden]).all()
        assert (picture[case.hidden] != case.photo[case.hidden]).any()
    assert len(retrieval.pairs) == 3


def test_that_a_sliding_window_over_its_own_size_is_the_guide() -> None:
    guide = tiny_transformer(tiny_config().guide).eval()
    generator = torch.Generator().manual_seed(0)
    codes, target = torch.randint(CODES, (2, 16, 16), generator=generator)
    condition = torch.randint(LABEL_CODES, (16, 16), generator=generator)
    mask = torch.rand(16, 16, generator=generator) < 0.2
    found = sliding_nats(guide, codes, target, mask, condition)
    grid = TokenGrid(16)
    known = torch.where(mask, target, codes).reshape(1, -1)
    with torch.inference_mode():
        hidden = codes.reshape(1, -1).masked_fill(mask.reshape(1, -1), guide.config.mask_token)
        encoded = guide.encode(hidden, condition.reshape(1, -1), grid)
        logits = guide.decode(known, encoded, grid)[0, :-1].double().log_softmax(1)
    strip = grid.to_strip(mask.reshape(1, -1))[0]
    wanted = logits[strip].gather(1, grid.to_strip(target.reshape(1, -1))[0][strip][:, None])[:, 0]
    assert (found - wanted).abs().max() < 1e-4


def test_that_the_other_lists_are_lists() -> None:
    config = tiny_config().guide
    lists = random_lists(config, 2, 5, 3)
    assert lists.encoder.shape[1] == 1 and lists.cross.shape == (2, 2, config.heads, 64, 3)
    assert Visible.of(no_lists(config, 2)).cross[0].max() == 63
