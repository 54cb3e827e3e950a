"""Unpacks a student's zip archive into a fresh folder, or refuses it.

Nothing is trusted: names, sizes and types are checked before a byte is written, what is written is
counted as it comes, and no link is ever made. Python's own `zipfile` expands overlapping entries
before 3.11.8 (CVE-2024-0450), so it is not used.
"""

from __future__ import annotations

import os
import shutil
import stat
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from grader.core.constants import (
    ARCHIVE_MAX_BYTES,
    ARCHIVE_MAX_RATIO,
    ARCHIVE_RATIO_FROM_BYTES,
    INTAKE_READ_BYTES,
    UNPACK_RESERVE_BYTES,
)
from grader.core.errors import IntakeError
from grader.core.files import create_new, open_regular
from grader.core.temporary import require_room
from grader.intake.paths import (
    check_collisions,
    check_path,
    check_sizes,
    check_stays,
    collision,
    is_junk,
    not_regular,
    shown,
    too_large,
)
from grader.intake.zip_directory import Member, read_directory

_STORED, _DEFLATED = 0, 8
_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 99: "AES"}
_SPECIAL = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def extract_zip(path: Path, dest: Path) -> None:
    """Unpack the archive at `path` into `dest`, which must not exist yet.

    Folders get mode 0700 and files 0600. What tools leave behind (`__MACOSX`, `.DS_Store`, caches)
    is left out. Raises IntakeError with the code of the rule that the archive breaks (LAY101 to
    LAY113), and NoRoom before anything is written; `dest` is then removed again.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > ARCHIVE_MAX_BYTES:
            raise too_large("The archive", size, ARCHIVE_MAX_BYTES)
        members = _accepted(read_directory(file, size))
        unpacked = sum(member.size for member in members)
        require_room(dest.parent, unpacked + UNPACK_RESERVE_BYTES, "Unpacking it")
        dest.mkdir(mode=0o700)
        try:
            for folder in _folders(members):
                (dest / folder).mkdir(mode=0o700)
            for member in members:
                if not member.is_folder:
                    _extract(file, member, dest)
        except BaseException:
            shutil.rmtree(dest)
            raise


def _accepted(members: Sequence[Member]) -> list[Member]:
    """The members to unpack, checked; raises IntakeError for the first that breaks a rule."""
    for member in members:
        check_stays(member.name)
    kept = [member for member in members if not is_junk(member.name)]
    for member in kept:
        check_path(member.name)
        _check_member(member)
    kinds: dict[str, bool] = {}
    for member in kept:
        name = member.name.removesuffix("/")
        if name in kinds:
            raise collision(name, name)
        kinds[name] = member.is_folder
    check_sizes({member.name: member.size for member in kept if not member.is_folder})
    check_collisions(kinds)
    for member in kept:
        _check_ratio(member)
    return kept


def _folders(members: Sequence[Member]) -> list[str]:
    """Every folder that the members are in or are, parents first."""
    folders = set()
    for member in members:
        parts = member.name.split("/")[:-1]
        folders |= {"/".join(parts[:n]) for n in range(1, len(parts) + 1)}
    return sorted(folders)


def _check_member(member: Member) -> None:
    kind = stat.S_IFMT(member.mode)
    if kind in _SPECIAL:
        raise not_regular(member.name, _SPECIAL[kind])
    if member.encrypted:
        raise IntakeError(
            "LAY109",
            f"{shown(member.name)!r} is protected with a password.",
            "Make the archive again without a password.",
            path=member.name,
        )
    if member.method not in (_STORED, _DEFLATED):
        method = _METHODS.get(member.method, f"method {member.method}")
        raise IntakeError(
            "LAY111",
            f"{shown(member.name)!r} is compressed with {method}; only plain zip compression "
            "(Deflate) or none is read.",
            'Make the archive again with the usual settings of your system ("Compress" or "Send '
            'to zip folder").',
            path=member.name,
        )
    if member.is_folder and member.size:
        raise _damaged(member, "is a folder but holds data")


def _check_ratio(member: Member) -> None:
    most = max(ARCHIVE_RATIO_FROM_BYTES, ARCHIVE_MAX_RATIO * member.compressed_size)
    if member.size > most:
        raise IntakeError(
            "LAY106",
            f"{shown(member.name)!r} expands to more than {ARCHIVE_MAX_RATIO} times its packed "
            "size.",
            "Leave that file out, or submit it with less repetition in it.",
            path=member.name,
        )


def _extract(file: BinaryIO, member: Member, dest: Path) -> None:
    crc = written = 0
    with create_new(dest / member.name) as out:
        for piece in _expanded(file, member):
            written += len(piece)
            if written > member.size:
                raise _expands_too_far(member)
            crc = zlib.crc32(piece, crc)
            out.write(piece)
    if written != member.size or crc != member.crc:
        raise _damaged(member, "does not have the size and checksum that the archive gives for it")


def _expanded(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """The member's contents in pieces of at most INTAKE_READ_BYTES."""
    file.seek(member.data_start)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == _DEFLATED else None
    left = member.compressed_size
    while left:
        packed = file.read(min(left, INTAKE_READ_BYTES))
        if not packed:
            raise _damaged(member, "breaks off")
        left -= len(packed)
        if inflate is None:
            yield packed
            continue
        piece = b""
        while packed or len(piece) == INTAKE_READ_BYTES:  # a full piece may have more behind it
            try:
                piece = inflate.decompress(packed, INTAKE_READ_BYTES)
            except zlib.error:
                raise _damaged(member, "cannot be expanded") from None
            yield piece
            packed = inflate.unconsumed_tail
        if inflate.eof and (inflate.unused_data or left):
            raise _damaged(member, "has other data behind its end")
    if inflate is not None and not inflate.eof:
        raise _damaged(member, "breaks off")


def _expands_too_far(member: Member) -> IntakeError:
    """LAY105 for a member that expands to more than the archive says."""
    return IntakeError(
        "LAY105",
        f"{shown(member.name)!r} expands to more than the {member.size} bytes that the archive "
        "gives for it.",
        "Make the archive again with a current zip program.",
        path=member.name,
    )


def _damaged(member: Member, why: str) -> IntakeError:
    return IntakeError(
        "LAY102",
        f"The archive is damaged: {shown(member.name)!r} {why}.",
        "Make the archive again, and check that it opens on your computer before you submit it.",
        path=member.name,
    )
