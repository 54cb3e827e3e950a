"""What is known of a student's document beside its text, and what of it a viewer may see."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from anyio import CapacityLimiter
from anyio.to_thread import run_sync as to_thread

from grader.checks.api.context import Context
from grader.checks.views.cost_recount import NUMBERS as COST_NUMBERS
from grader.checks.views.written_work.classmates import ClassTexts, SharedPassage
from grader.checks.views.written_work.comparison_words import COMPARISON
from grader.checks.views.written_work.measured import Measured
from grader.checks.views.written_work.passages import form_of
from grader.checks.views.written_work.text_facts import TextFacts, facts_of
from grader.checks.written_facts import given_texts, measured_of
from grader.core.constants import WEB_FACTS_KEPT
from grader.core.nouns import Assignment, Submission, SubmittedFile
from grader.core.result import Result
from grader.core.text import clean, clean_lines
from grader.costs.claims import ClaimsError, read_claims
from grader.course.judged_texts import class_texts
from grader.evidence.store import EvidenceStore, open_store
from grader.web.access import Viewer
from grader.web.desk import Desk
from grader.web.texts import Document

Results = Mapping[str, Result]
_PASSAGES: Final = 20  # shown of one document, those with most words
_OTHERS: Final = 3  # shown of one passage
_CHARACTERS: Final = 500  # shown of one place


@dataclass(frozen=True, slots=True)
class Place:
    """Where a passage stands, too. `student` is None of one whom the viewer may not see."""

    student: str | None
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Beside:
    """A passage as it reads here and in classmates' texts; `more` are places that are left out."""

    words: int
    here: str
    there: Sequence[Place]
    more: int


def side_by_side(
    desk: Desk, viewer: Viewer, document: Document, shared: Sequence[SharedPassage]
) -> Iterator[Beside]:
    """The longest passages that others have, too, in the order of the text."""
    cleaned = _code if document.is_program else clean
    longest = sorted(shared, key=lambda one: -one.words)[:_PASSAGES]
    for one in sorted(longest, key=lambda one: one.start):
        places = [
            Place(
                there.student if desk.sees(viewer, there.student) else None,
                there.title,
                cleaned(there.text, _CHARACTERS),
            )
            for there in one.others[:_OTHERS]
        ]
        here = cleaned((document.text or "")[one.start : one.end], _CHARACTERS)
        yield Beside(one.words, here, places, len(one.others) - len(places))


def _code(text: str, most: int) -> str:
    """The beginning of a program, with its lines."""
    return clean_lines(text if len(text) <= most else f"{text[: most - 1]}…")


class FactCache:
    """Facts of documents, the latest used kept. They are worked out in a thread, one at a time."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._kept: OrderedDict[tuple[str, str], TextFacts] = OrderedDict()
        self._class: tuple[Results, ClassTexts] | None = None
        self._limiter = CapacityLimiter(1)

    async def of(
        self, assignment: Assignment, results: Results, student: str, document: Document
    ) -> tuple[TextFacts, tuple[SharedPassage, ...]]:
        """The facts of a student's document, and what it shares with others of the class.

        Takes some seconds the first time: all texts of the class are read once.
        """
        return await to_thread(
            self._of, assignment, results, student, document, limiter=self._limiter
        )

    async def shared(
        self, assignment: Assignment, results: Results, student: str, program: Document
    ) -> tuple[SharedPassage, ...]:
        """What a student's program shares with others of the class."""
        return await to_thread(
            self._shared, assignment, results, student, program, limiter=self._limiter
        )

    def _of(
        self, assignment: Assignment, results: Results, student: str, document: Document
    ) -> tuple[TextFacts, tuple[SharedPassage, ...]]:
        shared = self._shared(assignment, results, student, document)
        key = (results[student].digest, document.sha256)
        if key not in self._kept:
            with open_store(self._store) as store:  # a connection belongs to its thread
                self._kept[key] = _facts(store, assignment, results[student], document)
        self._kept.move_to_end(key)
        while len(self._kept) > WEB_FACTS_KEPT:
            self._kept.popitem(last=False)
        return self._kept[key], shared

    def _shared(
        self, assignment: Assignment, results: Results, student: str, work: Document
    ) -> tuple[SharedPassage, ...]:
        if self._class is None or self._class[0] is not results:  # graded again meanwhile
            with open_store(self._store) as store:
                texts = class_texts(store.reviews, assignment, results.values())
            self._class = results, texts
            self._kept.clear()
        return self._class[1].shared(student, work.text or "")


def _facts(
    store: EvidenceStore, assignment: Assignment, result: Result, document: Document
) -> TextFacts:
    measured = _measured(store, assignment, result)
    facts = facts_of(
        document.text or "",
        form_of(document.path),
        COMPARISON,
        measured,
        given_texts(assignment),
    )
    return facts if document.compares else replace(facts, aspects=(), numbers=())


def _measured(store: EvidenceStore, assignment: Assignment, result: Result) -> Measured:
    """What was measured of this student, from what the store keeps: nothing is unpacked again."""
    keys: Mapping[str, str] = result.provenance["evidence"]
    found = {id: store.get(key) for id, key in keys.items()}
    evidence = {id: one for id, one in found.items() if one is not None}
    files = tuple(SubmittedFile(*file) for file in result.provenance["files"])
    submission = Submission(
        student=result.student,
        root=Path(),
        digest=result.digest,
        files=files,
        places=result.provenance.get("places", {}),
    )
    numbers = submission.file(result.provenance.get("places", {}).get(COST_NUMBERS, ""))
    text = store.reviews.kept(numbers.sha256) if numbers is not None else None
    claims = None
    with suppress(ClaimsError):  # a check says so
        claims = None if text is None else read_claims(text.encode())
    return measured_of(Context(assignment, submission, evidence), claims)
