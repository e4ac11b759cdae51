"""Errors of reading and writing files; each message is one line: where, what, what to do."""

from __future__ import annotations

import os

from models.errors import ScenebrushError


class PhotoError(ScenebrushError):
    """A photo cannot be opened."""


class MapError(ScenebrushError):
    """A label map or a mask cannot be opened or does not fit its photo."""


class ProjectError(ScenebrushError):
    """A project file cannot be opened."""


class ExportError(ScenebrushError):
    """A picture or a map cannot be written; what was at its place before is still there."""


def one_line(where: str | os.PathLike[str] | None, what: str, remedy: str) -> str:
    """The message "where: what; remedy"; characters that would break the line (a path may hold any) become "?"."""
    line = f"{os.fspath(where or 'the photo')}: {what}; {remedy}"
    return "".join(c if c.isprintable() else "?" for c in line)
