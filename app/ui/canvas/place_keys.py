"""Keys that mean something only on the canvas or in the gallery, and keys that are held down."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence

from ..control.actions import Actions


class PlaceKeys:
    """The keys of one place; its widget hands them in first. QAction cannot do this: it knows no release of a key.

    place: "canvas" or "gallery", as in Command.places.
    """

    def __init__(self, actions: Actions, place: str) -> None:
        self._actions = actions
        self._place = place
        self._held: dict[int, Callable[[bool], object]] = {}  # by key: what its release ends

    def take(self, event: QKeyEvent, only_held: bool = False) -> bool:
        """Do what the key is for; False when it means nothing here. only_held: leave all but held keys alone."""
        if event.type() == QEvent.Type.KeyRelease and event.key() in self._held:
            if not event.isAutoRepeat():
                self._held.pop(event.key())(False)
            return True
        if event.type() != QEvent.Type.KeyPress:
            return False
        for name in self._actions.placed(self._place):
            hold = self._actions.holds.get(name)
            if (hold is None and only_held) or not self._is_key_of(name, event, hold is not None):
                continue
            if hold is None:
                self._actions[name].trigger()
            elif not event.isAutoRepeat():
                self._held[event.key()] = hold
                hold(True)
            return True
        return False

    def let_go(self) -> None:
        """The place has lost the focus: no release will come."""
        while self._held:
            self._held.popitem()[1](False)

    def _is_key_of(self, name: str, event: QKeyEvent, held: bool) -> bool:
        """Whether a command has this key; a held one also while Shift, Ctrl or Alt is down for something else."""
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        pressed = [QKeySequence(event.key() | modifiers.value)]
        if held:
            pressed.append(QKeySequence(event.key()))
        return any(key in pressed for key in self._actions[name].shortcuts())
