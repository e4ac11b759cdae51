"""VQGAN of pictures and of label maps (specification, section 7; iLAT, equation 4).

Encoder: (B, in, H, W) -> features (B, embed, H/16, W/16); codebook: features <-> tokens; decoder: features
-> (B, out, H, W). Parameter names are the published ones.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import TOKEN_PIXELS, Semantics, VQGANConfig
from .latent_decoder import LatentDecoder
from .masking import AttentionBlock, MaskedConv2d, Norm, PositionNorm, Region
from .quantize import Codebook
from .taef2 import LATENT, latent_to_picture

GRAIN_SEED = 1
Part = tuple[slice, slice]  # rows and columns of a picture
REACHES = {6: (8, 65), 11: (4, 25), 16: (2, 5)}  # layer of TAEF2's decoder: pixels of a place, pixels still seen


def make_norm(channels: int, kind: str) -> nn.Module:
    return Norm(channels) if kind == "group" else PositionNorm(channels)


def swish(x: Tensor) -> Tensor:
    """x * sigmoid(x), in place where no gradient is wanted."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


class ResidualBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, norm: str) -> None:
        super().__init__()
        self.norm1 = make_norm(inputs, norm)
        self.conv1 = MaskedConv2d(inputs, outputs)
        self.norm2 = make_norm(outputs, norm)
        self.conv2 = MaskedConv2d(outputs, outputs)
        self.nin_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        h = self.conv1(swish(self.norm1(x, region)), region)
        h = self.conv2(swish(self.norm2(h, region)), region)
        h += x if self.nin_shortcut is None else self.nin_shortcut(x)
        return h


class Level(nn.Module):
    """One resolution: residual blocks, each followed by attention at the coarsest level."""

    def __init__(self, inputs: int, outputs: int, blocks: int, attention: bool, norm: str) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResidualBlock(inputs if i == 0 else outputs, outputs, norm) for i in range(blocks))
        self.attn = nn.ModuleList(AttentionBlock(outputs) for _ in range(blocks if attention else 0))
        self.downsample: Downsample | None = None
        self.upsample: Upsample | None = None

    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        for index, block in enumerate(self.block):
            x = block(x, region)
            if len(self.attn):
                x = self.attn[index](x, region)
        return x


class Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = MaskedConv2d(channels, channels, stride=2)

    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        return self.conv(x, region)


class Upsample(nn.Module):
    """Nearest doubling, then a 3x3 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = MaskedConv2d(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Middle(nn.Module):
    def __init__(self, channels: int, attention: bool, norm: str) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels, norm)
        self.attn_1 = AttentionBlock(channels) if attention else None
        self.block_2 = ResidualBlock(channels, channels, norm) if attention else None

    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        x = self.block_1(x, region)
        if self.attn_1 is not None and self.block_2 is not None:
            x = self.block_2(self.attn_1(x, region), region)
        return x


class Encoder(nn.Module):
    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        channels = config.channels
        self.stem = config.stem
        self.conv_in = MaskedConv2d(config.in_channels * config.stem**2, channels[0])
        self.down = nn.ModuleList()
        for index, outputs in enumerate(channels):
            last = index == len(channels) - 1
            inputs = channels[max(0, index - 1)]
            level = Level(inputs, outputs, config.res_blocks, config.attention and last, config.norm)
            level.downsample = None if last else Downsample(outputs)
            self.down.append(level)
        self.mid = Middle(channels[-1], config.attention, config.norm)
        self.norm_out = make_norm(channels[-1], config.norm)
        self.conv_out = MaskedConv2d(channels[-1], config.z_channels)

    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        if self.stem > 1:
            x = F.pixel_unshuffle(x, self.stem)
        x = self.conv_in(x, region)
        for level in self.down:
            assert isinstance(level, Level)
            x = level(x, region)
            if level.downsample is not None:
                x = level.downsample(x, region)
        x = self.mid(x, region)
        return self.conv_out(swish(self.norm_out(x, region)), region)


class TailStep(nn.Module):
    """One doubling towards full resolution with few channels."""

    def __init__(self, inputs: int, outputs: int, norm: str) -> None:
        super().__init__()
        self.upsample = Upsample(inputs, outputs)
        self.norm = make_norm(outputs, norm)
        self.conv = MaskedConv2d(outputs, outputs)

    def forward(self, x: Tensor, grain: Grain | None = None) -> Tensor:
        x = self.upsample(x)
        if grain is not None:
            x = grain(x)
        return x + self.conv(swish(self.norm(x)))


class Grain(nn.Module):
    """Adds noise to a feature map, by learned shares (none at first), for texture that the codes do not hold.

    The noise is new at each step of training; afterwards it is the same picture of noise for each size, so that
    the same codes always give the same pixels.
    """

    def __init__(self, noise: int, channels: int) -> None:
        super().__init__()
        self.share = nn.Conv2d(noise, channels, 1, bias=False)
        nn.init.zeros_(self.share.weight)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        noise = self.share.in_channels
        if self.training:
            return x + self.share(torch.randn(x.shape[0], noise, height, width, device=x.device, dtype=x.dtype))
        return x + self.share(_fixed_noise(noise, height, width).to(x))


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # a cached inference tensor could not be used in training
def _fixed_noise(channels: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(GRAIN_SEED + width)
    return torch.randn(1, channels, height, width, generator=generator)


class Decoder(nn.Module):
    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        channels = config.channels
        self.conv_in = MaskedConv2d(config.z_channels, channels[-1])
        self.mid = Middle(channels[-1], config.attention, config.norm)
        levels: list[nn.Module] = []
        for index, outputs in enumerate(channels):
            last = index == len(channels) - 1
            inputs = channels[min(index + 1, len(channels) - 1)]
            level = Level(inputs, outputs, config.res_blocks + 1, config.attention and last, config.norm)
            level.upsample = Upsample(outputs, outputs) if index > 0 else None
            levels.append(level)
        self.up = nn.ModuleList(levels)
        self.hints = nn.ModuleList()  # what each level learns from the label map; nothing at first
        if config.decoder_labels:
            inputs_of = (*channels[1:], channels[-1])
            for width in inputs_of:
                hint = nn.Conv2d(config.decoder_labels, width, 1, bias=False)
                nn.init.zeros_(hint.weight)
                self.hints.append(hint)
        ends = (channels[0], *config.tail)
        grained = (*channels[1:2], *config.tail) if config.decoder_noise else ()
        self.grains = nn.ModuleList(Grain(config.decoder_noise, width) for width in grained)  # finest level, tail
        self.tail = nn.ModuleList(TailStep(a, b, config.norm) for a, b in pairwise(ends))
        self.norm_out = make_norm(ends[-1], config.norm)
        self.conv_out = MaskedConv2d(ends[-1], config.out_channels)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.mid(self.conv_in(features))
        for index, level in reversed(list(enumerate(self.up))):
            assert isinstance(level, Level)
            if labels is not None:
                x = x + self.hints[index](F.adaptive_avg_pool2d(labels, x.shape[2:]))
            if index == 0 and len(self.grains):
                x = self.grains[0](x)
            x = level(x)
            if level.upsample is not None:
                x = level.upsample(x)
        for index, step in enumerate(self.tail):
            x = step(x, self.grains[index + 1] if len(self.grains) else None)
        return self.conv_out(swish(self.norm_out(x)))


class LatentPictureDecoder(nn.Module):
    """Features -> latents of a pretrained autoencoder -> picture in [-1, 1]; reads what `Decoder` reads."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        coarse, fine = config.latents
        self.latents = LatentDecoder(
            config.embed_dim, LATENT, config.decoder_labels, noise=config.decoder_noise, widths=(coarse, fine)
        )
        self.pictures = latent_to_picture().requires_grad_(False)

    def forward(self, features: Tensor, labels: Tensor | None = None, box: Part | None = None) -> Tensor:
        """box: rows and columns of the picture that are wanted; the rest comes out as zero."""
        if labels is None:
            labels = features.new_zeros(1, self.latents.labels, *features.shape[2:])
        noise = None
        if not self.training:
            noise = _fixed_noise(self.latents.noise, 2 * features.shape[2], 2 * features.shape[3]).to(features)
            noise = noise.expand(len(features), -1, -1, -1)
        x = self.latents(features, labels, noise)
        if box is None:
            picture: Tensor = self.pictures(x)
            return picture * 2 - 1
        side = TOKEN_PIXELS * features.shape[2], TOKEN_PIXELS * features.shape[3]
        origin = (0, 0)
        for index, layer in enumerate(self.pictures):
            if index in REACHES:
                pixels, reach = REACHES[index]
                x, origin = _cut(x, pixels, origin, box, reach)
            x = layer(x)
        x, _ = _cut(x, 1, origin, box, 0)
        whole = x.new_zeros(len(x), x.shape[1], *side)
        whole[:, :, box[0], box[1]] = x * 2 - 1
        return whole


def _cut(x: Tensor, pixels: int, origin: tuple[int, int], box: Part, reach: int) -> tuple[Tensor, tuple[int, int]]:
    """A feature map of so many pixels a place, from `origin` on, cut to the box and so many pixels round it."""
    starts, stops = [], []
    for first, part, places in zip(origin, box, x.shape[2:], strict=True):
        starts.append(max(0, (part.start - reach - first) // pixels))
        stops.append(min(places, -((first - part.stop - reach) // pixels)))
    cut = x[:, :, starts[0] : stops[0], starts[1] : stops[1]]
    return cut, (origin[0] + pixels * starts[0], origin[1] + pixels * starts[1])


class VQGAN(nn.Module):
    """Encoder, codebook and decoder of one kind of picture."""

    def __init__(self, config: VQGANConfig, semantics: Semantics) -> None:
        super().__init__()
        self.config = config
        self.semantics = semantics
        self.encoder = Encoder(config)
        self.decoder = LatentPictureDecoder(config) if config.latents else Decoder(config)
        self.quantize = Codebook(config.codes, config.embed_dim)
        self.quant_conv = nn.Conv2d(config.z_channels, config.embed_dim, 1)
        self.post_quant_conv = None if config.latents else nn.Conv2d(config.embed_dim, config.z_channels, 1)

    def encode(self, picture: Tensor, mask: Tensor | None = None, known_only: bool = False) -> Tensor:
        """Features before quantisation.

        picture: (B, in, H, W) float, photos in [-1, 1]; H and W multiples of 16.
        mask: (B or 1, 1, h, w) float, 1 = masked; the features of unmasked cells do not depend on any pixel under it.
        known_only: features at masked cells are not wanted and come out as garbage.
        Returns (B, embed, H/16, W/16).
        """
        region = None
        if self.config.masked:
            if mask is None and self.semantics is Semantics.REFERENCE:  # region norm is always on there
                mask = picture.new_zeros(picture.shape[0], 1, *picture.shape[2:])
            if mask is not None and self.semantics is Semantics.CLEAN:  # whole cells: any masked pixel masks its cell
                mask = F.max_pool2d(mask.float(), max(1, mask.shape[2] * TOKEN_PIXELS // picture.shape[2]))
            if mask is not None:
                region = Region(mask, self.semantics, known_only)
        if region is not None and known_only:
            picture = picture * (1 - region.at(picture))
        return self.quant_conv(self.encoder(picture, region))

    def decode(self, features: Tensor, labels: Tensor | None = None, box: Part | None = None) -> Tensor:
        """Features (B, embed, h, w) -> picture (B, out, 16h, 16w).

        labels: (B or 1, decoder_labels, H/stem, W/stem) float, the share of each label (`label_shares`),
        or None when they are not known; only a decoder with `decoder_labels` takes them.
        box: the part of the picture that is wanted; a decoder of latents makes no more than that (the rest is zero).
        """
        if self.post_quant_conv is None:
            return self.decoder(features, labels, box)
        return self.decoder(self.post_quant_conv(features), labels)

    def decode_tokens(self, tokens: Tensor, height: int, width: int, labels: Tensor | None = None) -> Tensor:
        """Tokens (B, h*w) in raster order -> picture (B, out, 16h, 16w); labels as in `decode`."""
        return self.decode(self.quantize.features(tokens, height, width), labels)

    def label_shares(self, hot: Tensor) -> Tensor | None:
        """One-hot labels (B, labels, H, W) -> what `decode` takes beside the codes; None where it takes nothing."""
        return F.avg_pool2d(hot, self.config.stem) if self.config.decoder_labels else None

    def use_strips(self) -> bool:
        """Convolve in strips from now on: less memory, the same pixels. Returns False when that is on already."""
        convolutions = [m for m in self.modules() if isinstance(m, MaskedConv2d)]
        fresh = not all(m.strips for m in convolutions)
        for convolution in convolutions:
            convolution.strips = True
        return fresh

    def mix(self, tokens: Tensor, known: Tensor, mask: Tensor) -> Tensor:
        """Codes inside the edit, unquantised features outside it (iLAT, equation 4).

        tokens: (B, h*w) int64; known: (B or 1, embed, h, w); mask: (B or 1, 1, h, w), 1 = generated.
        Returns features (B, embed, h, w).
        """
        drawn = self.quantize.features(tokens, known.shape[2], known.shape[3])
        return torch.where(mask > 0.5, drawn, known)
