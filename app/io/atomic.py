"""Replacing a file as a whole: after any failure the old bytes are still there and nothing else is."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path

from .errors import ExportError, one_line


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Put `data` at `path` in one step: a temporary file beside it, fsync, os.replace.

    A link is followed and stays a link; an existing file keeps its permissions.
    Raises ExportError; then `path` is as it was and no temporary file is left.
    """
    try:
        _replace(Path(os.path.realpath(path)), data)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ExportError(one_line(path, *_reason(error))) from error


def _replace(target: Path, data: bytes) -> None:
    # os.open rather than tempfile: tempfile's 0600 would outlive the rename, this follows the umask.
    temporary = target.with_name(f".scenebrush-{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _reason(error: OSError | ValueError) -> tuple[str, str]:
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full, nothing was written", "free some space or choose another folder"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "this place is not writable, nothing was written", "choose another folder or change its permissions"
    if code in (errno.ENOENT, errno.ENOTDIR):
        return "its folder does not exist, nothing was written", "create the folder or choose another one"
    if code == errno.EISDIR:
        return "is a folder, nothing was written", "choose a file name"
    detail = getattr(error, "strerror", None) or str(error)
    return f"could not be written ({detail})", "choose another name or folder"
