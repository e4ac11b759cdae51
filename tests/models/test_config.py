"""Configurations come from JSON strictly: every field known, of its type, and no class looked up by name."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from models.config import LabelSet, ModelConfig, Semantics, label_set_from_json
from models.errors import CheckpointError
from models.networks.assembly import expected_shapes
from models.networks.presets import default_config
from tests.helpers import LABEL_SET, tiny_config


def plain(config: ModelConfig) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(config.to_json()))
    return made


@pytest.mark.parametrize(
    "config", [tiny_config(s) for s in Semantics] + [tiny_config(segmenter=True), tiny_config(sga=False)]
)
def test_that_a_config_survives_json(config: ModelConfig) -> None:
    assert ModelConfig.from_json(plain(config)) == config


def changed(path: str, value: Any) -> dict[str, Any]:
    data = copy.deepcopy(plain(tiny_config(segmenter=True)))
    place = data
    *parents, last = path.split(".")
    for parent in parents:
        place = place[parent]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("semantics", "os.system", "reference, clean"),
        ("semantics", ..., "missing"),
        ("guide.d_model", "64", "guide.d_model"),
        ("guide.d_model", True, "guide.d_model"),
        ("guide.d_model", -64, "negative"),
        ("guide.heads", ..., "heads"),
        ("guide.heads", 5, "multiple of heads"),
        ("guide.positions", "sine", "sine"),
        ("guide.hint", "both", "both"),
        ("guide.class_path", "os.system", "unknown field"),
        ("guide.peg_encoder", "all", "array"),
        ("guide.peg_encoder", [0, "1"], "peg_encoder.1"),
        ("image_vqgan.norm", "batch", "batch"),
        ("image_vqgan.channels", [8, 8], "16 pixels a token"),
        ("image_vqgan.tail", [8], "undo stem"),
        ("image_vqgan.masked", 1, "masked"),
        ("segmenter.side", None, "side"),
        ("segmenter.context", [1, 2], "one each or none"),
        ("resolutions", 256, "resolutions"),
        ("label_vqgan", None, "label_vqgan"),
        ("extra", 1, "unknown field"),
    ],
)
def test_that_a_wrong_field_is_named_in_one_line(path: str, value: Any, words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        ModelConfig.from_json(changed(path, value))
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_that_something_else_is_no_config(data: Any) -> None:
    with pytest.raises(CheckpointError, match="expected an object"):
        ModelConfig.from_json(data)


def test_that_labels_are_found_by_name_in_any_case() -> None:
    assert LABEL_SET.index(" SeA ") == 2 and len(LABEL_SET) == 6
    with pytest.raises(KeyError):
        LABEL_SET.index("lava")


def entries(count: int = 2, **changes: Any) -> dict[str, Any]:
    return {"name": "x", "labels": [{"name": f"l{i}", "color": [i, 0, 0]} | changes for i in range(count)]}


def test_that_a_label_set_has_1_to_255_labels() -> None:
    made = label_set_from_json(entries(255))
    assert isinstance(made, LabelSet) and len(made) == 255 and made.labels[7].color == (7, 0, 0)
    for count in (0, 256):
        with pytest.raises(CheckpointError, match="1 to 255"):
            label_set_from_json(entries(count))


@pytest.mark.parametrize("color", [[1, 2], [1, 2, 256], [1, 2, -1], [1, 2, 0.5], "red", None])
def test_that_a_colour_is_three_integers(color: Any) -> None:
    with pytest.raises(CheckpointError):
        label_set_from_json(entries(color=color))


def test_that_the_default_model_is_small_enough_to_track() -> None:
    """Stored as float16, in at most 32 MB."""
    shapes = expected_shapes(default_config(20))
    numbers = 0
    for shape in shapes.values():
        count = 1
        for side in shape:
            count *= side
        numbers += count
    assert 2 * numbers <= 32e6
