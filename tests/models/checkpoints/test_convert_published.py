"""The published models of both kinds."""

from __future__ import annotations

import json
import re

import pytest

from models.checkpoints.published import label_set_for, published_config
from models.config import ModelConfig, Semantics
from models.errors import CheckpointError
from tests.models.checkpoints.pickles import (
    Shapes,
)
from tests.shared import shared_path

# ---- the published models


def published_shapes(which: str) -> Shapes:
    """Our names and shapes for a published model, from the list of its checkpoint entries."""
    lists = json.loads(shared_path("spec", "asset-state-dict-keys.json").read_text())
    tied = re.compile(r"transformer\.(encoder|decoder)\.embed_(tokens|positions|blocks)\.weight$")
    dropped = "cond_stage_model.colorize"
    return {key: tuple(shape) for key, shape in lists[which].items() if not tied.search(key) and key != dropped}


PUBLISHED = [
    ("asset-landscape-1024", "landscape_SGA_transformer_1024"),
    ("asset-coco-512", "coco_SGA_transformer_512"),
]


@pytest.mark.parametrize(("name", "which"), PUBLISHED)
def test_published_names(name: str, which: str) -> None:
    networks = pytest.importorskip("models.networks.assembly", reason="models.networks.assembly is not written yet")
    found = networks.expected_shapes(published_config(name))
    assert {key: tuple(shape) for key, shape in found.items()} == published_shapes(which)


@pytest.mark.parametrize(("name", "which"), PUBLISHED)
def test_that_published_configs_fit_the_published_shapes(name: str, which: str) -> None:
    config, shapes = published_config(name), published_shapes(which)
    assert config.semantics is Semantics.REFERENCE
    assert config.sga is not None
    for part, transformer in (("transformer", config.sga), ("guiding_transformer", config.guide)):
        assert shapes[f"{part}.shared.weight"] == (transformer.start_token + 1, transformer.d_model)
        assert shapes[f"{part}.encoder.embed_cond.weight"] == (transformer.condition_vocab_size, transformer.d_model)
        assert shapes[f"{part}.decoder.layers.0.fc1.weight"] == (transformer.ffn_dim, transformer.d_model)
        for side, layers, peg in (
            ("encoder", transformer.encoder_layers, transformer.peg_encoder),
            ("decoder", transformer.decoder_layers, transformer.peg_decoder),
        ):
            found = re.findall(rf"^{part}\.{side}\.layers\.(\d+)\.fc1\.bias$", "\n".join(shapes), re.M)
            assert [int(number) for number in found] == list(range(layers))
            found = re.findall(rf"^{part}\.{side}\.layers\.(\d+)\.PEG_net\.proj\.0\.bias$", "\n".join(shapes), re.M)
            assert tuple(map(int, found)) == peg
    for part, vqgan in (("first_stage_model", config.image_vqgan), ("cond_stage_model", config.label_vqgan)):
        assert shapes[f"{part}.encoder.conv_in.weight"][:2] == (vqgan.channels[0], vqgan.in_channels)
        assert shapes[f"{part}.decoder.conv_out.bias"] == (vqgan.out_channels,)
        assert shapes[f"{part}.quantize.embedding.weight"] == (vqgan.codes, vqgan.embed_dim)
        assert shapes[f"{part}.encoder.conv_out.bias"] == (vqgan.z_channels,)
        for level, width in enumerate(vqgan.channels):
            last = vqgan.res_blocks - 1
            assert shapes[f"{part}.encoder.down.{level}.block.{last}.conv2.bias"] == (width,)
            assert f"{part}.encoder.down.{level}.block.{last + 1}.conv2.bias" not in shapes
    assert (config.image_vqgan.masked, config.label_vqgan.masked) == (True, False)
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_that_published_models_have_their_resolutions_and_labels() -> None:
    landscape, coco = (published_config(name) for name, _ in PUBLISHED)
    assert (landscape.resolutions, coco.resolutions) == ((256, 1024), (256, 512))
    names = label_set_for(landscape.label_vqgan.in_channels)
    known = {"mountain": 134, "rock": 149, "snow": 158, "road": 148, "tree": 168, "stone": 161, "river": 147,
             "grass": 123, "clouds": 105, "sea": 154, "flower": 118, "sky-other": 156, "water-other": 177}  # fmt: skip
    assert {name: names.index(name) for name in known} == known
    with_unlabelled = label_set_for(coco.label_vqgan.in_channels)
    assert with_unlabelled.index("pizza") == 59
    assert with_unlabelled.labels[0].name == "unlabelled"
    with pytest.raises(CheckpointError, match="asset-coco-512"):
        published_config("asset-ade20k")


@pytest.mark.parametrize("count", [1, 16, 182, 183, 255])
def test_that_generated_labels_are_distinct_and_repeatable(count: int) -> None:
    labels = label_set_for(count).labels
    assert len({label.name for label in labels}) == len({label.color for label in labels}) == len(labels) == count
    assert label_set_for(count).labels == labels
