"""iLAT's two-stream VQGAN, for parity (iLAT, equations 2 to 4; specification of the sister systems, 3.1 to 3.3).

The editor's own encoder is stricter: its norms look at no masked pixel either (`networks/masking.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ..networks.vqgan.quantize import Codebook


class TwoStreamConv(nn.Conv2d):
    """Inside the mask all is seen; elsewhere nothing that is under it."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x: (B, C, H, W); mask: (B, 1, H, W), 1 = masked, or None: an ordinary convolution."""
        plain = super().forward(x)
        if mask is None:
            return plain
        stride = self.stride[0]
        small = pooled(mask, stride)
        padding = (int(self.padding[0]), int(self.padding[1]))
        touched = F.conv2d(mask, mask.new_ones(1, 1, *self.kernel_size), None, self.stride, padding) > 0
        ring = (touched.float() - small).clamp(0, 1)
        return plain * (1 - ring) + super().forward(x * (1 - mask)) * ring


def pooled(mask: Tensor, factor: int) -> Tensor:
    """A cell is masked when any of its pixels is."""
    return F.max_pool2d(mask, factor) if factor > 1 else mask


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.InstanceNorm2d(inputs, 1e-5), nn.InstanceNorm2d(outputs, 1e-5)
        self.conv1, self.conv2 = TwoStreamConv(inputs, outputs, 3, 1, 1), TwoStreamConv(outputs, outputs, 3, 1, 1)
        if inputs != outputs:
            self.nin_shortcut = TwoStreamConv(inputs, outputs, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)), mask)
        h = self.conv2(F.silu(self.norm2(h)), mask)
        return h + (self.nin_shortcut(x, mask) if hasattr(self, "nin_shortcut") else x)


class _Resample(nn.Module):
    def __init__(self, channels: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv = TwoStreamConv(channels, channels, *((4, 2, 1) if down else (3, 1, 1)))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.conv(x if self.down else F.interpolate(x, scale_factor=2.0, mode="nearest"), mask)


class _Level(nn.Module):
    def __init__(self, inputs: int, outputs: int, blocks: int) -> None:
        super().__init__()
        self.block = nn.ModuleList(_Block(inputs if n == 0 else outputs, outputs) for n in range(blocks))


class _Middle(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1, self.block_2 = _Block(channels, channels), _Block(channels, channels)


class _Encoder(nn.Module):
    def __init__(self, widths: Sequence[int], blocks: int, z_channels: int) -> None:
        super().__init__()
        self.conv_in = TwoStreamConv(3, widths[0], 3, 1, 1)
        self.down = nn.ModuleList()
        for number, width in enumerate(widths):
            level = _Level(widths[max(0, number - 1)], width, blocks)
            if number < len(widths) - 1:
                level.downsample = _Resample(width, down=True)
            self.down.append(level)
        self.mid = _Middle(widths[-1])
        self.norm_out = nn.InstanceNorm2d(widths[-1], 1e-5)
        self.conv_out = TwoStreamConv(widths[-1], z_channels, 3, 1, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = self.conv_in(x, mask)
        for level in self.down:
            for block in level.block:  # type: ignore[union-attr]
                x = block(x, mask)
            if hasattr(level, "downsample"):
                x = level.downsample(x, mask)  # type: ignore[operator]
                mask = None if mask is None else pooled(mask, 2)
        x = self.mid.block_2(self.mid.block_1(x, mask), mask)
        out: Tensor = self.conv_out(F.silu(self.norm_out(x)), mask)
        return out


class _Decoder(nn.Module):
    def __init__(self, widths: Sequence[int], blocks: int, z_channels: int) -> None:
        super().__init__()
        self.conv_in = TwoStreamConv(z_channels, widths[-1], 3, 1, 1)
        self.mid = _Middle(widths[-1])
        self.up = nn.ModuleList()
        for number, width in enumerate(widths):
            level = _Level(widths[min(number + 1, len(widths) - 1)], width, blocks + 1)
            if number:
                level.upsample = _Resample(width, down=False)
            self.up.append(level)
        self.norm_out = nn.InstanceNorm2d(widths[0], 1e-5)
        self.conv_out = TwoStreamConv(widths[0], 3, 3, 1, 1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid.block_2(self.mid.block_1(self.conv_in(z)))
        for level in reversed(self.up):
            for block in level.block:  # type: ignore[union-attr]
                x = block(x)
            if hasattr(level, "upsample"):
                x = level.upsample(x)  # type: ignore[operator]
        return self.conv_out(F.silu(self.norm_out(x))).tanh()


class TwoStreamVQGAN(nn.Module):
    """widths: channels of the levels, finest first."""

    def __init__(self, widths: Sequence[int], blocks: int, z_channels: int, embed_dim: int, codes: int) -> None:
        super().__init__()
        self.encoder, self.decoder = _Encoder(widths, blocks, z_channels), _Decoder(widths, blocks, z_channels)
        self.quantize = Codebook(codes, embed_dim)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(z_channels, embed_dim, 1), nn.Conv2d(embed_dim, z_channels, 1)

    def decode(self, features: Tensor) -> Tensor:
        picture: Tensor = self.decoder(self.post_quant_conv(features))
        return picture
