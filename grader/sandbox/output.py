"""What a program writes to its standard streams: taken without end, kept up to a limit."""

from __future__ import annotations

import os

from grader.constants import SANDBOX_READ_BYTES


class Stream:
    """The reading end of one pipe, which its maker closes. Taking from it never blocks."""

    def __init__(self, fd: int, limit_bytes: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.limit_bytes = limit_bytes
        self.kept = bytearray()
        self.total_bytes = 0

    def take(self) -> bool:
        """Read what is there, at most one piece; False when no more will come."""
        try:
            piece = os.read(self.fd, SANDBOX_READ_BYTES)
        except BlockingIOError:
            return True
        self.total_bytes += len(piece)
        self.kept += piece[: max(0, self.limit_bytes - len(self.kept))]
        return bool(piece)

    def drain(self) -> None:
        """Take all that is left once every writer is gone."""
        before = -1
        while self.total_bytes != before:
            before = self.total_bytes
            self.take()
