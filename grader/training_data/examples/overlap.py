"""Questions that two files share: training and test set (JSL605), or a list of known questions.

`overlap` compares prompts of examples; `leaks` searches known questions in a file of any format.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

from grader.core.constants import LEAK_MAX_BYTES
from grader.training_data.examples.duplicates import NEAR_MAX_TEXTS, NearIndex, NearText, near_texts
from grader.training_data.read.examples import Example
from grader.training_data.read.fingerprint import Fingerprint, folded, read
from grader.training_data.read.lines import LineError, UnreadableFile, decode, lines
from grader.training_data.rules.rule import Fault

OVERLAP_NEAR_MAX_PROMPTS: Final = NEAR_MAX_TEXTS // 2  # of either file compared for near copies


def overlap(examples: Iterable[Example], others: Iterable[Example]) -> Iterator[Fault]:
    """A fault for each example whose prompt, in folded form, is that of one of the others.

    Prompts that are nearly the same count as well, among the first OVERLAP_NEAR_MAX_PROMPTS of
    either file; system texts do not count. Each file is read once. Memory: about 130 bytes for
    each of `others`, and 12 for each example that is found.
    """
    known = _Prompts(others)
    unlike = NearIndex(OVERLAP_NEAR_MAX_PROMPTS)
    found = array("I")  # line, line of the other, whether the answers are equal
    for fingerprint in _asking(examples):
        at = known.places.get(_prompt(fingerprint))
        if at is not None:
            same = known.answers[at] == hash(fingerprint.folded_answer)
            found.extend((fingerprint.line, known.lines[at], same))
        elif not fingerprint.prompt_extras:
            unlike.add(fingerprint.line, NearText(fingerprint.folded_prompt))
    yield from merge(_equal(found), _nearly(unlike, known.near_index), key=attrgetter("line"))


class _Prompts:
    """The prompts of a file: `places` has the first of each by its hash."""

    def __init__(self, examples: Iterable[Example]) -> None:
        self.places: dict[int, int] = {}
        self.lines = array("I")
        self.answers = array("q")
        self.near_index = NearIndex(OVERLAP_NEAR_MAX_PROMPTS)
        for fingerprint in _asking(examples):
            prompt = _prompt(fingerprint)
            if prompt in self.places:
                continue
            self.places[prompt] = len(self.lines)
            self.lines.append(fingerprint.line)
            self.answers.append(hash(fingerprint.folded_answer))
            if not fingerprint.prompt_extras:
                self.near_index.add(fingerprint.line, NearText(fingerprint.folded_prompt))


def _asking(examples: Iterable[Example]) -> Iterator[Fingerprint]:
    return (fingerprint for example in examples if (fingerprint := read(example)).folded_prompt)


def _prompt(fingerprint: Fingerprint) -> int:
    return hash((fingerprint.folded_prompt, fingerprint.prompt_extras))


def _equal(found: array[int]) -> Iterator[Fault]:
    for line, other, same in zip(found[::3], found[1::3], found[2::3], strict=True):
        answer = "with the same answer" if same else "with another answer"
        message = f"the prompt also occurs in line {other} of the other file, {answer}"
        yield Fault("JSL605", message, line)


def _nearly(ours: NearIndex, theirs: NearIndex) -> Iterator[Fault]:
    known = len(theirs.texts)
    for i, j in near_texts(theirs.texts + ours.texts, known):
        message = f"nearly the same prompt occurs in line {theirs.lines[j]} of the other file"
        yield Fault("JSL605", message, ours.lines[i - known])


_WORD: Final = re.compile(r"\w+")
_MIN_CHARACTERS: Final = 12  # of a question in words; a shorter one is met by chance


class Hit(NamedTuple):
    """A line that holds a known question: its 1-based number, and the question's 0-based index."""

    line: int
    question: int


def leaks(path: Path, questions: Sequence[str], max_bytes: int = LEAK_MAX_BYTES) -> Iterator[Hit]:
    """Find the questions that occur word for word in a line of the file.

    Case, spaces, punctuation and JSON's escapes make no difference, and other text may stand
    around it. The first `max_bytes` of the file are read; nothing raises.
    """
    known = [(index, words) for index, q in enumerate(questions) if (words := _words(q))]
    known = [(index, words) for index, words in known if len(words) >= _MIN_CHARACTERS]
    done = 0
    try:
        for line in lines(path):
            done += len(line.raw) + 1
            if done > max_bytes:
                return
            text = _words(_text(line.raw))
            for index, words in known:
                if words in text:
                    yield Hit(line.number, index)
    except (UnreadableFile, OSError):
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
