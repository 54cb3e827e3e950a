"""Zip archives byte by byte, so that tests can write ones that lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One entry. What is None is as it should be; everything else is written as given."""

    name: str | bytes
    data: bytes = b""
    method: int = 8
    flags: int = 0
    mode: int = 0o100644
    extra: bytes = b""
    size: int | None = None
    crc: int | None = None
    local_name: bytes | None = None
    local_size: int | None = None
    local_method: int | None = None
    offset: int | None = None
    packed: bytes | None = None

    @property
    def raw_name(self) -> bytes:
        return self.name if isinstance(self.name, bytes) else self.name.encode()

    @property
    def payload(self) -> bytes:
        if self.packed is not None:
            return self.packed
        return deflated(self.data) if self.method == 8 else self.data


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def zip_bytes(
    entries: Sequence[Entry],
    *,
    prefix: bytes = b"",
    suffix: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
) -> bytes:
    """The archive; `count` overrides how many entries its end record claims."""
    out = bytearray(prefix)
    directory = bytearray()
    for entry in entries:
        crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
        size = len(entry.data) if entry.size is None else entry.size
        offset = len(out) if entry.offset is None else entry.offset
        streamed = bool(entry.flags & 8)
        numbers = (crc, len(entry.payload), size)
        local_size = size if entry.local_size is None else entry.local_size
        local_numbers = (0, 0, 0) if streamed else (crc, len(entry.payload), local_size)
        local_name = entry.raw_name if entry.local_name is None else entry.local_name
        local_method = entry.method if entry.local_method is None else entry.local_method
        out += struct.pack("<4s5H", b"PK\3\4", 20, entry.flags, local_method, 0, 33)
        out += struct.pack("<3L2H", *local_numbers, len(local_name), 0)
        out += local_name + entry.payload
        if streamed:
            out += struct.pack("<4s3L", b"PK\7\x08", *numbers)
        directory += struct.pack("<4s6H", b"PK\1\2", 0x0314, 20, entry.flags, entry.method, 0, 33)
        directory += struct.pack("<3L3H", *numbers, len(entry.raw_name), len(entry.extra), 0)
        directory += struct.pack("<2H2L", 0, 0, entry.mode << 16, offset)
        directory += entry.raw_name + entry.extra
    total = len(entries) if count is None else count
    start = len(out)
    out += directory
    out += struct.pack("<4s4H", b"PK\5\6", 0, 0, total, total)
    out += struct.pack("<2LH", len(directory), start, len(comment)) + comment
    return bytes(out + suffix)
