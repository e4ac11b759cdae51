"""Published `.ckpt` files (pickles in a zip) -> our checkpoints, without ever executing what a pickle asks for.

`_TensorUnpickler` resolves every class or function that a pickle names to something of ours: a handful of names
to small re-implementations that only build tensor descriptions, all others to `_Stub`, which accepts everything
and does nothing. Every object that a pickle can reach has a `__setstate__` that ignores its argument, so that the
BUILD opcode cannot set attributes either. File layout: specification, section 12.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from ..config import ModelConfig
from ..errors import CheckpointError
from .published import PUBLISHED_NAMES, config_from_fixture, label_set_for, published_config
from .read import check_shapes
from .write import save_checkpoint

_MAX_MEMBERS = 200_000
_MAX_PICKLE_BYTES = 16_000_000  # a published file with optimiser states needs about 1 MB
_AGAIN = "download it again"

_STORAGE_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
}

# Published name of a second view of a table -> the name under which we keep the table.
_TIED = {
    f"{side}.embed_{kind}.weight": f"{table}.weight"
    for side in ("encoder", "decoder")
    for kind, table in (("tokens", "shared"), ("positions", "shared_pos"), ("blocks", "shared_block"))
}


def convert(
    sga_path: str | Path,
    guiding_path: str | Path,
    config: str | Path,
    out: str | Path,
    expected_shapes: Callable[[ModelConfig], Mapping[str, tuple[int, ...]]],
) -> Path:
    """Convert the two published files of one model into a checkpoint folder; returns the folder.

    config: one of `PUBLISHED_NAMES`, or a JSON file laid out like the fixtures' config.json.
    From `sga_path` come first_stage_model.*, cond_stage_model.* and transformer.*; from `guiding_path` only
    transformer.*, which becomes guiding_transformer.*. Tied tables are kept once.
    Stored as float16 where that is exact for every value, else as float32.
    Raises CheckpointError: unreadable files, tied tables that differ, tensors missing, unknown or misshapen.
    """
    name, model = _model(config)
    tensors = _untied(sga_path, read_ckpt(sga_path, _wanted))
    guide = _untied(guiding_path, read_ckpt(guiding_path, lambda key: key.startswith("transformer.")))
    tensors |= {f"guiding_{key}": tensor for key, tensor in guide.items()}
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    check_shapes(f"{sga_path} with {guiding_path}", shapes, expected_shapes(model))
    # `save_checkpoint` copies file by file, so views of shared storage are never cloned all at once.
    save_checkpoint(
        out,
        name=name,
        config=model,
        label_set=label_set_for(model.label_vqgan.in_channels),
        training={"source": f"converted from {Path(sga_path).name} and {Path(guiding_path).name}"},
        tensors=tensors,
        dtype=torch.float16 if all(map(_fits_float16, tensors.values())) else torch.float32,
    )
    return Path(out)


def read_ckpt(path: str | Path, wanted: Callable[[str], bool] | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a torch zip checkpoint, in file order; with `wanted`, those whose names it accepts.

    Taken from the entry 'state_dict' if there is one, else from the top-level dict. Dtypes and strides as stored;
    tied tensors share memory (stride 0 occurs), so clone before changing one. Storages of other tensors
    (optimiser states too) are never read. Raises CheckpointError; executes nothing from the file.
    """
    path = Path(path)
    if not path.is_file():
        _fail(path, "there is no such file", "check the path")
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
        if start[:2] != b"PK":
            old = start[:1] == b"\x80"
            problem = "is in the old torch format (no zip)" if old else "is not a torch checkpoint (no zip)"
            _fail(path, problem, "have its publisher save it with torch 1.6 or later" if old else "choose a .ckpt file")
        with zipfile.ZipFile(path) as archive:
            return _Reader(path, archive).tensors(wanted or (lambda _: True))
    except CheckpointError:
        raise
    except OSError as error:
        _fail(path, f"cannot be read ({error.strerror or error})", "check the file and its permissions")
    except MemoryError:
        _fail(path, "does not fit in memory", "close other programs or convert on a larger machine")
    except Exception as error:
        # zipfile and the unpickler raise nearly anything on damaged input; all of it means the same to a person.
        _fail(path, f"is truncated or damaged ({type(error).__name__}: {error})", _AGAIN)


def _model(config: str | Path) -> tuple[str, ModelConfig]:
    if str(config) in PUBLISHED_NAMES:
        return str(config), published_config(str(config))
    path = Path(config)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return path.stem, config_from_fixture(data)
    except OSError:
        _fail(path, "is neither a readable config file nor a known name", f"use {' or '.join(PUBLISHED_NAMES)}")
    except (ValueError, RecursionError) as error:
        _fail(path, f"is not JSON ({error})", "correct the config file")
    except CheckpointError as error:
        _fail(path, str(error), "see the fixtures' config.json for the layout")


def _wanted(key: str) -> bool:
    """Whether an SGA file's entry is used or has to be known: not the guide's copy nor what only training needs."""
    network, _, rest = key.partition(".")
    training_only = network == "loss" or rest.startswith("loss.") or key == "cond_stage_model.colorize"
    return network != "guiding_transformer" and not training_only


def _untied(path: str | Path, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors with tied tables once; CheckpointError when a second copy differs from its table."""
    result: dict[str, torch.Tensor] = {}
    for key, tensor in tensors.items():
        network, _, rest = key.partition(".")
        tied_to = _TIED.get(rest) if network == "transformer" else None
        if tied_to is not None:
            table = tensors.get(f"{network}.{tied_to}")
            if table is not None and not _equal(table, tensor):
                _fail(path, f"{key!r} differs from {network}.{tied_to}, which it repeats", "take the published file")
            if table is not None:
                continue
        if not tensor.is_floating_point():
            _fail(path, f"{key!r} is {tensor.dtype} instead of floating point", "take the published file")
        result[key] = tensor
    return result


def _equal(table: torch.Tensor, view: torch.Tensor) -> bool:
    return table.shape == view.shape and table.dtype == view.dtype and torch.equal(table, view)


def _fits_float16(tensor: torch.Tensor) -> bool:
    return torch.equal(tensor.to(torch.float16).to(tensor.dtype), tensor)


class _Reader:
    """One open checkpoint archive: checks its table of contents, unpickles, and reads storages on demand."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path, self.archive = path, archive
        members = archive.infolist()
        total = sum(info.file_size for info in members)
        if len(members) > _MAX_MEMBERS or total > path.stat().st_size:
            _fail(path, f"declares {len(members)} entries of {total} bytes, more than the file can hold", _AGAIN)
        self.members: dict[str, zipfile.ZipInfo] = {}
        for info in members:
            name = info.filename
            if name in self.members or name.startswith("/") or "\\" in name or ".." in name.split("/"):
                _fail(path, f"the entry name {name[:80]!r} is refused", "this is no ordinary torch checkpoint")
            if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                _fail(path, f"the entry {name[:80]!r} is compressed", "torch never does that; choose a .ckpt file")
            self.members[name] = info
        pickles = [name for name in self.members if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1 or pickles[0].count("/") > 1:
            _fail(path, "has no data.pkl at its top", "choose a checkpoint saved by torch")
        self.top = pickles[0].removesuffix("data.pkl")
        order = self._content("byteorder") if self.top + "byteorder" in self.members else b"little"
        if order not in (b"little", b"big"):
            _fail(path, f"has the unknown byte order {order[:20]!r}", _AGAIN)
        self.swap = order == b"big"
        self.loaded: dict[tuple[str, torch.dtype], torch.Tensor] = {}

    def tensors(self, wanted: Callable[[str], bool]) -> dict[str, torch.Tensor]:
        if self.members[self.top + "data.pkl"].file_size > _MAX_PICKLE_BYTES:
            _fail(self.path, f"its data.pkl is larger than {_MAX_PICKLE_BYTES} bytes", "choose a published .ckpt file")
        content = self._content("data.pkl")
        _check_opcodes(self.path, content)
        data = _TensorUnpickler(io.BytesIO(content), self).load()
        state = data.get("state_dict", data) if isinstance(data, dict) else None
        found = state.items() if isinstance(state, dict) else ()
        refs = {key: value for key, value in found if isinstance(key, str) and isinstance(value, _TensorRef)}
        if not refs:
            _fail(self.path, "holds no tensors", "choose a checkpoint with a state_dict")
        return {key: self._tensor(ref) for key, ref in refs.items() if wanted(key)}

    def storage(self, key: Any, dtype: torch.dtype, count: Any) -> _Storage:
        """The described storage; CheckpointError unless the archive holds exactly that many bytes for it."""
        info = self.members.get(f"{self.top}data/{key}") if isinstance(key, str) else None
        if info is None:
            _fail(self.path, "a storage that its tensors need is missing", _AGAIN)
        if type(count) is not int or count < 0 or info.file_size != count * dtype.itemsize:
            _fail(self.path, f"the storage {key[:80]!r} does not have the size its tensors need", _AGAIN)
        return _Storage(key, dtype, count)

    def tensor(self, storage: _Storage, offset: Any, size: Any, stride: Any) -> _TensorRef:
        """The described tensor; CheckpointError unless all its elements lie inside its storage."""
        plain = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= 8
        if not plain or any(type(number) is not int or not 0 <= number < 2**40 for number in (offset, *size, *stride)):
            _fail(self.path, "a tensor has an impossible offset, size or stride", _AGAIN)
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        inside = last < storage.count if all(size) else offset <= storage.count
        if not inside or math.prod(size) >= 2**40:
            _fail(self.path, "a tensor reaches beyond its storage", _AGAIN)
        return _TensorRef(storage, offset, size, stride)

    def _content(self, name: str) -> bytes:
        return self.archive.read(self.members[self.top + name])

    def _tensor(self, ref: _TensorRef) -> torch.Tensor:
        key, dtype = ref.storage.key, ref.storage.dtype
        flat = self.loaded.get((key, dtype))
        if flat is None:
            content = self._content(f"data/{key}")
            if self.swap:
                content = np.frombuffer(content, dtype=np.uint8).reshape(-1, dtype.itemsize)[:, ::-1].tobytes()
            flat = torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)
            self.loaded[key, dtype] = flat
        return flat.as_strided(ref.size, ref.stride, ref.offset)


class _Inert:
    """Base of all that a pickle can reach: BUILD finds this `__setstate__`, on instances and classes alike."""

    __slots__ = ()

    @staticmethod
    def __setstate__(*_: Any) -> None:
        return None


class _Stub(_Inert):
    """Stands for every class, function and object that we do not know; accepts whatever a pickle does to it."""

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> _Stub:
        return object.__new__(cls)

    def __call__(self, *_: Any, **__: Any) -> _Stub:
        return self

    @staticmethod
    def _ignore(*_: Any, **__: Any) -> None:
        return None

    append = extend = add = __setitem__ = _ignore


class _Dict(_Inert, dict[Any, Any]):
    """Stands for OrderedDict, without the attributes that a pickle could set on one."""

    __slots__ = ()


class _Storage(_Inert):
    __slots__ = ("count", "dtype", "key")

    def __init__(self, key: str, dtype: torch.dtype, count: int) -> None:
        self.key, self.dtype, self.count = key, dtype, count


class _TensorRef(_Inert):
    __slots__ = ("offset", "size", "storage", "stride")

    def __init__(self, storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride


class _StorageType(_Inert):
    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


class _RebuildTensor(_Inert):
    """Our `torch._utils._rebuild_tensor_v2`: (storage, offset, size, stride, …) -> a checked description."""

    __slots__ = ("reader",)

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader

    def __call__(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> _Inert:
        # A storage kind that we do not know (complex, quantised) cannot be one of the weights.
        return self.reader.tensor(storage, offset, size, stride) if isinstance(storage, _Storage) else _Stub()


class _RebuildParameter(_Inert):
    """Our `torch._utils._rebuild_parameter`: a parameter is its tensor."""

    __slots__ = ()

    def __call__(self, data: Any, *_: Any) -> _Inert:
        return data if isinstance(data, _TensorRef) else _Stub()


class _TensorUnpickler(pickle.Unpickler):
    """Resolves no name outside its own table: `find_class` never imports and never calls its base class."""

    def __init__(self, stream: io.BytesIO, reader: _Reader) -> None:
        super().__init__(stream)
        self._reader = reader
        self._known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): _Dict,
            ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(reader),
            ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
            **{("torch", name): _StorageType(dtype) for name, dtype in _STORAGE_DTYPES.items()},
        }

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        return self._known.get((module_name, global_name), _Stub)

    def persistent_load(self, pid: Any) -> _Inert:
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage":
            _fail(self._reader.path, "refers to something that is no storage", _AGAIN)
        _, kind, key, _, count = pid
        return self._reader.storage(key, kind.dtype, count) if isinstance(kind, _StorageType) else _Stub()


def _check_opcodes(path: Path, content: bytes) -> None:
    """Refuse what the unpickler itself handles unsafely: extension codes, which may bypass `find_class`, and memo
    places or frames beyond the pickle's length, for which it would allocate memory up to 64 GB."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name.startswith("EXT"):
            _fail(path, "uses extension codes", "no torch checkpoint does; do not use this file")
        counts = opcode.name in ("PUT", "BINPUT", "LONG_BINPUT", "FRAME")
        if counts and not (isinstance(argument, int) and 0 <= argument <= len(content)):
            _fail(path, "has a damaged pickle (a number beyond its length)", _AGAIN)


def _fail(path: str | Path, problem: str, advice: str) -> NoReturn:
    text = f"{path}: {problem[:300]}; {advice}"
    raise CheckpointError("".join(char if char.isprintable() else "?" for char in text)) from None
