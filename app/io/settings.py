"""What the user has set, in one JSON file; a file that cannot be used is kept aside, never a reason not to start."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .atomic import write_atomically
from .errors import ExportError


class Settings(BaseModel):
    """All settings with their defaults; unknown ones (of a newer version) are ignored.

    device, checkpoint: as on the command line. versions: candidates of a run. max_megapixels: larger photos are
    refused. autosave_seconds: pause between safety copies. export_*: the last choice. shortcuts: keys by command
    name, where they differ from the usual. window, geometry: Qt's own, base64.
    """

    model_config = ConfigDict(extra="ignore", validate_assignment=True)

    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint: Path | None = None
    versions: int = Field(4, ge=1, le=64)
    max_megapixels: float = Field(100.0, ge=1, le=2000)
    autosave_seconds: int = Field(5, ge=1, le=600)
    export_suffix: Literal[".png", ".tif", ".jpg", ".ora"] = ".png"
    export_quality: int = Field(95, ge=1, le=100)
    export_eight_bit: bool = False
    shortcuts: dict[str, list[str]] = Field(default_factory=dict)
    window: str = ""
    geometry: str = ""
    first_run: bool = True


class SettingsStore:
    """The settings and their file; None keeps them in memory only. problem: a line when the file could not be read."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.settings = Settings()
        self.problem = ""
        if file is None or not file.exists():
            return
        try:
            self.settings = Settings.model_validate_json(file.read_bytes())
        except (ValidationError, OSError, ValueError) as error:
            aside = file.with_name(file.name + ".unreadable")
            with contextlib.suppress(OSError):
                file.replace(aside)
            detail = str(error).splitlines()[0]
            self.problem = f"The settings could not be read ({detail}); the old file is {aside.name}."

    def save(self) -> str:
        """Write them in one step; returns a line when that failed, else ""."""
        if self._file is None:
            return ""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file, self.settings.model_dump_json(indent=1).encode())
        except (ExportError, OSError) as error:
            return f"The settings could not be saved: {error}"
        return ""
