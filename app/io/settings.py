"""What the user has set, in one JSON file; a file that cannot be used is kept aside, never a reason not to start."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .atomic import write_atomically
from .errors import ExportError

SCHEMA = 1  # raise when an older Scenebrush would misread or lose what is in the file


class Settings(BaseModel):
    """All settings with their defaults; unknown ones are ignored.

    device, checkpoint: as on the command line. versions: candidates of a run. max_megapixels: larger photos are
    refused. autosave_seconds: pause between safety copies. export_*: the last choice. shortcuts: keys by command
    name, where they differ from the usual. recent_labels: names of those last painted with. window, geometry: Qt's
    own, base64. first_run: never started before.
    """

    model_config = ConfigDict(extra="ignore", validate_assignment=True)

    schema_version: int = Field(default=SCHEMA, ge=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint: Path | None = None
    versions: int = Field(default=4, ge=1, le=64)
    max_megapixels: float = Field(default=100.0, ge=1, le=2000)
    autosave_seconds: int = Field(default=5, ge=1, le=600)
    export_suffix: Literal[".png", ".tif", ".jpg", ".ora"] = ".png"
    export_quality: int = Field(default=95, ge=1, le=100)
    export_bits: Literal[0, 8, 16] = 0
    shortcuts: dict[str, list[str]] = Field(default_factory=dict)
    recent_labels: list[str] = Field(default_factory=list)
    window: str = ""
    geometry: str = ""
    first_run: bool = True


class _Header(BaseModel):
    schema_version: int = 1


class SettingsStore:
    """The settings and their file; None keeps them in memory only. problem: a line when the file could not be used."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.settings = Settings()
        self.problem = ""
        if file is not None:
            self._read(file)

    def _read(self, file: Path) -> None:
        try:
            data = file.read_bytes()
            if _Header.model_validate_json(data).schema_version > SCHEMA:
                self._put_aside(file, "newer", "The settings were written by a newer Scenebrush")
                return
            self.settings = Settings.model_validate_json(data)
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, ValueError) as error:  # pydantic's ValidationError is a ValueError
            self._put_aside(file, "unreadable", f"The settings could not be read ({_reason(error)})")

    def _put_aside(self, file: Path, ending: str, what: str) -> None:
        aside = file.with_name(f"{file.name}.{ending}")
        try:
            file.replace(aside)
        except OSError:
            self._file = None  # writing would destroy what cannot be moved
            self.problem = f"{what}. The usual ones are used, and changes are not kept; look at {file}."
        else:
            self.problem = f"{what}. The usual ones are used; the file is kept as {aside.name}."

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


def _reason(error: OSError | ValueError) -> str:
    """A few plain words: the setting that is wrong, or what the file system says."""
    if isinstance(error, ValidationError):
        names = [str(part) for part in error.errors()[0]["loc"]]
        return f"“{'.'.join(names)}” has an unusable value" if names else "the file is damaged"
    return getattr(error, "strerror", None) or "the file is damaged"
