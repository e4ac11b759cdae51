"""What the next run would draw and how long it would take, while the artist paints."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject

from app.studio.runs import Run
from app.studio.session import Session
from app.worker.engine_thread import EngineThread
from app.worker.jobs import EngineInfo
from app.worker.tasks import TaskThread
from models.request import BATCH, Speed

from ..canvas.canvas import Canvas
from ..panels.generate_panel import Estimate, GeneratePanel


class Planner(QObject):
    """Keeps the estimate in the panel and the windows on the canvas up to date.

    estimate: of the paint as it was last planned. unavailable: why there is no engine.
    """

    def __init__(
        self,
        session: Session,
        canvas: Canvas,
        panel: GeneratePanel,
        engine: EngineThread,
        tasks: TaskThread,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._canvas, self._panel = session, canvas, panel
        self._engine, self._tasks = engine, tasks
        self.estimate = Estimate()
        self.unavailable = "Loading the model…"
        self._speeds: dict[int, Speed] = {}
        self._problem = ""  # why the paint cannot be planned
        engine.opened.connect(self._on_opened)
        engine.open_failed.connect(self._on_open_failed)
        engine.measured.connect(self._on_measured)
        session.settled.connect(self.plan)
        panel.window_changed.connect(self.plan)
        panel.count_changed.connect(self._show)
        self._show()

    def plan(self) -> None:
        """Ask for the windows and tokens of what is painted now; the newest question wins."""
        document, engine = self._session.document, self._engine.engine
        if document is None or engine is None or not document.anything_painted:
            self._tasks.forget("plan")
            self._on_planned(Estimate())
            return
        paint, window = document.paint.copy(), self._panel.window_choice()
        self._tasks.submit(
            lambda: Estimate(tuple(engine.plan(paint, window)), engine.count_tokens(paint, window)),
            self._on_planned,
            lambda error: self._on_planned(Estimate(), str(error)),
            key="plan",
        )

    def learn(self, run: Run, seconds: float) -> None:
        """Take the speed from a finished run: it tells more than the first measurement."""
        places = run.entries[0].candidate.places if run.entries else ()
        if places:
            self._speeds[max(place.resolution for place in places)] = Speed(0.0, seconds / (run.tokens * run.count))
            self._show()

    def _on_planned(self, estimate: Estimate, problem: str = "") -> None:
        self._problem = problem
        self.estimate = estimate
        self._canvas.set_windows(estimate.windows)
        self._show()

    def _show(self) -> None:
        estimate, hint = self.estimate, "Paint an area that should change."
        if self._engine.engine is None:
            hint = self.unavailable
        elif self._session.document is None:
            hint = "Open a photo to begin."
        elif self._problem:
            hint = self._problem
        self._panel.set_estimate(replace(estimate, seconds=self._seconds(estimate)), hint)

    def _seconds(self, estimate: Estimate) -> float | None:
        """How long a full run would take, as measured on this machine; None before it was measured."""
        largest = max((window.resolution for window in estimate.windows), default=0)
        speed = self._speeds.get(largest)
        if speed is None:
            return None
        count = self._panel.count.value()
        rounds = len(estimate.windows) * -(-count // BATCH)
        return speed.fixed * rounds + speed.per_token * estimate.tokens * count

    def _on_measured(self, speeds: dict[int, Speed]) -> None:
        self._speeds = {**speeds, **self._speeds}
        self._show()

    def _on_opened(self, info: EngineInfo) -> None:
        self._panel.set_resolutions(info.resolutions)
        self._speeds = {}  # those of the device before
        self._engine.measure()
        self.plan()

    def _on_open_failed(self, message: str) -> None:
        self.unavailable = "No model is open, so nothing can be generated."
        self._show()
