"""The open photo with its layers, and every way of changing them.

Layers, all of the photo's size:
  start    (H, W) uint8     labels at opening: uniform, suggested or loaded
  applied  (H, W) uint8     label under which a pixel was last generated; NOT_PAINTED where it never was
  paint    (H, W) uint8     label painted and not yet generated; NOT_PAINTED elsewhere
  picture  (H, W, 3) uint8  the photo with the applied candidates
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from models.candidate import Candidate, Patch
from models.request import NOT_PAINTED, EditRequest, Reference, SamplingSettings

from .atoms import Atom, Layer, Step, merged, write
from .brush import Point, capsule, snapped
from .geometry import Rect
from .shapes import connected_region, polygon
from .surroundings import continued

if TYPE_CHECKING:
    from app.io.pictures.photo import Photo
    from app.io.project import ProjectData

    from .superpixels import Superpixels


SNAP_CORE = 0.4  # share of the brush that must touch a superpixel to take it: the rest may hang over the edge
RESTORED_STEP = 0  # stands in `picture_state` for all edits that came with a project


class Document:
    """One open photo. Every method that changes pixels returns a `Step` (None when nothing changed).

    `revert` and `replay` undo and redo a step; steps must be reverted in the opposite order of their making,
    which is the caller's history's business.
    """

    def __init__(self, photo: Photo, uniform_label: int = 0) -> None:
        self.photo = photo
        height, width = photo.rgb8.shape[:2]
        self.start = np.full((height, width), uniform_label, np.uint8)
        self.applied = np.full((height, width), NOT_PAINTED, np.uint8)
        self.paint = np.full((height, width), NOT_PAINTED, np.uint8)
        self.picture = photo.rgb8
        self._picture_lent = True  # others hold this array: it is copied before the next change
        self.only_over: int | None = None  # paint goes only where this label is seen
        self.locked: frozenset[int] = frozenset()  # labels that no paint may cover
        self.labels_loaded = False  # the user chose the start labels: a late suggestion must not replace them
        self.superpixels: Superpixels | None = None  # found when first needed
        self._stroke: Stroke | None = None
        self._picture_steps: list[int] = []
        self._exported_steps: tuple[int, ...] = ()

    @classmethod
    def restored(cls, photo: Photo, data: ProjectData) -> Document:
        """The document that a project holds; its history starts empty."""
        document = cls(photo)
        for name in ("start", "applied", "paint"):
            getattr(document, name)[:] = getattr(data, name)
        document.labels_loaded = data.labels_loaded
        if data.edit is not None:
            x, y, pixels = data.edit
            height, width = pixels.shape[:2]
            document._writable(Layer.PICTURE)[y : y + height, x : x + width] = pixels
            document._picture_steps = [RESTORED_STEP]
        return document

    def edited_part(self) -> tuple[int, int, np.ndarray] | None:
        """Left, top and a copy (h, w, 3) of the part of the picture that was ever edited; None without edits."""
        box = Rect.of_mask(self.ever_painted)
        return None if box.empty else (box.x, box.y, self.picture[box.slices].copy())

    @property
    def bounds(self) -> Rect:
        height, width = self.paint.shape
        return Rect(0, 0, width, height)

    @property
    def unexported(self) -> bool:
        """Whether the picture differs from what was last exported (or opened); undoing back makes it clean."""
        return self.picture_state != self._exported_steps

    @property
    def picture_state(self) -> tuple[int, ...]:
        """Numbers of the steps whose candidates are in the picture, oldest first: equal states, equal pictures."""
        return tuple(self._picture_steps)

    @property
    def ever_painted(self) -> np.ndarray:
        """(H, W) bool, pixels that an applied candidate was asked to change: the only ones an export may change."""
        return self.applied != NOT_PAINTED

    @property
    def anything_painted(self) -> bool:
        return bool((self.paint != NOT_PAINTED).any())

    def labels(self, rect: Rect | None = None) -> np.ndarray:
        """A new (H, W) uint8 label map of the picture as it is (applied edits included, paint not)."""
        where = (rect or self.bounds).slices
        labels = self.start[where].copy()
        np.copyto(labels, self.applied[where], where=self.applied[where] != NOT_PAINTED)
        return labels

    def seen_labels(self, rect: Rect) -> np.ndarray:
        """A new (h, w) uint8 map of the labels that `label_at` gives in `rect`."""
        labels, paint = self.labels(rect), self.paint[rect.slices]
        np.copyto(labels, paint, where=paint != NOT_PAINTED)
        return labels

    def label_at(self, x: int, y: int) -> int:
        """The label that is painted at a pixel, else the one of the picture there."""
        for layer in (self.paint, self.applied):
            if layer[y, x] != NOT_PAINTED:
                return int(layer[y, x])
        return int(self.start[y, x])

    def request(
        self, settings: SamplingSettings, window: int | None, reference: Reference | None = None
    ) -> EditRequest:
        """A snapshot for the engine; painting may go on while it works. reference: for textures, where settings ask.

        Raises RequestError when nothing is painted.
        """
        paint, colors = self.paint.copy(), self.photo.drawing_colors
        picture, labels = self.lend_picture(), self.labels()
        return EditRequest(picture, labels, paint, settings, window, colors=colors, reference=reference)

    def lend_picture(self) -> np.ndarray:
        """The picture as it is now, (H, W, 3) uint8, for reading; it will never change (copy on write)."""
        self._picture_lent = True
        return self.picture

    # painting -------------------------------------------------------------------------------------------------

    def begin_stroke(self, value: int, name: str, superpixels: Superpixels | None = None) -> Stroke:
        """Start a drag that writes `value` (a label, or NOT_PAINTED for the eraser); aborts one still open.

        superpixels: of the photo, to paint whole ones instead of the brush's own shape.
        """
        if self._stroke is not None:
            self._stroke.abort()
        self._stroke = Stroke(self, value, name, superpixels)
        return self._stroke

    def fill(self, x: int, y: int, value: int, name: str) -> Step | None:
        """Paint the whole connected region of the label that is seen at a pixel of the photo."""
        rect, mask = connected_region(self.seen_labels(self.bounds), x, y)
        return self._paint_region(rect, mask, value, name)

    def paint_polygon(self, corners: Sequence[Point], value: int, name: str) -> Step | None:
        """Write `value` (a label, or NOT_PAINTED to erase) inside a closed outline."""
        rect, mask = polygon(corners, self.bounds)
        return None if rect.empty else self._paint_region(rect, mask, value, name)

    def _paint_region(self, rect: Rect, mask: np.ndarray, value: int, name: str) -> Step | None:
        return self._step(name, [write(Layer.PAINT, self.paint, rect, self.paintable(rect, mask), value)])

    def paintable(self, rect: Rect, mask: np.ndarray) -> np.ndarray:
        """The part of `mask` (h, w) that `only_over` and `locked` leave open to paint and eraser."""
        if self.only_over is None and not self.locked:
            return mask
        seen = self.seen_labels(rect)
        if self.only_over is not None:
            mask = mask & (seen == self.only_over)
        return mask & ~np.isin(seen, list(self.locked)) if self.locked else mask

    def clear_paint(self) -> Step | None:
        """Take all paint away."""
        return self._step("Clear paint", [self._write(Layer.PAINT, self.bounds, None, NOT_PAINTED)])

    def paint_surroundings(self) -> Step | None:
        """Paint what is painted with the labels round it instead, so that what is there goes."""
        area = self.paint != NOT_PAINTED
        values = continued(self.labels(), area)
        return self._step("Paint surroundings", [self._write(Layer.PAINT, self.bounds, area, values)])

    # labels ---------------------------------------------------------------------------------------------------

    def set_start_labels(self, labels: np.ndarray | int, name: str) -> Step | None:
        """Replace the start labels by the user's choice: a map (H, W) uint8 or one label everywhere."""
        self.labels_loaded = True
        values = np.broadcast_to(np.asarray(labels, np.uint8), self.start.shape)
        return self._step(name, [self._write(Layer.START, self.bounds, None, values)])

    def suggest_start_labels(self, labels: np.ndarray) -> bool:
        """Take a suggested map (H, W) uint8 as start labels, outside the history.

        False, and nothing changes, when the user has chosen a map or the size is another photo's.
        """
        if self.labels_loaded or labels.shape != self.start.shape:
            return False
        self.start[:] = labels
        return True

    # results --------------------------------------------------------------------------------------------------

    def candidate_region(self, candidate: Candidate, paint: np.ndarray, rect: Rect) -> np.ndarray:
        """What `rect` of the picture would look like with a candidate applied: a new (h, w, 3) uint8 array.

        paint: the paint of the candidate's request.
        """
        return self.region_with(candidate.patches, paint, rect)

    def region_with(self, patches: Sequence[Patch], paint: np.ndarray, rect: Rect) -> np.ndarray:
        """The same for patches that are no candidate yet."""
        region = self.picture[rect.slices].copy()
        for box, pixels, edited in _patches(patches, self.bounds):
            part = box.intersected(rect)
            if part.empty:
                continue
            inner = Rect(part.x - box.x, part.y - box.y, part.width, part.height)
            mask = edited[inner.slices] & (paint[part.slices] != NOT_PAINTED)
            outer = Rect(part.x - rect.x, part.y - rect.y, part.width, part.height)
            region[outer.slices][mask] = pixels[inner.slices][mask]
        return region

    def apply(self, candidate: Candidate, paint: np.ndarray, name: str) -> Step | None:
        """Put a candidate into the picture, as one step.

        paint: the paint of the candidate's request, (H, W) uint8. Only pixels painted there are written, so
        edits made elsewhere in the meantime stay. The painted labels become the picture's; the paint that was
        asked for is taken away, paint added or changed since the request stays.
        Raises ValueError when the candidate belongs to a photo of another size.
        """
        if paint.shape != self.paint.shape:
            raise ValueError(f"candidate of a {paint.shape[1]}x{paint.shape[0]} photo")
        atoms: list[Atom | None] = []
        for box, pixels, edited in _patches(candidate.patches, self.bounds):
            wanted = paint[box.slices]
            mask = edited & (wanted != NOT_PAINTED)
            atoms.append(self._write(Layer.PICTURE, box, mask, pixels))
            atoms.append(self._write(Layer.APPLIED, box, mask, wanted))
            atoms.append(self._write(Layer.PAINT, box, mask & (self.paint[box.slices] == wanted), NOT_PAINTED))
        step = self._step(name, atoms)
        if step is not None and step.edits_picture:
            self._picture_steps.append(step.number)
        return step

    def mark_exported(self, state: tuple[int, ...]) -> None:
        """Remember that the picture was exported as it was at `picture_state`."""
        self._exported_steps = state

    # history --------------------------------------------------------------------------------------------------

    def revert(self, step: Step) -> None:
        """Undo a step: every changed pixel gets its old value."""
        for atom in reversed(step.atoms):
            self._writable(atom.layer)[atom.rect.slices][atom.mask] = atom.old
        if step.edits_picture:
            self._picture_steps.remove(step.number)

    def replay(self, step: Step) -> None:
        """Redo a reverted step."""
        for atom in step.atoms:
            self._writable(atom.layer)[atom.rect.slices][atom.mask] = atom.new
        if step.edits_picture:
            self._picture_steps.append(step.number)

    def _writable(self, layer: Layer) -> np.ndarray:
        if layer is Layer.PICTURE and self._picture_lent:
            self.picture = self.picture.copy()
            self._picture_lent = False
        return getattr(self, layer.value)

    def _write(self, layer: Layer, rect: Rect, mask: np.ndarray | None, values: np.ndarray | int) -> Atom | None:
        mask = np.ones((rect.height, rect.width), bool) if mask is None else mask
        return write(layer, self._writable(layer), rect, mask, values)

    def _step(self, name: str, atoms: list[Atom | None]) -> Step | None:
        made = tuple(atom for atom in atoms if atom is not None)
        return Step(name, made) if made else None


class Stroke:
    """A drag in the making: `line_to` writes at once, `finish` makes it one step, `abort` takes it all back."""

    def __init__(self, document: Document, value: int, name: str, superpixels: Superpixels | None = None) -> None:
        self._document = document
        self._superpixels = superpixels
        self._taken = np.zeros(0, np.int32)  # superpixels painted so far
        self.value = value
        self._name = name
        self._atoms: list[Atom] = []
        self._last: Point | None = None
        self._open = True

    def line_to(self, point: Point, size: int) -> Rect:
        """Draw a straight piece from the last point (a dot at first); returns the changed rectangle, maybe empty.

        point: in photo pixels, anywhere. size: brush diameter in pixels.
        """
        core = size if self._superpixels is None else max(1, round(size * SNAP_CORE))
        point = snapped(point, core)
        rect, mask = capsule(self._last or point, point, core, self._document.bounds)
        self._last = point
        if self._superpixels is not None and not rect.empty:
            rect, mask = self._grown_to_edges(rect, mask)
        if not rect.empty:
            mask = self._document.paintable(rect, mask)
        atom = None if rect.empty else write(Layer.PAINT, self._document.paint, rect, mask, self.value)
        if atom is None:
            return Rect(0, 0, 0, 0)
        self._atoms.append(atom)
        return atom.rect

    def _grown_to_edges(self, rect: Rect, mask: np.ndarray) -> tuple[Rect, np.ndarray]:
        """The superpixels under the brush that this stroke has not painted yet; an empty rectangle when none is new."""
        assert self._superpixels is not None
        fresh = np.setdiff1d(self._superpixels.under(rect, mask), self._taken, assume_unique=True)
        if not len(fresh):
            return Rect(0, 0, 0, 0), mask
        self._taken = np.union1d(self._taken, fresh)
        return self._superpixels.region(fresh)

    def finish(self) -> Step | None:
        """Close the stroke; None when it changed nothing."""
        self._close()
        return Step(self._name, merged(self._atoms)) if self._atoms else None

    def abort(self) -> Rect:
        """Close the stroke and restore every pixel; returns the restored rectangle."""
        self._close()
        for atom in reversed(self._atoms):
            self._document.paint[atom.rect.slices][atom.mask] = atom.old
        rect = Rect.around(atom.rect for atom in self._atoms)
        self._atoms.clear()
        return rect

    def _close(self) -> None:
        self._open = False
        if self._document._stroke is self:
            self._document._stroke = None

    @property
    def open(self) -> bool:
        return self._open


def _patches(patches: Sequence[Patch], bounds: Rect) -> list[tuple[Rect, np.ndarray, np.ndarray]]:
    """Box, pixels and mask of every patch, cut to the photo."""
    result = []
    for patch in patches:
        height, width = patch.pixels.shape[:2]
        whole = Rect(patch.x, patch.y, width, height)
        box = whole.intersected(bounds)
        if not box.empty:
            inner = Rect(box.x - whole.x, box.y - whole.y, box.width, box.height)
            result.append((box, patch.pixels[inner.slices], patch.mask[inner.slices]))
    return result
