"""`main.py edit`: what it writes, in which order, and what it leaves alone."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.checkpoints.read import load_checkpoint
from tests.cli.command_line import SIZE, CommandLine
from tests.helpers import CODES, box_paint, paint_of, some_photo

RECORD = {
    "photo_sha256",
    "checkpoint_sha256",
    "device",
    "windows",
    "painted_pixels",
    "painted_tokens",
    "timings",
    "candidates",
}
CANDIDATE = {"rank", "file", "seed", "log_likelihood", "nats_per_token", "tokens", "token_log_likelihoods"}
CANDIDATE |= {"textured"}


def record(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "edit.json").read_text())
    return found


def pixels(path: Path) -> np.ndarray:
    found: np.ndarray = np.asarray(Image.open(path))
    return found


def painted() -> np.ndarray:
    mask: np.ndarray = box_paint(*SIZE, 30, 40, 62, 81) != 255
    return mask


def test_that_an_edit_writes_candidates_a_contact_sheet_and_a_record(command_line: CommandLine) -> None:
    result = command_line.edit(samples=3)
    assert result.code == 0, result.err
    names = {path.name for path in command_line.out.iterdir()}
    assert names == {"candidate-01.png", "candidate-02.png", "candidate-03.png", "contact-sheet.png", "edit.json"}
    for number in (1, 2, 3):
        picture = pixels(command_line.out / f"candidate-{number:02d}.png")
        assert picture.shape == (*SIZE, 3) and picture.dtype == np.uint8
    sheet = pixels(command_line.out / "contact-sheet.png")
    assert sheet.shape[0] > 2 * SIZE[0] and sheet.shape[1] > 3 * SIZE[1]
    assert str(command_line.out) in result.out and "3 candidates" in result.out


def test_that_the_record_has_all_its_keys_and_they_are_right(command_line: CommandLine) -> None:
    assert command_line.edit(samples=3, seed=11).code == 0
    found = record(command_line.out)
    assert set(found) == RECORD
    photo = (command_line.folder / "photo.png").read_bytes()
    assert found["photo_sha256"] == hashlib.sha256(photo).hexdigest()
    assert found["checkpoint_sha256"] == load_checkpoint(command_line.checkpoint).sha256
    assert "CPU" in found["device"]
    (window,) = found["windows"]
    assert set(window) == {"x", "y", "width", "height", "resolution"}
    assert window["width"] == window["height"] == window["resolution"] == 256
    assert found["painted_pixels"] == int(painted().sum())
    assert {"load", "encode", "guide", "decode", "blend", "write", "total"} <= set(found["timings"])
    assert all(isinstance(s, float) and s >= 0 for s in found["timings"].values())
    assert found["timings"]["total"] >= found["timings"]["guide"]
    for number, candidate in enumerate(found["candidates"], 1):
        assert set(candidate) == CANDIDATE
        assert candidate["rank"] == number and candidate["file"] == f"candidate-{number:02d}.png"
        tokens, likelihoods = candidate["tokens"], candidate["token_log_likelihoods"]
        assert len(tokens) == len(likelihoods) == found["painted_tokens"] > 0
        assert all(isinstance(t, int) and 0 <= t < CODES for t in tokens)
        assert candidate["log_likelihood"] == pytest.approx(sum(likelihoods), rel=1e-9)
        assert candidate["nats_per_token"] == pytest.approx(-candidate["log_likelihood"] / len(tokens), rel=1e-9)
    assert {c["seed"] for c in found["candidates"]} == {11, 12, 13}


def test_that_the_best_candidate_comes_first(command_line: CommandLine) -> None:
    assert command_line.edit(samples=5).code == 0
    likelihoods = [c["log_likelihood"] for c in record(command_line.out)["candidates"]]
    assert likelihoods == sorted(likelihoods, reverse=True) and len(set(likelihoods)) == 5


def test_that_unpainted_bytes_are_identical(command_line: CommandLine) -> None:
    assert command_line.edit().code == 0
    photo = pixels(command_line.folder / "photo.png")
    for number in (1, 2):
        picture = pixels(command_line.out / f"candidate-{number:02d}.png")
        assert np.array_equal(picture[~painted()], photo[~painted()])
        assert not np.array_equal(picture[painted()], photo[painted()])


def test_that_each_file_holds_the_candidate_of_its_seed(command_line: CommandLine) -> None:
    """Rank and file must not get mixed up: each seed alone gives the same tokens and nearly the same picture."""
    assert command_line.edit(samples=3, seed=7).code == 0
    for candidate in record(command_line.out)["candidates"]:
        alone = command_line.folder / f"alone-{candidate['seed']}"
        assert command_line.edit(samples=1, seed=candidate["seed"], out=alone).code == 0
        (single,) = record(alone)["candidates"]
        assert single["tokens"] == candidate["tokens"] and single["seed"] == candidate["seed"]
        gap = pixels(alone / "candidate-01.png").astype(int) - pixels(command_line.out / candidate["file"])
        assert np.abs(gap).max() <= 1


def test_that_the_same_seed_gives_the_same_files(command_line: CommandLine) -> None:
    again = command_line.folder / "again"
    assert command_line.edit(seed=5).code == command_line.edit(seed=5, out=again).code == 0
    for name in ("candidate-01.png", "candidate-02.png", "contact-sheet.png"):
        assert (command_line.out / name).read_bytes() == (again / name).read_bytes()
    assert record(command_line.out)["candidates"] == record(again)["candidates"]
    other = command_line.folder / "other"
    assert command_line.edit(seed=6, out=other).code == 0
    assert record(other)["candidates"] != record(again)["candidates"]


def test_that_keep_writes_the_most_likely_of_all_samples(command_line: CommandLine) -> None:
    everything = command_line.folder / "everything"
    assert command_line.edit(samples=6, out=everything).code == 0
    assert command_line.edit(samples=6, keep=2).code == 0
    kept, best = record(command_line.out)["candidates"], record(everything)["candidates"][:2]
    assert [c["seed"] for c in kept] == [c["seed"] for c in best]
    assert {p.name for p in command_line.out.glob("candidate-*")} == {"candidate-01.png", "candidate-02.png"}
    assert command_line.edit(samples=2, keep=9).code == 0
    assert len(record(command_line.out)["candidates"]) == 2


def test_that_a_paint_map_and_a_mask_with_a_label_are_the_same_edit(command_line: CommandLine) -> None:
    by_map = command_line.folder / "by-map"
    assert command_line.edit().code == 0
    result = command_line.edit(mask=None, label=None, paint=command_line.folder / "paint.png", out=by_map)
    assert result.code == 0, result.err
    assert record(by_map)["candidates"] == record(command_line.out)["candidates"]


def test_that_a_paint_map_paints_several_labels(command_line: CommandLine) -> None:
    paint = box_paint(*SIZE, 10, 10, 30, 60, label=1)
    paint[50:70, 80:120] = 3
    Image.fromarray(paint).save(command_line.folder / "two.png")
    result = command_line.edit(mask=None, label=None, paint=command_line.folder / "two.png")
    assert result.code == 0, result.err
    assert record(command_line.out)["painted_pixels"] == 20 * 50 + 20 * 40


def test_that_labels_are_suggested_when_none_are_given(command_line: CommandLine) -> None:
    assert command_line.edit(labels=None).code == 0
    assert "segment" in record(command_line.out)["timings"]


@pytest.mark.parametrize("name", ["ROCK", " rock ", "Rock"])
def test_that_label_names_are_found_in_any_case(command_line: CommandLine, name: str) -> None:
    assert command_line.edit(label=name, samples=1).code == 0


@pytest.mark.parametrize(("window", "resolution"), [("auto", 256), ("256", 256), ("512", 512), ("1024", 1024)])
def test_that_the_window_is_the_one_asked_for(command_line: CommandLine, window: str, resolution: int) -> None:
    result = command_line.edit(window=window, samples=1)
    assert result.code == 0, result.err
    assert {w["resolution"] for w in record(command_line.out)["windows"]} == {resolution}


def test_that_sampling_options_are_used(command_line: CommandLine) -> None:
    assert command_line.edit(samples=3, top_k=1).code == 0
    assert len({tuple(c["tokens"]) for c in record(command_line.out)["candidates"]}) == 1
    assert command_line.edit(samples=3, temperature=50, top_k=CODES).code == 0
    assert len({tuple(c["tokens"]) for c in record(command_line.out)["candidates"]}) == 3


def test_that_quiet_says_nothing_and_no_pipe_gets_a_progress_bar(command_line: CommandLine) -> None:
    quiet = command_line.edit("--quiet", samples=1)
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    spoken = command_line.edit(samples=1)
    assert spoken.out.count("\n") == 1 and "CPU" in spoken.err  # which device runs, and why
    assert spoken.err.count("\n") <= 2 and not {"\r", "\x1b"} & set(spoken.err)


def test_that_a_second_edit_replaces_the_first_as_a_whole(command_line: CommandLine) -> None:
    command_line.out.mkdir()
    (command_line.out / "notes.txt").write_text("mine")
    assert command_line.edit(samples=3).code == 0
    assert command_line.edit(samples=1, seed=40).code == 0
    names = {path.name for path in command_line.out.iterdir()}
    assert names == {"candidate-01.png", "contact-sheet.png", "edit.json", "notes.txt"}
    assert record(command_line.out)["candidates"][0]["seed"] == 40


def test_that_the_photo_being_edited_is_never_deleted(command_line: CommandLine) -> None:
    """Going on from a candidate in the same folder is a natural thing to do."""
    assert command_line.edit(samples=3).code == 0
    chosen = command_line.out / "candidate-03.png"
    assert command_line.edit(photo=chosen, samples=1).code == 0
    assert chosen.exists()


def test_that_files_that_edit_did_not_write_are_never_deleted(command_line: CommandLine) -> None:
    command_line.out.mkdir()
    mine = command_line.out / "candidate-for-the-cover.png"
    shutil.copy(command_line.folder / "photo.png", mine)
    assert command_line.edit(samples=1).code == 0
    assert mine.exists()


def test_that_a_folder_is_made_with_its_parents(command_line: CommandLine) -> None:
    deep = command_line.folder / "a" / "b" / "c"
    assert command_line.edit(samples=1, out=deep).code == 0
    assert (deep / "edit.json").exists()


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (40, 300)])
def test_that_photos_of_odd_sizes_are_edited(command_line: CommandLine, size: tuple[int, int]) -> None:
    mask = np.zeros(size, bool)
    mask[:, : (size[1] + 1) // 2] = True
    command_line.write("odd.png", np.full((*size, 3), 90, np.uint8))
    command_line.write("odd-paint.png", paint_of(mask))
    command_line.write("odd-labels.png", np.ones(size, np.uint8))
    result = command_line.edit(
        photo=command_line.folder / "odd.png", mask=None, label=None, samples=1,
        paint=command_line.folder / "odd-paint.png", labels=command_line.folder / "odd-labels.png",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert pixels(command_line.out / "candidate-01.png").shape == (*size, 3)


def test_that_transparency_and_sixteen_bits_come_through(command_line: CommandLine) -> None:
    import cv2

    rng = np.random.default_rng(0)
    deep = rng.integers(0, 65536, (*SIZE, 4)).astype(np.uint16)
    deep[..., 3] |= 0x8000
    cv2.imwrite(str(command_line.folder / "deep.png"), deep)
    assert command_line.edit(photo=command_line.folder / "deep.png", samples=1).code == 0
    back = cv2.imread(str(command_line.out / "candidate-01.png"), cv2.IMREAD_UNCHANGED)
    assert back is not None and back.dtype == np.uint16 and back.shape == deep.shape
    assert np.array_equal(back[~painted()], deep[~painted()]) and np.array_equal(back[..., 3], deep[..., 3])
    assert not np.array_equal(back[painted()], deep[painted()])


def test_that_drafts_are_sketches_with_the_seeds_of_the_full_drawing(command_line: CommandLine) -> None:
    assert command_line.edit("--draft", samples=2, seed=8, window=512).code == 0
    written = record(command_line.out)
    assert sorted(c["seed"] for c in written["candidates"]) == [8, 9]
    assert "sga" not in written["timings"]


def test_that_a_label_strength_out_of_range_is_refused(command_line: CommandLine) -> None:
    result = command_line.edit("--label-strength", "0", samples=1)
    assert result.code != 0 and "label strength" in result.err


def test_that_texture_can_be_as_drawn_or_from_the_photo_or_another(command_line: CommandLine) -> None:
    """The painted label is one that the photo shows, so its own pixels can be taken."""
    seen = {}
    for texture in ("drawn", "photo", command_line.folder / "photo.png"):
        result = command_line.edit("--texture", texture, label="grass", samples=1)
        assert result.code == 0, result.err
        (candidate,) = record(command_line.out)["candidates"]
        seen[str(texture)] = (candidate["textured"], candidate["tokens"], pixels(command_line.out / "candidate-01.png"))
    drawn, photo, _ = seen.values()
    assert drawn[0] == [] and photo[0] in ([], ["grass"])
    assert len({tuple(tokens) for _, tokens, _ in seen.values()}) == 1, "texture never changes what is drawn"


def test_that_surroundings_take_an_object_away(command_line: CommandLine) -> None:
    """Each pixel under the mask is asked for as the nearest one outside it."""
    assert command_line.edit(label="surroundings", samples=1).code == 0
    written = record(command_line.out)
    assert written["candidates"][0]["tokens"]
    assert (command_line.out / "candidate-01.png").exists()


def test_that_a_folder_of_photos_can_be_the_reference(command_line: CommandLine) -> None:
    folder = command_line.folder / "holiday"
    folder.mkdir()
    empty = command_line.edit("--texture", folder).without_notes()
    assert empty.code == 2 and "holds no photos" in empty.err and empty.err.count("\n") == 1
    for name in ("a.jpg", "b.png"):
        Image.fromarray(some_photo(90, 120)).save(folder / name)
    (folder / "notes.txt").write_text("no photo")
    assert command_line.edit("--texture", folder, samples=1).code == 0


def test_that_a_reference_that_is_no_photo_is_one_line(command_line: CommandLine) -> None:
    result = command_line.edit("--texture", command_line.folder / "nowhere.jpg").without_notes()
    assert result.code == 2 and "nowhere.jpg" in result.err and result.err.count("\n") == 1
    assert not command_line.out.exists() or not any(command_line.out.iterdir())
