"""The errors that reach a person.

Every message is one line that says what is wrong, where, and what to do about it.
"""

from __future__ import annotations


class ScenebrushError(Exception):
    """Base of all expected errors; the message is shown to the user as it is."""


class CheckpointError(ScenebrushError):
    """A checkpoint is missing, damaged or does not fit its card."""


class RequestError(ScenebrushError):
    """An edit request cannot be carried out (nothing painted, wrong size, unknown label…)."""


class DeviceError(ScenebrushError):
    """The asked-for device is absent, or memory ran out on every step of the ladder."""
