"""Faults in a training file, and where they occur."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, NamedTuple

_QUOTED_CHARACTERS: Final = 60  # enough to find the place by eye


class Fault(NamedTuple):
    """A rule that does not hold at one place.

    `message` says what was found and what was expected; the rule has the rest. `line` is 1-based,
    None for the whole file. `pointer` is a JSON pointer into the line (RFC 6901).
    """

    code: str
    message: str
    line: int | None = None
    pointer: str | None = None


def quoted(value: object, limit: int = _QUOTED_CHARACTERS) -> str:
    """A value from a file in short and printable form: JSON as ASCII, cut at `limit` characters.

    Only so much of the value is looked at as can be shown.
    """
    if isinstance(value, str):
        text = json.dumps(value[: limit + 1], ensure_ascii=False)
        cut = len(value) > limit
    elif isinstance(value, dict | list):
        text, cut = f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}", False
    else:
        text, cut = json.dumps(value), False
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    if cut or len(text) > 2 * limit:
        return text[: limit + 1] + "…" + ('"' if isinstance(value, str) else "")
    return text


def pointer(*steps: str | int) -> str:
    """A JSON pointer (RFC 6901) from its steps."""
    return "".join("/" + str(s).replace("~", "~0").replace("/", "~1") for s in steps)


_SHOWN: Final = 5  # line numbers that are kept: enough to go and look


@dataclass(frozen=True, slots=True)
class Occurrences:
    """A number of lines, and the first few of their 1-based numbers.

    No numbers beside a count mean the file as a whole.
    """

    count: int = 0
    first: tuple[int, ...] = ()

    def and_line(self, number: int) -> Occurrences:
        """These and one more."""
        shown = (*self.first, number) if self.count < _SHOWN else self.first
        return Occurrences(self.count + 1, shown)

    def __str__(self) -> str:
        """Such as "3 (lines 1, 4, 7)"; with "…" behind the lines if there are more."""
        if not self.first:
            return str(self.count)
        word = "line" if self.count == 1 else "lines"
        more = ", …" if self.count > len(self.first) else ""
        return f"{self.count} ({word} {', '.join(map(str, self.first))}{more})"
