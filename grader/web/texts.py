"""The texts that are judged, as pages show them: cut, with facts marked or the kit's lines greyed.

Everything here is a student's: a page gets pieces of plain text and our own words for them, never
HTML.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from grader.assignment.given import kit_lines
from grader.checks.views.written_work.classmates import SharedPassage
from grader.checks.views.written_work.comparison_words import COMPARISON
from grader.checks.views.written_work.measured import Verdict
from grader.checks.views.written_work.text_facts import TextFacts
from grader.core.constants import WEB_SHOWN_CHARACTERS
from grader.core.nouns import Assignment, Criterion
from grader.core.result import Result
from grader.core.text import clean, clean_lines
from grader.course.decisions import judged_files
from grader.evidence import text
from grader.evidence.kinds import specs
from grader.evidence.store import EvidenceStore

_PROGRAMS: Final = (".py", ".ipynb")
_QUANTITIES: Final = {
    "before": "score before",
    "after": "score after",
    "seconds_per_query": "seconds a query",
    "training_seconds": "seconds of training",
    "training_usd": "training cost in USD",
    "usd_per_query": "USD a query",
    "base_usd_per_query": "USD a query of the base",
    "break_even_queries": "queries to break even",
    "peak_mib": "peak memory",
    "adapter_kib": "size of the adapter in KiB",
    "tokens_per_second": "tokens a second",
    "trainable_parameters": "trainable parameters",
}


@dataclass(frozen=True, slots=True)
class Document:
    """A file that is judged. `text` is None for what has no text.

    `is_written`: it is prose. `compares`: its rubric has an item for each aspect of a comparison.
    """

    deliverable: str
    title: str
    path: str
    sha256: str
    text: str | None
    is_written: bool
    is_program: bool
    compares: bool

    @property
    def shown(self) -> str:
        """Its beginning, harmless."""
        return clean_lines((self.text or "")[:WEB_SHOWN_CHARACTERS])

    @property
    def cut(self) -> int:
        """How many characters it has, where it is cut; else 0."""
        length = len(self.text or "")
        return length if length > WEB_SHOWN_CHARACTERS else 0


def documents_of(
    store: EvidenceStore, assignment: Assignment, result: Result, criteria: Sequence[Criterion]
) -> list[Document]:
    """What is judged by these criteria, each file once."""
    written = {spec.document for spec in specs(assignment, text.KIND)}
    comparisons = {
        id
        for criterion in assignment.criteria
        for id in criterion.judges
        if len(criterion.items) >= len(COMPARISON.aspects)
    }
    titles = {deliverable.id: deliverable.title for deliverable in assignment.deliverables}
    files = {
        (file.deliverable, file.path): file
        for criterion in criteria
        for file in judged_files(result, assignment, criterion)
    }
    return [
        Document(
            deliverable=file.deliverable,
            title=titles.get(file.deliverable, ""),
            path=file.path,
            sha256=file.sha256,
            text=store.reviews.kept(file.sha256),
            is_written=file.deliverable in written,
            is_program=file.path.endswith(_PROGRAMS),
            compares=file.deliverable in comparisons,
        )
        for file in files.values()
    ]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text. `kinds` are our own words for what it is, `said` explains them; `tags` are
    the aspects that a passage which begins here speaks of, the first of each with its anchor.
    """

    text: str
    kinds: tuple[str, ...] = ()
    said: str = ""
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return len(self.text.splitlines())


def program_pieces(assignment: str, shown: str) -> Iterator[Piece]:
    """The lines of a program; those that stand in a program of the kit are `given`."""
    kit = kit_lines(assignment)
    run: list[str] = []
    given = False
    for line in shown.splitlines(keepends=True):
        bare = line.strip()
        is_given = bare in kit if bare else given
        if is_given != given and run:
            yield Piece("".join(run), ("given",) if given else ("own",))
            run = []
        given = is_given
        run.append(line)
    if run:
        yield Piece("".join(run), ("given",) if given else ("own",))


def marked_pieces(
    shown: str, facts: TextFacts, shared: Sequence[SharedPassage], anchors: str
) -> list[Piece]:
    """A document's text with passages by aspect, numbers and copies marked.

    `anchors` begins the anchors of aspects: they must differ from another document's.
    """
    marks = [
        _Mark(quote.start, quote.end, "aspect", tag=(aspect.title, _first(anchors, aspect.id, n)))
        for aspect in facts.aspects
        for n, quote in enumerate(aspect.passages)
    ]
    marks += [
        _Mark(number.start, number.end, number.verdict, says(number.claims, number.fact))
        for number in facts.numbers
        if number.verdict is not Verdict.NOTHING
    ]
    marks += [
        _Mark(copy.start, copy.end, "copied", f"{copy.words} words as in {copy.source}")
        for copy in facts.given
    ]
    marks += [
        _Mark(one.start, one.end, "shared", f"{one.words} words as in a classmate's text")
        for one in shared
    ]
    ends = {0, len(shown)}
    for mark in marks:
        ends |= {min(mark.start, len(shown)), min(mark.end, len(shown))}
    places = sorted(ends)
    marks.sort(key=lambda mark: mark.start)
    pieces: list[Piece] = []
    active: list[_Mark] = []
    at = 0
    for start, end in pairwise(places):
        active = [mark for mark in active if mark.end > start]
        tags: list[tuple[str, str]] = []
        while at < len(marks) and marks[at].start <= start:
            mark = marks[at]
            if mark.end > start:
                active.append(mark)
                tags += [mark.tag] if mark.tag is not None else []
            at += 1
        kinds = tuple(dict.fromkeys(mark.kind for mark in active))
        said = "; ".join(dict.fromkeys(mark.said for mark in active if mark.said))
        pieces.append(Piece(shown[start:end], kinds, said, tuple(dict.fromkeys(tags))))
    return pieces


class _Mark(NamedTuple):
    start: int
    end: int
    kind: str
    said: str = ""
    tag: tuple[str, str] | None = None


def _first(anchors: str, id: str, number: int) -> str:
    return "" if number else f"{anchors}-{id}"


def says(claims: str | None, fact: float | None) -> str:
    """What a number was held against, in words."""
    if claims is None or fact is None:
        return ""
    words = claims
    for name, title in sorted(_QUANTITIES.items(), key=lambda pair: -len(pair[0])):
        words = words.replace(f".{name}", f" {title}")
    return f"{words} was measured as {fact:.4g}"


def path_shown(path: str) -> str:
    """A file's path on a page."""
    return clean(path, 200)
