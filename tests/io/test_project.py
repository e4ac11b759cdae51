"""Project files: what goes in comes out, bit for bit; whatever else is refused with one clear error."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import tracemalloc
import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from app.document.document import Document
from app.io import atomic
from app.io.errors import ExportError, ProjectError
from app.io.project import SCHEMA, ProjectData, encode_project, is_project, read_project, write_project
from tests.io.projects import HEIGHT, WIDTH, project

FIXTURE = Path(__file__).parent / "fixtures" / "schema-1.scenebrush"


def same(one: object, other: object) -> bool:
    """Equal, arrays (of any depth inside dataclasses and tuples) bit for bit."""
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and one.tobytes() == other.tobytes()
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))  # type: ignore[arg-type]
    return one == other


def entries(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as pack:
        return {name: pack.read(name) for name in pack.namelist()}


def packed(contents: dict[str, bytes] | list[tuple[str, bytes]]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, data in contents.items() if isinstance(contents, dict) else contents:
            pack.writestr(name, data, zipfile.ZIP_STORED if name == "photo" and len(data) < 10**6 else None)
    return file.getvalue()


def changed_manifest(**changes: object) -> bytes:
    contents = entries(encode_project(project()))
    manifest = json.loads(contents["manifest.json"])
    contents["manifest.json"] = json.dumps({**manifest, **changes}).encode()
    return packed(contents)


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(ProjectError) as caught:
        read_project(path)
    line = str(caught.value)
    assert str(path) in line and "\n" not in line
    assert path.read_bytes() == data
    return line


# what goes in comes out ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runs", [0, 1, 3])
def test_that_a_project_comes_back_bit_for_bit(tmp_path: Path, runs: int) -> None:
    data = project(runs)
    write_project(tmp_path / "work.scenebrush", data)
    found, photo = read_project(tmp_path / "work.scenebrush")
    assert same(found, data)
    assert photo.source_bytes == data.source and photo.size == (HEIGHT, WIDTH)


def test_that_a_document_is_restored_with_its_edits(tmp_path: Path) -> None:
    data = project()
    write_project(tmp_path / "work.scenebrush", data)
    found, photo = read_project(tmp_path / "work.scenebrush")
    document = Document.restored(photo, found)
    x, y, pixels = data.edit
    assert np.array_equal(document.picture[y : y + 5, x : x + 10], pixels)
    untouched = np.ones((HEIGHT, WIDTH), bool)
    untouched[y : y + 5, x : x + 10] = False
    assert np.array_equal(document.picture[untouched], photo.rgb8[untouched])
    assert np.array_equal(document.paint, data.paint) and np.array_equal(document.start, data.start)
    assert document.unexported
    again = document.edited_part()
    assert again[:2] == (x, y) and np.array_equal(again[2], pixels)


def test_that_the_project_of_the_first_release_opens() -> None:
    """The file was written when schema 1 was made and must open for ever."""
    found, photo = read_project(FIXTURE)
    assert photo.size == (HEIGHT, WIDTH) and len(found.runs) == 2
    assert found.runs[0].candidates[0].starred and found.runs[0].settings.label_strength == 2.5


def test_that_projects_are_known_by_their_suffix() -> None:
    assert is_project(Path("a/B.SceneBrush")) and not is_project(Path("a/scenebrush.png"))


# failing to write ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["write", "fsync", "replace", "ENOSPC", "EACCES"])
def test_that_a_failed_save_leaves_the_old_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    path = tmp_path / "work.scenebrush"
    write_project(path, project(1))
    before = path.read_bytes()
    number = {"ENOSPC": 28, "EACCES": 13}.get(fault, 5)

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    target = {"write": "open", "EACCES": "open"}.get(fault)
    if target:
        monkeypatch.setattr(atomic.os, "open", fail)
    else:
        monkeypatch.setattr(atomic.os, "fsync" if fault in ("fsync", "ENOSPC") else "replace", fail)
    with pytest.raises(ExportError):
        write_project(path, project(2))
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["work.scenebrush"]


# hostile files ------------------------------------------------------------------------------------------------------


def test_that_a_newer_project_is_refused_and_left_alone(tmp_path: Path) -> None:
    assert "newer Scenebrush" in refused(tmp_path / "new.scenebrush", changed_manifest(schema=SCHEMA + 1))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"hello" * 1000,
        packed({}),
        packed({"manifest.json": b"[" * 200_000}),
        packed({"manifest.json": b"{}"}),
        packed({"manifest.json": json.dumps({"format": "another", "schema": 1}).encode()}),
        packed({"manifest.json": b"\xff\xfe"}),
    ],
    ids=["empty", "two bytes", "text", "no entries", "deep", "bare", "another", "not text"],
)
def test_that_what_is_no_project_is_refused(tmp_path: Path, data: bytes) -> None:
    started = time.perf_counter()
    refused(tmp_path / "bad.scenebrush", data)
    assert time.perf_counter() - started < 5


def test_that_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.scenebrush", tmp_path):
        with pytest.raises(ProjectError):
            read_project(path)


@pytest.mark.parametrize("name", sorted(entries(encode_project(project(1)))))
def test_that_every_entry_is_needed_and_may_be_there_only_once(tmp_path: Path, name: str) -> None:
    contents = entries(encode_project(project(1)))
    refused(tmp_path / "missing.scenebrush", packed({k: v for k, v in contents.items() if k != name}))
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = packed([*contents.items(), (name, contents[name])])
    refused(tmp_path / "twice.scenebrush", twice)


def test_that_names_of_entries_are_never_paths(tmp_path: Path) -> None:
    contents = entries(encode_project(project(1)))
    manifest = json.loads(contents["manifest.json"])
    manifest["photo"]["name"] = "../../../etc/passwd"
    contents |= {"manifest.json": json.dumps(manifest).encode(), "../../escape.txt": b"x", "/tmp/absolute": b"x"}
    path = tmp_path / "deep" / "work.scenebrush"
    path.parent.mkdir()
    path.write_bytes(packed(contents))
    found, photo = read_project(path)
    assert found.name == "passwd" and str(photo.path) == "passwd"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["deep", "work.scenebrush"]


@pytest.mark.parametrize("name", ["photo", "layers/paint.png", "runs/0/0.bin", "manifest.json"])
def test_that_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, name: str) -> None:
    contents = entries(encode_project(project(1)))
    contents[name] = bytes(300_000_000)
    data = packed(contents)
    del contents
    path = tmp_path / "bomb.scenebrush"
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(ProjectError):
        read_project(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("height",), 41),
        (("width",), -60),
        (("edit", "x"), 59),
        (("edit", "width"), 10**9),
        (("runs", 0, "window"), 123),
        (("runs", 0, "kind"), "evil"),
        (("runs", 0, "settings", "samples"), 0),
        (("runs", 0, "candidates", 0, "arrays", 0, "kind"), "object"),
        (("runs", 0, "candidates", 0, "arrays", 0, "shape"), [10**12]),
        (("runs", 0, "candidates", 0, "arrays", 0, "shape"), [-4]),
        (("runs", 0, "candidates", 0, "patches", 0, "x"), 10**6),
        (("runs", 0, "candidates", 0, "windows", 0, "side"), 0),
        (("runs", 0, "candidates", 0, "codes"), 10**9),
    ],
    ids=str,
)
def test_that_impossible_numbers_are_refused(tmp_path: Path, where: tuple[str | int, ...], value: object) -> None:
    contents = entries(encode_project(project(1)))
    manifest = json.loads(contents["manifest.json"])
    inner = manifest
    for key in where[:-1]:
        inner = inner[key]
    assert inner[where[-1]] != value
    inner[where[-1]] = value
    contents["manifest.json"] = json.dumps(manifest).encode()
    refused(tmp_path / "odd.scenebrush", packed(contents))


def test_that_mutated_projects_raise_nothing_else(tmp_path: Path) -> None:
    """A thousand files with bytes changed, cut out or repeated: opened as they were, or refused."""
    whole = encode_project(project(1))
    rng = np.random.default_rng(11)
    path = tmp_path / "mutant.scenebrush"
    opened = 0
    for _ in range(1000):
        data = bytearray(whole)
        kind = rng.integers(4)
        place = int(rng.integers(len(data)))
        if kind == 0:
            data = data[:place]
        elif kind == 1:
            for at in rng.integers(len(data), size=int(rng.integers(1, 20))):
                data[at] = int(rng.integers(256))
        elif kind == 2:
            del data[place : place + int(rng.integers(1, 200))]
        else:
            data[place:place] = data[place : place + 50]
        path.write_bytes(bytes(data))
        try:
            found, _ = read_project(path)
            opened += isinstance(found, ProjectData)
        except ProjectError:
            pass
    assert opened < 900, "the mutations do something"


# kill -9 ------------------------------------------------------------------------------------------------------------

_SAVER = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from app.io.project import write_project
from tests.io.projects import project
print("ready", flush=True)
number = 0
while True:
    write_project(Path(sys.argv[1]), project(1 + number % 3, number % 5))
    number += 1
"""


@pytest.mark.slow
def test_that_a_killed_program_leaves_a_whole_project(tmp_path: Path) -> None:
    """Fifty kills at random moments of saving again and again."""
    path, root = tmp_path / "work.scenebrush", Path(__file__).resolve().parents[2]
    rng = np.random.default_rng(5)
    write_project(path, project(1))
    process = None
    for _ in range(50):
        process = process or subprocess.Popen(
            [sys.executable, "-c", _SAVER, str(path), str(root)], stdout=subprocess.PIPE, cwd=root
        )
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        time.sleep(float(rng.uniform(0, 0.03)))
        process.kill()
        process.wait()
        process.stdout.close()
        process = None
        read_project(path)
    left = [p for p in tmp_path.iterdir() if p != path]
    assert all(p.suffix == ".tmp" for p in left), "at most what was being written when it was killed"
