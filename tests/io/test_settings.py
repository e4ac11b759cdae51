"""Settings: kept in one file, never a reason not to start."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.io.log import last_lines, log_file
from app.io.settings import Settings, SettingsStore


def test_that_settings_come_back(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path / "new" / "settings.json")
    store.settings.versions, store.settings.shortcuts = 8, {"undo": ["Ctrl+U"]}
    store.settings.checkpoint = Path("/some/where")
    assert store.save() == ""
    again = SettingsStore(tmp_path / "new" / "settings.json")
    assert again.settings == store.settings and again.problem == ""


@pytest.mark.parametrize("text", ["", "{", "[]", '{"versions": "many"}', '{"versions": 10000}', "\x00"])
def test_that_a_broken_file_gives_the_usual_settings_and_is_kept_aside(tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(text)
    store = SettingsStore(file)
    assert store.settings == Settings() and "could not be read" in store.problem
    assert (tmp_path / "settings.json.unreadable").read_text() == text and not file.exists()


def test_that_settings_of_a_newer_version_are_ignored_not_refused(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"versions": 6, "telepathy": true}')
    assert SettingsStore(file).settings.versions == 6 and SettingsStore(file).problem == ""


def test_that_impossible_values_are_refused_at_once() -> None:
    with pytest.raises(ValidationError):
        Settings().versions = 0


def test_that_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "could not be saved" in SettingsStore(tmp_path / "file" / "settings.json").save()


def test_that_without_a_file_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert SettingsStore().save() == "" and list(tmp_path.iterdir()) == []


def test_that_the_newest_lines_of_the_log_are_found(tmp_path: Path) -> None:
    assert last_lines(tmp_path) == []
    log_file(tmp_path).write_text("".join(f"line {n}\n" for n in range(99)))
    assert last_lines(tmp_path, 2) == ["line 97", "line 98"]
