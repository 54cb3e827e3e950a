"""Network of a restricted run: the only connection it may make is to its own model service.

Such a program shares the machine's network and Unix sockets. A system-call filter lets it make TCP
sockets alone. Denied are datagrams, which Landlock has no rules for; protocols above and beside
TCP; TCP fast open, which bypasses `connect`; and listening, because a port that was not bound by
name is open to the machine's whole network.

The kernel stops each `connect` and asks the broker. For the service's address the broker replaces
the program's socket by one that it has connected itself; every other call is refused. The
program's own call never continues, so it does not matter what its other threads write over the
address meanwhile. Source: linux/seccomp.h of Linux 6.18 and seccomp_unotify(2).
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import select
import socket
import struct
import tempfile
import threading
from pathlib import Path
from typing import Any, Final

from grader.core.constants import SANDBOX_CONNECT_SECONDS
from grader.sandbox.api import GATEWAY_PORT
from grader.sandbox.uids import seeing_as

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
    """The filter's instructions. Raises ImportError without the library.

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
    """The filter that reports every `connect` to the holder of its descriptor."""
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


# Requests to the descriptor: direction, size, "!" and a number (linux/ioctl.h).
RECEIVE: Final = 0xC050_2100
SEND: Final = 0xC018_2101
ADD_DESCRIPTOR: Final = 0x4018_2103
CALL: Final = struct.Struct("=QII iIQ 6Q")  # id, pid, flags; number, CPU, place, arguments
ANSWER: Final = struct.Struct("=QqiI")  # id, value, error, flags
DESCRIPTOR: Final = struct.Struct("=QIIII")  # id, flags, from, to, flags of the new one
AT_THIS_NUMBER: Final = 1
SERVICE: Final = socket.inet_aton("127.0.0.1")


class Broker:
    """Answers one run's calls of `connect` in a thread, until all of the run's processes are gone.

    `calls` is the kernel's descriptor, which it owns; `service` the port of the machine's loopback
    to connect to, None without a service; `user` whose processes ask, where the grader is root.
    """

    def __init__(self, calls: int, service: int | None, user: int | None) -> None:
        self._calls = calls
        self._service = service
        self._user = user
        self._thread = threading.Thread(target=self._answer_all, name="connects", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait for the thread, once nothing of the run is left."""
        self._thread.join()

    def _answer_all(self) -> None:
        events = select.poll()
        events.register(self._calls, select.POLLIN)
        try:
            while events.poll()[0][1] & select.POLLIN:
                self._answer()
        finally:
            os.close(self._calls)

    def _answer(self) -> None:
        call = bytearray(CALL.size)
        try:
            fcntl.ioctl(self._calls, RECEIVE, call)
            number, pid, *_, descriptor, address, size, _, _, _ = CALL.unpack(call)
            refused = self._connect(number, pid, descriptor & 0xFFFF_FFFF, address, size)
            fcntl.ioctl(self._calls, SEND, ANSWER.pack(number, 0, -refused, 0))
        except OSError:
            return  # it was killed while it waited

    def _connect(self, call: int, pid: int, descriptor: int, address: int, size: int) -> int:
        """Connect the program's descriptor; return the error number of a refusal."""
        try:
            with seeing_as(self._user):
                requested = _memory(pid, address, min(size, 128))
                flags = _flags(pid, descriptor)
        except (OSError, ValueError, OverflowError):
            return errno.EACCES
        if requested[:2] == struct.pack("=H", socket.AF_INET) and requested[4:8] == SERVICE:
            if struct.unpack("!H", requested[2:4])[0] != GATEWAY_PORT or self._service is None:
                return errno.ECONNREFUSED
            return self._put_connected(call, descriptor, flags, self._service)
        return errno.ENETUNREACH

    def _put_connected(self, call: int, descriptor: int, flags: int, port: int) -> int:
        with socket.socket() as ours:
            ours.settimeout(SANDBOX_CONNECT_SECONDS)
            try:
                ours.connect(("127.0.0.1", port))
            except OSError:
                return errno.ETIMEDOUT
            ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ours.setblocking(not flags & os.O_NONBLOCK)
            close_on_exec = flags & os.O_CLOEXEC
            place = DESCRIPTOR.pack(call, AT_THIS_NUMBER, ours.fileno(), descriptor, close_on_exec)
            try:
                fcntl.ioctl(self._calls, ADD_DESCRIPTOR, place)
            except OSError as error:
                return error.errno or errno.EACCES
        return 0


def _memory(pid: int, address: int, size: int) -> bytes:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(size) or b""


def _flags(pid: int, descriptor: int) -> int:
    """The flags of the program's open socket. Raises OSError where there is none."""
    if not os.readlink(f"/proc/{pid}/fd/{descriptor}").startswith("socket:"):
        raise OSError(errno.ENOTSOCK, "no socket")
    for line in Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text().splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8)
    raise OSError(errno.EBADF, "no flags")
