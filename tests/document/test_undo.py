"""Undo, redo and aborted strokes, in any order."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.document.atoms import Step
from app.document.brush import Point
from models.request import NOT_PAINTED
from tests.document.documents import make_candidate, make_document, state_of

points = st.builds(Point, st.floats(-8, 48), st.floats(-8, 38))
values = st.sampled_from([0, 1, 2, NOT_PAINTED])


class UndoMachine(RuleBasedStateMachine):
    """A document with the plainest history there is: two stacks."""

    def __init__(self) -> None:
        super().__init__()
        self.document = make_document()
        self.states = [state_of(self.document)]  # before each done step, and now
        self.done: list[Step] = []
        self.undone: list[tuple[Step, tuple[bytes, ...]]] = []

    def made(self, step: Step | None) -> None:
        now = state_of(self.document)
        if step is None:
            assert now == self.states[-1]
            return
        assert now != self.states[-1]
        self.done.append(step)
        self.states.append(now)
        self.undone.clear()

    @rule(path=st.lists(points, min_size=1, max_size=4), size=st.integers(1, 25), value=values)
    def stroke(self, path: list[Point], size: int, value: int) -> None:
        stroke = self.document.begin_stroke(value, "stroke")
        for point in path:
            stroke.line_to(point, size)
        self.made(stroke.finish())

    @rule(path=st.lists(points, min_size=1, max_size=4), size=st.integers(1, 25), value=values)
    def aborted_stroke(self, path: list[Point], size: int, value: int) -> None:
        stroke = self.document.begin_stroke(value, "stroke")
        for point in path:
            stroke.line_to(point, size)
        stroke.abort()
        assert state_of(self.document) == self.states[-1]

    @rule(seed=st.integers(0, 9))
    def apply(self, seed: int) -> None:
        paint = self.document.paint.copy()
        self.made(self.document.apply(make_candidate(self.document, paint, seed), paint, "apply"))

    @rule()
    def clear(self) -> None:
        self.made(self.document.clear_paint())

    @rule(label=st.integers(0, 2))
    def start_labels(self, label: int) -> None:
        self.made(self.document.set_start_labels(label, "labels"))

    @precondition(lambda self: self.done)
    @rule()
    def undo(self) -> None:
        step = self.done.pop()
        self.undone.append((step, self.states.pop()))
        self.document.revert(step)

    @precondition(lambda self: self.undone)
    @rule()
    def redo(self) -> None:
        step, after = self.undone.pop()
        self.document.replay(step)
        self.done.append(step)
        self.states.append(after)

    @invariant()
    def layers_are_as_remembered(self) -> None:
        assert state_of(self.document) == self.states[-1]
        assert self.document.unexported == any(step.edits_picture for step in self.done)

    def teardown(self) -> None:
        for step in reversed(self.done):
            self.document.revert(step)
        assert state_of(self.document) == self.states[0]
        assert np.array_equal(self.document.picture, self.document.photo.rgb8)


UndoMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=15, deadline=None)
test_that_undoing_everything_gives_back_the_original_bytes = UndoMachine.TestCase
