"""The project file: one ZIP with the original photo, all layers and the results, written in one step.

    manifest.json       schema version, sizes, settings; all that is not pixels
    photo               the bytes of the original file
    layers/*.png        start, applied and paint as 8-bit grey PNG; edit.png: the edited part of the picture, RGB
    runs/<n>/paint.png  a run's paint; before.z: the label map before it, see app.io.maps.packed
    runs/<n>/<k>.bin    the arrays of one candidate, raw, in the order that the manifest lists them

Nothing in it is ever executed or unpickled, no name of an entry is used as a path, and every size is known from the
manifest before anything is unpacked. docs/adr/0005-project-file.md says why it looks like this.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from itertools import starmap
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np

from models.candidate import Candidate, DrawnWindow, Patch, Window
from models.request import WINDOWS, SamplingSettings

from .atomic import write_atomically
from .errors import PhotoError, ProjectError, one_line
from .pictures.maps import unpacked
from .pictures.photo import Photo, decode_photo

SUFFIX = ".scenebrush"
SCHEMA = 1
_FORMAT = "scenebrush-project"
_MANIFEST_BYTES = 16_000_000
_LARGEST = 4_000_000_000  # bytes of a whole project
_KINDS = {"int64": np.int64, "float64": np.float64, "float32": np.float32, "uint8": np.uint8, "bool": np.bool_}
_LAYERS = ("start", "applied", "paint")


@dataclass(frozen=True, eq=False)
class SavedCandidate:
    """A result. applied: it is in the picture."""

    candidate: Candidate
    starred: bool = False
    applied: bool = False


@dataclass(frozen=True, eq=False)
class SavedRun:
    """A run of the gallery. paint: of its request, (H, W) uint8. before: label map before it, packed."""

    title: str
    kind: str
    paint: np.ndarray
    before: bytes
    settings: SamplingSettings
    window: int | None
    tokens: int
    candidates: tuple[SavedCandidate, ...]


@dataclass(frozen=True, eq=False)
class ProjectData:
    """All that a project keeps.

    source: the bytes of the photo's file, name: its name without folders. start, applied, paint: (H, W) uint8.
    edit: (x, y, pixels) left, top and (h, w, 3) uint8 of the part of the picture that was edited, None without edits.
    labels: names of the label set, in index order.
    """

    source: bytes = field(repr=False)
    name: str
    start: np.ndarray
    applied: np.ndarray
    paint: np.ndarray
    edit: tuple[int, int, np.ndarray] | None = None
    labels_loaded: bool = False
    labels: tuple[str, ...] = ()
    runs: tuple[SavedRun, ...] = ()


def is_project(path: Path) -> bool:
    return path.suffix.lower() == SUFFIX


# --- writing -------------------------------------------------------------------------------------------------


def write_project(path: str | os.PathLike[str], data: ProjectData) -> None:
    """Write a project to `path` in one step. Raises ExportError; what was there is then untouched."""
    write_atomically(path, encode_project(data))


def encode_project(data: ProjectData) -> bytes:
    """The bytes of a project file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as pack:
        runs = [_put_run(pack, number, run) for number, run in enumerate(data.runs)]
        for name in _LAYERS:
            pack.writestr(f"layers/{name}.png", _png(getattr(data, name)))
        edit = None
        if data.edit is not None:
            x, y, pixels = data.edit
            edit = {"x": x, "y": y, "width": pixels.shape[1], "height": pixels.shape[0]}
            pack.writestr("layers/edit.png", _png(np.ascontiguousarray(pixels[..., ::-1])))
        pack.writestr("photo", data.source)
        manifest = {
            "format": _FORMAT,
            "schema": SCHEMA,
            "photo": {"name": data.name, "crc": zlib.crc32(data.source)},
            "height": data.paint.shape[0],
            "width": data.paint.shape[1],
            "edit": edit,
            "labels_loaded": data.labels_loaded,
            "labels": list(data.labels),
            "runs": runs,
        }
        pack.writestr("manifest.json", json.dumps(manifest), zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _put_run(pack: zipfile.ZipFile, number: int, run: SavedRun) -> dict[str, Any]:
    pack.writestr(f"runs/{number}/paint.png", _png(run.paint))
    pack.writestr(f"runs/{number}/before.z", run.before)
    return {
        "title": run.title,
        "kind": run.kind,
        "settings": asdict(run.settings),
        "window": "auto" if run.window is None else run.window,
        "tokens": run.tokens,
        "candidates": [
            _put_candidate(pack, f"runs/{number}/{place}.bin", saved) for place, saved in enumerate(run.candidates)
        ],
    }


def _put_candidate(pack: zipfile.ZipFile, entry: str, saved: SavedCandidate) -> dict[str, Any]:
    candidate = saved.candidate
    arrays = [candidate.tokens, candidate.token_log_likelihoods]
    drawn = candidate.windows
    arrays += [*(w.codes for w in drawn), *(w.surprise for w in drawn), *(w.guide_codes for w in drawn)]
    arrays += [array for patch in candidate.patches for array in patch.arrays]
    pack.writestr(entry, b"".join(np.ascontiguousarray(a).tobytes() for a in arrays), zipfile.ZIP_DEFLATED, 1)
    return {
        "index": candidate.index,
        "seed": candidate.seed,
        "truncated_log_likelihood": candidate.truncated_log_likelihood,
        "draft": candidate.draft,
        "starred": saved.starred,
        "applied": saved.applied,
        "windows": [asdict(place) for place in candidate.places],
        "codes": len(drawn),
        "surprise": len(drawn),
        "guide_codes": len(drawn),
        "patches": [_put_patch(patch) for patch in candidate.patches],
        "arrays": [{"kind": str(a.dtype), "shape": list(a.shape)} for a in arrays],
    }


def _put_patch(patch: Patch) -> dict[str, Any]:
    place: dict[str, Any] = {"x": patch.x, "y": patch.y}
    if patch.other is not None:
        place |= {"textured": list(patch.textured), "as_drawn": patch.as_drawn}
    return place


def _png(pixels: np.ndarray) -> bytes:
    """Quick rather than small: label maps shrink anyway."""
    _, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return encoded.tobytes()


# --- reading -------------------------------------------------------------------------------------------------


def read_project(path: str | os.PathLike[str], *, max_megapixels: float = 100.0) -> tuple[ProjectData, Photo]:
    """Open a project: its data and the decoded photo.

    Raises ProjectError, and nothing else, when the file is no whole, readable project of a known schema.
    """
    try:
        size = os.path.getsize(path)
        if size > _LARGEST:
            raise ProjectError(one_line(path, "is too large for a project", "open a smaller one"))
        with zipfile.ZipFile(path) as pack:
            return _Reader(Path(path), pack, size).read(max_megapixels)
    except ProjectError:
        raise
    except PhotoError as error:
        raise ProjectError(one_line(path, f"its photo cannot be opened ({error})", "use another copy")) from error
    except OSError as error:
        detail = error.strerror or str(error)
        raise ProjectError(one_line(path, f"cannot be read ({detail})", "check the path")) from error
    except MemoryError as error:
        raise ProjectError(one_line(path, "does not fit into memory", "close other programs")) from error
    except Exception as error:  # zipfile, json, cv2 and missing keys: anything on hostile bytes
        raise ProjectError(one_line(path, "is damaged or no Scenebrush project", "use another copy")) from error


class _Damaged(Exception):
    """Something in the file contradicts something else in it."""


class _Reader:
    def __init__(self, path: Path, pack: zipfile.ZipFile, size: int) -> None:
        self._path, self._pack = path, pack
        self._entries = {info.filename: info for info in pack.infolist()}
        if len(self._entries) != len(pack.infolist()):
            raise _Damaged("an entry is there twice")
        if sum(info.compress_size for info in self._entries.values()) > size:
            raise _Damaged("entries overlap")

    def read(self, max_megapixels: float) -> tuple[ProjectData, Photo]:
        manifest = json.loads(self._bytes("manifest.json", _MANIFEST_BYTES))
        if manifest["format"] != _FORMAT:
            raise _Damaged("another format")
        if manifest["schema"] > SCHEMA:
            what = f"was saved by a newer Scenebrush (format {manifest['schema']}, this one knows {SCHEMA})"
            raise ProjectError(one_line(self._path, what, "open it with the newer version; the file was not changed"))
        if self._entries["photo"].compress_type != zipfile.ZIP_STORED:
            raise _Damaged("the photo is packed, as only a bomb would be")
        source = self._bytes("photo", _LARGEST)
        if zlib.crc32(source) != manifest["photo"]["crc"]:
            raise _Damaged("the photo has changed")
        name = PurePath(str(manifest["photo"]["name"]).replace("\\", "/")).name or "photo"
        photo = decode_photo(source, Path(name), max_megapixels=max_megapixels)
        shape = (int(manifest["height"]), int(manifest["width"]))
        if shape != photo.size:
            raise _Damaged("the layers have another size than the photo")
        layers = {layer: self._map(f"layers/{layer}.png", shape) for layer in _LAYERS}
        data = ProjectData(
            source=source,
            name=name,
            **layers,
            edit=self._edit(manifest["edit"], shape),
            labels_loaded=bool(manifest["labels_loaded"]),
            labels=tuple(str(label) for label in manifest["labels"]),
            runs=tuple(self._run(number, run, shape) for number, run in enumerate(manifest["runs"])),
        )
        return data, photo

    def _bytes(self, name: str, limit: int) -> bytes:
        """An entry, unpacked to the size that the directory tells; more is refused before it is unpacked."""
        info = self._entries[name]
        if info.file_size > limit:
            raise _Damaged(f"{name} is too large")
        with self._pack.open(info) as file:
            data = file.read(info.file_size + 1)
        if len(data) != info.file_size:
            raise _Damaged(f"{name} has another size than the directory tells")
        return data

    def _map(self, name: str, shape: tuple[int, int]) -> np.ndarray:
        return self._image(name, shape, cv2.IMREAD_GRAYSCALE)

    def _image(self, name: str, shape: tuple[int, ...], mode: int) -> np.ndarray:
        data = self._bytes(name, 100_000 + 5 * int(np.prod(shape)))
        header = data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR"
        width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
        if not header or (height, width) != shape[:2] or data[24] != 8:
            raise _Damaged(f"{name} has another size or kind")
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
        if pixels is None or pixels.shape != shape:
            raise _Damaged(f"{name} cannot be decoded")
        return pixels

    def _edit(self, edit: Any, shape: tuple[int, int]) -> tuple[int, int, np.ndarray] | None:
        if edit is None:
            return None
        x, y, width, height = (int(edit[key]) for key in ("x", "y", "width", "height"))
        if min(x, y, width - 1, height - 1) < 0 or x + width > shape[1] or y + height > shape[0]:
            raise _Damaged("the edit reaches beyond the photo")
        pixels = self._image("layers/edit.png", (height, width, 3), cv2.IMREAD_COLOR)
        return x, y, np.ascontiguousarray(pixels[..., ::-1])

    def _run(self, number: int, run: dict[str, Any], shape: tuple[int, int]) -> SavedRun:
        known = {f.name for f in fields(SamplingSettings)}
        settings = SamplingSettings(**{key: value for key, value in run["settings"].items() if key in known})
        if run["window"] not in ("auto", *WINDOWS) or run["kind"] not in ("full", "draft", "re-roll"):
            raise _Damaged("an unknown window or kind")
        before = self._bytes(f"runs/{number}/before.z", 100_000 + 2 * shape[0] * shape[1])
        unpacked(before, shape)
        return SavedRun(
            title=str(run["title"]),
            kind=run["kind"],
            paint=self._map(f"runs/{number}/paint.png", shape),
            before=before,
            settings=settings,
            window=None if run["window"] == "auto" else run["window"],
            tokens=int(run["tokens"]),
            candidates=tuple(
                self._candidate(f"runs/{number}/{place}.bin", saved, shape)
                for place, saved in enumerate(run["candidates"])
            ),
        )

    def _candidate(self, entry: str, saved: dict[str, Any], shape: tuple[int, int]) -> SavedCandidate:
        arrays = self._arrays(entry, saved["arrays"], 16_000_000 + 8 * shape[0] * shape[1])

        def take(count: int) -> tuple[np.ndarray, ...]:
            return tuple(next(arrays) for _ in range(count))

        tokens, likelihoods = take(2)
        codes, surprise, guide = (take(int(saved[key])) for key in ("codes", "surprise", "guide_codes"))
        patches = tuple(_patch(place, take) for place in saved["patches"])
        places = [Window(*(int(w[key]) for key in ("x", "y", "side", "resolution"))) for w in saved["windows"]]
        windows = tuple(starmap(DrawnWindow, zip(places, patches, codes, surprise, guide, strict=True)))
        candidate = Candidate(
            int(saved["index"]),
            int(saved["seed"]),
            tokens,
            likelihoods,
            float(saved["truncated_log_likelihood"]),
            windows,
            bool(saved["draft"]),
        )
        _check_candidate(candidate, shape)
        return SavedCandidate(candidate, bool(saved["starred"]), bool(saved["applied"]))

    def _arrays(self, entry: str, listed: list[dict[str, Any]], limit: int) -> Any:
        """The arrays of an entry, in order; its size must be exactly theirs, and at most `limit` bytes."""
        described = [(np.dtype(_KINDS[a["kind"]]), tuple(int(n) for n in a["shape"])) for a in listed]
        if any(min(shape, default=0) < 0 or len(shape) > 3 for _, shape in described):
            raise _Damaged("an impossible array")
        sizes = [kind.itemsize * int(np.prod(shape, dtype=object)) for kind, shape in described]
        data = self._bytes(entry, min(limit, sum(sizes)))
        if len(data) != sum(sizes):
            raise _Damaged(f"{entry} has another size than its arrays")
        start = 0
        for (kind, shape), size in zip(described, sizes, strict=True):
            array = np.frombuffer(data, kind, count=size // kind.itemsize, offset=start).reshape(shape)
            yield array
            start += size


def _patch(place: dict[str, Any], take: Callable[[int], tuple[np.ndarray, ...]]) -> Patch:
    x, y = int(place["x"]), int(place["y"])
    if "textured" not in place:
        pixels, mask = take(2)
        return Patch(x, y, pixels, mask)
    labels = tuple(str(label) for label in place["textured"])
    pixels, mask, other = take(3)
    return Patch(x, y, pixels, mask, other, labels, bool(place["as_drawn"]))


def _check_candidate(candidate: Candidate, shape: tuple[int, int]) -> None:
    """What the program relies on without looking again."""
    good = candidate.tokens.dtype == np.int64 and candidate.tokens.ndim == 1
    good &= candidate.token_log_likelihoods.dtype == np.float64
    good &= candidate.tokens.shape == candidate.token_log_likelihoods.shape
    for drawn in candidate.windows:
        window, codes, surprise, guide = drawn.place, drawn.codes, drawn.surprise, drawn.guide_codes
        good &= codes.ndim == 2 and codes.dtype == np.int64 and surprise.shape == codes.shape
        good &= surprise.dtype == np.float32 and guide.shape == (16, 16) and guide.dtype == np.int64
        good &= 0 < window.side <= 4 * max(shape) + 4096 and window.resolution in (256, 512, 1024)
    for patch in candidate.patches:
        height, width = patch.pixels.shape[:2] if patch.pixels.ndim == 3 else (0, 0)
        good &= patch.pixels.shape == (height, width, 3) and patch.pixels.dtype == np.uint8
        good &= patch.mask.shape == (height, width) and patch.mask.dtype == np.bool_
        if patch.other is not None:
            good &= patch.other.shape == patch.pixels.shape and patch.other.dtype == np.uint8
        good &= 0 <= patch.x <= shape[1] - width and 0 <= patch.y <= shape[0] - height
    if not good:
        raise _Damaged("a candidate does not fit the photo")
