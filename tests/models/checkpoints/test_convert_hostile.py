"""Whatever a pickle or an archive says, nothing is executed."""

from __future__ import annotations

import os
import random
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.checkpoints import convert as module
from models.checkpoints.convert import read_ckpt
from models.errors import CheckpointError
from tests.models.checkpoints.pickles import (
    FIXTURE,
    archive,
    call,
    refusal,
    short,
    tensor,
    text,
    with_extra,
)
from tests.shared import shared_path

# ---- what a pickle may say


def test_that_an_ordinary_hand_made_file_is_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.ckpt", with_extra(b"N"))
    assert read_ckpt(path)["w"].tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert read_ckpt(path, lambda key: key != "w") == {}


def test_that_a_bare_state_dict_of_parameters_is_read(tmp_path: Path) -> None:
    state = torch.nn.Linear(3, 2)
    ordered = state.state_dict()  # an OrderedDict with the attribute _metadata, set by BUILD
    torch.save(ordered, tmp_path / "bare.ckpt")
    torch.save({"state_dict": dict(state.named_parameters())}, tmp_path / "parameters.ckpt")
    for name in ("bare", "parameters"):
        found = read_ckpt(tmp_path / f"{name}.ckpt")
        assert all(torch.equal(found[key], ordered[key]) for key in ordered)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_that_all_dtypes_views_and_pickle_protocols_are_read(tmp_path: Path, protocol: int) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    state = {
        "base": base, "view": base[1:3, ::2], "transposed": base.T, "stride0": torch.ones(1).expand(3, 5),
        "scalar": base[2, 3], "empty": torch.empty(0, 3), "half": base.half(), "bfloat16": base.bfloat16(),
        "double": base.double(), "int64": base.long(), "int32": base.int(), "int16": base.short(),
        "int8": base.to(torch.int8), "uint8": base.to(torch.uint8),
    }  # fmt: skip
    torch.save({"state_dict": state}, tmp_path / "x.ckpt", pickle_protocol=protocol)
    found = read_ckpt(tmp_path / "x.ckpt")
    assert list(found) == list(state)
    for key, value in state.items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value)
    assert found["base"].data_ptr() == found["transposed"].data_ptr()


def test_that_big_endian_files_are_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.ckpt", with_extra(b"N"), order=b"big")
    assert read_ckpt(path)["w"].tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert "byte order" in refusal(archive(tmp_path / "y.ckpt", with_extra(b"N"), order=b"middle"))


SYSTEM = call("os system", text("touch PWNED"))
INERT = {
    "os.system": SYSTEM,
    "posix.system": call("posix system", text("touch PWNED")),
    "eval": call("builtins eval", text("open('PWNED', 'w')")),
    "python 2 eval": call("__builtin__ eval", text("open('PWNED', 'w')")),
    "open": call("io open", text("PWNED"), text("w")),
    "import": call("builtins __import__", text("antigravity")),
    "getattr": call("builtins getattr", call("builtins __import__", text("os")), text("system")),
    "dotted name": b"\x8c\x02os\x8c\x0bpath.system\x93(" + text("touch PWNED") + b"tR",
    "nested reduce": call("functools reduce", b"cos\nsystem\n", b"(" + text("touch PWNED") + b"l", SYSTEM),
    "reduce on a result": call("builtins getattr", SYSTEM) + b"(" + text("touch PWNED") + b"tR",
    "INST": b"(" + text("touch PWNED") + b"ios\nsystem\n",
    "OBJ": b"(cos\nsystem\n" + text("touch PWNED") + b"o",
    "NEWOBJ": b"csubprocess\nPopen\n(" + text("touch PWNED") + b"t\x81",
    "NEWOBJ_EX": b"csubprocess\nPopen\n(" + text("touch PWNED") + b"t}\x92",
    "torch.load": call("torch load", text("PWNED")),
    "torch.hub": call("torch.hub load", text("x"), text("y")),
    "torch save": call("torch save", b"N", text("PWNED")),
    "torch FileStore": call("torch UntypedStorage", short(2**30)),
    "torch storage called": call("torch._utils _rebuild_device_tensor_from_numpy", b"N"),
    "own module": call("models.checkpoints.convert convert", text("a"), text("b")),
    "own reader": call("models.checkpoints.convert _RebuildTensor", b"N"),
    "BUILD with __class__": SYSTEM + b"}" + text("__class__") + b"cos\nsystem\n" + b"sb",
    "BUILD with slots": SYSTEM + b"(}}" + text("__class__") + b"cos\nsystem\n" + b"stb",
    "BUILD on a class": b"cos\n_Environ\n}" + text("__call__") + b"cos\nsystem\nsb",
    "BUILD on an OrderedDict": call("collections OrderedDict") + b"(}}" + text("__class__") + b"cos\nsystem\nstb",
    "BUILD on the class": b"ccollections\nOrderedDict\n(}}" + text("__init__") + b"cos\nsystem\nstb",
    "BUILD on a rebuilder": b"ctorch._utils\n_rebuild_tensor_v2\n(}}" + text("reader") + text("evil") + b"stb",
    "BUILD on a storage type": b"ctorch\nFloatStorage\n(}}" + text("dtype") + text("evil") + b"stb",
    "BUILD on a tensor": tensor() + b"(}}" + text("offset") + short(2**30) + b"stb",
    "list and dict of stubs": SYSTEM + b"(" + text("a") + text("b") + b"e" + b"(" + text("k") + text("v") + b"u",
    "append": SYSTEM + text("a") + b"a",
    "add": SYSTEM + b"(" + text("a") + b"\x90",
    "stub as key": b"}" + SYSTEM + text("value") + b"s",
    "unknown storage": tensor(kind="torch QInt8Storage"),
    "parameter of a stub": call("torch._utils _rebuild_parameter", SYSTEM, b"\x88", b"N"),
}


@pytest.mark.parametrize("extra", INERT.values(), ids=INERT.keys())
def test_that_hostile_pickles_stay_inert(tmp_path: Path, no_execution: Path, extra: bytes) -> None:
    path = archive(tmp_path / "x.ckpt", with_extra(extra))
    assert read_ckpt(path)["w"].tolist() == [[0.0, 1.0], [2.0, 3.0]]
    again = archive(tmp_path / "y.ckpt", with_extra(b"N"))
    assert read_ckpt(again)["w"].tolist() == [[0.0, 1.0], [2.0, 3.0]]


REFUSED = {
    "BUILD on a plain dict": b"}}" + text("__class__") + b"cos\nsystem\nsb",
    "BUILD on text": text("x") + b"}" + text("__class__") + b"cos\nsystem\nsb",
    "calling a text": text("x") + b")R",
    "NEWOBJ of a rebuilder": b"ctorch._utils\n_rebuild_tensor_v2\n)\x81",
    "extension code": b"\x82\x01",
    "memo bomb": b"Nr\xff\xff\xff\xff",
    "frame bomb": b"\x95\xff\xff\xff\xff\xff\xff\xff\x7fN",
    "bytes bomb": b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
    "no stack": b"000000",
    "unhashable key": b"}}Ns",
    "odd persistent id": text("storage") + b"Q",
    "persistent id of a file": b"(" + text("file") + text("0") + b"NNNtQ",
    "text persistent id": b"P/etc/passwd\n",
    "missing storage": tensor(key="7"),
    "path as storage": tensor(key="../data.pkl"),
    "number as storage": tensor().replace(text("0"), short(0)),
    "storage too short": tensor(count=5),
    "storage too long": tensor(count=3),
    "negative storage": tensor(count=-1),
    "size beyond storage": tensor(size=(3, 2)),
    "stride beyond storage": tensor(stride=(3, 1)),
    "offset beyond storage": tensor(offset=1),
    "offset of an empty tensor": tensor(size=(0, 2), offset=5),
    "negative offset": tensor(offset=-1),
    "negative size": tensor(size=(-2, 2)),
    "negative stride": tensor(offset=3, stride=(-2, -1)),
    "too few strides": tensor(stride=(1,)),
    "too many dimensions": tensor(size=(1,) * 9, stride=(1,) * 9),
    "absurd view": tensor(size=(2**30, 2**30), stride=(0, 0)),
    "size of booleans": tensor().replace(short(2) + short(2), b"\x88\x88"),
    "size of stubs": tensor().replace(short(2) + short(2), SYSTEM + SYSTEM),
    "no arguments": call("torch._utils _rebuild_tensor_v2"),
}


@pytest.mark.parametrize("extra", REFUSED.values(), ids=REFUSED.keys())
def test_that_impossible_pickles_are_refused(tmp_path: Path, no_execution: Path, extra: bytes) -> None:
    refusal(archive(tmp_path / "x.ckpt", with_extra(extra)))


@pytest.mark.parametrize(
    "pickled", [b"", b"N.", b"}.", b"\x80\x02]" + text("w") + b"a.", b"\x80\x02}" + text("state_dict") + b"Ns.",
                b"\x80\x02" + SYSTEM + b".", b"\x80\x02}" + text("w") + SYSTEM + b"s.", b"\x80\x63."]
)  # fmt: skip
def test_that_a_pickle_without_tensors_is_refused(tmp_path: Path, no_execution: Path, pickled: bytes) -> None:
    refusal(archive(tmp_path / "x.ckpt", pickled))


# ---- what an archive may look like


def test_that_files_that_are_no_torch_zip_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    assert "no such file" in refusal(path)
    assert "no such file" in refusal(tmp_path)
    path.write_bytes(b"")
    assert "not a torch checkpoint" in refusal(path)
    path.write_bytes(b"GIF89a")
    assert "not a torch checkpoint" in refusal(path)
    torch.save({"w": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
    assert "old torch format" in refusal(path)
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    assert "no data.pkl" in refusal(tmp_path / "x.npz")


def members(path: Path, entries: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as out:
        for name, content in entries:
            out.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a\\evil", "top/../../evil"])
def test_that_paths_in_an_archive_are_refused(tmp_path: Path, name: str) -> None:
    path = members(tmp_path / "x.ckpt", [("top/data.pkl", with_extra(b"N")), ("top/data/0", bytes(16)), (name, b"")])
    assert "is refused" in refusal(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_that_ambiguous_archives_are_refused(tmp_path: Path) -> None:
    good = with_extra(b"N")
    assert "refused" in refusal(members(tmp_path / "a", [("t/data.pkl", good), ("t/data.pkl", good)]))
    assert "data.pkl" in refusal(members(tmp_path / "b", [("t/data.pkl", good), ("u/data.pkl", good)]))
    assert "data.pkl" in refusal(members(tmp_path / "c", [("t/u/data.pkl", good)]))


def test_that_compressed_and_oversized_entries_are_refused(tmp_path: Path) -> None:
    bomb = members(tmp_path / "x.ckpt", [("top/data.pkl", bytes(50_000_000))], zipfile.ZIP_DEFLATED)
    assert "more than the file can hold" in refusal(bomb)
    mild = [("top/data.pkl", with_extra(b"N")), ("top/data/0", os.urandom(3000) + bytes(16))]
    assert "compressed" in refusal(members(tmp_path / "y.ckpt", mild, zipfile.ZIP_DEFLATED))
    assert "larger than" in refusal(members(tmp_path / "z.ckpt", [("top/data.pkl", bytes(17_000_000))]))


def test_that_a_declared_size_beyond_the_file_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.ckpt", with_extra(b"N"))
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")  # the central directory entry of the storage
    content[entry + 20 : entry + 28] = struct.pack("<II", 2**31, 2**31)
    path.write_bytes(content)
    assert "more than the file can hold" in refusal(path)


def test_that_truncated_files_are_refused(tmp_path: Path) -> None:
    whole = shared_path(*FIXTURE, "pl_class_key.ckpt").read_bytes()
    path = tmp_path / "x.ckpt"
    chance = random.Random(0)
    for length in [0, 1, 3, 4, *(chance.randrange(len(whole)) for _ in range(40)), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refusal(path)


@pytest.mark.parametrize("name", ["pl_class_key.ckpt", "malicious.ckpt"])
def test_that_mutated_files_only_ever_raise_checkpoint_errors(tmp_path: Path, no_execution: Path, name: str) -> None:
    with zipfile.ZipFile(shared_path(*FIXTURE, name)) as source:
        entries = {info.filename: source.read(info) for info in source.infolist()}
    top = name.removesuffix(".ckpt")
    path, chance = tmp_path / "x.ckpt", random.Random(2)
    refused = 0
    for number in range(300):
        if number % 3:  # the pickle, in an intact archive
            pickled = mutated(entries[f"{top}/data.pkl"], chance)
            members(path, [*(entries | {f"{top}/data.pkl": pickled}).items()])
        else:  # the archive's own bytes
            path.write_bytes(mutated(shared_path(*FIXTURE, name).read_bytes(), chance))
        begin = time.process_time()
        message = ""
        try:
            read_ckpt(path)
        except CheckpointError as error:
            message = str(error)
            refused += 1
        assert message.isprintable()
        assert time.process_time() - begin <= 1.0
    assert refused > 50


def mutated(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def test_that_optimiser_storages_are_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"state_dict": {"w": torch.ones(2)}, "optimizer_states": [torch.zeros(10**6)]}, tmp_path / "x.ckpt")
    read: list[int] = []
    real: Callable[..., bytes] = zipfile.ZipFile.read

    def counting(self: zipfile.ZipFile, *arguments: Any) -> bytes:
        read.append(len(content := real(self, *arguments)))
        return content

    monkeypatch.setattr(module.zipfile.ZipFile, "read", counting)
    assert read_ckpt(tmp_path / "x.ckpt")["w"].tolist() == [1.0, 1.0]
    assert sum(read) < 5_000
