"""Which command has which keys: the usual ones, the user's own, and what keeps them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtGui import QKeySequence

# keys that canvas and gallery take themselves, as Qt names them
RESERVED = {
    "Tab": "Show the original photo",
    "Space": "Move the picture",
    "Esc": "Take back, leave",
    "Return": "Apply the version shown",
    "Enter": "Apply the version shown",
    "Del": "Discard the chosen version",
    "Backspace": "Take back a corner of the lasso",
    "Left": "Choose a version",
    "Right": "Choose a version",
    "Up": "Show the run before",
    "Down": "Show the run after",
}


def portable(key: str) -> str:
    """A key as it is stored, "" for what is no key."""
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.PortableText)


def shown(key: str) -> str:
    """A key as this machine's users write it."""
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)


def effective(usual: Mapping[str, Sequence[str]], changed: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The keys of each command, none of them twice: the user's choice goes before the usual key of another command.

    usual, changed: keys by command name; names and keys that are unknown, or reserved, do nothing.
    """
    taken: set[str] = set(RESERVED)
    result: dict[str, tuple[str, ...]] = {}
    for name in sorted(usual, key=lambda name: name not in changed):
        keys = dict.fromkeys(portable(key) for key in changed.get(name, usual[name]))
        result[name] = tuple(key for key in keys if key and key not in taken)
        taken.update(result[name])
    return result


class KeyTable:
    """Keys while the user changes them; a key never belongs to two commands."""

    def __init__(
        self, titles: Mapping[str, str], usual: Mapping[str, Sequence[str]], changed: Mapping[str, Sequence[str]]
    ) -> None:
        self._titles, self._usual = titles, usual
        self._keys = effective(usual, changed)

    def keys(self, name: str) -> tuple[str, ...]:
        return self._keys[name]

    def first(self, name: str) -> str:
        """The key that menus show, "" without one."""
        return next(iter(self._keys[name]), "")

    def assign(self, name: str, key: str) -> str:
        """Make `key` the only one of a command ("": none); returns why not as one line, or "" when it is done.

        A command that has the key first already keeps its others.
        """
        key = portable(key)
        if key == self.first(name):
            return ""
        if key in RESERVED:
            return f"{shown(key)} is kept for “{RESERVED[key]}”. Choose another key."
        owner = next((other for other, keys in self._keys.items() if other != name and key in keys), None)
        if owner is not None:
            return f"{shown(key)} belongs to “{self._titles[owner]}”. Give that another key first."
        self._keys[name] = (key,) if key else ()
        return ""

    def reset(self) -> None:
        """The usual keys for all."""
        self._keys = effective(self._usual, {})

    @property
    def changed(self) -> dict[str, list[str]]:
        """What differs from the usual, for the settings."""
        usual = effective(self._usual, {})
        return {name: list(keys) for name, keys in self._keys.items() if keys != usual[name]}
