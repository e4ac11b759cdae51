"""EXIF: orientation, what of it may be published, and carrying it into another file.

A block is EXIF as stored in files, without the "Exif\\0\\0" prefix: a small TIFF beginning with "II*\\0" or "MM\\0*"
(EXIF 2.32, section 4.6). Values are carried as raw bytes, so nothing is reinterpreted on the way.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Literal

_ORIENTATION, _CAMERA_IFD, _GPS_IFD, _INTEROP_IFD = 0x0112, 0x8769, 0x8825, 0xA005
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # bytes by field type
_SHORT, _LONG = 3, 4

# Lists of what may be published, not of what may not: a maker's unknown field stays private.
# Make, Model, Orientation, X/Y/unit of resolution, DateTime, Copyright.
_PUBLIC_MAIN = frozenset({0x010F, 0x0110, _ORIENTATION, 0x011A, 0x011B, 0x0128, 0x0132, 0x8298})
# ImageDescription, DocumentName, Software, Artist, HostComputer, Rating, XP*, CameraSerialNumber.
_PRIVATE_MAIN = frozenset({0x010E, 0x010D, 0x0131, 0x013B, 0x013C, 0x4746, *range(0x9C9B, 0x9CA0), 0xC62F})
_PUBLIC_CAMERA = frozenset(
    {
        *(0x829A, 0x829D, 0x8822, 0x8827, 0x8830, 0x8832),  # exposure time, f-number, program, ISO
        *(0x9000, 0x9003, 0x9004),  # EXIF version, taken, digitized
        *range(0x9201, 0x920B),  # shutter speed … focal length
        *(0xA001, 0xA217, 0xA300, 0xA301),  # colour space, sensor, source, scene
        *range(0xA401, 0xA40B),  # rendering … sharpness
        *(0xA40C, 0xA432, 0xA433, 0xA434),  # distance range, lens
    }
)


@dataclass(frozen=True)
class Field:
    """One EXIF value. kind: EXIF field type 1…13; data: `count` values in the block's byte order."""

    kind: int
    count: int
    data: bytes


Ifd = Mapping[int, Field]
ByteOrder = Literal["<", ">"]  # as struct writes them


@dataclass(frozen=True)
class Exif:
    """The described fields of a photo, by tag. order: the byte order of every value."""

    order: ByteOrder
    main: Ifd
    camera: Ifd = field(default_factory=dict)
    gps: Ifd = field(default_factory=dict)

    def public(self) -> Exif:
        """Only what says how the photo was taken: no place, serial number, name of a person, path, maker note."""
        main = {tag: value for tag, value in self.main.items() if tag in _PUBLIC_MAIN}
        camera = {tag: value for tag, value in self.camera.items() if tag in _PUBLIC_CAMERA}
        return Exif(self.order, main, camera)

    def to_bytes(self) -> bytes:
        """The fields as a block, without an embedded thumbnail."""
        mark = b"II" if self.order == "<" else b"MM"
        return mark + struct.pack(self.order + "HI", 42, 8) + self._write(8, {})

    def add_to_tiff(self, tiff: bytes) -> bytes:
        """A one-picture classic TIFF file in byte order `order`, with these fields in its first IFD."""
        entries = {
            struct.unpack_from(self.order + "H", tiff, at)[0]: tiff[at : at + 12]
            for at in _entries(tiff, self.order, _first_ifd(tiff, self.order))
        }
        even = tiff + b"\0" * (len(tiff) % 2)
        return even[:4] + struct.pack(self.order + "I", len(even)) + even[8:] + self._write(len(even), entries)

    def _write(self, at: int, ready: Mapping[int, bytes]) -> bytes:
        links = {tag: ifd for tag, ifd in ((_CAMERA_IFD, self.camera), (_GPS_IFD, self.gps)) if ifd}
        main = {**self.main, **{tag: _long(self.order, 0) for tag in links}}
        next_at = at + len(_write_ifd(main, self.order, at, ready))
        linked = b""
        for tag, ifd in links.items():
            main[tag] = _long(self.order, next_at + len(linked))
            linked += _write_ifd(ifd, self.order, next_at + len(linked))
        return _write_ifd(main, self.order, at, ready) + linked


def parse(block: bytes) -> Exif | None:
    """The fields of a block or of a whole TIFF file (its pictures and profile left out); None when unreadable."""
    order = _byte_order(block)
    if order is None:
        return None
    links = {_CAMERA_IFD, _GPS_IFD}
    main = _read_ifd(block, order, _first_ifd(block, order), _PUBLIC_MAIN | _PRIVATE_MAIN | links)
    ifds = []
    for tag in (_CAMERA_IFD, _GPS_IFD):
        link = main.pop(tag, None)
        at = struct.unpack(order + "I", link.data)[0] if link and len(link.data) == 4 else len(block)
        ifds.append(_read_ifd(block, order, at, range(0x10000)))
    camera, gps = ifds
    camera.pop(_INTEROP_IFD, None)  # an offset, meaningless elsewhere
    return Exif(order, main, camera, gps) if main or camera or gps else None


def take_orientation(block: bytes) -> tuple[int, bytes]:
    """The orientation, 1…8 (1 when absent or wrong), and the same block with its orientation set to 1."""
    order = _byte_order(block)
    if order is None:
        return 1, block
    orientation, upright = 1, bytearray(block)
    for entry in _entries(block, order, _first_ifd(block, order)):
        tag, kind = struct.unpack_from(order + "HH", block, entry)
        if tag == _ORIENTATION:
            (orientation,) = struct.unpack_from(order + ("I" if kind == _LONG else "H"), block, entry + 8)
            struct.pack_into(order + "HIHH", upright, entry + 2, _SHORT, 1, 1, 0)
    return (orientation if 1 <= orientation <= 8 else 1), bytes(upright)


def _byte_order(block: bytes) -> ByteOrder | None:
    orders: dict[bytes, ByteOrder] = {b"II*\0": "<", b"MM\0*": ">"}
    return orders.get(block[:4])


def _first_ifd(block: bytes, order: str) -> int:
    (offset,) = struct.unpack(order + "I", block[4:8].ljust(4, b"\0"))
    return int(offset)


def _long(order: str, value: int) -> Field:
    return Field(_LONG, 1, struct.pack(order + "I", value))


def _entries(block: bytes, order: str, at: int) -> range:
    """Offsets of the 12-byte entries of the IFD at offset `at`, as far as they lie inside the block."""
    if at + 2 > len(block):
        return range(0)
    (count,) = struct.unpack_from(order + "H", block, at)
    return range(at + 2, min(at + 2 + 12 * count, len(block) - 11), 12)


def _read_ifd(block: bytes, order: str, at: int, wanted: Container[int]) -> dict[int, Field]:
    """The wanted fields of the IFD at offset `at` that lie inside the block."""
    fields: dict[int, Field] = {}
    budget = len(block)  # a hostile block points thousands of fields at the same bytes
    for entry in _entries(block, order, at):
        tag, kind, count = struct.unpack_from(order + "HHI", block, entry)
        size = count * _SIZES.get(kind, 0)
        start = entry + 8 if size <= 4 else struct.unpack_from(order + "I", block, entry + 8)[0]
        if tag in wanted and 0 < size <= min(budget, len(block) - start):
            fields[tag] = Field(kind, count, block[start : start + size])
            budget -= size
    return fields


def _write_ifd(fields: Ifd, order: str, at: int, ready: Mapping[int, bytes] | None = None) -> bytes:
    """An IFD to stand at offset `at`. ready: finished 12-byte entries by tag; `fields` win over them."""
    ready = ready or {}
    tags = sorted({*fields, *ready})
    values_at = at + 2 + 12 * len(tags) + 4
    head, values = bytearray(struct.pack(order + "H", len(tags))), bytearray()
    for tag in tags:
        if tag not in fields:
            head += ready[tag]
            continue
        value = fields[tag]
        slot = value.data.ljust(4, b"\0")
        if len(value.data) > 4:
            slot = struct.pack(order + "I", values_at + len(values))
            values += value.data + b"\0" * (len(value.data) % 2)
        head += struct.pack(order + "HHI", tag, value.kind, value.count) + slot
    return bytes(head + b"\0\0\0\0" + values)
