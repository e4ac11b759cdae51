"""Exported OpenRaster files in Krita itself; skipped where it is not installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from app.io.pictures.depth import to_eight_bit
from app.io.pictures.ora import save_ora
from tests.io.test_ora import COLORS, edited, image, opened, photo

_SECONDS = 90  # its first start fills a resource folder; a question that waits for an answer takes for ever
pytestmark = pytest.mark.skipif(
    shutil.which("krita") is None or shutil.which("xvfb-run") is None,
    reason="krita or xvfb-run is not installed (apt-get install --no-install-recommends krita xvfb xauth)",
)


@pytest.fixture(scope="module")
def krita_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("krita")


def saved_by_krita(source: Path, target: Path, home: Path) -> Path:
    """Let Krita open a file and save it as another; fails when it asks something meanwhile."""
    environment = {**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    environment.pop("QT_QPA_PLATFORM", None)
    command = ["xvfb-run", "-a", "krita", "--nosplash", "--export", "--export-filename", str(target), str(source)]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert process.wait(_SECONDS) == 0
    except subprocess.TimeoutExpired:
        pytest.fail(f"Krita did not end after {_SECONDS} s: it waits for an answer")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return target


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_that_krita_shows_the_layers_as_they_were_written(tmp_path: Path, krita_home: Path, kind: type) -> None:
    source = photo(kind)
    picture, painted, labels = edited(source)
    save_ora(tmp_path / "ours.ora", picture, painted, source, labels, COLORS)
    ours, ours_layers = opened((tmp_path / "ours.ora").read_bytes())
    theirs, layers = opened(saved_by_krita(tmp_path / "ours.ora", tmp_path / "krita.ora", krita_home).read_bytes())
    rounding = int(kind is np.uint16)  # Krita saves OpenRaster with 8 bits
    names = ("name", "x", "y", "opacity", "visibility")
    assert [[layer.get(n) for n in names] for layer in layers] == [[one.get(n) for n in names] for one in ours_layers]
    for own, other in zip(ours_layers, layers, strict=True):
        expected, found = to_eight_bit(image(ours, own["src"])), image(theirs, other["src"])
        if expected.shape[2] == 4:
            assert np.array_equal(found[..., 3], expected[..., 3]), own["name"]
        off = np.abs(found[..., :3].astype(int) - expected[..., :3])[found[..., 3] > 0]
        assert off.max() <= rounding, own["name"]
    merged = image(theirs, "mergedimage.png")[..., :3].astype(int)
    assert np.abs(merged - to_eight_bit(picture)).max() <= rounding


def test_that_krita_keeps_sixteen_bits_a_channel(tmp_path: Path, krita_home: Path) -> None:
    source = photo(np.uint16)
    picture, painted, labels = edited(source)
    save_ora(tmp_path / "ours.ora", picture, painted, source, labels, COLORS)
    with zipfile.ZipFile(saved_by_krita(tmp_path / "ours.ora", tmp_path / "krita.kra", krita_home)) as pack:
        root = ElementTree.fromstring(pack.read("maindoc.xml"))
    depths = {layer.get("name"): layer.get("colorspacename") for layer in root.iter() if layer.get("nodetype")}
    assert depths == {"Label map": "RGBA", "Scenebrush edit": "RGBA16", "Original": "RGBA16"}
