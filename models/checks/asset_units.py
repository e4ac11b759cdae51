"""The single layers of a parity fixture (`units.npz`): every array by name, whatever its size."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from ..config import Semantics
from ..drawing.sampling import filter_logits
from ..grid import TokenGrid, block_ids, strip_permutation
from ..networks.transformers.attention import attend, attend_causal
from ..networks.transformers.blocks import exclusion_causal, exclusion_full, visible_causal, visible_full
from ..networks.transformers.transformer import Attention, Peg
from ..networks.vqgan.masking import AttentionBlock, MaskedConv2d, Norm, Region
from ..networks.vqgan.quantize import Codebook, quantiser_loss
from ..networks.vqgan.vqgan import ResidualBlock
from .record import Comparison, Record

LAYER = 1e-5


def check_units(record: Record) -> list[Comparison]:
    """Run our layers on the fixture's inputs and compare their outputs."""
    _orders(record)
    _masked_convolutions(record)
    _region_norms(record)
    _module(record, "attnblock", lambda w: AttentionBlock(w["norm.weight"].shape[0]))
    _module(
        record, "resblock", lambda w: ResidualBlock(w["conv1.weight"].shape[1], w["conv1.weight"].shape[0], "group")
    )
    _quantiser(record)
    _peg(record)
    _sparse_attention(record)
    _filters(record)
    return record.finish()


def _tensor(record: Record, name: str) -> Tensor:
    return torch.from_numpy(record.input(name))


def _region(mask: Tensor) -> Region:
    return Region(mask, Semantics.REFERENCE)


def _orders(record: Record) -> None:
    for name in list(record.arrays):
        if match := re.fullmatch(r"strip_perm_(\d+)", name):
            record.compare(name, strip_permutation(int(match[1]) // 16))
        elif match := re.fullmatch(r"block_ids_(\d+)", name):
            record.compare(name, block_ids(int(match[1]) // 16))
    record.compare("exclusion_full", exclusion_full())
    record.compare("exclusion_causal", exclusion_causal(Semantics.REFERENCE))


def _masked_convolutions(record: Record) -> None:
    x, mask = _tensor(record, "mconv_input"), _tensor(record, "mconv_mask")
    for stride in (1, 2):
        weight, bias = _tensor(record, f"mconv_s{stride}_weight"), _tensor(record, f"mconv_s{stride}_bias")
        conv = MaskedConv2d(weight.shape[1], weight.shape[0], stride)
        conv.load_state_dict({"weight": weight, "bias": bias})
        record.compare(f"mconv_s{stride}_output", conv(x, _region(mask)), LAYER)
        record.compare(f"mconv_s{stride}_output_nomask", conv(x), LAYER)
        if record.has(f"mconv_s{stride}_output_bigmask"):
            big = _region(_tensor(record, "mconv_bigmask"))
            record.compare(f"mconv_s{stride}_output_bigmask", conv(x[:1], big), LAYER)


def _region_norms(record: Record) -> None:
    for name in [n for n in record.arrays if re.fullmatch(r"rnorm\d+_input", n)]:
        prefix = name.removesuffix("_input")
        x, mask = _tensor(record, name), _tensor(record, f"{prefix}_mask")
        norm = Norm(x.shape[1])
        norm.load_state_dict({key: _tensor(record, f"{prefix}_{key}") for key in ("weight", "bias")})
        record.compare(f"{prefix}_output", norm(x, _region(mask)), LAYER)
        record.compare(f"{prefix}_output_zeromask", norm(x, _region(torch.zeros_like(mask))), LAYER)


def _module(record: Record, prefix: str, build) -> None:  # type: ignore[no-untyped-def]
    names = [n for n in record.arrays if n.startswith(prefix + "_") and n.endswith((".weight", ".bias"))]
    weights = {n.removeprefix(prefix + "_"): _tensor(record, n) for n in names}
    module: nn.Module = build(weights)
    module.load_state_dict(weights)
    x, mask = _tensor(record, f"{prefix}_input"), _tensor(record, f"{prefix}_mask")
    record.compare(f"{prefix}_output", module(x, _region(mask)), LAYER)
    record.compare(f"{prefix}_output_mask0_shared", module(x, _region(mask[:1])), LAYER)


def _quantiser(record: Record) -> None:
    x, table = _tensor(record, "quant_input"), _tensor(record, "quant_codebook")
    book = Codebook(*table.shape)
    book.load_state_dict({"embedding.weight": table})
    drawn, tokens = book.straight_through(x)
    vectors = book.features(tokens, x.shape[2], x.shape[3])
    flat = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    record.compare("quant_output", drawn, LAYER)
    record.compare("quant_indices", tokens.flatten())
    record.compare("quant_distances", book.distances(flat), 1e-4)
    record.compare("quant_loss_legacy", quantiser_loss(x, vectors, legacy=True), LAYER)
    record.compare("quant_loss", quantiser_loss(x, vectors), LAYER)


def _peg(record: Record) -> None:
    weight = _tensor(record, "peg_weight")
    peg = Peg(weight.shape[0], weight.shape[2])
    peg.load_state_dict({"proj.0.weight": weight, "proj.0.bias": _tensor(record, "peg_bias")})
    for name in [n for n in record.arrays if re.fullmatch(r"peg_input_\d+", n)]:
        grid = TokenGrid.of_resolution(int(name.removeprefix("peg_input_")))
        record.compare(name.replace("input", "output"), peg(_tensor(record, name), grid), LAYER)


def _sparse_attention(record: Record) -> None:
    full, causal = _tensor(record, "attn_full_lists").long(), _tensor(record, "attn_causal_lists").long()
    names = [f"{part}_proj.{kind}" for part in "kvq" for kind in ("weight", "bias")] + [
        "out_proj.weight",
        "out_proj.bias",
    ]
    weights = {name: _tensor(record, f"attn_{name}") for name in names}
    layer = Attention(weights["q_proj.weight"].shape[0], full.shape[1])
    layer.load_state_dict(weights)
    encoded, decoded = _tensor(record, "attn_encoder_input"), _tensor(record, "attn_decoder_input")
    q, k, v = layer.queries_keys_values(encoded)
    record.compare("attn_encoder_output", layer.join(attend(q, k, v, visible_full(full))), 2e-5)
    own, own_k, own_v = layer.queries_keys_values(decoded)
    record.compare("attn_cross_output", layer.join(attend(own, k, v, visible_full(full), start=True)), 2e-5)
    record.compare("attn_causal_output", layer.join(attend_causal(own, own_k, own_v, visible_causal(causal))), 2e-5)


def _filters(record: Record) -> None:
    logits = _tensor(record, "filter_logits")
    for name in list(record.arrays):
        if match := re.fullmatch(r"filter_top_k_(\d+)", name):
            record.compare(name, filter_logits(logits, int(match[1]), None))
        elif match := re.fullmatch(r"filter_top_p_(.+)", name):
            record.compare(name, filter_logits(logits, None, float(match[1])))
