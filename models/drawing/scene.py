"""A window of a photo as the transformers see it: codes, label codes and masks at 256 and at its own resolution."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..config import GUIDE_RESOLUTION, Semantics
from ..device import DeviceChoice
from ..grid import TokenGrid
from ..networks.assembly import Networks
from ..networks.pictures import one_hot, to_picture
from ..request import NOT_PAINTED, EditRequest, Reroll
from .masks import encoder_mask, shrink_any, token_mask
from .windows import PlannedWindow, cut, scale_labels, scale_photo


@dataclass(frozen=True)
class Level:
    """One resolution of a window: grid, known codes, label codes and what is to be drawn (raster order)."""

    grid: TokenGrid
    codes: Tensor  # (L,) int64
    condition: Tensor  # (L,) int64
    before: Tensor  # (L,) int64, label codes of the picture as it was
    edit: Tensor  # (L,) bool, tokens that the paint touches
    mask: Tensor  # (L,) bool, tokens to draw: those of the edit, or part of them
    features: Tensor  # (1, embed, side, side), unquantised
    labels: Tensor | None  # what the decoder reads of the edited label map (VQGAN.label_shares)

    @property
    def drawn(self) -> int:
        return int(self.mask.sum())

    @property
    def strip_positions(self) -> Tensor:
        """Strip positions (n,) of the tokens to draw."""
        return self.grid.to_strip(self.mask[None])[0].nonzero()[:, 0]

    def surprise(self, log_likelihoods: Tensor) -> np.ndarray:
        """(side, side) float32 negative log-likelihood of each token of the edit, NaN elsewhere."""
        strip = torch.full((1, self.grid.tokens), float("nan"))
        edited = replace(self, mask=self.edit).strip_positions.cpu()
        strip[0, edited] = -log_likelihoods.float().cpu()
        side = self.grid.side
        return self.grid.to_raster(strip)[0].view(side, side).numpy()

    @property
    def nbytes(self) -> int:
        held = (self.codes, self.condition, self.before, self.edit, self.features, self.labels)
        return sum(tensor.nbytes for tensor in held if tensor is not None)

    def redrawing(self, codes: np.ndarray, tokens: np.ndarray) -> Level:
        """The same with a candidate's codes (side, side) known but for some of the edit's tokens (side, side) bool."""
        mask = torch.from_numpy(tokens.reshape(-1)).to(self.edit.device) & self.edit
        known = torch.from_numpy(codes.reshape(-1).copy()).to(self.codes.device)
        return replace(self, codes=torch.where(self.edit, known, self.codes), mask=mask)


@dataclass(frozen=True)
class Scene:
    """A window of a photo, encoded once for all candidates."""

    planned: PlannedWindow
    number: int
    low: Level
    high: Level | None

    @property
    def final(self) -> Level:
        return self.low if self.high is None else self.high


KEPT_BYTES = 64_000_000  # of encoded levels


class SceneEncoder:
    """Runs the VQGAN encoders over the windows of a request.

    What was encoded last is kept by its content: drafts that are drawn in full, parts drawn again and the attention
    view cost no encoder.
    """

    def __init__(self, networks: Networks, device: DeviceChoice) -> None:
        self.networks, self.device = networks, device
        self.semantics: Semantics = networks.config.semantics
        self._kept: OrderedDict[bytes, Level] = OrderedDict()

    @torch.inference_mode()
    def encode(self, request: EditRequest, planned: PlannedWindow, number: int) -> Scene:
        """Window `number` at 256 and, if it is larger and the request no draft, at its own resolution."""
        window, resolution = planned.window, planned.window.resolution
        edited = np.where(request.paint == NOT_PAINTED, request.labels, request.paint)
        photo, painted = cut(request.photo, window), cut(request.paint != NOT_PAINTED, window)
        if request.colors is not None:
            photo = request.colors.convert(np.ascontiguousarray(photo))
        labels, before = cut(edited, window), cut(request.labels, window)
        high = None
        if resolution > GUIDE_RESOLUTION and self.networks.transformer is not None and not request.draft:
            high = self._level(photo, labels, before, painted, resolution)
        low = self._level(photo, labels, before, painted, GUIDE_RESOLUTION)
        if not isinstance(request.way, Reroll):
            return Scene(planned, number, low, high)
        codes, tokens = request.way.candidate.windows[number].codes, request.way.tokens[number]
        if high is None:
            return Scene(planned, number, low.redrawing(codes, tokens), None)
        return Scene(planned, number, low, high.redrawing(codes, tokens))

    def tokens(self, painted: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
        """The edit mask (side, side) of a window and its token mask (side/16, side/16), both bool."""
        mask = shrink_any(painted, side) if painted.shape[0] > side else painted
        return mask, token_mask(mask, self.semantics)

    def _level(
        self, photo: np.ndarray, labels: np.ndarray, before: np.ndarray, painted: np.ndarray, side: int
    ) -> Level:
        """A level of a window, encoded or as it was kept."""
        content = hashlib.blake2b(str((side, photo.shape)).encode(), digest_size=16)
        for part in (photo, labels, before, painted):
            content.update(part.tobytes())
        key = content.digest()
        if key not in self._kept:
            self._kept[key] = self._encoded(photo, labels, before, painted, side)
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(level.nbytes for level in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return self._kept[key]

    def _encoded(
        self, photo: np.ndarray, labels: np.ndarray, before: np.ndarray, painted: np.ndarray, side: int
    ) -> Level:
        vqgan, device = self.networks.first_stage_model, self.device.device
        mask, tokens = self.tokens(painted, side)
        hidden = encoder_mask(mask, tokens, self.semantics).to(device)
        picture = to_picture(scale_photo(photo, side)).to(device)
        asked, old = self._hot(labels, side), self._hot(before, side)
        with self.device.autocast():
            features = vqgan.encode(picture, hidden, known_only=self.semantics is Semantics.CLEAN).float()
        codes = vqgan.quantize.indices(features)[0]
        edit = torch.from_numpy(tokens.reshape(-1)).to(device)
        conditions = self._label_codes(asked), self._label_codes(old)
        return Level(TokenGrid.of_resolution(side), codes, *conditions, edit, edit, features, vqgan.label_shares(asked))

    def _hot(self, labels: np.ndarray, side: int) -> Tensor:
        return one_hot(scale_labels(labels, side), self.networks.config.label_vqgan.in_channels).to(self.device.device)

    def _label_codes(self, hot: Tensor) -> Tensor:
        vqgan = self.networks.cond_stage_model
        with self.device.autocast():
            return vqgan.quantize.indices(vqgan.encode(hot).float())[0]
