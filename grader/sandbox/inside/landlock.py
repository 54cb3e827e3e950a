"""Landlock: a process irrevocably gives up rights to files, connections and signals.

By raw system calls: libc has no functions for them. The numbers are the same on every architecture.
Imports nothing of this package, because the launcher inside a run uses it, too.
Source: linux/landlock.h and Documentation/userspace-api/landlock.rst of Linux 6.18.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
PATH_BENEATH = 1
VERSION_FLAG = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_FILE, MAKE_DEVICES, MAKE_REG = 1 << 5, 1 << 6 | 1 << 11, 1 << 8
TRUNCATE, IOCTL_DEVICE = 1 << 14, 1 << 15
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
"""Rights that a rule for a single file may name; the others are those of folders."""

READ = EXECUTE | READ_FILE | READ_DIR
BIND_AND_CONNECT = 0b11
ABSTRACT_SOCKETS_AND_SIGNALS = 0b11
NETWORK_ABI = 4  # Linux 6.7: TCP
SCOPES_ABI = 6  # Linux 6.12: abstract sockets, signals
# By version of the interface: how many rights of files there are.
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}


def abi() -> int:
    """The kernel's version of the interface; 0 where there is none or it is switched off."""
    try:
        return _call(CREATE_RULESET, None, 0, VERSION_FLAG)
    except OSError:
        return 0


def all_file_rights() -> int:
    """Every file right that this kernel knows: rights that are not granted are refused."""
    count: int = FILE_RIGHTS.get(abi(), FILE_RIGHTS[5])
    return (1 << count) - 1


def write_rights() -> int:
    """All that a program may do in a folder of its own: everything but making devices."""
    return all_file_rights() & ~MAKE_DEVICES & ~IOCTL_DEVICE


def restrict(granted: list[tuple[str, int]]) -> None:
    """Restrict this process and its children to these rights below these paths, irrevocably.

    They also bind to and connect no TCP port, and from SCOPES_ABI on reach no abstract socket and
    signal no process outside. The process must have given up new privileges (prctl
    NO_NEW_PRIVS) before. Paths that do not exist are left out. Raises OSError.
    """
    rights = all_file_rights()
    scopes = ABSTRACT_SOCKETS_AND_SIGNALS if abi() >= SCOPES_ABI else 0
    fields = struct.pack("=QQQ", rights, BIND_AND_CONNECT, scopes)
    ruleset = _call(CREATE_RULESET, fields, 24 if scopes else 16, 0)
    try:
        for path, requested in granted:
            _grant(ruleset, path, requested & rights)
        _call(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _grant(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= ON_FILES
        _call(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: int | bytes | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    converted = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *converted))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result
