"""Values on the command line that are refused before any work begins."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path


def whole(least: int) -> Callable[[str], int]:
    """A whole number, `least` or more."""

    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is too small; use at least {least}")
        return int(text)

    return number


def above(least: float) -> Callable[[str], float]:
    """A number above `least`."""

    def number(text: str) -> float:
        if not least < float(text) < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is out of range; use a number above {least:g}")
        return float(text)

    return number


def within(least: float, below: float) -> Callable[[str], float]:
    """A number from `least` to less than `below`."""

    def number(text: str) -> float:
        if not least <= float(text) < below:
            raise argparse.ArgumentTypeError(f"{text} is out of range; use {least:g} or more, less than {below:g}")
        return float(text)

    return number


def report_file(text: str) -> Path:
    """A file to be written when all is done: its folder must be there already."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder; give a file")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{path.parent}: no such folder; make it first")
    return path


def png_file(text: str) -> Path:
    """A PNG to be written when all is done: label maps and contact sheets are kept without loss."""
    path = report_file(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{path} is written as a PNG; name it {path.with_suffix('.png').name}")
    return path
