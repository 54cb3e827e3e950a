"""The facts of a written comparison, for a page, a table or a check to show beside a decision.

They carry no marks: what a text is worth, a person says. The work is bounded: of a long text the
beginning is read, and a note says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from grader.checks.views.written_work.aspects import aspects_of
from grader.checks.views.written_work.comparison_words import Vocabulary
from grader.checks.views.written_work.measured import Measured, Verdict
from grader.checks.views.written_work.number_claims import NumberFact, numbers_of
from grader.checks.views.written_work.overlap import Copy, Sources, covered
from grader.checks.views.written_work.passages import Form, Kind, Passage, passages, sentences

MAX_CHARACTERS: Final = 100_000  # 35 pages; a comparison of three has 10,000
MAX_NUMBERS: Final = 2_000  # a comparison has 50
WORDS_PER_PAGE: Final = 500
LENGTH_CONVENTION: Final = (
    "Words of headings, paragraphs and lists count; tables, code, page numbers and what was copied "
    f"from the handout or the kit do not. A page has {WORDS_PER_PAGE} words."
)
_WORD: Final = re.compile(r"\w[\w'\u2019-]*")
_LONG_WORD: Final = 6  # letters; longer ones are long by LIX
_PROSE: Final = (Kind.PARAGRAPH, Kind.ITEM)
_PICTURE: Final = re.compile(r"!\[[^\]\n]{0,200}\]\(|<img\b", re.I)
_NAMES: Final = {
    "table": r"tables?|tab\.|tabellen?|tableaux?|tablas?",
    "figure": r"figures?|fig\.|plots?|charts?|diagrams?|abbildung(?:en)?|abb\.|figuras?",
}


@dataclass(frozen=True, slots=True)
class Quote:
    """A place of the text, and what stands there."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class AspectFact:
    """The passages that speak of an aspect; none where it was not found."""

    id: str
    title: str
    passages: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class Length:
    """Words by `LENGTH_CONVENTION`, and those copied from what everybody was given."""

    words: int
    copied_words: int

    @property
    def pages(self) -> float:
        """Pages of `WORDS_PER_PAGE` words."""
        return self.words / WORDS_PER_PAGE


@dataclass(frozen=True, slots=True)
class Readability:
    """How long sentences and words are. LIX: below 30 very easy, above 60 very hard.

    LIX is words per sentence and the percentage of words of more than six letters (Björnsson
    1968); it counts no syllables, so it holds for every language and needs no dictionary.
    """

    words_per_sentence: float
    long_words: float  # share, 0 to 1
    lix: float


@dataclass(frozen=True, slots=True)
class Reference:
    """A table or a figure that the text refers to by number, and whether it shows one.

    `shown` is None where that cannot be seen: the pictures of a PDF or of a Word file.
    """

    start: int
    end: int
    text: str
    kind: str
    number: int
    shown: bool | None


@dataclass(frozen=True, slots=True)
class TextFacts:
    """What can be said of a text without judging it. Every place is an offset into the text.

    `given` are copies from the handout or the kit.
    """

    length: Length
    readability: Readability | None
    aspects: tuple[AspectFact, ...]
    numbers: tuple[NumberFact, ...]
    references: tuple[Reference, ...]
    tables: int
    given: tuple[Copy, ...]
    notes: tuple[str, ...]

    def with_verdict(self, verdict: Verdict) -> tuple[NumberFact, ...]:
        """The numbers that stand so to what was measured."""
        return tuple(number for number in self.numbers if number.verdict is verdict)


def facts_of(
    text: str,
    form: Form,
    vocabulary: Vocabulary,
    measured: Measured,
    given: Sources,
) -> TextFacts:
    """The facts of a text in that form; `given` is what every student had."""
    notes = []
    if len(text) > MAX_CHARACTERS:
        notes.append(
            f"The text has {len(text):,} characters; its first {MAX_CHARACTERS:,} were read."
        )
        text = text[:MAX_CHARACTERS]
    document = passages(text, form)
    copied = given.copies(text)
    spoken = aspects_of(document, vocabulary, copied)
    every = numbers_of(text, document, vocabulary, measured, spoken, copied)
    numbers = tuple(islice(every, MAX_NUMBERS))
    if next(every, None) is not None:
        notes.append(f"Only its first {MAX_NUMBERS:,} numbers were read.")
    return TextFacts(
        length=_length(document, copied),
        readability=_readability(document),
        aspects=tuple(
            AspectFact(
                aspect.id,
                aspect.title,
                tuple(
                    Quote(passage.start, passage.end, passage.text)
                    for passage, ids in zip(document, spoken, strict=True)
                    if aspect.id in ids
                ),
            )
            for aspect in vocabulary.aspects
        ),
        numbers=numbers,
        references=_references(text, document, form),
        tables=sum(passage.kind is Kind.TABLE for passage in document),
        given=copied,
        notes=tuple(notes),
    )


def _length(document: Sequence[Passage], copied: Sequence[Copy]) -> Length:
    own = both = 0
    for passage in document:
        if passage.kind in (*_PROSE, Kind.HEADING):
            for word in _WORD.finditer(passage.text):
                both += 1
                start = passage.start + word.start()
                own += not covered(copied, start, start + 1)
    return Length(own, both - own)


def _readability(document: Sequence[Passage]) -> Readability | None:
    """Of the prose; None where there is none."""
    found = [
        words
        for passage in document
        if passage.kind in _PROSE
        for _, sentence in sentences(passage)
        if (words := _WORD.findall(sentence))
    ]
    if not found:
        return None
    count = sum(map(len, found))
    long = sum(len(word) > _LONG_WORD for words in found for word in words) / count
    per_sentence = count / len(found)
    return Readability(per_sentence, long, per_sentence + 100 * long)


def _references(text: str, document: Sequence[Passage], form: Form) -> tuple[Reference, ...]:
    tables = sum(passage.kind is Kind.TABLE for passage in document)
    pictures = len(_PICTURE.findall(text))
    found = []
    for kind, names in _NAMES.items():
        captions = {
            int(match[1])
            for passage in document
            if (match := re.match(rf"[\s*_]*(?:{names})\s*(\d{{1,3}})\s*[:.]", passage.text, re.I))
        }
        for match in re.finditer(rf"(?<!\w)(?:{names})\s*(\d{{1,3}})(?!\w)", text, re.I):
            number = int(match[1])
            shown: bool | None = number in captions
            if not shown and kind == "table":
                shown = number <= tables
            elif not shown:
                shown = number <= pictures if form is Form.MARKDOWN else None
            found.append(Reference(match.start(), match.end(), match[0], kind, number, shown))
    return tuple(sorted(found, key=lambda reference: reference.start))
