"""The architecture of a checkpoint that is trained from nothing, sized by measurement (docs/training-log.md).

The one that ships has the same but for its decoder, which makes latents of TAEF2 (its card).
"""

from __future__ import annotations

from ..config import ModelConfig, SegmenterConfig, Semantics, TransformerConfig, VQGANConfig

# Networks that are stored in eight bits. The image encoder and its codebook are not: codes stay what they are.
EIGHT_BITS = ("first_stage_model.decoder.latents.", "guiding_transformer.", "transformer.")


def default_config(labels: int) -> ModelConfig:
    """The default architecture for a label set of `labels` labels: about 16 million parameters in all."""
    transformer = TransformerConfig(
        vocab_size=1024,
        condition_vocab_size=256,
        d_model=256,
        heads=4,
        encoder_layers=2,
        decoder_layers=3,
        ffn_dim=896,
        peg_encoder=(0, 1),
        peg_decoder=(0,),
        positions="block+cell",
        hint="target",
    )
    return ModelConfig(
        semantics=Semantics.CLEAN,
        image_vqgan=VQGANConfig(
            in_channels=3,
            out_channels=3,
            channels=(64, 128, 160),
            res_blocks=1,
            z_channels=64,
            embed_dim=32,
            codes=1024,
            attention=False,
            masked=True,
            norm="position",
            stem=4,
            tail=(32, 16),
            known_features=True,
            decoder_labels=labels,
            decoder_noise=4,
        ),
        label_vqgan=VQGANConfig(
            in_channels=labels,
            out_channels=labels,
            channels=(32, 48, 48),
            res_blocks=1,
            z_channels=32,
            embed_dim=16,
            codes=256,
            attention=False,
            norm="position",
            stem=4,
            tail=(16, 16),
        ),
        guide=transformer,
        sga=transformer,
        resolutions=(256, 512),
        segmenter=SegmenterConfig(channels=(24, 48, 80, 112), context=(0, 2, 4, 1), scenery=(84, 64)),
    )
