"""What a program without namespaces of its own may not call, beside what nobody may.

It shares the machine's network and its Unix sockets. It may make sockets for TCP alone, and each
`connect` is put to the grader (broker.py). Denied is every other way to send to somebody:
datagrams, which Landlock has no rules for; protocols above TCP and beside it; data with the
connection's first packet (fast open), which goes around `connect`; and to wait for connections,
because a port that was not bound by name is open to the machine's whole network.
"""

from __future__ import annotations

import errno
import functools
import os
import socket
import tempfile
from typing import Any, Final

TYPE: Final = 0xF  # of a socket's type; flags are above it
PROTOCOLS: Final = (0, socket.IPPROTO_TCP)
FAST_OPEN: Final = 0x2000_0000
WITH_FLAGS: Final = (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3))
CONNECTED: Final = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)
DENIED: Final = ("listen",)

WORD: Final = 0xFFFF_FFFF
BINDS_TO_CARD: Final = (25, 62)  # SO_BINDTODEVICE, SO_BINDTOIFINDEX
# A new file with the bit that lets it run as its owner; a disk, unlike a sandbox's own file
# system, would heed it. (call, place of its flags, place of its mode)
CREATES: Final = (("open", 1, 2), ("openat", 2, 3))
NEW: Final = (os.O_CREAT, 0o20_000_000)  # and O_TMPFILE without O_DIRECTORY
SET_ID_BITS: Final = (0o4000, 0o2000)
# Landlock does not stop these, by path, on files of the same user.
ATTRIBUTES: Final = [
    "chmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "lchown",
    "fchownat",
    "utime",
    "utimes",
    "futimesat",
]


@functools.cache
def shared_network_filter(own_user: bool) -> bytes:
    """Denials, as the kernel's instructions. Raises ImportError without the library.

    With `own_user` the program's user owns nothing but what is the run's.
    """
    import pyseccomp

    library: Any = pyseccomp
    rules = library.SyscallFilter(library.ALLOW)
    refuse, no_family = library.ERRNO(errno.EPERM), library.ERRNO(errno.EAFNOSUPPORT)
    for call in DENIED if own_user else (*DENIED, *ATTRIBUTES):
        if library.resolve_syscall(library.Arch.NATIVE, call) >= 0:
            rules.add_rule(refuse, call)
    for call, at in WITH_FLAGS:
        rules.add_rule(refuse, call, library.Arg(at, library.MASKED_EQ, FAST_OPEN, FAST_OPEN))
    if not own_user:  # by path; an open file may be touched
        rules.add_rule(refuse, "utimensat", library.Arg(1, library.NE, 0))
    for option in BINDS_TO_CARD:
        level = library.Arg(1, library.MASKED_EQ, WORD, socket.SOL_SOCKET)
        rules.add_rule(refuse, "setsockopt", level, library.Arg(2, library.MASKED_EQ, WORD, option))
    for bit in SET_ID_BITS:
        for call, flags_at, mode_at in CREATES:
            mode = library.Arg(mode_at, library.MASKED_EQ, bit, bit)
            for flag in NEW:
                if library.resolve_syscall(library.Arch.NATIVE, call) >= 0:
                    flags = library.Arg(flags_at, library.MASKED_EQ, flag, flag)
                    rules.add_rule(refuse, call, flags, mode)
        for call, at in (("creat", 1), ("mknod", 1), ("mknodat", 2)):
            if library.resolve_syscall(library.Arch.NATIVE, call) >= 0:
                rules.add_rule(refuse, call, library.Arg(at, library.MASKED_EQ, bit, bit))
    rules.add_rule(library.ERRNO(errno.ENOSYS), "openat2")  # its mode cannot be seen
    unix = library.Arg(0, library.EQ, socket.AF_UNIX)
    for kind in range(TYPE + 1):
        of_kind = library.Arg(1, library.MASKED_EQ, TYPE, kind)
        for family in (socket.AF_INET, socket.AF_INET6):
            if kind != socket.SOCK_STREAM:
                rules.add_rule(no_family, "socket", library.Arg(0, library.EQ, family), of_kind)
        if kind not in CONNECTED:
            rules.add_rule(no_family, "socket", unix, of_kind)
            rules.add_rule(no_family, "socketpair", of_kind)
    for family in (socket.AF_INET, socket.AF_INET6):
        of_family = library.Arg(0, library.EQ, family)
        for protocol in range(1, max(PROTOCOLS)):
            rules.add_rule(no_family, "socket", of_family, library.Arg(2, library.EQ, protocol))
        above = library.Arg(2, library.GT, max(PROTOCOLS))
        rules.add_rule(no_family, "socket", of_family, above)
    return _exported(rules)


@functools.cache
def connect_filter() -> bytes:
    """Puts every call of `connect` to whoever holds the filter's descriptor."""
    import pyseccomp

    library: Any = pyseccomp
    rules = library.SyscallFilter(library.ALLOW)
    rules.add_rule(library.NOTIFY, "connect")
    return _exported(rules)


def _exported(rules: Any) -> bytes:
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
