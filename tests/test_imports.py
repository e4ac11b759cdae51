"""The house: no circle of imports, no file over 400 lines (imports for type checkers count as imports)."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
LINES, DOZEN = 400, 12


def modules() -> dict[str, Path]:
    files = [path for top in ("app", "models") for path in (REPOSITORY / top).rglob("*.py")]
    return {".".join(path.relative_to(REPOSITORY).with_suffix("").parts): path for path in files}


def imported(name: str, path: Path, known: set[str]) -> set[str]:
    """The modules of ours that a module imports at any place, also for type checkers only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = name.split(".")[: -node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names} | {module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return (found & known) - {name}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of the graph, [] when there is none."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph[name]):
            if found := visit(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := visit(name, []))), [])


def test_that_no_modules_import_each_other_in_a_circle() -> None:
    known = modules()
    graph = {name: imported(name, path, set(known)) for name, path in known.items()}
    assert circle(graph) == []


def test_that_a_circle_would_be_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": set()}) == ["a", "b", "c", "a"]
    assert circle({"a": {"b"}, "b": set()}) == []


@pytest.mark.parametrize("top", ["app", "models", "tests", "tools", "docs"])
def test_that_no_file_is_too_long(top: str) -> None:
    long = {
        str(path.relative_to(REPOSITORY)).replace("\\", "/")
        for path in (REPOSITORY / top).rglob("*.py")
        if len(path.read_text(encoding="utf-8").splitlines()) > LINES
    }
    assert long == set()


@pytest.mark.parametrize("top", ["app", "models", "tests"])
def test_that_no_folder_holds_more_than_a_dozen_files(top: str) -> None:
    counts = Counter(p.parent for p in (REPOSITORY / top).rglob("*.py") if p.name not in ("__init__.py", "conftest.py"))
    assert {str(folder): count for folder, count in counts.items() if count > DOZEN} == {}
