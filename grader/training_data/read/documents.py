"""Where objects and lists begin and end in JSON that holds several of them."""

from __future__ import annotations

import re
from typing import Final

_MARK: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[{}\[\]]', re.DOTALL)


def objects_in(data: bytes) -> tuple[list[tuple[int, int]], int]:
    """((start, end) of each object and list at the top, the end of the last one).

    Between two of them there may be space and one comma. What is behind the last is something else,
    or one that does not end.
    """
    found = []
    depth = start = end = 0
    for match in _MARK.finditer(data):
        mark = match[0]
        if not depth:
            start = match.start()
            if mark not in (b"{", b"[") or data[end:start].strip() not in (b"", b","):
                break
        depth += (mark in (b"{", b"[")) - (mark in (b"}", b"]"))
        if not depth:
            end = match.end()
            found.append((start, end))
    return found, end
