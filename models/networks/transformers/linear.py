"""Linear layers laid out for small batches.

A decoding step multiplies one to a few dozen rows with every weight of the decoder, so reading the weights is
what takes the time. On the CPU the weights are repacked once for oneDNN's small-batch kernels (measured: 1.5
times the speed at one row, 2.4 times at eight; `main.py bench`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_ROWS = 8  # the batch that the packed layout is made for; any other works


class PackedLinear(nn.Module):
    """One or several nn.Linear with the same input, as one packed product; inference only, on the CPU."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        weight = torch.cat([layer.weight.detach() for layer in layers])
        biases = [torch.zeros(layer.out_features) if layer.bias is None else layer.bias.detach() for layer in layers]
        self.bias = nn.Parameter(torch.cat(biases), requires_grad=False)
        self.bytes_read = weight.numel() * weight.element_size()
        self._packed = _pack(weight)

    def forward(self, x: Tensor) -> Tensor:
        if self._packed.is_mkldnn:
            rows = x.reshape(-1, x.shape[-1])
            out = torch.ops.mkldnn._linear_pointwise(rows, self._packed, self.bias, "none", [], "")
            return out.view(*x.shape[:-1], -1)
        return F.linear(x, self._packed, self.bias)


def _pack(weight: Tensor) -> Tensor:
    """The weight in oneDNN's own layout where this build of torch offers it, else as it is."""
    try:
        return torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
    except (AttributeError, RuntimeError, NotImplementedError):
        return weight.contiguous()
