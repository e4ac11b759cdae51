"""The transformer of the guide and of SGA: one class, sizes and position encoding by configuration.

Post-norm encoder and decoder in the manner of BART; PEG, a depthwise convolution inside each block, encodes
places within blocks (specification, sections 2 and 3; ASSET, section 3.2). All layers run in strip order.
Parameter names are the published ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import TransformerConfig
from ...grid import BLOCKS, TokenGrid
from .attention import attend, attend_causal, attention_weights
from .blocks import BlockLists, visible_causal, visible_full
from .linear import PackedLinear

START_POSITION = 256  # row of `shared_pos`
CELLS = 16  # `shared_pos` rows 0…255 are a 16x16 table of positions
SelfAttend = Callable[[Tensor, Tensor, Tensor], Tensor]
CrossAttend = Callable[[Tensor], Tensor]


@dataclass
class AttentionMaps:
    """Attention weights of every layer, (B, heads, Lq, Lk) each, filled in while the transformer runs."""

    encoder: list[Tensor] = field(default_factory=list)
    causal: list[Tensor] = field(default_factory=list)
    cross: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Visible:
    """Per layer, the blocks visible to each block (attention.py); built once from block lists."""

    encoder: tuple[Tensor, ...]
    causal: tuple[Tensor, ...]
    cross: tuple[Tensor, ...]

    @classmethod
    def of(cls, lists: BlockLists) -> Visible:
        return cls(
            tuple(visible_full(x) for x in lists.encoder),
            tuple(visible_causal(x) for x in lists.causal),
            tuple(visible_full(x) for x in lists.cross),
        )


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))
        self.packed: PackedLinear | None = None

    def split(self, x: Tensor) -> Tensor:
        """(B, L, d) -> (B, heads, L, dh)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, L, d) -> three of (B, heads, L, dh), in one product once packed."""
        if self.packed is not None:
            q, k, v = self.packed(x).chunk(3, 2)
            return self.split(q), self.split(k), self.split(v)
        return self.split(self.q_proj(x)), self.split(self.k_proj(x)), self.split(self.v_proj(x))

    def join(self, mixed: Tensor) -> Tensor:
        """(B, heads, L, dh) -> (B, L, d), through the output projection."""
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class Peg(nn.Module):
    """Depthwise convolution inside each block, zero-padded at the block's border (specification, section 3)."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width))

    def forward(self, x: Tensor, grid: TokenGrid) -> Tensor:
        """(B, L, d) strip order -> (B, L, d)."""
        return grid.images_as_blocks(self.proj(grid.blocks_as_images(x)), x.shape[0])


class EncoderLayer(nn.Module):
    def __init__(self, config: TransformerConfig, index: int) -> None:
        super().__init__()
        width = config.d_model
        if index in config.peg_encoder:
            self.PEG_net = Peg(width, config.peg_kernel)
        self.has_peg = index in config.peg_encoder
        self.self_attn = Attention(width, config.heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, config.ffn_dim), nn.Linear(config.ffn_dim, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, grid: TokenGrid, visible: Tensor | None, maps: list[Tensor] | None) -> Tensor:
        if self.has_peg:
            x = x + self.PEG_net(x, grid)
        q, k, v = self.self_attn.queries_keys_values(x)
        if maps is not None:
            maps.append(attention_weights(q, k, causal=False))
        x = self.self_attn_layer_norm(x + self.drop(self.self_attn.join(attend(q, k, v, visible))))
        return self.final_layer_norm(x + self.drop(self.fc2(F.gelu(self.fc1(x)))))


class DecoderLayer(nn.Module):
    def __init__(self, config: TransformerConfig, index: int) -> None:
        super().__init__()
        width = config.d_model
        if index in config.peg_decoder:
            self.PEG_net = Peg(width, config.peg_kernel)
        self.has_peg = index in config.peg_decoder
        self.self_attn = Attention(width, config.heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.encoder_attn = Attention(width, config.heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, config.ffn_dim), nn.Linear(config.ffn_dim, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, hint: Tensor | None, attend_self: SelfAttend, attend_cross: CrossAttend) -> Tensor:
        """x: (B, m, d), any run of entries. hint: (B or 1, m, d) from this layer's PEG, or None.

        attend_self gets queries, keys and values of these entries, attend_cross their queries; both return
        (B, heads, m, dh). What they attend to (whole sequence or cache) is the caller's matter.
        """
        if hint is not None:
            x = x + hint
        mixed = self.self_attn.join(attend_self(*self.self_attn.queries_keys_values(x)))
        x = self.self_attn_layer_norm(x + self.drop(mixed))
        queries = self.encoder_attn.split(self.encoder_attn.q_proj(x))
        x = self.encoder_attn_layer_norm(x + self.drop(self.encoder_attn.join(attend_cross(queries))))
        return self.final_layer_norm(x + self.drop(self.fc2(F.gelu(self.fc1(x)))))

    def memory(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, heads, L, dh) of the encoder output (B, L, d)."""
        attention = self.encoder_attn
        return attention.split(attention.k_proj(encoded)), attention.split(attention.v_proj(encoded))

    def hint(self, encoded: Tensor, grid: TokenGrid, target: bool) -> Tensor | None:
        """What this layer adds to the entries (B, 1 + L, d): PEG of the encoder output, of the entry's own token
        or of the one it has to predict; None without PEG."""
        if not self.has_peg:
            return None
        return F.pad(self.PEG_net(encoded, grid), (0, 0, 0, 1) if target else (0, 0, 1, 0))


class _Encoder(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.embed_cond = nn.Embedding(config.condition_vocab_size, config.d_model)
        self.layernorm_embedding = nn.LayerNorm(config.d_model)
        self.layers = nn.ModuleList(EncoderLayer(config, i) for i in range(config.encoder_layers))


class _Decoder(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.layernorm_embedding = nn.LayerNorm(config.d_model)
        self.layers = nn.ModuleList(DecoderLayer(config, i) for i in range(config.decoder_layers))


class Transformer(nn.Module):
    """Label codes and known image codes in, distribution of each next image code out."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.d_model
        self.shared = nn.Embedding(config.vocab_size + 2, width)
        self.shared_pos = nn.Embedding(START_POSITION + 1, width)
        self.shared_block = nn.Embedding(BLOCKS, width)
        self.encoder = _Encoder(config)
        self.decoder = _Decoder(config)
        self.lm_head = nn.Linear(width, config.vocab_size, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def positions(self, grid: TokenGrid) -> Tensor:
        """Position embeddings (L, d) in strip order."""
        kind = self.config.positions
        total = torch.zeros((), device=self.shared.weight.device)
        if "block" in kind:
            total = total + self.shared_block.weight.repeat_interleave(grid.tokens_per_block, 0)
        if "cell" in kind:
            table = self.shared_pos.weight[: CELLS * CELLS].t().reshape(1, -1, CELLS, CELLS)
            if grid.side != CELLS:
                table = F.interpolate(table, size=(grid.side, grid.side), mode="bilinear", align_corners=False)
            total = total + grid.to_strip(table.flatten(2).transpose(1, 2))[0]
        return total

    def encode(
        self,
        tokens: Tensor,
        condition: Tensor,
        grid: TokenGrid,
        visible: Sequence[Tensor] | None = None,
        maps: AttentionMaps | None = None,
    ) -> Tensor:
        """Encoder output (B, L, d) in strip order.

        tokens: (B, L) int64 raster, MASK where the code is to be drawn; condition: (B, L) int64 label codes.
        visible: per layer, for block-sparse attention. maps: collects attention weights (dense only).
        """
        embedded = self.shared(tokens) + self.encoder.embed_cond(condition)
        x = self.encoder.layernorm_embedding(grid.to_strip(embedded) + self.positions(grid))
        for index, layer in enumerate(self.encoder.layers):
            x = layer(x, grid, None if visible is None else visible[index], None if maps is None else maps.encoder)
        return x

    def places(self, grid: TokenGrid) -> Tensor:
        """Position embeddings (1 + L, d) of the decoder's entries, [START] first."""
        return torch.cat([self.shared_pos.weight[START_POSITION:], self.positions(grid)])

    def embed(self, tokens: Tensor, places: Tensor) -> Tensor:
        """Decoder input (B, m, d) of some entries; tokens: (B, m) ids; places: (m, d), their rows of `places`."""
        return self.decoder.layernorm_embedding(self.shared(tokens) + places)

    def hints(self, encoded: Tensor, grid: TokenGrid) -> list[Tensor | None]:
        """Per decoder layer, what it adds to its input (B, 1 + L, d), or None."""
        target = self.config.hint == "target"
        return [layer.hint(encoded, grid, target) for layer in self.decoder_layers()]

    def decoder_layers(self) -> list[DecoderLayer]:
        return cast(list[DecoderLayer], list(self.decoder.layers))

    def decode(
        self,
        tokens: Tensor,
        encoded: Tensor,
        grid: TokenGrid,
        visible: Visible | None = None,
        maps: AttentionMaps | None = None,
    ) -> Tensor:
        """Teacher-forced logits (B, 1 + L, V) in strip order; entry 0 ([START]) predicts strip token 0.

        tokens: (B, L) int64 raster, all codes. encoded: (B or 1, L, d) from `encode`.
        """
        start = torch.full_like(tokens[:, :1], self.config.start_token)
        x = self.embed(torch.cat([start, grid.to_strip(tokens)], 1), self.places(grid))
        for index, (layer, hint) in enumerate(zip(self.decoder_layers(), self.hints(encoded, grid), strict=True)):
            x = layer(x, hint, *self._whole_sequence(layer, encoded, index, visible, maps))
        return self.lm_head(x)

    def _whole_sequence(
        self, layer: DecoderLayer, encoded: Tensor, index: int, visible: Visible | None, maps: AttentionMaps | None
    ) -> tuple[SelfAttend, CrossAttend]:
        """The two attentions of a layer over the whole sequence."""
        keys, values = layer.memory(encoded)

        def attend_self(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            if maps is not None:
                maps.causal.append(attention_weights(q, k, causal=True))
            return attend_causal(q, k, v, None if visible is None else visible.causal[index])

        def attend_cross(q: Tensor) -> Tensor:
            if maps is not None:
                maps.cross.append(attention_weights(q, keys, causal=False))
            return attend(q, keys, values, None if visible is None else visible.cross[index], start=True)

        return attend_self, attend_cross

    def pack(self) -> None:
        """Lay the decoder's weights out for fast small batches, for good (inference on the CPU; linear.py)."""
        if isinstance(self.lm_head, PackedLinear):
            return
        for layer in self.decoder_layers():
            attention = layer.self_attn
            attention.packed = PackedLinear([attention.q_proj, attention.k_proj, attention.v_proj])
            attention.q_proj = attention.k_proj = attention.v_proj = None  # type: ignore[assignment]
            for owner, names in ((attention, ("out_proj",)), (layer.encoder_attn, ("q_proj", "out_proj")),
                                 (layer, ("fc1", "fc2"))):  # fmt: skip
                for name in names:
                    setattr(owner, name, PackedLinear([getattr(owner, name)]))
        self.lm_head = PackedLinear([self.lm_head])  # type: ignore[assignment]

    def step_bytes(self) -> int:
        """Bytes of weights that one decoding step reads."""
        memory = [layer.encoder_attn for layer in self.decoder_layers()]  # keys and values are computed once
        skipped = {id(m) for attention in memory for m in (attention.k_proj, attention.v_proj)}
        total = 0
        for module in (*self.decoder.modules(), self.lm_head):
            if isinstance(module, PackedLinear):
                total += module.bytes_read
            elif isinstance(module, nn.Linear) and id(module) not in skipped:
                total += module.weight.numel() * module.weight.element_size()
        return total
