"""Cached codes on disk, under a name that changes with the encoders, the pairs, their order and their label maps.

What there was no time for is made the next time: a part of the crops is kept as such and goes on from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from .. import team
from .codes import CodeSet, joined, load_codes, save_codes
from .pairs import Pair

Make = Callable[[int], dict[int, CodeSet]]  # the codes by side of all crops from this number on, or of some of them


def cached_codes(
    folder: Path, part: str, side: int, pairs: Sequence[Pair], encoders: str, make: Make
) -> dict[int, CodeSet]:
    """The codes of a crop of each pair, or of the first of them, by side; of several processes one makes them.

    part: "train" or "val". encoders: a digest of what makes the codes. Older codes of the same part and side go.
    """
    path = folder / f"{part}-{side}-{_digest(pairs, encoders)}.npz"
    begun = path.with_name(path.name.replace(".npz", "-part.npz"))
    with team.first_alone():
        if team.is_first() and not path.exists():
            before = [load_codes(begun)] if begun.exists() else []
            sets = joined([*before, make(sum(len(sets[side]) for sets in before))])
            written = path if len(sets[side]) == len(pairs) else begun
            save_codes(sets, written)
            for stale in set(folder.glob(f"{part}-{side}-*.npz")) - {written}:
                stale.unlink()
    return load_codes(path if path.exists() else begun)


def _digest(pairs: Sequence[Pair], encoders: str) -> str:
    digest, told = hashlib.sha256(encoders.encode()), dict[Pair, bytes]()
    for pair in pairs:
        if pair not in told:
            maps = hashlib.sha256(pair.labels.read()).hexdigest()
            told[pair] = f"{pair.id} {pair.photo.length} {maps}\n".encode()
        digest.update(told[pair])
    return digest.hexdigest()[:12]
