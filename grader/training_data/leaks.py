"""Where known questions stand in a file, whatever its form: chat, a table, or plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from grader.constants import LEAK_MAX_BYTES
from grader.training_data.json_lines import LineError, decode
from grader.training_data.reader import Unreadable, lines
from grader.training_data.reading import folded

_WORD: Final = re.compile(r"\w+")
_MIN_CHARACTERS: Final = 12  # of a question in words; a shorter one is met by chance


class Hit(NamedTuple):
    """A line that holds a known question: its 1-based number, and the question's 0-based index."""

    line: int
    question: int


def leaks(path: Path, questions: Sequence[str]) -> Iterator[Hit]:
    """Where one of the questions stands, word for word, anywhere in a line of the file.

    Case, spaces, punctuation and JSON's escapes make no difference, and other text may stand
    around it. The first LEAK_MAX_BYTES of the file are read; nothing raises.
    """
    known = [(index, words) for index, q in enumerate(questions) if (words := _words(q))]
    known = [(index, words) for index, words in known if len(words) >= _MIN_CHARACTERS]
    done = 0
    try:
        for line in lines(path):
            done += len(line.raw) + 1
            if done > LEAK_MAX_BYTES:
                return
            text = _words(_text(line.raw))
            for index, words in known:
                if words in text:
                    yield Hit(line.number, index)
    except (Unreadable, OSError):
        return


def _words(text: str) -> str:
    """The words of a text alone, with one space around each."""
    found = " ".join(_WORD.findall(folded(text)))
    return f" {found} " if found else ""


def _text(raw: bytes) -> str:
    """All texts in the line's JSON; the line itself where it is none."""
    try:
        value = decode(raw)
    except LineError:
        return raw.decode("utf-8", "replace")
    return "\n".join(_strings(value))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
