"""Words that usually trip moderation (JSL614). The list says what it is in its own file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from grader.training_data.faults import quoted
from grader.training_data.reading import folded

_LIST: Final = Path(__file__).with_name("unsafe_words.txt")


def looks_unsafe(text: str) -> bool:
    """Whether the text may hold one of the words. Cheap on ordinary text."""
    return any(map(text.casefold().__contains__, _rarest()))


def unsafe_words(text: str) -> Iterator[str]:
    """The words of the list that stand in the text as whole words, each once."""
    for words in dict.fromkeys(_whole_words().findall(folded(text))):
        yield f"the words {quoted(words)}, which moderation usually refuses; expected none"


@cache
def _words() -> tuple[str, ...]:
    """The list, longer ones first, so that of "child porn" and "porn" the longer is named."""
    words = [line.strip() for line in _LIST.read_text(encoding="utf-8").splitlines()]
    return tuple(sorted((w for w in words if w and w[0] != "#"), key=lambda w: (-len(w), w)))


@cache
def _rarest() -> tuple[str, ...]:
    """The last word of each, but for those that hold another one."""
    last = {words.split()[-1] for words in _words()}
    return tuple(word for word in sorted(last) if not any(w in word for w in last - {word}))


@cache
def _whole_words() -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, _words()))})(?!\w)")
