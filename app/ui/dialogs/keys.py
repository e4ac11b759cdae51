"""Which command has which keys: the usual ones, the user's own, and what keeps them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtGui import QKeySequence

# keys that mean the same everywhere and cannot be changed, as Qt names them
RESERVED = {
    "Esc": "Take back, leave",
    "Backspace": "Take back a corner of the lasso",
}
_Places = Mapping[str, Sequence[str]]  # by command: where its keys count; without an entry: everywhere


def portable(key: str) -> str:
    """A key as it is stored, "" for what is no key."""
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.PortableText)


def shown(key: str) -> str:
    """A key as this machine's users write it."""
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)


def meet(one: str, other: str, places: _Places) -> bool:
    """Whether there is a place where the keys of both commands count."""
    here, there = places.get(one), places.get(other)
    return here is None or there is None or not set(here).isdisjoint(there)


def effective(
    usual: Mapping[str, Sequence[str]], changed: Mapping[str, Sequence[str]], places: _Places
) -> dict[str, tuple[str, ...]]:
    """The keys of each command, none twice in one place: the user's choice goes before another command's usual key.

    usual, changed: keys by command name; names and keys that are unknown, or reserved, do nothing.
    """
    result: dict[str, tuple[str, ...]] = {}
    for name in sorted(usual, key=lambda name: name not in changed):
        taken = {key for other, keys in result.items() if meet(name, other, places) for key in keys} | set(RESERVED)
        keys = dict.fromkeys(portable(key) for key in changed.get(name, usual[name]))
        result[name] = tuple(key for key in keys if key and key not in taken)
    return result


class KeyTable:
    """Keys while the user changes them; a key never belongs to two commands in one place."""

    def __init__(
        self,
        titles: Mapping[str, str],
        usual: Mapping[str, Sequence[str]],
        changed: Mapping[str, Sequence[str]],
        places: _Places,
    ) -> None:
        self._titles, self._usual, self._places = titles, usual, places
        self._keys = effective(usual, changed, places)

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
        owners = (other for other, keys in self._keys.items() if other != name and key in keys)
        owner = next((other for other in owners if meet(name, other, self._places)), None)
        if owner is not None:
            return f"{shown(key)} belongs to “{self._titles[owner]}”. Give that another key first."
        self._keys[name] = (key,) if key else ()
        return ""

    def reset(self) -> None:
        """The usual keys for all."""
        self._keys = effective(self._usual, {}, self._places)

    @property
    def changed(self) -> dict[str, list[str]]:
        """What differs from the usual, for the settings."""
        usual = effective(self._usual, {}, self._places)
        return {name: list(keys) for name, keys in self._keys.items() if keys != usual[name]}
