"""What the window's parts share: the open document, its undo stack, the tool, the brush and the current label."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from app.document.atoms import Layer, Step
from app.document.brush import MAX_BRUSH, Point
from app.document.document import Document, Stroke
from app.document.geometry import Rect
from models.candidate import Candidate
from models.config import LabelSet
from models.request import NOT_PAINTED

UNDO_STEPS = 200
LIGHTEST = 0.2  # share of the brush size that a pen without pressure paints with


class Tool(enum.StrEnum):
    BRUSH = "brush"
    ERASER = "eraser"
    FILL = "fill"
    LASSO = "lasso"
    PICKER = "picker"
    HAND = "hand"

    @property
    def strokes(self) -> bool:
        """Whether a drag is a stroke of the brush."""
        return self in (Tool.BRUSH, Tool.ERASER)


class Session(QObject):
    """Every change of the document goes through here, so that history, canvas and panels stay in step."""

    document_replaced = Signal()
    pixels_changed = Signal(object, object)  # Rect, frozenset[Layer]
    settled = Signal()  # a whole step was made, undone or redone
    labels_ready = Signal()  # those that were awaited are there, or will not come
    labels_known = Signal()
    tool_changed = Signal(object)  # Tool
    brush_size_changed = Signal(int)
    label_changed = Signal(int)
    label_chosen = Signal()  # by the user, also the one that was current
    label_used = Signal(int)  # something was painted with it
    snap_changed = Signal(bool)
    hidden_changed = Signal()
    guard_changed = Signal()  # what may be painted over: `only_over`, `locked`

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.undo_stack = QUndoStack(self)
        self.undo_stack.setUndoLimit(UNDO_STEPS)
        self.document: Document | None = None
        self.document_number = 0
        self.label_set: LabelSet | None = None
        self.tool = Tool.BRUSH
        self.brush_size = 80
        self.label = 0
        self.previous_label = 0
        self.hidden: frozenset[int] = frozenset()  # labels that the overlay leaves out
        self.snap = False  # the brush keeps to the edges of the photo
        self.pressure = True  # a pen's pressure changes the size
        self.only_over: int | None = None
        self.locked: frozenset[int] = frozenset()
        self.labels_awaited = False  # the engine is still to suggest the start labels
        self._stroke: Stroke | None = None
        self._last_point: Point | None = None

    # document and labels ----------------------------------------------------------------------------------------

    def set_document(self, document: Document | None) -> None:
        """Show another document (or none); its history starts empty."""
        self._stroke = self._last_point = None
        self.undo_stack.clear()
        self.document = document
        self.labels_awaited = False
        self._guard()
        self.document_number += 1
        self.document_replaced.emit()
        self.settled.emit()

    def set_label_set(self, label_set: LabelSet) -> None:
        self.label_set = label_set
        self.labels_known.emit()

    def label_name(self, label: int) -> str:
        if self.label_set is not None and label < len(self.label_set):
            return self.label_set.labels[label].name
        return f"label {label}"

    def suggest_labels(self, number: int, labels: np.ndarray) -> bool:
        """Take a suggestion made for document `number`; False when it came too late."""
        if self.document is None or number != self.document_number:
            return False
        if not self.document.suggest_start_labels(labels):
            return False
        self.pixels_changed.emit(self.document.bounds, frozenset({Layer.START}))
        return True

    def await_labels(self, awaited: bool) -> None:
        """Note whether the engine is still to suggest the start labels; tells when that is over."""
        over = self.labels_awaited and not awaited
        self.labels_awaited = awaited
        if over:
            self.labels_ready.emit()

    def set_start_labels(self, labels: np.ndarray | int, name: str) -> None:
        """The user's own start labels, as an undo step."""
        if self.document is not None:
            self._push(self.document.set_start_labels(labels, name))

    # tool, brush, label -----------------------------------------------------------------------------------------

    def set_tool(self, tool: Tool) -> None:
        if tool != self.tool:
            self.end_stroke()
            self.tool = tool
            self.tool_changed.emit(tool)

    def set_brush_size(self, size: int) -> None:
        size = min(MAX_BRUSH, max(1, size))
        if size != self.brush_size:
            self.brush_size = size
            self.brush_size_changed.emit(size)

    def step_brush_size(self, direction: int) -> None:
        """One step up or down, about a tenth of the size and at least one pixel."""
        step = max(1, round(self.brush_size * 0.12))
        self.set_brush_size(self.brush_size + direction * step)

    def set_label(self, label: int) -> None:
        """Choose the label to paint with; an eraser or picker in hand becomes the brush."""
        self.begin_with(label)
        self.label_chosen.emit()
        if self.tool in (Tool.ERASER, Tool.PICKER):
            self.set_tool(Tool.BRUSH)

    def begin_with(self, label: int) -> None:
        """Make a label the current one before any is chosen."""
        if label != self.label:
            self.previous_label, self.label = self.label, label
            self.label_changed.emit(label)

    def swap_labels(self) -> None:
        self.set_label(self.previous_label)

    def set_snap(self, snap: bool) -> None:
        """Let brush and eraser take whole superpixels."""
        if snap != self.snap:
            self.snap = snap
            self.snap_changed.emit(snap)

    def set_only_over(self, label: int | None) -> None:
        """Let paint go only where this label is seen; None: everywhere."""
        self.only_over = label
        self._guard()

    def toggle_lock(self, label: int) -> None:
        """Toggle the protection of a label from paint."""
        self.locked = self.locked ^ {label}
        self._guard()

    def toggle_hidden(self, label: int) -> None:
        """Toggle whether a label is left out of the overlay; it stays painted."""
        self.hidden = self.hidden ^ {label}
        self.hidden_changed.emit()

    def _guard(self) -> None:
        if self.document is not None:
            self.document.only_over, self.document.locked = self.only_over, self.locked
        self.guard_changed.emit()

    # strokes ----------------------------------------------------------------------------------------------------

    @property
    def can_paint(self) -> bool:
        """Whether the brush or the eraser is in hand and may be used."""
        return self.document is not None and self.label_set is not None and self.tool.strokes

    @property
    def painting(self) -> bool:
        return self._stroke is not None

    def begin_stroke(self, point: Point, straight: bool = False, pressure: float = 1.0, erase: bool = False) -> None:
        """Start a drag; `straight` draws a line from where the last stroke ended.

        pressure: of a pen, 0–1. erase: the pen's other end.
        """
        if self.document is None or not self.can_paint:
            return
        self.end_stroke()
        erasing = erase or self.tool is Tool.ERASER
        name = "Erase paint" if erasing else f"Paint {self.label_name(self.label)}"
        superpixels = self.document.superpixels if self.snap else None
        self._stroke = self.document.begin_stroke(NOT_PAINTED if erasing else self.label, name, superpixels)
        if straight and self._last_point is not None:
            self.stroke_to(self._last_point, pressure)
        self.stroke_to(point, pressure)

    def stroke_to(self, point: Point, pressure: float = 1.0) -> None:
        if self._stroke is not None:
            self._last_point = point
            share = LIGHTEST + (1 - LIGHTEST) * pressure if self.pressure else 1.0
            self._paint_changed(self._stroke.line_to(point, max(1, round(self.brush_size * share))))

    def end_stroke(self) -> None:
        """Close the drag: it becomes one undo step."""
        stroke, self._stroke = self._stroke, None
        if stroke is not None:
            self._push(stroke.finish(), announce=False, painted=stroke.value)

    def abort_stroke(self) -> None:
        """Take the drag back as if it had never been."""
        stroke, self._stroke = self._stroke, None
        if stroke is not None:
            self._paint_changed(stroke.abort())

    def fill_at(self, point: Point) -> None:
        """Paint the region of one label under a point."""
        document, x, y = self.document, int(point.x // 1), int(point.y // 1)
        if document is None or self.label_set is None or not (0 <= x < document.bounds.width):
            return
        if 0 <= y < document.bounds.height:
            step = document.fill(x, y, self.label, f"Fill with {self.label_name(self.label)}")
            self._push(step, painted=self.label)

    def paint_outline(self, corners: Sequence[Point], erase: bool) -> None:
        """Paint the inside of a lasso, or erase the paint in it."""
        if self.document is None or self.label_set is None:
            return
        value, name = (
            (NOT_PAINTED, "Erase a shape") if erase else (self.label, f"Shape of {self.label_name(self.label)}")
        )
        self._push(self.document.paint_polygon(corners, value, name), painted=value)

    def clear_paint(self) -> None:
        if self.document is not None:
            self.end_stroke()
            self._push(self.document.clear_paint())

    def paint_surroundings(self) -> None:
        """Give what is painted the labels round it."""
        if self.document is not None:
            self.end_stroke()
            self._push(self.document.paint_surroundings())

    def _paint_changed(self, rect: Rect) -> None:
        if not rect.empty:
            self.pixels_changed.emit(rect, frozenset({Layer.PAINT}))

    # results and history ----------------------------------------------------------------------------------------

    def apply(self, candidate: Candidate, paint: np.ndarray, name: str) -> Step | None:
        """Put a candidate into the picture, as an undo step."""
        if self.document is None:
            return None
        self.end_stroke()
        step = self.document.apply(candidate, paint, name)
        self._push(step)
        return step

    def undo(self) -> None:
        if self.painting:
            self.abort_stroke()
        else:
            self.undo_stack.undo()
            self.settled.emit()

    def redo(self) -> None:
        if not self.painting:
            self.undo_stack.redo()
            self.settled.emit()

    def _push(self, step: Step | None, announce: bool = True, painted: int = NOT_PAINTED) -> None:
        """Remember a step that was just made; `announce` when its pixels are news to the canvas.

        painted: the label that it painted with; NOT_PAINTED for all other steps.
        """
        if step is None or self.document is None:
            return
        self.undo_stack.push(_StepCommand(self, self.document, step))
        if announce:
            self.pixels_changed.emit(step.rect, step.layers)
        self.settled.emit()
        if painted != NOT_PAINTED:
            self.label_used.emit(painted)


class _StepCommand(QUndoCommand):
    """Adapter to Qt's undo stack; its step is already applied when it is pushed."""

    def __init__(self, session: Session, document: Document, step: Step) -> None:
        super().__init__(step.name)
        self._session = session
        self._document = document
        self._step = step
        self._done = True

    def undo(self) -> None:
        self._document.revert(self._step)
        self._done = False
        self._session.pixels_changed.emit(self._step.rect, self._step.layers)

    def redo(self) -> None:
        if not self._done:
            self._document.replay(self._step)
            self._done = True
            self._session.pixels_changed.emit(self._step.rect, self._step.layers)
