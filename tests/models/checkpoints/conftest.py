"""A saved checkpoint, and a folder where nothing may be executed."""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.models.checkpoints.saved import save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def no_execution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder; anything that would run code or import a module fails the test."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    calls: list[str] = []
    for owner, name in [(os, "system"), (builtins, "eval"), (builtins, "exec"), (torch, "load"), (os, "popen")]:
        monkeypatch.setattr(owner, name, lambda *_, _name=name, **__: calls.append(_name))
    modules = set(sys.modules)
    yield folder
    assert calls == []
    assert list(folder.iterdir()) == []
    assert not {name for name in set(sys.modules) - modules if name.startswith(("antigravity", "this"))}
