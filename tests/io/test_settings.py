"""Settings: kept in one file, never a reason not to start."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.io.log import last_lines, log_file
from app.io.settings import SCHEMA, Settings, SettingsStore


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


def test_that_unknown_settings_are_ignored_not_refused(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"versions": 6, "telepathy": true}')
    assert SettingsStore(file).settings.versions == 6 and SettingsStore(file).problem == ""


def test_that_a_file_of_a_newer_version_is_kept_whole_beside_the_usual_settings(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    newer = f'{{"schema_version": {SCHEMA + 1}, "versions": "as many as I like"}}'
    file.write_text(newer)
    store = SettingsStore(file)
    assert store.settings == Settings() and "newer" in store.problem
    assert store.save() == "" and SettingsStore(file).problem == "", "said once"
    assert (tmp_path / "settings.json.newer").read_text() == newer


def test_that_the_line_names_the_setting_that_is_wrong_in_plain_words(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"shortcuts": {"undo": 3}}')
    problem = SettingsStore(file).problem
    assert "“shortcuts.undo”" in problem and "validation" not in problem and "\n" not in problem


def test_that_a_file_that_cannot_be_moved_aside_is_never_written_over(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "settings.json"
    file.write_text("{")

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "replace", refuse)
    store = SettingsStore(file)
    store.settings.versions = 9
    assert "not kept" in store.problem and store.save() == "" and file.read_text() == "{"


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
