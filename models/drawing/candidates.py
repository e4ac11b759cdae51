"""Candidates out of what was drawn for the windows of a request, and what a request must fulfil."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..config import TOKEN_PIXELS
from ..errors import RequestError
from ..request import NOT_PAINTED, Candidate, EditRequest, Patch
from .context import DrawnScene
from .outline import natural_outline
from .scene import Scene
from .windows import Plan


def check(request: EditRequest, plan: Plan, labels: int) -> None:
    """Raise RequestError for labels unknown to a checkpoint of `labels` labels, and for drafts and candidates to draw
    again that are of other windows than the request."""
    for name, values in (("paint", request.paint[request.paint != NOT_PAINTED]), ("label map", request.labels)):
        largest = int(values.max(initial=0))
        if largest >= labels:
            raise RequestError(
                f"{name}: label index {largest} is unknown to this checkpoint, which has "
                f"{labels} labels (0 to {labels - 1}); see `main.py labels`"
            )
    bases = [*request.drafts, *([] if request.reroll is None else [request.reroll.candidate])]
    windows = tuple(planned.window for planned in plan.windows)
    if any(base.windows != windows for base in bases):
        raise RequestError("the chosen candidate is of another edit; use one drawn for this paint and window")
    if request.reroll is not None and request.reroll.candidate.draft:
        raise RequestError("a draft cannot be drawn again in part; draw it in full first")


def outlined(request: EditRequest, plan: Plan) -> tuple[EditRequest, Plan]:
    """The request as it is asked of the model, with outlines of their own for what is painted."""
    if not request.settings.outline or not plan.windows:
        return request, plan
    token = TOKEN_PIXELS * max(p.window.side / p.window.resolution for p in plan.windows)
    outline = natural_outline(request.labels, request.paint, request.settings.outline, token)
    return replace(request, paint=outline.paint), replace(plan, outline=outline)


def candidate_of(
    request: EditRequest, scenes: list[Scene], drawn: list[DrawnScene], patches: list[list[Patch]], row: int, index: int
) -> Candidate:
    """Row `row` of what was drawn, as candidate `index`."""
    parts = [d.drawn for d in drawn]
    return Candidate(
        index=index,
        seed=request.seed(index),
        tokens=torch.cat([d.tokens[row] for d in parts]).cpu().numpy(),
        token_log_likelihoods=torch.cat([d.log_likelihoods[row] for d in parts]).cpu().numpy(),
        truncated_log_likelihood=float(sum(d.truncated[row].sum() for d in parts)),
        patches=tuple(window[row] for window in patches),
        codes=tuple(_square(d.codes[row]) for d in parts),
        windows=tuple(scene.planned.window for scene in scenes),
        surprise=tuple(s.final.surprise(d.log_likelihoods[row]) for s, d in zip(scenes, parts, strict=True)),
        guide_codes=tuple(_square(d.guide_codes[row]) for d in drawn),
        draft=request.draft,
    )


def _square(codes: Tensor) -> np.ndarray:
    side = int(codes.shape[0] ** 0.5)
    return codes.view(side, side).cpu().numpy()
