"""Undoable changes: a step is a list of atoms, an atom is the changed pixels of one rectangle of one layer.

After napari's label strokes: bounding box + which pixels changed + their old and new values. Undo writes the
old values back, newest atom first; nothing outside the changed pixels is ever written.
"""

from __future__ import annotations

import enum
import itertools
from dataclasses import dataclass, field

import numpy as np

from .geometry import Rect

_step_numbers = itertools.count(1)


class Layer(enum.StrEnum):
    """The arrays of a document that steps may change."""

    START = "start"
    PAINT = "paint"
    APPLIED = "applied"
    PICTURE = "picture"


@dataclass(frozen=True, eq=False)
class Atom:
    """Changed pixels of `layer` inside `rect`.

    packed: the (height, width) bool mask of changed pixels as bits (np.packbits).
    old, new: values in row order, (n,) uint8 or (n, 3) uint8; (1,) where all are equal.
    """

    layer: Layer
    rect: Rect
    packed: np.ndarray
    old: np.ndarray
    new: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        count = self.rect.width * self.rect.height
        return np.unpackbits(self.packed, count=count).astype(bool).reshape(self.rect.height, self.rect.width)

    @property
    def nbytes(self) -> int:
        return self.packed.nbytes + self.old.nbytes + self.new.nbytes


@dataclass(frozen=True, eq=False)
class Step:
    """One entry of the undo history. name: for the menu ("Brush: lake"). edits_picture: a candidate was applied."""

    name: str
    atoms: tuple[Atom, ...]
    number: int = field(default_factory=lambda: next(_step_numbers))

    @property
    def layers(self) -> frozenset[Layer]:
        return frozenset(atom.layer for atom in self.atoms)

    @property
    def edits_picture(self) -> bool:
        return Layer.PICTURE in self.layers

    @property
    def rect(self) -> Rect:
        """The smallest rectangle around all changes."""
        return Rect.around(atom.rect for atom in self.atoms)

    @property
    def nbytes(self) -> int:
        return sum(atom.nbytes for atom in self.atoms)


def write(layer: Layer, target: np.ndarray, rect: Rect, mask: np.ndarray, values: np.ndarray | int) -> Atom | None:
    """Write `values` to the masked pixels of `rect` of `target` and return the atom; None when nothing changed.

    mask: (height, width) bool. values: a number, or (height, width[, 3]) uint8 covering the rectangle.
    """
    region = target[rect.slices]
    differs = region != values
    changed = mask & (differs.any(axis=2) if differs.ndim == 3 else differs)
    box = Rect.of_mask(changed)
    if box.empty:
        return None
    changed = np.ascontiguousarray(changed[box.slices])
    region = region[box.slices]
    old = region[changed]
    if isinstance(values, np.ndarray):
        new = values[box.slices][changed]
        region[changed] = new
    else:
        new = np.array([values], target.dtype)
        np.copyto(region, target.dtype.type(values), where=changed)
    where = Rect(rect.x + box.x, rect.y + box.y, box.width, box.height)
    return Atom(layer, where, np.packbits(changed), _short(old), _short(new))


def merged(atoms: list[Atom]) -> tuple[Atom, ...]:
    """Atoms of one layer that change no pixel twice and write one value, as a single atom.

    They are returned as they are where the rectangle round all would be much larger than what they hold
    (a long thin diagonal).
    """
    rect = Rect.around(atom.rect for atom in atoms)
    if len(atoms) < 2 or rect.width * rect.height > 2 * sum(a.rect.width * a.rect.height for a in atoms):
        return tuple(atoms)
    mask = np.zeros((rect.height, rect.width), bool)
    old = np.zeros((rect.height, rect.width), atoms[0].old.dtype)
    for atom in atoms:
        part = Rect(atom.rect.x - rect.x, atom.rect.y - rect.y, atom.rect.width, atom.rect.height).slices
        changed = atom.mask
        mask[part] |= changed
        old[part][changed] = atom.old
    return (Atom(atoms[0].layer, rect, np.packbits(mask), _short(old[mask]), atoms[0].new),)


def _short(values: np.ndarray) -> np.ndarray:
    """The single value of a one-dimensional array that holds only one, else the array."""
    if values.ndim == 1 and len(values) > 1 and (values == values[0]).all():
        return values[:1].copy()
    return values
