"""The directory of a zip archive, read strictly and without expanding anything.

Sources: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5. Two programs can see different files in one
archive when its central directory and its local headers disagree, or when entries overlap
(CVE-2024-0450); here both must agree and every byte belongs to one entry at most.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from grader.core.constants import ARCHIVE_MAX_MEMBERS, MIB
from grader.core.errors import IntakeError
from grader.intake.paths import plain_path, shown, too_many

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX_COMMENT_BYTES = 65_535
_MAX_DIRECTORY_BYTES = 8 * MIB  # the most members with names of 200 characters take 5 MiB
_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
_FLAG_ENCRYPTED, _FLAG_SIZES_FOLLOW, _FLAG_STRONG, _FLAG_UTF8 = 0x1, 0x8, 0x40, 0x800
_FLAG_MASKED_HEADERS = 0x2000
_JAPANESE = re.compile("(?:[\u3000-\u30ff\u4e00-\u9fff]{2,})?")
_ZIP64_FIELD, _UNICODE_PATH_FIELD = 0x0001, 0x7075


@dataclass(frozen=True, slots=True)
class Member:
    """One entry. Sizes and `data_start` in bytes; `mode` is the Unix mode, 0 where none is kept."""

    name: str
    method: int
    crc: int
    compressed_size: int
    size: int
    mode: int
    encrypted: bool
    data_start: int

    @property
    def is_folder(self) -> bool:
        """Folders have a slash at the end of their names."""
        return self.name.endswith("/")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A record of the central directory, before its local header is checked."""

    raw_name: bytes
    name: str
    flags: int
    method: int
    crc: int
    compressed_size: int
    size: int
    mode: int
    offset: int


def read_directory(file: BinaryIO, file_size: int) -> tuple[Member, ...]:
    """The members of the archive in the order of its central directory.

    Raises IntakeError LAY101 (not a zip, or a broken one), LAY107 (too many members), LAY110
    (entries overlap, or the two places that describe an entry disagree).
    """
    count, start, size = _directory_place(file, file_size)
    if count > ARCHIVE_MAX_MEMBERS:
        raise too_many(count, ARCHIVE_MAX_MEMBERS)
    if size > _MAX_DIRECTORY_BYTES:
        raise _broken("its table of contents is far too long")
    entries = _central_entries(_read_at(file, start, size), count)
    members: list[Member] = []
    taken_up_to = 0
    for entry in sorted(entries, key=lambda e: e.offset):
        if entry.offset < taken_up_to:
            raise _disagree(entry.name, "overlaps another file of the archive")
        if entry.offset >= start:  # also keeps a 64-bit offset from reaching `seek`
            raise _disagree(entry.name, "reaches into the table of contents")
        data_start = _check_local_header(file, entry)
        taken_up_to = data_start + entry.compressed_size
        if taken_up_to > start:
            raise _disagree(entry.name, "reaches into the table of contents")
        encrypted = bool(entry.flags & (_FLAG_ENCRYPTED | _FLAG_STRONG | _FLAG_MASKED_HEADERS))
        name = plain_path(entry.name)
        if not name and not entry.size:  # the folder "./" itself
            continue
        members.append(
            Member(
                name,
                entry.method,
                entry.crc,
                entry.compressed_size,
                entry.size,
                entry.mode,
                encrypted,
                data_start,
            )
        )
    return tuple(members)


def _directory_place(file: BinaryIO, file_size: int) -> tuple[int, int, int]:
    """(number of entries, offset, size in bytes) of the central directory."""
    tail_start = max(0, file_size - _END.size - _MAX_COMMENT_BYTES)
    tail = _read_at(file, tail_start, file_size - tail_start)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        raise IntakeError(
            "LAY101",
            "The file is not a zip archive, or its end is missing.",
            "Make a new .zip of your folder and upload that; an upload that broke off can be "
            "repeated.",
        )
    _, disk, first_disk, here, count, size, start, comment = _END.unpack_from(tail, at)
    if disk not in (0, _MAX16) or first_disk not in (0, _MAX16) or here != count:
        raise _broken("it is one part of an archive split over several files")
    if at + _END.size + comment != len(tail):
        raise _broken("there is other data behind its end")
    end = tail_start + at
    if count == _MAX16 or size == _MAX32 or start == _MAX32:
        count, size, start, end = _directory_place64(file, end)
    if start + size != end:
        raise _broken("its table of contents is not where it should be")
    return count, start, size


def _directory_place64(file: BinaryIO, end: int) -> tuple[int, int, int, int]:
    """(entries, size, offset, where the zip64 end record starts), read from that record."""
    locator_start = end - _END64_LOCATOR.size
    magic, _, record_start, _ = _END64_LOCATOR.unpack(
        _read_at(file, locator_start, _END64_LOCATOR.size)
    )
    if magic != b"PK\x06\x07" or record_start + _END64.size > locator_start:
        raise _broken("its zip64 end record is missing")
    magic, *_, here, count, size, start = _END64.unpack(_read_at(file, record_start, _END64.size))
    if magic != b"PK\x06\x06" or here != count:
        raise _broken("its zip64 end record is wrong")
    return count, size, start, record_start


def _central_entries(directory: bytes, count: int) -> list[_Entry]:
    entries = []
    at = 0
    for _ in range(count):
        if at + _CENTRAL.size > len(directory) or directory[at : at + 4] != b"PK\x01\x02":
            raise _broken("its table of contents is damaged")
        fields = _CENTRAL.unpack_from(directory, at)
        flags, method = fields[3:5]
        crc, compressed, size, name_length, extra_length, comment_length = fields[7:13]
        attributes, offset = fields[15:17]
        name_at = at + _CENTRAL.size
        extra_at = name_at + name_length
        at = extra_at + extra_length + comment_length
        if at > len(directory):
            raise _broken("its table of contents is damaged")
        extra = directory[extra_at : extra_at + extra_length]
        size, compressed, offset = _zip64(extra, size, compressed, offset)
        name = directory[name_at:extra_at]
        text = _name(name, flags, extra)
        mode = attributes >> 16
        entries.append(_Entry(name, text, flags, method, crc, compressed, size, mode, offset))
    if at != len(directory):
        raise _broken("its table of contents holds more than it says")
    return entries


def _zip64(extra: bytes, size: int, compressed: int, offset: int) -> tuple[int, int, int]:
    """The three numbers, with those that did not fit 32 bits from the zip64 extra field."""
    wide = next(_extra_fields(extra, _ZIP64_FIELD), b"")
    numbers = []
    for number in (size, compressed, offset):
        if number == _MAX32:
            if len(wide) < 8:
                raise _broken("a zip64 field is missing")
            number, wide = int.from_bytes(wide[:8], "little"), wide[8:]
        numbers.append(number)
    return numbers[0], numbers[1], numbers[2]


def _extra_fields(extra: bytes, kind: int) -> Iterator[bytes]:
    """The contents of the extra fields of this kind."""
    at = 0
    while at + 4 <= len(extra):
        found, length = struct.unpack_from("<2H", extra, at)
        if found == kind:
            yield extra[at + 4 : at + 4 + length]
        at += 4 + length


def _name(raw: bytes, flags: int, extra: bytes) -> str:
    """The entry's name. Raises IntakeError where two fields give it two names.

    Info-ZIP's Unicode path field (APPNOTE 4.6.9) names what an old code page cannot; beside a name
    that is text by itself it may only repeat it, since tools differ in which one they show.
    """
    name = _decoded_name(raw, flags)
    for field in _extra_fields(extra, _UNICODE_PATH_FIELD):
        try:
            second = field[5:].decode("utf-8")  # behind a version and the first name's checksum
        except UnicodeDecodeError:
            raise _broken("a name in it is not valid UTF-8") from None
        of_this = field[1:5] == zlib.crc32(raw).to_bytes(4, "little")
        if second == name:
            continue
        if _is_utf8(raw) or not of_this:
            raise _disagree(name, f"has a second name, {shown(second)!r}")
        name = second
    return name


def _check_local_header(file: BinaryIO, entry: _Entry) -> int:
    """The offset of the entry's data; refuses a local header that disagrees."""
    magic, _, flags, method, _, _, crc, compressed, size, name_length, extra_length = _LOCAL.unpack(
        _read_at(file, entry.offset, _LOCAL.size)
    )
    if magic != b"PK\x03\x04":
        raise _disagree(entry.name, "has no header where the table of contents says")
    name_at = entry.offset + _LOCAL.size
    rest = _read_at(file, name_at, name_length + extra_length)
    if rest[:name_length] != entry.raw_name:
        raise _disagree(entry.name, "has another name in front of its data")
    in_front = _name(entry.raw_name, flags, rest[name_length:])
    if in_front not in (entry.name, _decoded_name(entry.raw_name, flags)):
        raise _disagree(entry.name, "has another name in front of its data")
    if method != entry.method or (flags ^ entry.flags) & (_FLAG_ENCRYPTED | _FLAG_SIZES_FOLLOW):
        raise _disagree(entry.name, "is packed in another way than the table of contents says")
    if not flags & _FLAG_SIZES_FOLLOW:
        size, compressed, _ = _zip64(rest[name_length:], size, compressed, 0)
        if (crc, compressed, size) != (entry.crc, entry.compressed_size, entry.size):
            raise _disagree(entry.name, "has another size than the table of contents says")
    return name_at + len(rest)


def _decoded_name(raw: bytes, flags: int) -> str:
    """The name as text: UTF-8; where no flag says so and it is not, Shift-JIS or the old DOS code
    page, as which every name can be read."""
    if _is_utf8(raw):
        return raw.decode("utf-8")
    if flags & _FLAG_UTF8:
        raise _broken("a name in it is not valid UTF-8")
    try:
        japanese = raw.decode("cp932")
    except UnicodeDecodeError:
        return raw.decode("cp437")
    # Accented letters of the DOS page read as wide Latin letters or one ideograph in Shift-JIS.
    words = re.split(r"[\x00-\x7f]+", japanese)
    return japanese if all(map(_JAPANESE.fullmatch, words)) else raw.decode("cp437")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _read_at(file: BinaryIO, start: int, length: int) -> bytes:
    if start < 0:
        raise _broken("it ends too early")
    file.seek(start)
    data = file.read(length)
    if len(data) != length:
        raise _broken("it ends too early")
    return data


def _broken(why: str) -> IntakeError:
    return IntakeError(
        "LAY101",
        f"The archive cannot be read: {why}.",
        "Make a new .zip of your folder with a current zip program and hand that in.",
    )


def _disagree(name: str, why: str) -> IntakeError:
    return IntakeError(
        "LAY110",
        f"The archive contradicts itself: {shown(name)!r} {why}.",
        "Make a new .zip of your folder with a current zip program and hand that in.",
    )
