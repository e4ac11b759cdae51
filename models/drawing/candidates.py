"""Candidates out of what was drawn for the windows of a request, and what a request must fulfil."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..candidate import Candidate, DrawnWindow, Patch
from ..config import TOKEN_PIXELS
from ..errors import RequestError
from ..request import NOT_PAINTED, EditRequest, Reroll
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
    places = tuple(planned.window for planned in plan.windows)
    if any(base.places != places for base in request.bases):
        raise RequestError("the chosen candidate is of another edit; use one drawn for this paint and window")
    if isinstance(request.way, Reroll) and request.way.candidate.draft:
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
    windows = []
    for scene, one, pictures in zip(scenes, drawn, patches, strict=True):
        surprise = scene.final.surprise(one.drawn.log_likelihoods[row])
        codes, guide_codes = _square(one.drawn.codes[row]), _square(one.guide_codes[row])
        windows.append(DrawnWindow(scene.planned.window, pictures[row], codes, surprise, guide_codes))
    return Candidate(
        index=index,
        seed=request.seed(index),
        tokens=torch.cat([d.tokens[row] for d in parts]).cpu().numpy(),
        token_log_likelihoods=torch.cat([d.log_likelihoods[row] for d in parts]).cpu().numpy(),
        truncated_log_likelihood=float(sum(d.truncated[row].sum() for d in parts)),
        windows=tuple(windows),
        draft=request.draft,
    )


def _square(codes: Tensor) -> np.ndarray:
    side = int(codes.shape[0] ** 0.5)
    return codes.view(side, side).cpu().numpy()
