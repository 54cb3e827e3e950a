"""Replacing texts inside a line of JSON, and leaving every other byte as it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from grader.training_data.faults import pointer

_MARK: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\],:]', re.DOTALL)


def with_texts(raw: bytes, texts: Mapping[str, str]) -> bytes:
    """The line with other texts at these JSON pointers. `raw` must be valid JSON.

    Decoding and encoding the whole line would change how numbers and other texts are spelt. A
    line of ASCII stays ASCII.
    """
    line = raw.decode()
    pieces = []
    done = 0
    for where, start, end in _texts(line):
        if where in texts:
            pieces += [line[done:start], json.dumps(texts[where], ensure_ascii=line.isascii())]
            done = end
    return "".join([*pieces, line[done:]]).encode()


def _texts(line: str) -> Iterator[tuple[str, int, int]]:
    """(JSON pointer, start, end) of every text in the line that is no key, with its quotes."""
    steps: list[str | int] = []  # a key for each object that is open, an index for each list
    key_follows = False
    for match in _MARK.finditer(line):
        mark = match[0]
        if mark == "{":
            steps.append("")
            key_follows = True
        elif mark == "[":
            steps.append(0)
            key_follows = False
        elif mark in "}]":
            steps.pop()
        elif mark == ",":
            last = steps[-1]
            key_follows = isinstance(last, str)
            if isinstance(last, int):
                steps[-1] = last + 1
        elif mark == ":":
            key_follows = False
        elif key_follows:
            steps[-1] = json.loads(mark)
        else:
            yield pointer(*steps), match.start(), match.end()
