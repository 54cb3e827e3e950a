"""Makes the only connection that a restricted program may have: to its own model service.

Such a program shares the machine's network. The kernel stops its every call of `connect` and asks
here. A call for the service's address gets a socket that this side has connected, in the place of
the program's own; every other call is refused. The program's call itself never goes on, so that it
does not matter what its other threads write over the address meanwhile.
Source: linux/seccomp.h of Linux 6.18 and seccomp_unotify(2).
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
import threading
from pathlib import Path
from typing import Final

from grader.constants import SANDBOX_CONNECT_SECONDS
from grader.sandbox.as_user import seeing_as
from grader.sandbox.launch import GATEWAY_PORT

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
        """Connect the program's descriptor, or say by which error it is refused."""
        try:
            with seeing_as(self._user):
                wanted = _memory(pid, address, min(size, 128))
                flags = _flags(pid, descriptor)
        except (OSError, ValueError, OverflowError):
            return errno.EACCES
        if wanted[:2] == struct.pack("=H", socket.AF_INET) and wanted[4:8] == SERVICE:
            if struct.unpack("!H", wanted[2:4])[0] != GATEWAY_PORT or self._service is None:
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
    """The flags of a socket that it has open. Raises OSError where there is none."""
    if not os.readlink(f"/proc/{pid}/fd/{descriptor}").startswith("socket:"):
        raise OSError(errno.ENOTSOCK, "no socket")
    for line in Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text().splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8)
    raise OSError(errno.EBADF, "no flags")
