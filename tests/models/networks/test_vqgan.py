"""What the encoder keeps secret, what the decoder reads, and that strips decode to the same pixels."""

from __future__ import annotations

import copy
import dataclasses
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.config import Semantics, VQGANConfig
from models.networks.pictures import to_pixels
from models.networks.presets import default_config
from models.networks.vqgan import masking
from models.networks.vqgan.latent_decoder import WIDTHS
from models.networks.vqgan.masking import STRIP
from models.networks.vqgan.vqgan import VQGAN
from tests.helpers import CODES, LABELS, examples, tiny_vqgan, tiny_vqgan_config

KINDS = ["empty", "full", "one cell", "all but one cell", "random", "strokes"]


def variant(name: str) -> VQGANConfig:
    if name == "published":  # five levels from full resolution, attention, region norm
        return VQGANConfig(3, 3, (32, 32, 32, 32, 64), 1, 16, 8, CODES, attention=True, masked=True)
    if name == "group":
        return tiny_vqgan_config("group")
    if name == "group without attention":
        return tiny_vqgan_config("group", attention=False)
    return tiny_vqgan_config("position")


VARIANTS = ["position", "group", "group without attention", "published"]


@lru_cache(maxsize=16)
def model(name: str, semantics: Semantics = Semantics.CLEAN) -> VQGAN:
    return tiny_vqgan(variant(name), semantics)


def picture(height: int, width: int, seed: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def some_mask(kind: str, rows: int, columns: int, cell: int, seed: int) -> Tensor:
    """(1, 1, rows, columns) float; `cell` is the side of a token in mask pixels, 1 or 16."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((rows, columns), np.float32)
    top, left = int(rng.integers(rows // cell)) * cell, int(rng.integers(columns // cell)) * cell
    if kind in ("full", "all but one cell"):
        mask[:] = 1
    if kind == "random":
        mask = (rng.random((rows, columns)) < rng.random()).astype(np.float32)
    if kind == "strokes":
        mask[top, :], mask[:, left] = 1, 1
    if kind.endswith("one cell"):
        mask[top : top + cell, left : left + cell] = 1 if kind == "one cell" else 0
    return torch.from_numpy(mask)[None, None]


@pytest.mark.parametrize("semantics", list(Semantics))
@pytest.mark.parametrize("name", VARIANTS)
@given(
    st.sampled_from(KINDS),
    st.integers(0, 2**31),
    st.booleans(),
    st.booleans(),
    st.sampled_from([(3, 3), (2, 5), (4, 1)]),
)
@examples(24)
def test_that_known_features_do_not_depend_on_one_bit_of_the_masked_pixels(
    name: str, semantics: Semantics, kind: str, seed: int, by_pixel: bool, known_only: bool, cells: tuple[int, int]
) -> None:
    by_pixel = by_pixel and (variant(name).stem == 1 or known_only)
    mask = some_mask(kind, 16 * cells[0], 16 * cells[1], 16, seed) if by_pixel else some_mask(kind, *cells, 1, seed)
    first, second, known = encoded_twice(model(name, semantics), mask, cells, known_only, seed)
    assert first.shape == (1, 8, *cells)
    assert torch.equal(first[0, :, known], second[0, :, known])
    assert torch.isfinite(first[0, :, known]).all()
    if known_only and semantics is Semantics.CLEAN:
        assert torch.isfinite(first).all()


def encoded_twice(
    vqgan: VQGAN, mask: Tensor, cells: tuple[int, int], known_only: bool, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Features of two pictures that differ under the mask only, and the cells (rows, columns) that are known."""
    height, width = 16 * cells[0], 16 * cells[1]
    pixels = F.interpolate(mask, size=(height, width), mode="nearest")
    one = picture(height, width, seed)
    two = torch.where(pixels > 0, picture(height, width, seed + 1), one)
    if vqgan.semantics is Semantics.CLEAN:  # any masked pixel masks its cell
        known = F.adaptive_max_pool2d(mask, cells)[0, 0] == 0
    else:
        known = F.interpolate(mask, size=cells, mode="nearest")[0, 0] == 0
    with torch.inference_mode():
        first, second = (vqgan.encode(x, mask, known_only) for x in (one, two))
    return first, second, known


def test_that_a_mask_of_pixels_hides_them_from_a_model_with_a_stem_too() -> None:
    """A masked pixel anywhere in a token masks the whole token, not only one in its top-left corner."""
    mask = torch.zeros(1, 1, 48, 48)
    mask[0, 0, 21:27, 22:25] = 1
    vqgan = model("position", Semantics.CLEAN)
    first, second, _ = encoded_twice(vqgan, mask, (3, 3), known_only=False, seed=0)
    known = F.max_pool2d(mask, 16)[0, 0] == 0
    assert not known.all()
    assert torch.equal(first[0, :, known], second[0, :, known])


@pytest.mark.parametrize("semantics", list(Semantics))
@pytest.mark.parametrize("name", VARIANTS)
def test_that_known_features_do_depend_on_known_pixels(name: str, semantics: Semantics) -> None:
    """The bitwise test above must not pass because the encoder ignores its input."""
    mask = some_mask("one cell", 3, 3, 1, 0)
    known = mask[0, 0] == 0
    with torch.inference_mode():
        first, second = (model(name, semantics).encode(picture(48, 48, seed), mask) for seed in (1, 2))
    assert (first[0, :, known] != second[0, :, known]).any(0).all()


@pytest.mark.parametrize("name", VARIANTS)
@given(st.sampled_from(KINDS), st.integers(0, 2**31))
@examples(12)
def test_that_known_only_saves_work_and_not_accuracy(name: str, kind: str, seed: int) -> None:
    mask = some_mask(kind, 3, 3, 1, seed)
    known = mask[0, 0] == 0
    with torch.inference_mode():
        short, whole = (model(name).encode(picture(48, 48, seed), mask, known_only) for known_only in (True, False))
    assert (short - whole)[0, :, known].abs().max() <= 1e-4 if known.any() else True


@pytest.mark.parametrize("name", VARIANTS)
def test_that_an_empty_mask_changes_nothing_in_clean_semantics(name: str) -> None:
    with torch.inference_mode():
        without = model(name).encode(picture(48, 64, 3))
        with_empty = model(name).encode(picture(48, 64, 3), torch.zeros(1, 1, 3, 4))
    assert (without - with_empty).abs().max() <= 1e-4


def test_that_reference_region_norm_is_always_on() -> None:
    reference = model("group", Semantics.REFERENCE)
    with torch.inference_mode():
        without = reference.encode(picture(48, 48, 3))
        with_empty = reference.encode(picture(48, 48, 3), torch.zeros(1, 1, 48, 48))
        clean = model("group").encode(picture(48, 48, 3))
    assert torch.equal(without, with_empty)
    assert (without - clean).abs().max() > 0.01  # the published factor of channels per group (section 7.3)


def test_that_every_picture_of_a_batch_may_have_its_own_mask() -> None:
    masks = torch.cat([some_mask(kind, 3, 3, 1, 5) for kind in ("one cell", "random")])
    pictures = torch.cat([picture(48, 48, 1), picture(48, 48, 2)])
    with torch.inference_mode():
        both = model("group").encode(pictures, masks)
        one_by_one = [model("group").encode(pictures[i : i + 1], masks[i : i + 1]) for i in range(2)]
    assert (both - torch.cat(one_by_one)).abs().max() <= 1e-4


def test_that_an_unmasked_model_ignores_a_mask() -> None:
    label_model = tiny_vqgan(dataclasses.replace(variant("group"), masked=False))
    with torch.inference_mode():
        assert torch.equal(
            label_model.encode(picture(32, 32, 0), torch.ones(1, 1, 2, 2)), label_model.encode(picture(32, 32, 0))
        )


# --- codes inside, features outside -------------------------------------------------------------------------


@given(st.sampled_from(KINDS), st.integers(0, 2**31), st.integers(1, 3))
@examples(40)
def test_that_the_decoder_reads_codes_inside_the_edit_and_features_outside(kind: str, seed: int, batch: int) -> None:
    vqgan = model("position")
    generator = torch.Generator().manual_seed(seed)
    known = torch.randn(1, 8, 3, 5, generator=generator)
    tokens = torch.randint(CODES, (batch, 15), generator=generator)
    mask = some_mask(kind, 3, 5, 1, seed)
    mixed = vqgan.mix(tokens, known, mask)
    assert mixed.shape == (batch, 8, 3, 5)
    for sample in range(batch):
        for row in range(3):
            for column in range(5):
                inside = bool(mask[0, 0, row, column])
                code = vqgan.quantize.embedding.weight[tokens[sample, 5 * row + column]]
                assert torch.equal(mixed[sample, :, row, column], code if inside else known[0, :, row, column])


def test_that_decoding_tokens_looks_up_their_codes_in_raster_order() -> None:
    vqgan = model("position")
    tokens = torch.arange(15)[None] % CODES
    with torch.inference_mode():
        expected = vqgan.decode(vqgan.quantize.embedding(tokens).view(1, 3, 5, 8).permute(0, 3, 1, 2))
        assert (vqgan.decode_tokens(tokens, 3, 5) - expected).abs().max() <= 1e-5
    assert expected.shape == (1, 3, 48, 80)


# --- labels beside the codes --------------------------------------------------------------------------------


def test_that_a_new_decoder_is_deaf_to_labels_and_a_taught_one_hears_them_where_they_lie() -> None:
    vqgan = tiny_vqgan(tiny_vqgan_config(decoder_labels=LABELS))
    for hint in vqgan.decoder.hints:
        torch.nn.init.zeros_(hint.weight)
    tokens = torch.arange(160)[None] % CODES
    sky, sea = torch.zeros(2, 1, LABELS, 64, 640).unbind()
    sky[:, 1], sea[:, 1, :, :320], sea[:, 2, :, 320:] = 1, 1, 1
    with torch.inference_mode():
        plain = vqgan.decode_tokens(tokens, 4, 40)
        assert torch.equal(vqgan.decode_tokens(tokens, 4, 40, vqgan.label_shares(sky)), plain)
        for hint in vqgan.decoder.hints:
            torch.nn.init.normal_(hint.weight, generator=torch.Generator().manual_seed(1))
        left_alone = vqgan.decode_tokens(tokens, 4, 40, vqgan.label_shares(sky))
        changed = vqgan.decode_tokens(tokens, 4, 40, vqgan.label_shares(sea))
    gap = (left_alone - changed).abs().amax((0, 1, 2))
    assert not torch.equal(left_alone, plain)
    assert gap[:64].max() == 0 < gap[320:].min(), "only where the label differs, and what a convolution reaches"


def test_that_a_decoder_of_codes_only_takes_no_labels() -> None:
    assert not model("position").decoder.hints
    assert model("position").label_shares(torch.zeros(1, LABELS, 96, 160)) is None


# --- decoding in strips -------------------------------------------------------------------------------------


def watch_convolutions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects the rows that each 3x3 convolution gets from now on."""
    rows: list[int] = []
    real = F.conv2d

    def conv2d(x: Tensor, weight: Tensor, *arguments: Any, **options: Any) -> Tensor:
        if weight.shape[2] == 3:
            rows.append(x.shape[2])
        return real(x, weight, *arguments, **options)

    monkeypatch.setattr(F, "conv2d", conv2d)
    return rows


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("cells", [(4, 4), (5, 3), (9, 2), (16, 16)])
def test_that_strips_decode_to_the_same_pixels(
    name: str, cells: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = model(name)
    strips = copy.deepcopy(whole)
    assert strips.use_strips() and not strips.use_strips()
    tokens = torch.randint(CODES, (1, cells[0] * cells[1]), generator=torch.Generator().manual_seed(1))
    pictures, rows = [], []
    for vqgan in (whole, strips):
        rows.append(watch_convolutions(monkeypatch))
        with torch.inference_mode():
            pictures.append(vqgan.decode_tokens(tokens, *cells))
        monkeypatch.undo()
    one, two = pictures
    assert max(rows[0]) >= 16 * cells[0] and max(rows[1]) <= STRIP + 2
    levels = [to_pixels(x, Semantics.CLEAN).astype(int) for x in (one, two)]
    assert np.abs(levels[0] - levels[1]).max() <= 1
    assert (one - two).abs().max() <= 1e-3
    assert levels[0].std() > 5  # and the picture is no plain surface


def test_that_strips_leave_the_encoder_alone() -> None:
    strips = copy.deepcopy(model("position"))
    strips.use_strips()
    with torch.inference_mode():
        assert torch.equal(strips.encode(picture(160, 160, 0)), model("position").encode(picture(160, 160, 0)))


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("known_only", [False, True])
def test_that_large_feature_maps_are_encoded_in_strips_to_the_same_features(
    name: str, known_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = some_mask("random", 9, 5, 1, 3)
    with torch.inference_mode():
        whole = model(name).encode(picture(144, 80, 1), mask, known_only)
        monkeypatch.setattr(masking, "LARGE", 1)
        in_strips = model(name).encode(picture(144, 80, 1), mask, known_only)
    assert (whole - in_strips).abs().max() <= 1e-4


@pytest.mark.parametrize("part", [(0, 40, 0, 256), (96, 150, 130, 250), (200, 256, 8, 17)])
def test_that_a_part_decoded_from_latents_is_as_in_the_whole_picture(part: tuple[int, int, int, int]) -> None:
    config = default_config(20)
    torch.manual_seed(0)
    vqgan = VQGAN(dataclasses.replace(config.image_vqgan, latents=WIDTHS), config.semantics).eval()
    for parameter in vqgan.parameters():  # what starts at zero must not hide anything
        parameter.data += 0.02 * torch.randn_like(parameter)
    features, labels = torch.randn(2, 32, 16, 16), torch.rand(1, 20, 64, 64)
    box = slice(part[0], part[1]), slice(part[2], part[3])
    with torch.inference_mode():
        whole, cut = vqgan.decode(features, labels), vqgan.decode(features, labels, box)
    assert whole.std() > 1e-3
    torch.testing.assert_close(cut[:, :, box[0], box[1]], whole[:, :, box[0], box[1]], rtol=1e-4, atol=1e-4)
    cut = cut.clone()
    cut[:, :, box[0], box[1]] = 0
    assert not cut.any()
