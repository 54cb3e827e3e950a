"""glibc's allocator in a process where threads come and go all the time."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Final

_M_ARENA_MAX: Final = -8  # malloc.h
_ARENAS: Final = 2


def limit_arenas() -> None:
    """Let new threads share two arenas (mallopt(3), M_ARENA_MAX); nothing where glibc is not.

    By default up to eight for each processor are made, and memory that was freed in one serves no
    other: a grader grew by 10 MiB for every 20 s of hostile requests, without holding more.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
