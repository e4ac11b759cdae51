"""Training data: photo + label-map pairs from tar packs or folders.

A data folder holds tar packs (anywhere below it) or loose pairs `<id>.jpg` + `<id>.png`; a `split.json`
beside a pack names its validation ids, otherwise every twentieth id (by hash) is held out. A pair that
cannot be read, or whose map holds labels that the label set has not, is skipped, named and counted.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from ...errors import ScenebrushError

log = logging.getLogger(__name__)
PHOTO_SUFFIXES = (".jpg", ".jpeg")
COMMON = 0.2  # share of the pictures from which a label is not rare
MOST_REPEATS = 4.0


class DataError(ScenebrushError):
    """The training data cannot be used."""


@dataclass(frozen=True)
class Location:
    """Where the bytes of a file lie: a whole file, or `size` bytes at `offset` of a tar pack."""

    path: Path
    offset: int = 0
    size: int = -1

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)

    @property
    def length(self) -> int:
        """In bytes."""
        return self.size if self.size >= 0 else self.path.stat().st_size


@dataclass(frozen=True)
class Pair:
    id: str
    photo: Location
    labels: Location
    pack: str
    known: int = 256  # labels in the label set

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8, upright, and label map (H, W) uint8; raises DataError naming the pair."""
        try:
            upright = ImageOps.exif_transpose(Image.open(io.BytesIO(self.photo.read())))
            photo = np.asarray(upright.convert("RGB"))
            labels = np.asarray(Image.open(io.BytesIO(self.labels.read())))
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"{self.id} in {self.pack}: {error}") from error
        if labels.ndim != 2 or labels.shape != photo.shape[:2]:
            raise DataError(f"{self.id} in {self.pack}: label map {labels.shape} does not fit photo {photo.shape[:2]}")
        if labels.max(initial=0) >= self.known:
            raise DataError(
                f"{self.id} in {self.pack}: label index {labels.max()} is not in the label set (0 to {self.known - 1})"
            )
        return photo, labels.astype(np.uint8)


@dataclass(frozen=True)
class DataSet:
    """The pairs of one or several data folders, split into training and validation."""

    train: tuple[Pair, ...]
    val: tuple[Pair, ...]

    @classmethod
    def open(cls, folders: Sequence[Path], unseen: Sequence[Path] = (), known: int = 256) -> DataSet:
        """The pairs of the folders by their splits; those of the folders `unseen` are all for validation.

        known: how many labels the label set has. Raises DataError for a missing or unreadable folder, and when there
        is nothing to train on.
        """
        train: list[Pair] = []
        val: list[Pair] = []
        for folder in (*folders, *unseen):
            if not folder.is_dir():
                raise DataError(f"{folder}: no such folder; give one with photo + label-map pairs")
            for pair, held_out in _pairs_below(folder, known):
                (val if held_out or folder in unseen else train).append(pair)
        if not train:
            found = "all pairs are held out for validation" if val else "no photo + label-map pairs found"
            raise DataError(f"{', '.join(map(str, folders))}: {found}, nothing to train on")
        return cls(tuple(train), tuple(val))

    def validation(self, step: int = 1) -> Iterator[tuple[Pair, np.ndarray, np.ndarray]]:
        """Every `step`-th validation pair with its photo and labels; a broken one is named and left out."""
        for pair in self.val[::step]:
            try:
                yield pair, *pair.load()
            except DataError as error:
                log.warning("skipped %s", error)

    def only(self, side: int) -> DataSet:
        """The pairs whose shorter photo side is at least `side` pixels."""
        return DataSet(*(tuple(p for p in part if _short_side(p) >= side) for part in (self.train, self.val)))


def balanced(pairs: Sequence[Pair], rounds: int = 1) -> tuple[Pair, ...]:
    """`rounds` times the pairs, those with rare labels more often: max of sqrt(COMMON / share of pictures) over them.

    Repeat factors of Gupta et al., LVIS (CVPR 2019), section 4.2, rounded at random; at most MOST_REPEATS each.
    """
    held = [_labels_of(pair) for pair in pairs]
    names = np.concatenate([h for h in held if len(h)]) if held else np.zeros(0, np.int64)
    shares = np.bincount(names, minlength=256) / max(1, len(pairs))
    factors = np.sqrt(COMMON / np.maximum(shares, COMMON / MOST_REPEATS**2)).clip(min=1.0)
    wanted = [factors[h].max(initial=1.0) for h in held]
    chosen: list[Pair] = []
    for number in range(rounds):
        rng = np.random.default_rng((number, 13))
        for pair, factor in zip(pairs, wanted, strict=True):
            chosen += [pair] * int(factor + rng.random())
    return tuple(chosen)


def _labels_of(pair: Pair) -> np.ndarray:
    """The labels that cover half a percent of a pair or more; none where it cannot be read."""
    try:
        labels = np.asarray(Image.open(io.BytesIO(pair.labels.read())))
    except (OSError, ValueError, SyntaxError):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.bincount(labels.astype(np.uint8).ravel(), minlength=256) >= 0.005 * labels.size)


def _short_side(pair: Pair) -> int:
    try:
        return min(Image.open(io.BytesIO(pair.photo.read())).size)
    except (OSError, ValueError, SyntaxError):
        return 0


def _pairs_below(folder: Path, known: int) -> Iterator[tuple[Pair, bool]]:
    packs = sorted(folder.rglob("*.tar"))
    members = [m for pack in packs for m in _tar_members(pack)] if packs else list(_loose_members(folder))
    held_out: dict[Path, set[str] | None] = {}
    by_key: dict[tuple[str, str], dict[str, Location]] = {}
    for pack_name, name, location in members:
        path = Path(name)
        by_key.setdefault((pack_name, path.stem), {})[path.suffix.lower()] = location
    for (pack_name, stem), files in sorted(by_key.items()):
        photo = next((files[s] for s in PHOTO_SUFFIXES if s in files), None)
        if photo is None or ".png" not in files:
            log.warning("skipped %s in %s: it needs both a .jpg and a .png", stem, pack_name)
            continue
        home = photo.path.parent
        if home not in held_out:
            held_out[home] = _listed(home / "split.json")
        listed = held_out[home]
        by_hash = int(hashlib.sha256(stem.encode()).hexdigest(), 16) % 20 == 0
        yield Pair(stem, photo, files[".png"], pack_name, known), by_hash if listed is None else stem in listed


def _listed(split: Path) -> set[str] | None:
    """The validation ids that a `split.json` names; None where there is none. Raises DataError on another content."""
    if not split.exists():
        return None
    try:
        return set(map(str, json.loads(split.read_text())["val"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f'{split}: not readable as {{"val": [ids]}} ({error!r}); mend or remove it') from error


def _tar_members(pack: Path) -> Iterator[tuple[str, str, Location]]:
    try:
        with tarfile.open(pack) as tar:
            for member in tar:
                if member.isfile():
                    yield str(pack), member.name, Location(pack, member.offset_data, member.size)
    except tarfile.TarError as error:
        raise DataError(
            f"{pack}: not a readable tar pack ({str(error).splitlines()[0] if str(error) else error!r})"
        ) from error


def _loose_members(folder: Path) -> Iterator[tuple[str, str, Location]]:
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (*PHOTO_SUFFIXES, ".png"):
            yield str(folder), path.name, Location(path)


def random_crop(
    photo: np.ndarray, labels: np.ndarray, side: int, rng: np.random.Generator, scales: tuple[float, float] = (1.0, 1.0)
) -> tuple[np.ndarray, np.ndarray]:
    """A random square crop, scaled by a random factor of `scales` (where the photo is large enough), maybe mirrored.

    Returns photo (side, side, 3) and labels (side, side). A factor of 0.5 takes 2*side pixels and halves them;
    a photo smaller than the crop is enlarged to fit.
    """
    height, width = labels.shape
    taken = round(side / rng.uniform(*scales))
    taken = min(taken, height, width)
    top = int(rng.integers(0, height - taken + 1))
    left = int(rng.integers(0, width - taken + 1))
    photo, labels = photo[top : top + taken, left : left + taken], labels[top : top + taken, left : left + taken]
    if taken != side:
        resample = Image.Resampling.BOX if taken >= 2 * side else Image.Resampling.BICUBIC
        photo = np.asarray(Image.fromarray(photo).resize((side, side), resample))
        labels = np.asarray(Image.fromarray(labels).resize((side, side), Image.Resampling.NEAREST))
    if rng.random() < 0.5:
        photo, labels = photo[:, ::-1], labels[:, ::-1]
    return np.ascontiguousarray(photo), np.ascontiguousarray(labels)


def shrunk(photo: np.ndarray, labels: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo (H, W, 3) and its labels (H, W) with a longer side of `longest` pixels."""
    factor = longest / max(labels.shape)
    size = (max(1, round(labels.shape[1] * factor)), max(1, round(labels.shape[0] * factor)))
    return (
        cv2.resize(photo, size, interpolation=cv2.INTER_AREA),
        cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT),
    )


class CropStream:
    """Batches of random crops: batch number n is a pure function of (seed, n), so training resumes exactly."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        side: int,
        batch: int,
        seed: int,
        scales: tuple[float, float] = (1.0, 1.0),
        longest: int | None = None,
    ) -> None:
        """longest: photos whose longer side has more pixels are made so small before they are cropped."""
        self.pairs, self.side, self.size, self.seed, self.scales = pairs, side, batch, seed, scales
        self.longest = longest
        self.skipped: dict[str, str] = {}

    def batch(self, number: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
        """Photos (B, side, side, 3) uint8, labels (B, side, side) uint8, and the batch's own generator."""
        rng = self.rng(number)
        photos, maps = [], []
        for photo, labels in self.whole(number, rng):
            if self.longest is not None and max(labels.shape) > self.longest:
                photo, labels = shrunk(photo, labels, self.longest)
            photo, labels = random_crop(photo, labels, self.side, rng, self.scales)
            photos.append(photo)
            maps.append(labels)
        return np.stack(photos), np.stack(maps), rng

    def rng(self, number: int) -> np.random.Generator:
        """The generator of a batch, as it is when the batch begins."""
        return np.random.default_rng((self.seed, number))

    def whole(self, number: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The photos (H, W, 3) and labels (H, W) uint8 that the crops of a batch are taken from."""
        for slot in range(self.size):
            yield self._pair(self._order(number * self.size + slot), rng)

    def _order(self, position: int) -> int:
        """A fresh shuffle every epoch."""
        epoch, place = divmod(position, len(self.pairs))
        return int(_shuffle(self.seed, epoch, len(self.pairs))[place])

    def _pair(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        last = None
        for _ in range(100):
            pair = self.pairs[index]
            try:
                return pair.load()
            except DataError as error:
                last = error
                if pair.id not in self.skipped:
                    self.skipped[pair.id] = str(error)
                    log.warning("skipped (%d so far) %s", len(self.skipped), error)
                index = int(rng.integers(len(self.pairs)))
        raise DataError(f"100 pairs in a row cannot be used, the last one because: {last}")


_shuffles: dict[tuple[int, int, int], np.ndarray] = {}


def _shuffle(seed: int, epoch: int, count: int) -> np.ndarray:
    key = (seed, epoch, count)
    if key not in _shuffles:
        _shuffles.clear()
        _shuffles[key] = np.random.default_rng((seed, 7, epoch)).permutation(count)
    return _shuffles[key]
