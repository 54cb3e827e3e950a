"""How long a run's processes were ready to go on while no processor took them.

The kernel counts it for each thread (the second number of its schedstat, in ns). Of several threads
only the one that waited longest counts, look by look: a program that keeps many threads ready makes
them wait for each other, and must not stop its own clock by that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_MOST_SECONDS: Final = 1200.0  # else a program could hold the grader for hours
_MOST_THREADS: Final = 128  # looked at


class QueueDelay:
    """The delay of one run; `look` at it often."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._total = 0.0
        self._seen: dict[str, int] = {}

    @property
    def seconds(self) -> float:
        """Real seconds so far in which the run waited for a processor."""
        return min(self._total, time.monotonic() - self._began, _MOST_SECONDS)

    def look(self, processes: Iterable[int]) -> None:
        """Add what these processes have waited since the last look."""
        now = dict(self._waited(processes))
        longest = max((waited - self._seen.get(one, 0) for one, waited in now.items()), default=0)
        self._total += max(0, longest) / 1e9
        self._seen = now

    @staticmethod
    def _waited(processes: Iterable[int]) -> Iterable[tuple[str, int]]:
        """(thread, nanoseconds that it has waited in its life) of each; ended ones are left out."""
        left = _MOST_THREADS
        for process in processes:
            try:
                threads = os.listdir(f"/proc/{process}/task")[:left]
                left -= len(threads)
                for thread in threads:
                    text = Path(f"/proc/{process}/task/{thread}/schedstat").read_bytes()
                    yield thread, int(text.split()[1])
            except (OSError, IndexError, ValueError):
                continue
