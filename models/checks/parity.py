"""Compares our engine with fixtures of published models' results: ASSET, Taming Transformers, iLAT, MaskGIT.

A fixture folder brings weights, configuration, inputs and intermediate arrays; which kind it is, its `config.json`
tells. Every array is either an input of a computation or compared; one that is neither is a failure. Tolerances are
those of the fixtures' READMEs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..errors import CheckpointError
from .asset import check_asset
from .ilat import check_ilat
from .maskgit import check_maskgit
from .record import Comparison
from .taming import check_taming

SISTERS = {"grids": check_taming, "code_width": check_ilat, "schedule_methods": check_maskgit}  # by a field they have


def check_fixture(folder: Path, scratch: Path) -> Iterator[Comparison]:
    """Run every comparison of a fixture folder; `scratch` is an empty folder for the converter's output.

    Raises CheckpointError for a folder that cannot be read.
    """
    config, tensors = _opened(folder)
    for field, check in SISTERS.items():
        if field in config:
            yield from _complete(folder, check(folder, config, tensors))
            return
    yield from check_asset(folder, config, tensors, scratch)


def _opened(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    path, weights = folder / "config.json", folder / "model.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{path}: not found; give a folder with parity fixtures")
    try:
        return json.loads(path.read_text()), {k: v.float() for k, v in load_file(str(weights)).items()}
    except ValueError as error:
        raise CheckpointError(f"{path}: is not JSON ({error}); copy the fixture again") from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{weights}: cannot be read ({error}); copy the fixture again") from error


def _complete(folder: Path, comparisons: Iterator[Comparison]) -> Iterator[Comparison]:
    """The comparisons; a file that lacks what they need is one clear error."""
    try:
        yield from comparisons
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        detail = str(error).splitlines()[0] if str(error) else repr(error)
        raise CheckpointError(
            f"{folder}: its files do not fit each other ({detail}); copy the fixture again"
        ) from error
