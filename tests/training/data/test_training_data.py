"""Reading training pairs: packs and loose files, broken ones skipped and named, crops that resume exactly."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.training.data.pairs import CropStream, DataError, DataSet, balanced, random_crop
from tests.helpers import LABELS, examples
from tests.training.training_data import files, pair, write_loose, write_pack

NAMES = [f"photo{n}" for n in range(6)]


@pytest.mark.parametrize("write", [write_loose, write_pack])
def test_that_pairs_are_found_and_split_as_listed(tmp_path: Path, write: Callable[..., Path]) -> None:
    data = DataSet.open([write(tmp_path / "data", NAMES, (64, 48), val=["photo1", "photo4"])])
    assert [p.id for p in data.train] == ["photo0", "photo2", "photo3", "photo5"]
    assert [p.id for p in data.val] == ["photo1", "photo4"]
    photo, labels = data.train[1].load()
    expected = pair(2 if write is write_loose else 102, 64, 48)
    assert photo.shape == (64, 48, 3) and np.array_equal(labels, expected[1])
    assert np.abs(photo.astype(int) - expected[0]).mean() < 10


def test_that_packs_and_loose_folders_can_be_mixed(tmp_path: Path) -> None:
    loose = write_loose(tmp_path / "loose", NAMES[:3], (32, 32), val=["photo0"])
    packed = write_pack(tmp_path / "packed" / "below", ["a", "b"], (32, 32), val=["b"])
    data = DataSet.open([loose, packed.parent])
    assert {p.id for p in data.train} == {"photo1", "photo2", "a"} and {p.id for p in data.val} == {"photo0", "b"}


def test_that_without_a_list_the_same_pairs_are_held_out_every_time(tmp_path: Path) -> None:
    names = [f"n{i}" for i in range(200)]
    folder = tmp_path / "data"
    folder.mkdir()
    jpeg, png = files(0, 16, 16)
    for name in names:
        (folder / f"{name}.jpg").write_bytes(jpeg)
        (folder / f"{name}.png").write_bytes(png)
    first = DataSet.open([folder])
    assert 2 <= len(first.val) <= 25
    assert len(first.train) + len(first.val) == 200
    for name in ("n0", "n7"):  # what is held out does not depend on what else is there
        (folder / f"{name}.jpg").unlink()
    again = DataSet.open([folder])
    assert {p.id for p in again.val} == {p.id for p in first.val} - {"n0", "n7"}


def test_that_a_photo_without_its_map_is_named_and_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_loose(tmp_path / "data", NAMES, (32, 32), val=[])
    (folder / "photo3.png").unlink()
    with caplog.at_level(logging.WARNING):
        data = DataSet.open([folder])
    assert "photo3" not in {p.id for p in (*data.train, *data.val)}
    assert "photo3" in caplog.text


@pytest.mark.parametrize("problem", ["half a photo", "no photo", "half a map", "another size", "a coloured map"])
def test_that_a_broken_pair_is_skipped_and_named(
    tmp_path: Path, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_loose(tmp_path / "data", NAMES[:4], (64, 64), val=["photo0"])
    jpeg, png = folder / "photo2.jpg", folder / "photo2.png"
    if problem == "half a photo":
        jpeg.write_bytes(jpeg.read_bytes()[:300])
    if problem == "no photo":
        jpeg.write_bytes(b"garbage")
    if problem == "half a map":
        png.write_bytes(png.read_bytes()[:60])
    if problem == "another size":
        png.write_bytes(files(0, 64, 63)[1])
    if problem == "a coloured map":
        from PIL import Image

        Image.fromarray(pair(0, 64, 64)[0]).save(png)
    stream = CropStream(DataSet.open([folder]).train, 32, 3, seed=0)
    with caplog.at_level(logging.WARNING):
        for number in range(6):
            photos, labels, _ = stream.batch(number)
            assert photos.shape == (3, 32, 32, 3) and labels.shape == (3, 32, 32)
    assert list(stream.skipped) == ["photo2"] and "photo2" in stream.skipped["photo2"]
    assert caplog.text.count("skipped") == 1  # told once, not in every batch


def test_that_a_folder_in_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    folder = write_loose(tmp_path / "data", NAMES[:2], (32, 32), val=[])
    for path in folder.glob("*.jpg"):
        path.write_bytes(b"garbage")
    with pytest.raises(DataError, match=r"cannot be used.*photo"):
        CropStream(DataSet.open([folder]).train, 16, 1, seed=0).batch(0)


def test_that_missing_empty_and_damaged_data_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "pack.tar").write_bytes(b"no tar at all" * 100)
    for name, word in (("nowhere", "no such folder"), ("empty", "no photo"), ("bad", "pack.tar")):
        with pytest.raises(DataError, match=word) as caught:
            DataSet.open([tmp_path / name])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["{}", "no json", '{"val": 3}'])
def test_that_a_split_that_cannot_be_read_is_one_clear_line(tmp_path: Path, content: str) -> None:
    folder = write_loose(tmp_path / "data", NAMES[:2], (32, 32))
    (folder / "split.json").write_text(content)
    with pytest.raises(DataError, match=r"split\.json") as caught:
        DataSet.open([folder])
    assert "\n" not in str(caught.value)


def test_that_a_file_in_place_of_a_folder_and_nothing_but_validation_are_told(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "packed", NAMES, (32, 32), val=NAMES)
    with pytest.raises(DataError, match="no such folder"):
        DataSet.open([pack / "pack-00.tar"])
    with pytest.raises(DataError, match="held out"):
        DataSet.open([pack])


def test_that_an_empty_list_holds_nothing_out(tmp_path: Path) -> None:
    names = [f"n{i}" for i in range(60)]
    assert not DataSet.open([write_loose(tmp_path / "data", names, (16, 16), val=[])]).val


def test_that_labels_beyond_the_label_set_are_skipped_and_named(tmp_path: Path) -> None:
    folder = write_loose(tmp_path / "data", NAMES[:3], (64, 64), val=[])
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(folder / "photo1.png")
    stream = CropStream(DataSet.open([folder], known=LABELS).train, 32, 3, seed=0)
    assert all(stream.batch(number)[1].max() < LABELS for number in range(4))
    assert list(stream.skipped) == ["photo1"] and "255" in stream.skipped["photo1"]


def test_that_photos_of_a_camera_held_upright_are_upright(tmp_path: Path) -> None:
    """As in the editor, with whose `segment` the label map may have been made."""
    folder = write_loose(tmp_path / "data", NAMES[:1], (40, 60), val=[])
    with Image.open(folder / "photo0.jpg") as photo:
        turned = photo.transpose(Image.Transpose.ROTATE_90)  # as the sensor saw it
    exif = turned.getexif()
    exif[0x0112] = 6  # turn it back to the right
    turned.save(folder / "photo0.jpg", exif=exif, quality=97, subsampling=0)
    photo, labels = DataSet.open([folder]).train[0].load()
    assert photo.shape[:2] == labels.shape == (40, 60)
    assert np.abs(photo.astype(int) - pair(0, 40, 60)[0]).mean() < 12


def test_that_large_photos_are_made_small_before_they_are_cropped(tmp_path: Path) -> None:
    data = DataSet.open([write_loose(tmp_path / "data", NAMES[:1], (900, 600), val=[])])
    photos, maps, _ = CropStream(data.train, 64, 1, seed=0, longest=96).batch(0)
    photo, labels = photos[0], maps[0]
    assert len(np.unique(labels)) > 3  # of 5 x 6 fields of 180 x 100 pixels a crop of 64 would show one or two
    assert np.median(np.abs(photo[..., 0].astype(int) - labels * 40)) < 12


def test_that_the_pairs_of_an_unseen_folder_are_all_for_validation(tmp_path: Path) -> None:
    write_loose(tmp_path / "a", ["one", "held"], (40, 30), val=["held"])
    write_loose(tmp_path / "b", ["two", "three"], (40, 30), val=["three"])
    data = DataSet.open([tmp_path / "a"], unseen=[tmp_path / "b"])
    assert [p.id for p in data.train] == ["one"] and {p.id for p in data.val} == {"held", "two", "three"}
    with pytest.raises(DataError, match="no such folder"):
        DataSet.open([tmp_path / "a"], unseen=[tmp_path / "nowhere"])


def test_that_small_photos_are_left_out_where_large_ones_are_needed(tmp_path: Path) -> None:
    write_loose(tmp_path / "a", ["small"], (100, 300), val=[])
    write_loose(tmp_path / "b", ["large", "held"], (200, 220), val=["held"])
    data = DataSet.open([tmp_path / "a", tmp_path / "b"]).only(200)
    assert [p.id for p in data.train] == ["large"] and [p.id for p in data.val] == ["held"]


# --- crops --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return DataSet.open([write_loose(tmp_path_factory.mktemp("crops") / "data", NAMES, (90, 70), val=[])])


def same(one: CropStream, two: CropStream, number: int) -> bool:
    first, second = one.batch(number), two.batch(number)
    noise = first[2].random(3), second[2].random(3)
    return all(np.array_equal(a, b) for a, b in zip((*first[:2], noise[0]), (*second[:2], noise[1]), strict=True))


def test_that_a_batch_is_a_function_of_its_number(data: DataSet) -> None:
    stream = CropStream(data.train, 48, 4, seed=3, scales=(0.5, 1.0))
    for number in (7, 0, 31, 7):  # in any order, by any stream
        assert same(stream, CropStream(data.train, 48, 4, seed=3, scales=(0.5, 1.0)), number)
    batches = [CropStream(data.train, 48, 4, seed=s).batch(n)[0] for s, n in ((3, 0), (3, 1), (4, 0))]
    assert not np.array_equal(batches[0], batches[1]) and not np.array_equal(batches[0], batches[2])


def test_that_every_pair_comes_once_in_an_epoch_in_another_order(data: DataSet) -> None:
    stream = CropStream(data.train, 16, 1, seed=0)
    epochs = [[stream._order(6 * epoch + place) for place in range(6)] for epoch in range(4)]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


@given(
    st.integers(1, 200), st.integers(1, 200), st.sampled_from([16, 48]), st.integers(0, 2**31),
    st.sampled_from([(1.0, 1.0), (0.45, 1.0), (0.5, 1.15)]),
)  # fmt: skip
@examples(60)
def test_that_photo_and_labels_are_cropped_alike(
    height: int, width: int, side: int, seed: int, scales: tuple[float, float]
) -> None:
    """Of any photo, also of one that is smaller than the crop."""
    _, labels = pair(seed, height, width)
    photo = np.repeat((labels * 40)[:, :, None], 3, 2)
    crop, cut = random_crop(photo, labels, side, np.random.default_rng(seed), scales)
    assert crop.shape == (side, side, 3) and cut.shape == (side, side) and crop.dtype == cut.dtype == np.uint8
    assert crop.flags["C_CONTIGUOUS"] and cut.flags["C_CONTIGUOUS"]
    assert set(np.unique(cut)) <= set(np.unique(labels))
    flat = np.ones_like(cut, bool)  # away from borders between labels, where interpolation mixes colours
    for axis in (0, 1):
        for step in (1, 2, 3):
            flat &= (np.roll(cut, step, axis) == cut) & (np.roll(cut, -step, axis) == cut)
    if min(height, width) >= side:  # else so much enlarged that three pixels are no distance
        assert np.abs(crop[flat][:, 0].astype(int) - (cut * 40)[flat]).max(initial=0) <= 12


def test_that_crops_come_from_everywhere_and_mirrored_too() -> None:
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[..., 0], photo[..., 1] = np.arange(64)[:, None], np.arange(64)[None]
    corners, mirrored = set(), set()
    for seed in range(200):
        crop, _ = random_crop(photo, photo[..., 0], 32, np.random.default_rng(seed))
        corners.add((int(crop[0, 0, 0]), int(crop[0, :, 1].min())))
        mirrored.add(bool(crop[0, 0, 1] > crop[0, 1, 1]))
    assert {row for row, _ in corners} >= {0, 32} and len(corners) > 150 and mirrored == {True, False}


def test_that_photos_with_rare_labels_come_more_often(tmp_path: Path) -> None:
    names = [f"n{i}" for i in range(100)]
    folder = write_loose(tmp_path / "data", names, (32, 32), val=["n99"])
    for number, name in enumerate(names):
        labels = np.zeros((32, 32), np.uint8)
        labels[:8] = 9 if number == 5 else 1 if number % 2 else 2  # one photo of a hundred holds label 9
        Image.fromarray(labels).save(folder / f"{name}.png")
    (folder / "n7.png").write_bytes(b"broken")
    data = DataSet.open([folder])
    often = Counter(pair.id for pair in balanced(data.train))
    assert often["n5"] == 4 and set(often) == {p.id for p in data.train}  # also the one that cannot be read
    assert max(count for name, count in often.items() if name != "n5") == 1
