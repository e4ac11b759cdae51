"""An edit without a window: read the files, draw, rank, write a folder."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from app.document.surroundings import continued
from app.io.pictures.contact_sheet import contact_sheet
from app.io.pictures.depth import to_full_depth
from app.io.pictures.maps import load_index_map, load_mask
from app.io.pictures.photo import Photo, load_photo
from app.io.pictures.references import named_pictures, photos_in
from app.io.pictures.save import save_photo
from models.candidate import Candidate
from models.config import LabelSet
from models.drawing.ranking import rank
from models.editor import SceneEditor
from models.errors import RequestError, ScenebrushError
from models.request import FULL, NOT_PAINTED, Draft, EditRequest, Progress, Reference, SamplingSettings

OWN_NAME = re.compile(r"candidate-\d+\.png|contact-sheet\.png")


class OutputError(ScenebrushError):
    """The output folder cannot be written."""


SURROUNDINGS = "surroundings"  # in place of a label: paint what surrounds the mask


@dataclass(frozen=True)
class EditFiles:
    """What `edit` reads and writes: a mask with one label, or a map of painted labels."""

    photo: Path
    out: Path
    mask: Path | None = None
    label: str | None = None
    paint: Path | None = None
    labels: Path | None = None
    reference: Path | None = None  # a photo, or a folder of photos, to take textures from

    @property
    def read(self) -> tuple[Path, ...]:
        """All that are read."""
        paths = (self.photo, self.mask, self.paint, self.labels, self.reference)
        return tuple(path for path in paths if path is not None)


def label_index(label_set: LabelSet, name: str) -> int:
    """The index of a label; RequestError with the nearest names when it is unknown."""
    try:
        return label_set.index(name)
    except KeyError:
        names = [label.name for label in label_set.labels]
        near = difflib.get_close_matches(name.lower(), names, 3) or names
        raise RequestError(f"label {name!r} is unknown to this checkpoint; try {', '.join(near)}") from None


def read_paint(files: EditFiles, size: tuple[int, int], label_set: LabelSet) -> np.ndarray:
    """The paint map (H, W) uint8 from --mask and --label or from --paint; RequestError when nothing is painted.

    With the label SURROUNDINGS it only says where: the labels round it are to be painted there.
    """
    if files.paint is not None:
        paint = load_index_map(files.paint, size, "paint map")
        source = files.paint
    else:
        assert files.mask is not None and files.label is not None
        index = 0 if files.label == SURROUNDINGS else label_index(label_set, files.label)
        paint = np.where(load_mask(files.mask, size), index, NOT_PAINTED).astype(np.uint8)
        source = files.mask
    used = paint[paint != NOT_PAINTED]
    if used.size == 0:
        raise RequestError(f"{source}: nothing is painted; make the area that should change non-zero")
    _check_range(used, label_set, source)
    return paint


def _check_range(values: np.ndarray, label_set: LabelSet, source: Path) -> None:
    largest = int(values.max(initial=0))
    if largest >= len(label_set):
        raise RequestError(
            f"{source}: label index {largest} is out of range; this checkpoint has labels 0 to {len(label_set) - 1} "
            "(see `main.py labels`)"
        )


def prepare_out(out: Path) -> Path:
    """A fresh temporary folder inside `out`, which is made if need be; OutputError when that cannot be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".scenebrush-", dir=out))
    except OSError as error:
        raise OutputError(
            f"{out}: cannot write there ({error.strerror or error}); choose another --out folder"
        ) from error


def edit(
    files: EditFiles,
    settings: SamplingSettings,
    window: int | None,
    open_engine: Callable[[], SceneEditor],
    progress: Callable[[Progress], None],
    notify: Callable[[str], None] = lambda _: None,
    draft: bool = False,
) -> list[Candidate]:
    """Run one edit and write its folder; all or nothing is written. Returns the ranked candidates.

    draft: stop at the guide's sketches.
    notify: gets lines for the user: the device and the memory that the run will take, and a scaled window.
    """
    started = time.perf_counter()
    photo = load_photo(files.photo)
    labels = None if files.labels is None else load_index_map(files.labels, photo.size, "label map")
    references = [] if files.reference is None else [load_photo(path) for path in photos_in(files.reference)]
    _check_inputs(files, min(settings.samples, settings.keep or settings.samples))
    scratch = prepare_out(files.out)
    try:
        engine = open_engine()
        timings = {"load": time.perf_counter() - started}
        paint = read_paint(files, photo.size, engine.label_set)
        if labels is None:
            if not engine.can_suggest:
                name = engine.label_set.labels[0].name
                notify(f"this checkpoint suggests no labels: all counts as {name!r}; give --labels MAP.png")
            began = time.perf_counter()
            labels = engine.suggest_labels(photo.screen_colors.convert(photo.rgb8))
            timings["segment"] = time.perf_counter() - began
        else:
            _check_range(labels, engine.label_set, files.labels or files.photo)
        if files.label == SURROUNDINGS:
            area = paint != NOT_PAINTED
            paint = np.where(area, continued(labels, area), NOT_PAINTED).astype(np.uint8)
        request = EditRequest(
            photo.rgb8, labels, paint, settings, window, Draft() if draft else FULL, colors=photo.drawing_colors,
            reference=Reference.of(named_pictures(references), engine.suggest_labels) if references else None,
        )  # fmt: skip
        _announce(engine, request, notify)
        run = engine.run(request, progress=progress)
        ranked = rank(list(run))
        kept = ranked[: settings.keep] if settings.keep is not None else ranked
        began = time.perf_counter()
        names = _write_pictures(scratch, photo, paint, kept, engine.label_set)
        timings |= run.seconds | {"write": time.perf_counter() - began}
        timings["total"] = time.perf_counter() - started
        record = edit_record(photo, engine, request, kept, names, timings)
        (scratch / "edit.json").write_text(json.dumps(record, indent=1) + "\n")
        _publish(scratch, files.out, set(files.read))
    except OSError as error:
        raise OutputError(
            f"{files.out}: cannot write there ({error.strerror or error}); choose another --out folder"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return kept


def _announce(engine: SceneEditor, request: EditRequest, notify: Callable[[str], None]) -> None:
    needed = engine.estimate_bytes(request.paint, request.window, request.settings.samples)
    notify(f"{engine.device_line}; this edit takes about {needed / 2**30:.1f} GiB beside the weights")
    for planned in engine.plan(request.paint, request.window):
        if planned.scaled:
            factor = planned.side / planned.resolution
            notify(f"the edit is wider than its window: generated {factor:.1f} times smaller and enlarged again")


def _write_pictures(
    folder: Path, photo: Photo, paint: np.ndarray, kept: list[Candidate], label_set: LabelSet
) -> list[str]:
    names = []
    painted = paint != NOT_PAINTED
    for number, candidate in enumerate(kept, 1):
        name = f"candidate-{number:02d}.png"
        save_photo(folder / name, to_full_depth(photo, candidate.apply(photo.rgb8), painted), photo)
        names.append(name)
    sheet = contact_sheet(photo.rgb8, paint, kept, label_set)
    Image.fromarray(sheet).save(folder / "contact-sheet.png")
    return names


def _publish(scratch: Path, out: Path, kept: set[Path]) -> None:
    """Move the finished files into place; candidates of an earlier run that this one does not replace go away, but
    for the files in `kept`."""
    fresh = sorted(path.name for path in scratch.iterdir())
    folders = [name for name in fresh if (out / name).is_dir()]
    if folders:
        raise OutputError(f"{out / folders[0]}: a folder is in the way; choose another --out folder")
    stale = _earlier_files(out) - set(fresh) - {path.name for path in kept}
    for name in fresh:
        os.replace(scratch / name, out / name)
    for name in stale:
        (out / name).unlink(missing_ok=True)


def _earlier_files(out: Path) -> set[str]:
    """The candidate files that an earlier run recorded in `out`."""
    try:
        record = json.loads((out / "edit.json").read_text())
        names = {str(candidate["file"]) for candidate in record["candidates"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in names if OWN_NAME.fullmatch(name)}


def _check_inputs(files: EditFiles, count: int) -> None:
    """Refuse to overwrite what the edit reads."""
    written = {"contact-sheet.png", *(f"candidate-{number:02d}.png" for number in range(1, count + 1))}
    for path in files.read:
        if path.resolve().parent == files.out.resolve() and path.name in written:
            raise OutputError(f"{path}: the edit would overwrite this file; choose another --out folder")


def edit_record(
    photo: Photo,
    engine: SceneEditor,
    request: EditRequest,
    kept: list[Candidate],
    names: list[str],
    timings: dict[str, float],
) -> dict[str, object]:
    """The content of edit.json; all keys always present."""
    windows = engine.plan(request.paint, request.window)
    return {
        "photo_sha256": photo.sha256,
        "checkpoint_sha256": engine.checkpoint_sha256,
        "device": engine.device_line,
        "windows": [
            {"x": w.x, "y": w.y, "width": w.side, "height": w.side, "resolution": w.resolution} for w in windows
        ],
        "painted_pixels": int((request.paint != NOT_PAINTED).sum()),
        "painted_tokens": len(kept[0].tokens) if kept else 0,
        "timings": {stage: round(seconds, 4) for stage, seconds in timings.items()},
        "candidates": [
            {
                "rank": number,
                "file": name,
                "seed": candidate.seed,
                "log_likelihood": candidate.log_likelihood,
                "nats_per_token": candidate.nats_per_token,
                "tokens": candidate.tokens.tolist(),
                "token_log_likelihoods": candidate.token_log_likelihoods.tolist(),
                "textured": sorted({label for patch in candidate.patches for label in patch.textured}),
            }
            for number, (name, candidate) in enumerate(zip(names, kept, strict=True), 1)
        ],
    }
