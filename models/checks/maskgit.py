"""Parity with MaskGIT: network, schedules, drawing loop, loss, and the editing helpers of its demo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from ..drawing.samplers.parallel import LEAST, iterate, mask_again, masked_after, schedule
from ..networks.transformers.bidirectional import Bidirectional, BidirectionalConfig
from ..training.losses.masked import masked_token_loss
from .record import Comparison, Record

LOGITS, PROBABILITIES = 5e-4, 5e-5
NOTHING, IMPOSSIBLE = -1, -2  # entries of `mask_counts` that stand for no step, and for a nan of the reference


@torch.inference_mode()
def check_maskgit(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> Iterator[Comparison]:
    """Every array of a `maskgit-*` fixture."""
    inputs, expected = Record(folder / "inputs.npz"), Record(folder / "expected.npz")
    network = network_of(config, tensors)
    expected.compare("probe_logits", network(_ids(inputs, "ids_probe")), LOGITS)
    for name, case in config["cases"].items():
        _check_case(name, case, config, network, inputs, expected)
    _check_schedules(config["schedule_methods"], inputs, expected)
    _check_top_k(inputs, expected)
    _check_loss(inputs, expected)
    _check_demo(inputs, expected)
    for name in ("labels", "codes"):  # what the ids were made of
        inputs.input(name)
    yield from expected.finish()
    yield from inputs.finish()


def network_of(config: dict[str, Any], tensors: dict[str, Tensor]) -> Bidirectional:
    """The network with published parameters; its kernels are (in, out), those of attention with heads apart."""
    sizes = BidirectionalConfig(
        config["vocab"], config["side"] ** 2 + 1, config["d"], config["ffn"], config["heads"], config["layers"]
    )
    network = Bidirectional(sizes)
    width = sizes.width
    state = {
        "words.weight": tensors["Embed_0.word_embeddings.embedding"],
        "places.weight": tensors["Embed_0.position_embeddings.embedding"],
        "bias": tensors["MlmLayer_0.mlm_bias.bias"],
    }

    def norm(ours: str, theirs: str) -> None:
        state[f"{ours}.weight"], state[f"{ours}.bias"] = tensors[f"{theirs}.scale"], tensors[f"{theirs}.bias"]

    def linear(ours: str, theirs: str, inputs: int) -> None:
        state[f"{ours}.weight"] = tensors[f"{theirs}.kernel"].reshape(inputs, -1).t()
        state[f"{ours}.bias"] = tensors[f"{theirs}.bias"].flatten()

    norm("norm", "Embed_0.embeddings_ln")
    linear("dense", "MlmLayer_0.mlm_dense", width)
    norm("dense_norm", "MlmLayer_0.mlm_ln")
    for number in range(sizes.layers):
        ours, theirs = f"layers.{number}", f"TransformerLayer_{number}"
        for part in ("query", "key", "value", "out"):
            linear(f"{ours}.{part}", f"{theirs}.Attention_0.self_attention.{part}", width)
        norm(f"{ours}.attention_norm", f"{theirs}.Attention_0.attention_output_ln")
        linear(f"{ours}.inner", f"{theirs}.Mlp_0.intermediate_output", width)
        linear(f"{ours}.outer", f"{theirs}.Mlp_0.layer_output", sizes.ffn)
        norm(f"{ours}.norm", f"{theirs}.Mlp_0.layer_output_ln")
    network.load_state_dict(state)
    return network.eval()


def _ids(inputs: Record, name: str) -> Tensor:
    return torch.from_numpy(inputs.input(name).astype(np.int64))


def _check_case(
    name: str, case: dict[str, Any], config: dict[str, Any], network: Bidirectional, inputs: Record, expected: Record
) -> None:
    ids, codes = _ids(inputs, case["ids"]), config["codebook"]
    rows = len(ids)
    noise = {key: torch.from_numpy(inputs.input(key)) for key in ("gumbel_sample", "gumbel_choice")}
    still = name == "one_by_one"

    def logits(now: Tensor) -> Tensor:
        table: Tensor = torch.from_numpy(inputs.input("table_logits")) if case.get("table") else network(now)
        return table[:rows, :, :codes]

    def draw_noise(step: int) -> Tensor:
        return torch.zeros(()) if case["greedy"] else noise["gumbel_sample"][step, :rows]

    def order_noise(step: int) -> Tensor:
        return torch.zeros(()) if still else noise["gumbel_choice"][step, :rows]

    made = list(
        iterate(
            logits, ids, draw_noise, order_noise, steps=case["num_iter"], start=case["start_iter"],
            name=case["schedule"], choice_temperature=case["choice_temperature"],
        )
    )  # fmt: skip
    drawn = [ids] * case["start_iter"] + [one.drawn for one in made]
    expected.compare(f"{name}.ids_in", torch.stack([one.ids for one in made]))
    expected.compare(f"{name}.final", torch.stack(drawn, 1))
    expected.compare(f"{name}.mask_len", torch.stack([one.masked for one in made], 1))
    expected.compare(f"{name}.masking", torch.stack([one.again for one in made]))
    expected.compare(f"{name}.selected_prob", torch.stack([one.probabilities for one in made]), PROBABILITIES)
    expected.compare(f"{name}.logits", torch.stack([one.logits for one in made]), LOGITS)


def _check_schedules(methods: list[str], inputs: Record, expected: Record) -> None:
    ratios, totals = inputs.input("schedule_ratios"), inputs.input("schedule_totals")
    ours = np.stack([np.stack([schedule(m, ratios, int(total)) for total in totals]) for m in methods])
    odd = np.isnan(expected.input("schedule"))  # the logarithm of one token: nothing is left to mask
    expected.add("schedule (where the reference has no number)", float((ours[odd] != np.float32(LEAST)).sum()), 0)
    expected.compare("schedule", np.where(odd, expected.input("schedule"), ours), 2e-6)
    counts, edge = expected.input("mask_counts"), expected.input("mask_counts_edge")
    wrong = 0
    for m, n, t in np.ndindex(*counts.shape[:3]):
        total, steps = int(inputs.input("count_totals")[n]), int(inputs.input("count_steps")[t])
        unknown = total
        for step, count in enumerate(counts[m, n, t]):
            if count == NOTHING:
                continue
            found = masked_after(methods[m], step, steps, total, unknown)
            wrong += count != IMPOSSIBLE and abs(found - int(count)) > int(edge[m, n, t, step])
            unknown = found if count == IMPOSSIBLE else int(count)
    expected.add("mask_counts", float(wrong), 0)


def _check_top_k(inputs: Record, expected: Record) -> None:
    probabilities, noise = (torch.from_numpy(inputs.input(name)) for name in ("topk_probs", "topk_gumbel"))
    count = torch.from_numpy(inputs.input("topk_len").astype(np.int64))
    found = [mask_again(probabilities.log() + float(t) * noise, count) for t in inputs.input("topk_temperatures")]
    expected.compare("topk_masking", torch.stack(found))


def _check_loss(inputs: Record, expected: Record) -> None:
    logits, weights = (torch.from_numpy(inputs.input(f"loss_{name}")) for name in ("logits", "weights"))
    losses = [masked_token_loss(logits, _ids(inputs, "loss_labels"), weights, smoothing) for smoothing in (0.0, 0.1)]
    expected.compare("loss", torch.stack(losses), 2e-5)


def _check_demo(inputs: Record, expected: Record) -> None:
    boxes = [latent_box(*(int(v) for v in row)) for row in inputs.input("boxes")]
    expected.compare("boxes_latent", np.array(boxes))
    mask, image, output = (inputs.input(f"composite_{name}") for name in ("latent_mask", "image", "output"))
    expected.compare("composite", composite(mask, image, output), 1 / 255)


def latent_box(side: int, top: int, left: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Top, bottom, left, right in codes of a box in pixels, a code wider on each side (specification, 4.5)."""
    grid = side // 16

    def span(first: int, length: int) -> tuple[int, int]:
        return max(0, first // 16 - 1), min(grid, length // 16 + first // 16 + 1)

    return *span(top, height), *span(left, width)


def composite(mask: np.ndarray, image: np.ndarray, output: np.ndarray) -> np.ndarray:
    """The drawn picture over the original through the latent mask, enlarged and blurred (specification, 4.5)."""
    side = image.shape[0]
    large = Image.fromarray(mask.astype(np.uint8) * 255).resize((side, side), Image.Resampling.BICUBIC)
    soft = np.asarray(large.filter(ImageFilter.GaussianBlur(radius=side // 16 - 1)), np.float32)[..., None] / 255
    return np.asarray(output * soft + image * (1 - soft))
