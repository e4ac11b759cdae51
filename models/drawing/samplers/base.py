"""What every way to draw takes and gives."""

from __future__ import annotations

from typing import Protocol

from ..context import DrawnScene, WindowContext


class Sampler(Protocol):
    """Draws the candidates of one window.

    It yields to `context.watch` between network runs (cancel, progress), draws candidate k with its own random numbers
    (`context.seeds`) whatever the batch, and keeps known tokens.
    """

    def draw_window(self, context: WindowContext) -> DrawnScene: ...
