"""How often something was met in a file, and where first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SHOWN: Final = 5  # line numbers that are kept: enough to go and look


@dataclass(frozen=True, slots=True)
class Places:
    """A number of lines, and the first few of their 1-based numbers.

    No numbers beside a count mean the file as a whole.
    """

    count: int = 0
    first: tuple[int, ...] = ()

    def and_line(self, number: int) -> Places:
        """These and one more."""
        shown = (*self.first, number) if self.count < _SHOWN else self.first
        return Places(self.count + 1, shown)

    def __str__(self) -> str:
        """Such as "3 (lines 1, 4, 7)"; with "…" behind the lines if there are more."""
        if not self.first:
            return str(self.count)
        word = "line" if self.count == 1 else "lines"
        more = ", …" if self.count > len(self.first) else ""
        return f"{self.count} ({word} {', '.join(map(str, self.first))}{more})"
