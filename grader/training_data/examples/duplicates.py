"""Copies of examples (JSL602), near copies (JSL603) and conflicting answers (JSL604).

Two texts are near copies when the sets of their character 5-grams have a Jaccard similarity of at
least NEAR_SIMILARITY. A few texts are compared pairwise. For many, MinHash with locality-sensitive
hashing (datasketch) proposes candidates, and the exact sets decide.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from os.path import commonprefix
from typing import Final, NamedTuple

from grader.training_data.read.examples import Kind
from grader.training_data.read.faults import Fault, quoted
from grader.training_data.read.fingerprint import Fingerprint

NEAR_SIMILARITY: Final = 0.9  # one word changed in an example of three lines
NEAR_MAX_TEXTS: Final = 10_000  # compared with each other: some seconds, 100 MB
NEAR_MAX_CHARACTERS: Final = 10_000_000  # kept of all texts together: 10 MB, 40 of rare scripts
NEAR_TEMPLATE_MIN_TEXTS: Final = 10  # different ones; fewer may be copies, not a template
_NEAR_TEMPLATE_OTHERS: Final = 10  # one in so many at either end may be without the template
_STRETCH_CHARACTERS: Final = 5  # the usual length for short texts: about a word
_PAIRWISE_MAX_TEXTS: Final = 450  # comparing all sets takes as long as importing datasketch
_PAIRWISE_MAX_CHARACTERS: Final = 200_000
_COMPARED: Final = 32  # candidates for one text: bounds the work where all are alike

# Of pairs at the limit one in 70,000 is no candidate, of pairs half alike one in 13 is one.
_BANDS: Final = 20
_BAND_ROWS: Final = 8


class NearText(NamedTuple):
    """The text that is compared, and the part that may belong to a shared template."""

    prompt: str
    answer: str = ""


class NearIndex:
    """The first texts of a file, as many as can be compared with each other.

    Texts are given in folded form. `lines` are the lines of those that were taken.
    """

    def __init__(self, max_texts: int = NEAR_MAX_TEXTS) -> None:
        self.texts: list[NearText] = []
        self.lines: list[int] = []
        self._max_texts = max_texts
        self._characters_left = NEAR_MAX_CHARACTERS * max_texts // NEAR_MAX_TEXTS

    def add(self, line: int, text: NearText) -> bool:
        """Add the text; False if the index is full, as it is from then on."""
        self._characters_left -= len(text.prompt) + len(text.answer)
        if len(self.texts) == self._max_texts or self._characters_left < 0:
            return False
        self.texts.append(text)
        self.lines.append(line)
        return True


def near_texts(texts: Sequence[NearText], known: int | None = None) -> Iterator[tuple[int, int]]:
    """(i, j) for each text i that is nearly the same as an earlier text j.

    j is the first such text that is not itself in the result. With `known`, texts from there on
    are compared with all of those before it, and with no others. What most prompts begin and end
    with is no part of the comparison: a long template makes no two questions alike.
    """
    bare = _without_template(texts)
    few = len(bare) <= _PAIRWISE_MAX_TEXTS and sum(map(len, bare)) <= _PAIRWISE_MAX_CHARACTERS
    yield from (_among_few if few else _among_many)(bare, known)


def _among_few(texts: list[str], known: int | None) -> Iterator[tuple[int, int]]:
    kept: list[tuple[int, set[str]]] = []
    for i, text in enumerate(texts):
        mine = _stretches(text)
        j = _first_alike(mine, kept) if known is None or i >= known else None
        if j is not None:
            yield i, j
        elif known is None or i < known:
            kept.append((i, mine))


def _among_many(texts: list[str], known: int | None) -> Iterator[tuple[int, int]]:
    from datasketch import MinHash, MinHashLSH

    perms = _BANDS * _BAND_ROWS
    near_index = MinHashLSH(num_perm=perms, params=(_BANDS, _BAND_ROWS))
    blank = MinHash(num_perm=perms)
    for i, text in enumerate(texts):
        mine = _stretches(text)
        sketch = blank.copy()
        sketch.update_batch([stretch.encode("utf-8", "surrogatepass") for stretch in mine])
        j = None
        if known is None or i >= known:
            candidates = sorted(near_index.query(sketch))[:_COMPARED]
            j = _first_alike(mine, ((c, _stretches(texts[c])) for c in candidates))
        if j is not None:
            yield i, j
        elif known is None or i < known:
            near_index.insert(i, sketch)


def _first_alike(mine: set[str], others: Iterable[tuple[int, set[str]]]) -> int | None:
    for j, other in others:
        if min(len(mine), len(other)) < NEAR_SIMILARITY * max(len(mine), len(other)):
            continue
        common = len(mine & other)
        if common >= NEAR_SIMILARITY * (len(mine) + len(other) - common):
            return j
    return None


def _stretches(text: str) -> set[str]:
    last = max(1, len(text) - _STRETCH_CHARACTERS + 1)
    return {text[i : i + _STRETCH_CHARACTERS] for i in range(last)}


def _without_template(texts: Sequence[NearText]) -> list[str]:
    """Prompts, without whole words that most of them begin or end with, and answers."""
    prompts = [text.prompt for text in texts]
    begin = _common_beginning(prompts).rpartition(" ")
    end = _common_beginning([prompt[::-1] for prompt in prompts]).rpartition(" ")
    prefix, suffix = begin[0] + begin[1], (end[0] + end[1])[::-1]
    return [
        text.prompt.removeprefix(prefix).removesuffix(suffix) + "\n" + text.answer for text in texts
    ]


def _common_beginning(texts: list[str]) -> str:
    """The common beginning of all but a few texts. Sorting puts equal beginnings together."""
    ordered = sorted(set(texts))
    if len(ordered) < NEAR_TEMPLATE_MIN_TEXTS:
        return ""
    few = len(ordered) // _NEAR_TEMPLATE_OTHERS
    return commonprefix([ordered[few], ordered[-1 - few]])  # noqa: RUF071 - no paths


_KEPT_ANSWERS: Final = 20_000  # so many can be quoted in a message; 2 MB
_QUOTED_CHARACTERS: Final = 40  # of each of two answers that stand side by side


class Duplicates:
    """Finds copies, near copies and conflicting answers.

    Two are copies when system text, prompt and answer are equal in folded form, and tools,
    images, weights and the rejected answer are equal, too. What is compared are 64-bit hashes: 36
    bytes for each example, and of a million two collide with a chance below one in ten million.

    `left_out` counts the examples that are not compared for near copies because there are more
    than `grader.training_data.examples.duplicates` allows.
    """

    def __init__(self) -> None:
        self.left_out = 0
        self._lines = array("I")
        self._raw = array("q")
        self._example_hashes = array("q")
        self._prompt_hashes = array("q")
        self._answer_hashes = array("q")
        self._answers: list[str] = []
        self._near_index = NearIndex()
        self._indexed: set[int] = set()

    @property
    def searched(self) -> int:
        """How many examples are compared for near copies: none with images or tools."""
        return len(self._near_index.texts)

    def add(self, fingerprint: Fingerprint) -> None:
        """Add an example."""
        given = (fingerprint.system, fingerprint.folded_prompt, fingerprint.prompt_extras)
        whole = hash(
            (given, fingerprint.folded_answer, fingerprint.rejected, fingerprint.answer_extras)
        )
        self._lines.append(fingerprint.line)
        self._raw.append(hash(fingerprint.example.raw))
        self._example_hashes.append(whole)
        if not fingerprint.folded_prompt:
            self._prompt_hashes.append(whole)  # without a prompt no two answers conflict
        elif fingerprint.example.kind is Kind.PREFERENCE:
            # Which of these two is better? Several pairs with one prompt are no conflict.
            self._prompt_hashes.append(
                hash((given, frozenset((fingerprint.folded_answer, fingerprint.rejected))))
            )
        else:
            self._prompt_hashes.append(hash(given))
        self._answer_hashes.append(hash(fingerprint.folded_answer))
        if len(self._answers) < _KEPT_ANSWERS:
            self._answers.append(fingerprint.answer[: _QUOTED_CHARACTERS + 1])
        if not fingerprint.prompt_extras and whole not in self._indexed:
            if self._near_index.add(fingerprint.line, near_text(fingerprint)):
                self._indexed.add(whole)
            else:
                self.left_out += 1

    def faults(self) -> Iterator[Fault]:
        """Copies, near copies and conflicting answers, each in the order of lines."""
        yield from self._copies()
        yield from self._near_copies()
        yield from self._conflicts()

    def _copies(self) -> Iterator[Fault]:
        for i, first in _later_ones(self._example_hashes):
            exact = self._raw[i] == self._raw[first]
            how = "byte for byte" if exact else "but for case, spaces or how its JSON is written"
            message = f"the same as line {self._lines[first]}, {how}; one of them is enough"
            yield Fault("JSL602", message, self._lines[i])

    def _near_copies(self) -> Iterator[Fault]:
        lines = self._near_index.lines
        for i, j in near_texts(self._near_index.texts):
            message = (
                f"nearly the same as line {lines[j]}: prompt and answer differ in a few "
                "characters; expected examples that differ in what they teach"
            )
            yield Fault("JSL603", message, lines[i])

    def _conflicts(self) -> Iterator[Fault]:
        for i, first in _later_ones(self._prompt_hashes):
            if self._answer_hashes[i] == self._answer_hashes[first]:
                continue
            here, there = (
                f" {quoted(self._answers[at], _QUOTED_CHARACTERS)}"
                if at < len(self._answers)
                else ""
                for at in (i, first)
            )
            message = (
                f"the answer{here} to a prompt that has the answer{there} in line "
                f"{self._lines[first]}; expected one answer to one prompt"
            )
            yield Fault("JSL604", message, self._lines[i])


def near_text(fingerprint: Fingerprint) -> NearText:
    """The text of an example that is compared for near copies."""
    return NearText(
        fingerprint.folded_prompt, f"{fingerprint.folded_answer}\n{fingerprint.rejected}".rstrip()
    )


def _later_ones(hashes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(i, j) of every element i that equals an earlier one, j being the first of them."""
    first = dict.fromkeys((a for a, b in pairwise(sorted(hashes)) if a == b), -1)
    if not first:
        return
    for i, value in enumerate(hashes):
        j = first.get(value)
        if j == -1:
            first[value] = i
        elif j is not None:
            yield i, j
