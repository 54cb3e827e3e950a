"""Questions on the domain of a student's training data: the student's own, and hidden ones.

The data comes out of a submission: it is read by strict rules, up to a limit, and what goes into a
prompt is short.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from grader.assignment.questions import Messages, Question, QuestionSet
from grader.core.constants import (
    COURSE_DATA_MAX_BYTES,
    DOMAIN_MAX_PAIRS,
    DOMAIN_MAX_PROMPT_BYTES,
    DOMAIN_QUESTIONS,
)
from grader.core.nouns import Submission
from grader.intake.submission import refuse_larger
from grader.topics import TopicExample, get_topic
from grader.topics.domain import Domain, PlacedPair, domain_of, place, questions_about
from grader.training_data.read.examples import Example, read_examples, text_of
from grader.training_data.read.fingerprint import folded

_ROLES: Final = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class DomainData:
    """Pairs of a submission in the order of their lines, what each is about, and all together.

    `system` is the system text of most of them, "" where most have none. At most DOMAIN_MAX_PAIRS
    are read.
    """

    path: str
    pairs: tuple[Example, ...]
    places: tuple[PlacedPair | None, ...]
    domain: Domain
    system: str

    @property
    def different(self) -> int:
        """How many different questions of its domain it asks."""
        group = self.domain.group
        mine = zip(self.pairs, self.places, strict=True)
        return len({folded(e.prompt) for e, p in mine if (p.group if p else None) == group})


@dataclass(frozen=True, slots=True)
class _DataFile:
    """What data is read from; equal files hold the same, whoever submitted them."""

    topic: str
    path: str
    digest: str
    submission: Submission = field(compare=False)


def domain_data(submission: Submission, topic: str, deliverable: str) -> DomainData | None:
    """The pairs of this deliverable and what they are about; None where it is not submitted.

    Raises FileRefused where several files could be it, and for one of more than
    COURSE_DATA_MAX_BYTES.
    """
    path = submission.place(deliverable)
    if path is None:
        return None
    refuse_larger(submission, path, COURSE_DATA_MAX_BYTES)
    file = submission.file(path)
    return _read(_DataFile(topic, path, file.sha256 if file is not None else "", submission))


@lru_cache(maxsize=16)  # the evidence and several checks of one submission ask for it
def _read(source: _DataFile) -> DomainData:
    pairs = []
    for example in read_examples(source.submission.root / source.path):
        pairs.append(example)
        if len(pairs) == DOMAIN_MAX_PAIRS:
            break
    places = tuple(place(source.topic, e.prompt, e.answer) for e in pairs)
    systems = Counter(e.system for e in pairs)
    system = systems.most_common(1)[0][0] if systems else ""
    return DomainData(source.path, tuple(pairs), places, domain_of(places), system)


def hidden_of(data: DomainData, topic: str, seed: str, *, public: bool) -> list[TopicExample]:
    """Questions on what the data is about, none of whose facts it holds; fewer than asked for where
    the topic has no more. `public` ones are those of a self-check."""
    known = {(p.subject, p.kind) for p in data.places if p is not None and p.kind is not None}
    facts = get_topic(topic)
    return questions_about(facts, data.domain, DOMAIN_QUESTIONS, known, seed, public=public)


def domain_questions(
    submission: Submission, topic: str, deliverable: str, hidden: QuestionSet
) -> QuestionSet | None:
    """Hidden questions on the domain that this deliverable's pairs are about.

    They follow from the pairs and from the class's hidden questions, whose digest is their seed,
    and come with the system text of the pairs. None where the pairs are not of one domain of the
    topic. Raises FileRefused as `domain_data`.
    """
    data = domain_data(submission, topic, deliverable)
    if data is None or data.domain.group is None or not data.domain.is_one:
        return None
    examples = hidden_of(data, topic, hidden.digest, public=hidden.public)
    if not examples:
        return None
    system = _system(data.system)
    facts = get_topic(topic)
    by_id = {f"d{n:03d}": example for n, example in enumerate(examples, start=1)}
    return QuestionSet(
        tuple(Question(id, (*system, ("user", e.question))) for id, e in by_id.items()),
        {id: e.answer for id, e in by_id.items()},
        {id: facts.guess(e.kind) for id, e in by_id.items()},
        public=hidden.public,
    )


def _system(text: str) -> Messages:
    short = len(text.encode(errors="replace")) <= DOMAIN_MAX_PROMPT_BYTES // 2
    return (("system", text),) if text.strip() and short else ()


def own_test_questions(
    submission: Submission, topic: str, deliverable: str, training: str
) -> QuestionSet | None:
    """The questions of a student's test set with the answers that it expects, each once.

    The guess is the most frequent answer of the `training` data, another deliverable. Left out is
    what no model of the course can be asked: other roles, no text, more than
    DOMAIN_MAX_PROMPT_BYTES. None where nothing is left. Raises FileRefused as `domain_data`.
    """
    data = domain_data(submission, topic, deliverable)
    trained = domain_data(submission, topic, training)
    if data is None or trained is None:
        return None
    asked: dict[str, tuple[Messages, str]] = {}
    for example in data.pairs:
        messages = _messages(example)
        if messages is not None and example.answer.strip():
            asked.setdefault(folded(example.prompt), (messages, example.answer))
    by_id = {f"t{n:03d}": one for n, one in enumerate(asked.values(), start=1)}
    by_id = dict(list(by_id.items())[:DOMAIN_QUESTIONS])
    if not by_id:
        return None
    return QuestionSet(
        tuple(Question(id, messages) for id, (messages, _) in by_id.items()),
        {id: answer for id, (_, answer) in by_id.items()},
        dict.fromkeys(by_id, _guess(trained.pairs)),
        public=True,
    )


def _messages(example: Example) -> Messages | None:
    """What comes before the answer, as texts; None where it cannot be asked."""
    before = example.messages[:-1]
    said = tuple((str(message.get("role")), text_of(message)) for message in before)
    size = sum(len(text.encode(errors="replace")) for _, text in said)
    whole = all(role in _ROLES and text.strip() for role, text in said)
    if not said or said[-1][0] != "user" or not whole or size > DOMAIN_MAX_PROMPT_BYTES:
        return None
    return said


def _guess(pairs: Sequence[Example]) -> str:
    """The most frequent answer, ties by name; "" without one."""
    answers = Counter(example.answer for example in pairs)
    return min(answers, key=lambda answer: (-answers[answer], answer), default="")
