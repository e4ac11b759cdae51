"""Published files convert to the same weights, and nothing that a pickle asks for is ever done."""

from __future__ import annotations

import builtins
import json
import os
import random
import re
import shutil
import struct
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from models.checkpoints import convert as module
from models.checkpoints.convert import convert, read_ckpt
from models.checkpoints.published import config_from_fixture, label_set_for, published_config
from models.checkpoints.read import load_checkpoint
from models.config import ModelConfig, Semantics
from models.errors import CheckpointError
from tests.shared import shared_path

FIXTURE = ("fixtures", "asset-tiny-A")
Shapes = dict[str, tuple[int, ...]]


def fixture_tensors() -> dict[str, torch.Tensor]:
    tensors = safetensors.torch.load_file(shared_path(*FIXTURE, "model.safetensors"))
    del tensors["cond_stage_model.colorize"]
    return {key: tensor.float() for key, tensor in tensors.items()}


def fixture_shapes(_: ModelConfig) -> Shapes:
    return {key: tuple(tensor.shape) for key, tensor in fixture_tensors().items()}


# ---- pickles and archives made by hand


def short(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def call(name: str, *arguments: bytes) -> bytes:
    """GLOBAL name, the arguments as a tuple, REDUCE."""
    return b"c" + name.replace(" ", "\n").encode() + b"\n(" + b"".join(arguments) + b"tR"


def tensor(
    key: str = "0",
    kind: str = "torch FloatStorage",
    count: int = 4,
    offset: int = 0,
    size: tuple[int, ...] = (2, 2),
    stride: tuple[int, ...] = (2, 1),
) -> bytes:
    storage = b"(" + text("storage") + b"c" + kind.replace(" ", "\n").encode() + b"\n" + text(key) + text("cpu")
    storage += short(count) + b"tQ"
    numbers = [b"(" + b"".join(map(short, values)) + b"t" for values in (size, stride)]
    return call("torch._utils _rebuild_tensor_v2", storage, short(offset), *numbers, b"\x89", b"}")


def archive(path: Path, pickled: bytes, storages: dict[str, bytes] | None = None, order: bytes = b"little") -> Path:
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("top/data.pkl", pickled)
        out.writestr("top/byteorder", order)
        four = np.arange(4, dtype="<f4" if order == b"little" else ">f4").tobytes()
        for key, content in ({"0": four} if storages is None else storages).items():
            out.writestr(f"top/data/{key}", content)
    return path


def with_extra(extra: bytes) -> bytes:
    """{'state_dict': {'w': a tensor}, 'extra': whatever `extra` builds}"""
    return b"\x80\x02}" + text("state_dict") + b"}" + text("w") + tensor() + b"ss" + text("extra") + extra + b"s."


def refusal(path: Path) -> str:
    begin = time.process_time()
    with pytest.raises(CheckpointError) as caught:
        read_ckpt(path)
    assert time.process_time() - begin <= 1.0
    message = str(caught.value)
    assert message.isprintable()
    assert "; " in message
    assert str(path) in message
    return message


@pytest.fixture
def no_execution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder; anything that would run code or import a module fails the test."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    calls: list[str] = []
    for owner, name in [(os, "system"), (builtins, "eval"), (builtins, "exec"), (torch, "load"), (os, "popen")]:
        monkeypatch.setattr(owner, name, lambda *_, _name=name, **__: calls.append(_name))
    modules = set(sys.modules)
    yield folder
    assert calls == []
    assert list(folder.iterdir()) == []
    assert not {name for name in set(sys.modules) - modules if name.startswith(("antigravity", "this"))}


# ---- the fixtures


def test_that_both_files_give_the_weights_of_the_safetensors_file(tmp_path: Path) -> None:
    config = shared_path(*FIXTURE, "config.json")
    sga, guide = shared_path(*FIXTURE, "sga.ckpt"), shared_path(*FIXTURE, "guiding.ckpt")
    assert convert(sga, guide, config, tmp_path / "out", fixture_shapes) == tmp_path / "out"
    loaded = load_checkpoint(tmp_path / "out", fixture_shapes)
    wanted = fixture_tensors()
    assert loaded.tensors.keys() == wanted.keys()
    assert all(torch.equal(loaded.tensors[key], tensor) for key, tensor in wanted.items())
    assert loaded.config == config_from_fixture(json.loads(config.read_text()))
    assert [label.name for label in loaded.label_set.labels[:2]] == ["label 0", "label 1"]
    assert len(loaded.label_set) == 16
    stored = safetensors.torch.load_file(next((tmp_path / "out").glob("*.safetensors")))
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}


def test_that_read_ckpt_agrees_with_torch(tmp_path: Path) -> None:
    for name in ("sga.ckpt", "guiding.ckpt"):
        path = shared_path(*FIXTURE, name)
        wanted = torch.load(path, weights_only=True)["state_dict"]
        found = read_ckpt(path)
        assert list(found) == list(wanted)
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)
        assert all(found[key].stride() == wanted[key].stride() for key in wanted)


def test_that_a_malicious_fixture_executes_nothing(no_execution: Path) -> None:
    tensors = read_ckpt(shared_path(*FIXTURE, "malicious.ckpt"))
    assert len(tensors) == 4
    assert not (no_execution / "PWNED").exists()


def test_that_a_dict_keyed_by_an_absent_class_is_read() -> None:
    wanted = fixture_tensors()
    tensors = read_ckpt(shared_path(*FIXTURE, "pl_class_key.ckpt"))
    assert len(tensors) == 4
    assert all(torch.equal(tensor, wanted[f"guiding_{key}"]) for key, tensor in tensors.items())


# ---- converting


def lightning(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    torch.save({"epoch": 1, "state_dict": tensors}, path)
    return path


def published_pair(folder: Path, **changes: torch.Tensor | None) -> tuple[Path, Path]:
    """Both fixture files, with SGA entries changed or removed; names with '.' written as '__'."""
    sga = dict(read_ckpt(shared_path(*FIXTURE, "sga.ckpt")))
    for name, value in changes.items():
        key = name.replace("__", ".")
        if value is None:
            del sga[key]
        else:
            sga[key] = value
    guide = folder / "guide.ckpt"
    shutil.copy(shared_path(*FIXTURE, "guiding.ckpt"), guide)
    return lightning(folder / "sga.ckpt", sga), guide


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"transformer__lm_head__weight": None}, "'transformer.lm_head.weight': missing"),
        ({"transformer__shared__weight": None}, "'transformer.shared.weight': missing"),
        ({"transformer__surprise": torch.zeros(1)}, "'transformer.surprise': unknown"),
        ({"optimizer__state": torch.zeros(1)}, "'optimizer.state': unknown"),
        ({"transformer__lm_head__weight": torch.zeros(2, 2)}, "has shape [2, 2] where the config needs [96, 64]"),
        ({"transformer__lm_head__weight": torch.zeros(1).expand(10**5, 10**6)}, "has shape [100000, 1000000]"),
        ({"transformer__lm_head__weight": torch.zeros(96, 64, dtype=torch.int64)}, "int64 instead of floating"),
        ({"transformer__encoder__embed_tokens__weight": torch.zeros(98, 64)}, "differs from transformer.shared.weight"),
        ({"transformer__decoder__embed_blocks__weight": torch.zeros(1)}, "from transformer.shared_block.weight"),
        ({"transformer__lm_head__weight": torch.full((96, 64), float("inf"))}, "not finite"),
    ],
)  # fmt: skip
def test_that_conversion_is_strict(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    sga, guide = published_pair(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=re.escape(words)) as caught:
        convert(sga, guide, shared_path(*FIXTURE, "config.json"), tmp_path / "out", fixture_shapes)
    assert str(caught.value).isprintable()
    assert not list((tmp_path / "out").glob("*"))


def test_that_losses_and_colorize_are_dropped_and_other_precision_is_kept(tmp_path: Path) -> None:
    fine = torch.full((96, 64), 1 / 3)
    changes = {
        "transformer__lm_head__weight": fine,
        "first_stage_model__loss__discriminator__weight": torch.zeros(3),
        "loss__weight": torch.zeros(3),
    }
    sga, guide = published_pair(tmp_path, **changes)
    convert(sga, guide, shared_path(*FIXTURE, "config.json"), tmp_path / "out", fixture_shapes)
    assert torch.equal(load_checkpoint(tmp_path / "out").tensors["transformer.lm_head.weight"], fine)


def test_that_an_absent_guide_tensor_is_never_left_random(tmp_path: Path) -> None:
    sga, guide = published_pair(tmp_path)
    tensors = read_ckpt(guide)
    del tensors["transformer.decoder.layers.1.fc1.bias"]
    lightning(guide, tensors)
    with pytest.raises(CheckpointError, match=r"'guiding_transformer\.decoder\.layers\.1\.fc1\.bias': missing"):
        convert(sga, guide, shared_path(*FIXTURE, "config.json"), tmp_path / "out", fixture_shapes)


@pytest.mark.parametrize("content", [None, "", "{", "[" * 100_000, "[]", "{}", '{"transformer": 3}'])
def test_that_a_bad_config_file_is_refused(tmp_path: Path, content: str | None) -> None:
    config = tmp_path / "config.json"
    if content is not None:
        config.write_text(content)
    with pytest.raises(CheckpointError) as caught:
        convert(tmp_path / "a.ckpt", tmp_path / "b.ckpt", config, tmp_path / "out", fixture_shapes)
    assert str(config) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_vqgan.n_embed", 97), ("transformer.vocab_size", "96"), ("transformer.vocab_size", True),
        ("transformer.encoder_attention_heads", 0), ("transformer.decoder_attention_heads", 2),
        ("transformer.PEG_list", ["E_7"]), ("transformer.PEG_list", ["X_all"]), ("transformer.PEG_list", "E_all"),
        ("transformer.block_h", 8), ("transformer.dropout", "much"), ("transformer.dropout", None), ("n_blocks", 32),
        ("image_vqgan.ch_mult", [1, 2]), ("image_vqgan.attn_resolutions", [32]), ("image_vqgan.double_z", True),
        ("image_vqgan.norm_type", "GroupNorm"), ("seg_vqgan.out_ch", 3), ("sizes.high", 300), ("sizes.guide", 128),
        ("mask_token", 5), ("layer_norm_eps", 1e-6),
    ],
)  # fmt: skip
def test_that_contradictory_config_fields_are_named(name: str, value: Any) -> None:
    data = json.loads(shared_path(*FIXTURE, "config.json").read_text())
    section, _, field = name.rpartition(".")
    (data[section] if section else data)[field] = value
    with pytest.raises(CheckpointError, match=name.split(".")[-1]):
        config_from_fixture(data)


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
    for key, tensor in state.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)
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


# ---- the published models


def published_shapes(which: str) -> Shapes:
    """Our names and shapes for a published model, from the list of its checkpoint entries."""
    lists = json.loads(shared_path("spec", "asset-state-dict-keys.json").read_text())
    tied = re.compile(r"transformer\.(encoder|decoder)\.embed_(tokens|positions|blocks)\.weight$")
    dropped = "cond_stage_model.colorize"
    return {key: tuple(shape) for key, shape in lists[which].items() if not tied.search(key) and key != dropped}


PUBLISHED = [
    ("asset-landscape-1024", "landscape_SGA_transformer_1024"),
    ("asset-coco-512", "coco_SGA_transformer_512"),
]


@pytest.mark.parametrize(("name", "which"), PUBLISHED)
def test_published_names(name: str, which: str) -> None:
    networks = pytest.importorskip("models.networks.assembly", reason="models.networks.assembly is not written yet")
    found = networks.expected_shapes(published_config(name))
    assert {key: tuple(shape) for key, shape in found.items()} == published_shapes(which)


@pytest.mark.parametrize(("name", "which"), PUBLISHED)
def test_that_published_configs_fit_the_published_shapes(name: str, which: str) -> None:
    config, shapes = published_config(name), published_shapes(which)
    assert config.semantics is Semantics.REFERENCE
    assert config.sga is not None
    for part, transformer in (("transformer", config.sga), ("guiding_transformer", config.guide)):
        assert shapes[f"{part}.shared.weight"] == (transformer.start_token + 1, transformer.d_model)
        assert shapes[f"{part}.encoder.embed_cond.weight"] == (transformer.condition_vocab_size, transformer.d_model)
        assert shapes[f"{part}.decoder.layers.0.fc1.weight"] == (transformer.ffn_dim, transformer.d_model)
        for side, layers, peg in (
            ("encoder", transformer.encoder_layers, transformer.peg_encoder),
            ("decoder", transformer.decoder_layers, transformer.peg_decoder),
        ):
            found = re.findall(rf"^{part}\.{side}\.layers\.(\d+)\.fc1\.bias$", "\n".join(shapes), re.M)
            assert [int(number) for number in found] == list(range(layers))
            found = re.findall(rf"^{part}\.{side}\.layers\.(\d+)\.PEG_net\.proj\.0\.bias$", "\n".join(shapes), re.M)
            assert tuple(map(int, found)) == peg
    for part, vqgan in (("first_stage_model", config.image_vqgan), ("cond_stage_model", config.label_vqgan)):
        assert shapes[f"{part}.encoder.conv_in.weight"][:2] == (vqgan.channels[0], vqgan.in_channels)
        assert shapes[f"{part}.decoder.conv_out.bias"] == (vqgan.out_channels,)
        assert shapes[f"{part}.quantize.embedding.weight"] == (vqgan.codes, vqgan.embed_dim)
        assert shapes[f"{part}.encoder.conv_out.bias"] == (vqgan.z_channels,)
        for level, width in enumerate(vqgan.channels):
            last = vqgan.res_blocks - 1
            assert shapes[f"{part}.encoder.down.{level}.block.{last}.conv2.bias"] == (width,)
            assert f"{part}.encoder.down.{level}.block.{last + 1}.conv2.bias" not in shapes
    assert (config.image_vqgan.masked, config.label_vqgan.masked) == (True, False)
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_that_published_models_have_their_resolutions_and_labels() -> None:
    landscape, coco = (published_config(name) for name, _ in PUBLISHED)
    assert (landscape.resolutions, coco.resolutions) == ((256, 1024), (256, 512))
    names = label_set_for(landscape.label_vqgan.in_channels)
    known = {"mountain": 134, "rock": 149, "snow": 158, "road": 148, "tree": 168, "stone": 161, "river": 147,
             "grass": 123, "clouds": 105, "sea": 154, "flower": 118, "sky-other": 156, "water-other": 177}  # fmt: skip
    assert {name: names.index(name) for name in known} == known
    with_unlabelled = label_set_for(coco.label_vqgan.in_channels)
    assert with_unlabelled.index("pizza") == 59
    assert with_unlabelled.labels[0].name == "unlabelled"
    with pytest.raises(CheckpointError, match="asset-coco-512"):
        published_config("asset-ade20k")


@pytest.mark.parametrize("count", [1, 16, 182, 183, 255])
def test_that_generated_labels_are_distinct_and_repeatable(count: int) -> None:
    labels = label_set_for(count).labels
    assert len({label.name for label in labels}) == len({label.color for label in labels}) == len(labels) == count
    assert label_set_for(count).labels == labels
