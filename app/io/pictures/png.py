"""PNG chunks: checking that a file is whole, finding a chunk, putting chunks in."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_END = len(SIGNATURE) + 12 + 13  # IHDR is the first chunk, always 13 bytes long


def is_png(data: bytes) -> bool:
    return data.startswith(SIGNATURE)


def dimensions(data: bytes) -> tuple[int, int]:
    """(height, width) as the header of a PNG says. Raises struct.error when there is none."""
    width, height = struct.unpack_from(">II", data, len(SIGNATURE) + 8)
    return height, width


def bit_depth(data: bytes) -> int:
    """Bits per channel, or per palette index, of a PNG that `read_chunks` accepts."""
    return data[24]


def read_chunks(data: bytes) -> dict[bytes, bytes]:
    """The first chunk of each ancillary (lower-case) kind, by name.

    Raises ValueError when a check sum is wrong, or the file ends before its IEND chunk: the decoders accept some
    such files and fill the rest of the picture with black.
    """
    view = memoryview(data)
    found: dict[bytes, bytes] = {}
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, end = data[at + 4 : at + 8], at + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(view[at + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise ValueError(f"the check sum of PNG chunk {name!r} is wrong")
        if name == b"IEND":
            return found
        if name[:1].islower():
            found.setdefault(name, data[at + 8 : end])
        at = end + 4
    raise ValueError("the PNG file ends early")


def insert_chunks(data: bytes, chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A PNG file with `chunks`, pairs of name and content, put right behind its header."""
    return data[:_HEADER_END] + b"".join(_chunk(*chunk) for chunk in chunks) + data[_HEADER_END:]


def icc_chunk(profile: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)


def xmp_chunk(packet: bytes) -> tuple[bytes, bytes]:
    return b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
