"""Published files become a checkpoint with the same weights."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from models.checkpoints.convert import convert, read_ckpt
from models.checkpoints.published import config_from_fixture
from models.checkpoints.read import load_checkpoint
from models.errors import CheckpointError
from tests.models.checkpoints.pickles import (
    FIXTURE,
    fixture_shapes,
    fixture_tensors,
)
from tests.shared import shared_path

# ---- the fixtures


def test_that_both_files_give_the_weights_of_the_safetensors_file(tmp_path: Path) -> None:
    config = shared_path(*FIXTURE, "config.json")
    sga, guide = shared_path(*FIXTURE, "sga.ckpt"), shared_path(*FIXTURE, "guiding.ckpt")
    assert convert(sga, guide, config, tmp_path / "out", fixture_shapes) == tmp_path / "out"
    loaded = load_checkpoint(tmp_path / "out", fixture_shapes)
    wanted = fixture_tensors()
    assert loaded.tensors.keys() == wanted.keys()
    assert all(torch.equal(loaded.tensors[key], tensor) for key, tensor in wanted.items())
    assert loaded.config == config_from_fixture(json.loads(config.read_text()))
    assert [label.name for label in loaded.label_set.labels[:2]] == ["label 0", "label 1"]
    assert len(loaded.label_set) == 16
    stored = safetensors.torch.load_file(next((tmp_path / "out").glob("*.safetensors")))
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}


def test_that_read_ckpt_agrees_with_torch(tmp_path: Path) -> None:
    for name in ("sga.ckpt", "guiding.ckpt"):
        path = shared_path(*FIXTURE, name)
        wanted = torch.load(path, weights_only=True)["state_dict"]
        found = read_ckpt(path)
        assert list(found) == list(wanted)
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)
        assert all(found[key].stride() == wanted[key].stride() for key in wanted)


def test_that_a_malicious_fixture_executes_nothing(no_execution: Path) -> None:
    tensors = read_ckpt(shared_path(*FIXTURE, "malicious.ckpt"))
    assert len(tensors) == 4
    assert not (no_execution / "PWNED").exists()


def test_that_a_dict_keyed_by_an_absent_class_is_read() -> None:
    wanted = fixture_tensors()
    tensors = read_ckpt(shared_path(*FIXTURE, "pl_class_key.ckpt"))
    assert len(tensors) == 4
    assert all(torch.equal(tensor, wanted[f"guiding_{key}"]) for key, tensor in tensors.items())


# ---- converting


def lightning(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    torch.save({"epoch": 1, "state_dict": tensors}, path)
    return path


def published_pair(folder: Path, **changes: torch.Tensor | None) -> tuple[Path, Path]:
    """Both fixture files, with SGA entries changed or removed; names with '.' written as '__'."""
    sga = dict(read_ckpt(shared_path(*FIXTURE, "sga.ckpt")))
    for name, value in changes.items():
        key = name.replace("__", ".")
        if value is None:
            del sga[key]
        else:
            sga[key] = value
    guide = folder / "guide.ckpt"
    shutil.copy(shared_path(*FIXTURE, "guiding.ckpt"), guide)
    return lightning(folder / "sga.ckpt", sga), guide


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"transformer__lm_head__weight": None}, "'transformer.lm_head.weight': missing"),
        ({"transformer__shared__weight": None}, "'transformer.shared.weight': missing"),
        ({"transformer__surprise": torch.zeros(1)}, "'transformer.surprise': unknown"),
        ({"optimizer__state": torch.zeros(1)}, "'optimizer.state': unknown"),
        ({"transformer__lm_head__weight": torch.zeros(2, 2)}, "has shape [2, 2] where the config needs [96, 64]"),
        ({"transformer__lm_head__weight": torch.zeros(1).expand(10**5, 10**6)}, "has shape [100000, 1000000]"),
        ({"transformer__lm_head__weight": torch.zeros(96, 64, dtype=torch.int64)}, "int64 instead of floating"),
        ({"transformer__encoder__embed_tokens__weight": torch.zeros(98, 64)}, "differs from transformer.shared.weight"),
        ({"transformer__decoder__embed_blocks__weight": torch.zeros(1)}, "from transformer.shared_block.weight"),
        ({"transformer__lm_head__weight": torch.full((96, 64), float("inf"))}, "not finite"),
    ],
)  # fmt: skip
def test_that_conversion_is_strict(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    sga, guide = published_pair(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=re.escape(words)) as caught:
        convert(sga, guide, shared_path(*FIXTURE, "config.json"), tmp_path / "out", fixture_shapes)
    assert str(caught.value).isprintable()
    assert not list((tmp_path / "out").glob("*"))


def test_that_losses_and_colorize_are_dropped_and_other_precision_is_kept(tmp_path: Path) -> None:
    fine = torch.full((96, 64), 1 / 3)
    changes = {
        "transformer__lm_head__weight": fine,
        "first_stage_model__loss__discriminator__weight": torch.zeros(3),
        "loss__weight": torch.zeros(3),
    }
    sga, guide = published_pair(tmp_path, **changes)
    convert(sga, guide, shared_path(*FIXTURE, "config.json"), tmp_path / "out", fixture_shapes)
    assert torch.equal(load_checkpoint(tmp_path / "out").tensors["transformer.lm_head.weight"], fine)


def test_that_an_absent_guide_tensor_is_never_left_random(tmp_path: Path) -> None:
    sga, guide = published_pair(tmp_path)
    tensors = read_ckpt(guide)
    del tensors["transformer.decoder.layers.1.fc1.bias"]
    lightning(guide, tensors)
    with pytest.raises(CheckpointError, match=r"'guiding_transformer\.decoder\.layers\.1\.fc1\.bias': missing"):
        convert(sga, guide, shared_path(*FIXTURE, "config.json"), tmp_path / "out", fixture_shapes)


@pytest.mark.parametrize("content", [None, "", "{", "[" * 100_000, "[]", "{}", '{"transformer": 3}'])
def test_that_a_bad_config_file_is_refused(tmp_path: Path, content: str | None) -> None:
    config = tmp_path / "config.json"
    if content is not None:
        config.write_text(content)
    with pytest.raises(CheckpointError) as caught:
        convert(tmp_path / "a.ckpt", tmp_path / "b.ckpt", config, tmp_path / "out", fixture_shapes)
    assert str(config) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_vqgan.n_embed", 97), ("transformer.vocab_size", "96"), ("transformer.vocab_size", True),
        ("transformer.encoder_attention_heads", 0), ("transformer.decoder_attention_heads", 2),
        ("transformer.PEG_list", ["E_7"]), ("transformer.PEG_list", ["X_all"]), ("transformer.PEG_list", "E_all"),
        ("transformer.block_h", 8), ("transformer.dropout", "much"), ("transformer.dropout", None), ("n_blocks", 32),
        ("image_vqgan.ch_mult", [1, 2]), ("image_vqgan.attn_resolutions", [32]), ("image_vqgan.double_z", True),
        ("image_vqgan.norm_type", "GroupNorm"), ("seg_vqgan.out_ch", 3), ("sizes.high", 300), ("sizes.guide", 128),
        ("mask_token", 5), ("layer_norm_eps", 1e-6),
    ],
)  # fmt: skip
def test_that_contradictory_config_fields_are_named(name: str, value: Any) -> None:
    data = json.loads(shared_path(*FIXTURE, "config.json").read_text())
    section, _, field = name.rpartition(".")
    (data[section] if section else data)[field] = value
    with pytest.raises(CheckpointError, match=name.split(".")[-1]):
        config_from_fixture(data)
