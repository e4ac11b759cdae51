"""The networks of one checkpoint, built from its configuration; names and shapes of all its tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..config import ModelConfig
from ..errors import CheckpointError
from .segmenter.segmentation import Segmenter
from .transformers.transformer import Transformer
from .vqgan.vqgan import VQGAN


class Networks(nn.Module):
    """Image VQGAN, label VQGAN, guide, SGA and segmenter under the published names."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.first_stage_model = VQGAN(config.image_vqgan, config.semantics)
        self.cond_stage_model = VQGAN(config.label_vqgan, config.semantics)
        self.guiding_transformer = Transformer(config.guide)
        self.transformer = None if config.sga is None else Transformer(config.sga)
        self.segmenter = None
        if config.segmenter is not None:
            self.segmenter = Segmenter(config.segmenter, config.label_vqgan.in_channels)

    def load(self, tensors: Mapping[str, Tensor]) -> Networks:
        """Take over the tensors of a checkpoint (strict names and shapes); returns self, in evaluation mode."""
        try:
            self.load_state_dict(dict(tensors), strict=True, assign=True)
        except RuntimeError as error:
            raise CheckpointError(f"the weights do not fit the configuration: {str(error).splitlines()[-1]}") from error
        return self.eval().requires_grad_(False)


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor that a checkpoint of this configuration holds."""
    return {name: tuple(tensor.shape) for name, tensor in empty_networks(config).state_dict().items()}


def empty_networks(config: ModelConfig) -> Networks:
    """The networks without storage, to be filled by `Networks.load`."""
    with torch.device("meta"):
        return Networks(config)
