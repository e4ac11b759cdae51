"""The parity fixture passes as a whole, nothing in it is skipped, and a wrong array is noticed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from models.checks.record import Comparison, Record
from tests.shared import shared_path

REPOSITORY = Path(__file__).resolve().parents[3]
FIXTURE = ("fixtures", "asset-tiny-A")

# Arrays that computations start from; every other array of the fixture must be compared under its own name.
INPUTS = {
    "inputs": {"image", "seg", "mask_main", "mask_top", "new_category_id"},
    "case_main": {"fixed_codes_lo", "fixed_codes_hi", "guide_topk10_codes", "sga_topk10_codes"},
    "case_top": {"fixed_codes_lo", "fixed_codes_hi", "guide_topk10_codes", "sga_topk10_codes"},
    "laplacian_blend": {f"{part}_{n}" for part in ("gen", "orig", "mask", "levels") for n in range(3)},
    "units": {
        "quant_input",
        "quant_codebook",
        "peg_weight",
        "peg_bias",
        "peg_input_256",
        "peg_input_512",
        "filter_logits",
    },
}
UNIT_INPUTS = ("_input", "_mask", "_weight", "_bias", ".weight", ".bias", "_lists", "_bigmask")


def run_parity(folder: Path, tmp_path: Path) -> tuple[int, list[Comparison], str]:
    report = tmp_path / "report.json"
    command = [sys.executable, str(REPOSITORY / "main.py"), "parity", str(folder), "--json", str(report)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stderr, done.stderr
    rows = [Comparison(**row) for row in json.loads(report.read_text())] if report.exists() else []
    return done.returncode, rows, done.stdout


def arrays_of(folder: Path) -> dict[str, list[str]]:
    names = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as file:
            names[path.stem] = list(file.files)
    return names


@dataclass(frozen=True)
class Run:
    """One `main.py parity` of the fixture as it is."""

    code: int
    rows: list[Comparison]
    output: str
    left: list[str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    scratch = tmp_path_factory.mktemp("parity")
    code, rows, output = run_parity(shared_path(*FIXTURE), scratch)
    return Run(code, rows, output, sorted(path.name for path in scratch.iterdir()))


def test_that_the_fixture_passes_with_no_array_skipped(run: Run) -> None:
    folder = shared_path(*FIXTURE)
    code, rows, output = run.code, run.rows, run.output
    assert [row.name for row in rows if not row.ok] == []
    assert code == 0 and f"{len(rows)} comparisons, 0 failed" in output
    for row in rows:
        assert row.line() in output and row.difference <= row.tolerance
    compared = {row.name.split(" (")[0] for row in rows}
    skipped = []
    for record, names in arrays_of(folder).items():
        for name in names:
            is_input = name in INPUTS[record] or (record == "units" and name.endswith(UNIT_INPUTS))
            if f"{record}: {name}" not in compared and not is_input:
                skipped.append(f"{record}: {name}")
    assert skipped == []
    assert {"convert: names", "convert: weights", "convert: malicious.ckpt is inert, its weights are right"} <= compared
    assert run.left == ["report.json"]  # and the hostile file has left nothing


def test_that_no_tolerance_is_looser_than_the_readmes(run: Run) -> None:
    """Integers exactly, pixels one level, everything else as listed."""
    allowed = {
        "affinity": 2e-6, "prequant": 1e-4, "encoder_output": 1e-4, "logits": 5e-4, "token_nll": 5e-4, "nll": 2e-3,
        "decoded_crop": 1e-4, "distances": 1e-4, "attn_": 2e-5, "largest level": 1.0, "share of values": 0.001,
        "attention_layer": 5e-4,
    }  # fmt: skip
    exact = (
        "indices",
        "codes",
        "mask",
        "lists",
        "seg",
        "perm",
        "block_ids",
        "exclusion",
        "greedy",
        "image256",
        "convert",
    )
    for row in run.rows:
        short = row.name.split(": ")[-1]
        if short.startswith(("units: filter", "result_")) or row.name.startswith("laplacian"):
            assert row.tolerance <= 1.0
        elif row.name.startswith("units: ") and not short.startswith(exact):
            assert row.tolerance <= (1e-4 if "distances" in short else 2e-5 if short.startswith("attn_") else 1e-5), row
        else:
            limits = [limit for part, limit in allowed.items() if part in short]
            assert row.tolerance <= (max(limits) if limits else 0.0), row


def change(path: Path, edit: dict[str, np.ndarray]) -> None:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(path, **(arrays | edit))


def test_that_stray_and_corrupted_arrays_fail(tmp_path: Path) -> None:
    """In one run: an array that nothing compares, one logit, one token, one pixel and one unit that are off."""
    folder = tmp_path / "fixture"
    shutil.copytree(shared_path(*FIXTURE), folder)
    with np.load(folder / "case_main.npz", allow_pickle=False) as file:
        logits, lists, blended = file["sga_tf_logits"], file["cross_lists"], file["blended"]
    logits[0, 700, 3] += 0.001
    lists[1, 0, 2, 30, 1] ^= 1
    blended[100:140, 100:140] += 40
    with np.load(folder / "units.npz", allow_pickle=False) as file:
        norm = file["rnorm128_output"]
    norm[1, 7, 2, 2] = np.nan
    change(folder / "case_main.npz", {"sga_tf_logits": logits, "cross_lists": lists, "blended": blended})
    change(folder / "case_top.npz", {"something_new": np.zeros(3, np.float32)})
    change(folder / "units.npz", {"rnorm128_output": norm})
    change(folder / "inputs.npz", {"mask_other": np.zeros((4, 4), np.uint8)})
    code, rows, output = run_parity(folder, tmp_path)
    assert code == 1
    failed = {row.name for row in rows if not row.ok}
    assert failed == {
        "case_main: sga_tf_logits",
        "case_main: cross_lists",
        "case_main: blended (largest level)",
        "case_main: blended (share of values)",
        "case_top: something_new (not compared)",
        "units: rnorm128_output",
        "inputs: mask_other (not compared)",
    }
    assert output.count("FAIL") == len(failed)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "units.npz", "inputs.npz", "sga.ckpt"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_that_a_damaged_fixture_is_one_clear_line(name: str, damage: str, tmp_path: Path) -> None:
    from app.cli import main

    folder = tmp_path / "fixture"
    shutil.copytree(shared_path(*FIXTURE), folder, ignore=shutil.ignore_patterns("case_*"))
    if damage == "missing":
        (folder / name).unlink()
    else:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
    assert main(["parity", str(folder)]) == 2


def test_that_a_folder_without_fixtures_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from app.cli import main

    assert main(["parity", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "config.json" in error and "Traceback" not in error


# --- the comparison itself ----------------------------------------------------------------------------------


def record(tmp_path: Path, **arrays: np.ndarray) -> Record:
    np.savez(tmp_path / "case.npz", **arrays)  # type: ignore[arg-type]
    return Record(tmp_path / "case.npz")


def test_that_integers_are_compared_by_their_differences_and_floats_by_their_gap(tmp_path: Path) -> None:
    made = record(
        tmp_path, a=np.array([1, 2, 3]), b=np.array([1.0, -np.inf]), c=np.array([[1.0]]), d=np.array([np.nan])
    )
    made.compare("a", np.array([1, 5, 4]))
    made.compare("b", np.array([1.5, -np.inf]), 1.0)
    made.compare("c", np.array([1.0]), 1.0)
    made.compare("d", np.array([np.nan]), 1.0)
    made.compare("absent", np.array([0]))
    by_name = {row.name: row for row in made.finish()}
    assert set(by_name) == {"case: a", "case: b", "case: c", "case: d"}
    assert by_name["case: a"].difference == 2 and not by_name["case: a"].ok
    assert by_name["case: b"].difference == 0.5 and by_name["case: b"].ok
    assert not by_name["case: c"].ok and not by_name["case: d"].ok  # another shape; not a number


def test_that_pixels_may_differ_by_one_level_in_few_places(tmp_path: Path) -> None:
    expected = np.full((50, 50, 3), 100, np.uint8)
    made = record(tmp_path, one=expected, two=expected, three=expected)
    close, often, far = expected.copy(), expected.copy(), expected.copy()
    close[0, 0, 0] += 1
    often[0] += 1
    far[0, 0, 0] += 2
    for name, ours in (("one", close), ("two", often), ("three", far)):
        made.compare_pixels(name, ours)
    assert [row.ok for row in made.comparisons] == [True, True, True, False, False, True]


def test_that_an_array_that_nobody_asked_for_fails(tmp_path: Path) -> None:
    made = record(tmp_path, used=np.zeros(1), stray=np.zeros(1))
    made.input("used")
    (row,) = made.finish()
    assert row.name == "case: stray (not compared)" and not row.ok and "FAIL" in row.line()
