"""A document's text in passages: headings, paragraphs, list items, tables and code, with places.

Every place is a character offset into the text, so that a page can mark a passage in it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final, NamedTuple

_FENCE: Final = re.compile(r"\s*(```|~~~)")
_HASHES: Final = re.compile(r"\s{0,3}(#{1,6})\s")
_UNDERLINE: Final = re.compile(r"\s*(=+|-+)\s*")
_BOLD_LINE: Final = re.compile(r"\s*(?:\*\*|__)[^*_]+(?:\*\*|__)\s*:?\s*")
_ITEM: Final = re.compile(r"\s*(?:[-*+\u2022\u2013\u25cf\u25e6\uf0b7]|\d{1,2}[.)])\s+(?=\S)")
_RULE: Final = frozenset(" 	|:+-")
_PIPES: Final = re.compile(r"^\||\S\s+\|(?:\s|$)")
_GAP: Final = re.compile(r"\S(?: {2,}|\t)(?=\S)")
_ORDINAL: Final = re.compile(
    r"\s*(?:#{1,6}\s*)?(?:\*\*|__)?(?:\d{1,2}(?:\.\d{1,2})*[.)]?|[IVX]+\.)\s+(?=\S)"
)
_END: Final = re.compile(r"[.!?:;][\"'\u201d\u2019)*_]*\s*$")
_SENTENCE_END: Final = re.compile(
    r"(?<=[.!?])[\"'\u201d)*_]*\s+(?=[\"'\u201c(*_`\[$~]*[\w$~])|(?<=;)\s+"
)
_ABBREVIATION: Final = re.compile(
    (
        r"(?:\b(?:e\.g|i\.e|approx|ca|vs|resp|fig|tab|eq|no|nr|min|max|sec|"
        r"etc|cf|prob|res)|(?-i:\b[A-Z]))\.\s*$"
    ),
    re.I,
)
_CAPTION: Final = re.compile(r"\s*(?:table|tab\.|tabelle|tableau|tabla)\s*\d+\s*[:.]", re.I)
_PAGE_NUMBER: Final = re.compile(
    r"\s*(?:page |seite |p\. )?\d{1,3}\s*(?:(?:/|of|von)\s*\d{1,3})?\s*", re.I
)
SENTENCE_MAX_CHARACTERS: Final = 1_000
_ABBREVIATION_CHARACTERS: Final = 12
_HEADING_MAX_CHARACTERS: Final = 200
_HEADING_WORDS: Final = 10
_SHORT: Final = 0.85  # of the width: a line that could have held the next word, but does not
_MIN_WIDTH: Final = 40


class Kind(StrEnum):
    """What a passage is."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    ITEM = "item"
    TABLE = "table"
    CODE = "code"
    MARGIN = "margin"  # the number of a page, and what stands beside it


class Form(StrEnum):
    """How lines make passages in a text: by Markdown's rules, one a line, or wrapped at a width."""

    MARKDOWN = "markdown"
    LINES = "lines"
    WRAPPED = "wrapped"


@dataclass(frozen=True, slots=True)
class Passage:
    """`text` stands from `start` to `end`; `headings` are those above it, the nearest last."""

    start: int
    end: int
    kind: Kind
    text: str
    headings: tuple[str, ...]


class Line(NamedTuple):
    """A line without its end, and where it starts."""

    start: int
    text: str


class Cell(NamedTuple):
    """A cell of a table with its place in the passage's text."""

    start: int
    text: str


def form_of(path: str) -> Form:
    """How the reader of that format of documents puts lines (see `grader/evidence`)."""
    forms = {".docx": Form.LINES, ".pdf": Form.WRAPPED}
    return forms.get(PurePosixPath(path).suffix.lower(), Form.MARKDOWN)


def passages(text: str, form: Form) -> tuple[Passage, ...]:
    """The passages in order; white space between them belongs to none."""
    found: list[Passage] = []
    above: list[tuple[int, str]] = []  # headings with their levels
    for lines, kind, level in _blocks(_lines(text), form):
        start = lines[0].start + len(lines[0].text) - len(lines[0].text.lstrip())
        end = lines[-1].start + len(lines[-1].text.rstrip())
        body = text[start:end]
        if kind is Kind.HEADING:
            while above and above[-1][0] >= level:
                above.pop()
            above.append((level, body))
        names = tuple(heading for _, heading in above)
        found.append(Passage(start, end, kind, body, names[:-1] if kind is Kind.HEADING else names))
    return tuple(found)


def sentences(passage: Passage) -> Iterator[tuple[int, str]]:
    """Where in the passage's text each sentence starts, and the sentence."""
    start = 0
    for match in _SENTENCE_END.finditer(passage.text):
        near = max(start, match.start() - _ABBREVIATION_CHARACTERS)
        if _ABBREVIATION.search(passage.text, near, match.start()):
            continue
        yield from _cut(passage.text, start, match.start())
        start = match.end()
    yield from _cut(passage.text, start, len(passage.text))


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """A sentence, in pieces where it is none: a hostile text must not make it long."""
    for at in range(start, max(end, start + 1), SENTENCE_MAX_CHARACTERS):
        yield at, text[at : min(end, at + SENTENCE_MAX_CHARACTERS)]


def rows(passage: Passage) -> list[list[Cell]]:
    """The rows of a table in cells; rules between rows are left out."""
    found: list[list[Cell]] = []
    for line in _lines(passage.text):
        if not line.text.strip() or _is_rule(line.text):
            continue
        splitter = r"\|" if _PIPES.search(line.text.strip()) else r" {2,}|\t"
        cells: list[Cell] = []
        start = 0
        for match in (*re.finditer(splitter, line.text), None):
            end = match.start() if match else len(line.text)
            cells.append(Cell(line.start + start, line.text[start:end]))
            start = match.end() if match else end
        if line.text.lstrip().startswith("|"):
            cells = cells[1:]
        if line.text.rstrip().endswith("|"):
            cells = cells[:-1]
        if found or len(cells) > 1:  # a caption has no cells
            found.append(cells)
    return found


def ordinal(passage: Passage) -> int:
    """How many characters of the passage are its number in a list or among the headings."""
    match = _ORDINAL.match(passage.text)
    return match.end() if match and passage.kind in (Kind.HEADING, Kind.ITEM) else 0


def _is_rule(line: str) -> bool:
    """Whether a line only draws the line between a table's rows."""
    return "--" in line and _RULE.issuperset(line)


def _lines(text: str) -> list[Line]:
    found, start = [], 0
    for line in text.split("\n"):
        found.append(Line(start, line))
        start += len(line) + 1
    return found


def _blocks(lines: list[Line], form: Form) -> Iterator[tuple[list[Line], Kind, int]]:
    """Lines that make a passage, its kind, and the level of a heading."""
    width = _width(lines)
    margins = _margins(lines) if form is Form.WRAPPED else frozenset()
    block: list[Line] = []
    kind = Kind.PARAGRAPH
    at = 0
    while at < len(lines):
        line = lines[at]
        if at in margins or (margins and not line.text.strip()):
            open_sentence = bool(block) and not _END.search(block[-1].text)
            if open_sentence and _goes_on(lines, at, margins):
                at += 1
                continue
        if at in margins:
            if block:
                yield block, kind, 0
            yield [line], Kind.MARGIN, 0
            block, at = [], at + 1
            continue
        if _FENCE.match(line.text):
            if block:
                yield block, kind, 0
            end = next((k for k in range(at + 1, len(lines)) if _FENCE.match(lines[k].text)), at)
            yield lines[at : end + 1], Kind.CODE, 0
            block, at = [], end + 1
            continue
        table = _table(lines, at, form)
        level = 0 if table > at else _heading(lines, at, form, block)
        if table > at or level or not line.text.strip() or _starts(line, block, form, width):
            if block:
                yield block, kind, 0
            block = []
        if table > at:
            yield lines[at:table], Kind.TABLE, 0
            at = table
        elif level:
            underlined = at + 1 < len(lines) and _underlines(lines, at + 1, form)
            yield [line], Kind.HEADING, level
            at += 2 if underlined else 1
        else:
            if line.text.strip():
                if not block:
                    kind = Kind.ITEM if _ITEM.match(line.text) else Kind.PARAGRAPH
                block.append(line)
            at += 1
    if block:
        yield block, kind, 0


def _goes_on(lines: Sequence[Line], at: int, margins: frozenset[int]) -> bool:
    """Whether the next line of text goes on with a sentence that the end of a page broke."""
    rest = (k for k in range(at, min(at + 5, len(lines))) if k not in margins)
    text = next((lines[k].text.strip() for k in rest if lines[k].text.strip()), "")
    return text[:1].islower()


def _margins(lines: Sequence[Line]) -> frozenset[int]:
    """Lines that stand at the edges of pages: page numbers, and what is repeated with them."""
    forms = [re.sub(r"\d+", "#", line.text.strip()) for line in lines]
    often = Counter(forms)
    edge = {
        k
        for k, form in enumerate(forms)
        if form
        and (k + 1 == len(lines) or not forms[k + 1] or not forms[k - 1] or k == 0)
        and (_PAGE_NUMBER.fullmatch(lines[k].text) or ("#" in form and often[form] > 1))
    }
    return frozenset(edge)


def _starts(line: Line, block: Sequence[Line], form: Form, width: int) -> bool:
    """Whether this line of text begins a passage of its own."""
    if not block or form is Form.LINES or _ITEM.match(line.text):
        return True
    before = block[-1].text.rstrip()
    if form is Form.MARKDOWN:
        return False
    return (
        bool(_END.search(before)) and len(before) < _SHORT * width and not line.text[:1].islower()
    )


def _width(lines: Sequence[Line]) -> int:
    """How wide lines of wrapped text are: the length that one in ten reaches."""
    lengths = sorted(len(line.text.rstrip()) for line in lines if line.text.strip())
    return max(_MIN_WIDTH, lengths[len(lengths) * 9 // 10]) if lengths else _MIN_WIDTH


def _table(lines: Sequence[Line], at: int, form: Form) -> int:
    """The line after a table that starts here; `at` where none does."""
    if _CAPTION.match(lines[at].text):
        if at + 1 == len(lines) or _CAPTION.match(lines[at + 1].text):
            return at
        end = _table(lines, at + 1, form)
        return at if end == at + 1 else end
    for is_row in (_PIPES.search, _GAP.search if form is Form.WRAPPED else None):
        if is_row is None:
            continue
        end = at
        while end < len(lines) and (
            is_row(lines[end].text.strip()) or (end > at and _is_rule(lines[end].text))
        ):
            end += 1
        if end - at >= 2:
            return end
    return at


def _heading(lines: Sequence[Line], at: int, form: Form, block: Sequence[Line]) -> int:
    """The level of the heading that this line is; 0 where it is none."""
    line = lines[at].text
    if len(line) > _HEADING_MAX_CHARACTERS:
        return 0
    if hashes := _HASHES.match(line):
        return len(hashes[1])
    if not line.strip() or (_ITEM.match(line) and not _looks_numbered(lines, at)):
        return 0
    if not block and _BOLD_LINE.fullmatch(line):
        return 6
    if form is Form.MARKDOWN:
        if block:
            return 0
        if at + 1 < len(lines) and _underlines(lines, at + 1, form):
            return 1
        alone = at + 1 >= len(lines) or not lines[at + 1].text.strip()
        return 6 if alone and _looks_like_a_title(line) else 0
    if form is Form.WRAPPED and at + 1 < len(lines) and lines[at + 1].text[:1].islower():
        return 0  # a sentence goes on there
    if form is Form.WRAPPED and block and not _END.search(block[-1].text):
        numbered = _ORDINAL.match(line) is not None and line.strip()[0].isdigit()
        if not numbered or len(block[-1].text.rstrip()) > _SHORT * _MIN_WIDTH * 2:
            return 0
    return 6 if _looks_like_a_title(line) else 0


def _looks_numbered(lines: Sequence[Line], at: int) -> bool:
    """Whether a numbered line is a heading: no other item stands beside it."""
    near = [lines[k].text for k in (at - 1, at + 1) if 0 <= k < len(lines)]
    return _ORDINAL.match(lines[at].text) is not None and not any(map(_ITEM.match, near))


def _underlines(lines: Sequence[Line], at: int, form: Form) -> bool:
    return (
        form is Form.MARKDOWN
        and len(lines[at].text.strip()) >= 3
        and _UNDERLINE.fullmatch(lines[at].text) is not None
        and bool(lines[at - 1].text.strip())
    )


def _looks_like_a_title(line: str) -> bool:
    ordinal = _ORDINAL.match(line)
    title = line[ordinal.end() if ordinal else 0 :].strip().strip("*_")
    words = title.split()
    return (
        0 < len(words) <= _HEADING_WORDS
        and not title[0].islower()
        and title[-1] not in ".:;,!"
        and "|" not in title
        and not any(map(str.isdigit, title))
        and not title.upper().startswith("TODO")  # what a student meant to write here
    )
