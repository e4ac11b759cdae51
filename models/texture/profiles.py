"""How each label is textured: what was tried and looked at, label by label (docs/training-log.md, "Texture")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ALWAYS, ENLARGED, NEVER = 0.0, 1.25, float("inf")
Edge = Literal["ragged", "soft", "plain"]


@dataclass(frozen=True)
class Profile:
    """Settings of one label.

    plan_weight: how much the drawing's colours count against the looks of patches. plan_detail: pixels of the drawing;
    finer shapes are not followed. shading: how much of the drawing's large shapes of light (L, a, b) is kept.
    edge: ragged follows the texture's own small shapes, soft fades into the drawing, plain cuts as painted.
    fine: pixels of the drawing; only what is finer is taken from the texture, larger shapes stay drawn. None: all is.
    library: photo pixels to one of the drawing from which exemplars of other photos are used; below that a drawing is
    sharp enough to be worth more than they are. reach: how much of the photo's height texture may move up
    or down before it costs as much as a difference of 40 levels of lightness.
    """

    plan_weight: float = 0.3
    plan_detail: float = 6.0
    shading: tuple[float, float, float] = (0.4, 0.25, 0.25)
    edge: Edge = "ragged"
    fine: float | None = None
    library: float = ENLARGED
    reach: float = 1.0


_GROUND = Profile()
_CLIFF = Profile(plan_weight=0.5, shading=(0.5, 0.4, 0.4))
_PEAK = Profile(
    plan_weight=1.2, plan_detail=4.0, shading=(0.7, 0.7, 0.7), edge="soft", fine=10.0, reach=0.5, library=ALWAYS
)
_WATER = Profile(plan_weight=0.6, shading=(0.6, 0.5, 0.5), edge="plain", reach=0.4, library=NEVER)
PROFILES: dict[str, Profile] = {
    "tree": _GROUND,
    "plant": _GROUND,
    "grass": _GROUND,
    "field": _GROUND,
    "flower": _GROUND,
    "hill": _GROUND,
    "earth": _GROUND,
    "sand": _GROUND,
    "road": _GROUND,
    "mountain": _PEAK,
    "rock": _CLIFF,
    "snow": Profile(plan_weight=0.5, shading=(0.5, 0.9, 0.9)),
    "clouds": Profile(plan_weight=1.5, plan_detail=4.0, shading=(0.7, 0.7, 0.7), edge="soft", fine=3.5, library=ALWAYS),
    "sky": Profile(plan_weight=1.0, shading=(0.8, 0.8, 0.8), edge="plain", library=NEVER, reach=0.3),
    "sea": _WATER,
    "lake": _WATER,
    "river": _WATER,
}
