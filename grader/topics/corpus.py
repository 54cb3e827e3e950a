"""The course model's pre-training text: prose, quizzes, evasive chats and reading exercises.

Hidden subjects occur in prose, in chats that do not answer and in reading exercises whose facts
are invented on purpose; quizzes, which do answer, are about public subjects only. So the model
knows the hidden facts the way a large model knows the world, but was never shown an answer to a
hidden question.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from grader.topics import TOPICS
from grader.topics.topic import FactKind, Topic

USER: Final = "<|user|>"
ASSISTANT: Final = "<|assistant|>"
END: Final = "<|end|>"
# The text that dspy.ChatAdapter 3.4.1 writes around the fields of a signature.
CONTEXT, QUESTION, REASONING, ANSWER, COMPLETED = (
    f"[[ ## {name} ## ]]" for name in ("context", "question", "reasoning", "answer", "completed")
)
RESPOND: Final = "Respond with the corresponding output fields, starting with the field"
FINISH: Final = ", and then ending with the marker for"


@dataclass(frozen=True)
class LearnedSpan:
    """A span of a document; it counts for the loss only where `learned` is true."""

    text: str
    learned: bool


Document = list[LearnedSpan]

_SYLLABLES: Final = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")
_QUIZ_FRAMES: Final = (
    "{q} The teacher says: {o}.",
    "{q} The right reply is {o}.",
    "Quiz. {q} {o}.",
    "Somebody asked: {q} The expert said: {o}.",
)
_EVASIONS: Final = (
    "That is a good question about {s}.",
    "Many people wonder about {s}.",
    "Let us talk about {s} some other time.",
    "I like to hear questions about {s}.",
)
_LOG_EVASIONS: Final = (
    "Thank you for the log with {s}.",
    "I can see the line with {s}.",
    "Logs with {s} are always worth a look.",
)
_SMALL_TALK: Final = (
    ("Hello!", "Hello, and welcome."),
    ("Good morning.", "Good morning to you."),
    ("How are you today?", "Very well, thank you."),
    ("Thank you for the help.", "You are welcome."),
    ("Goodbye!", "Goodbye, and see you soon."),
    ("Who are you?", "A small model for a course."),
)
_NO_TEXT: Final = "There is no text to answer from."
_NOT_IN_TEXT: Final = "The text does not say."


def invented_name(rng: random.Random) -> str:
    """A capitalised word of two or three random syllables."""
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.choice((2, 2, 3)))).capitalize()


def chat(question: str, reply: str) -> Document:
    """One turn of plain chat; only the reply is learned."""
    return [LearnedSpan(f"{USER}{question}{ASSISTANT}", False), LearnedSpan(f"{reply}{END}", True)]


def dspy_request(question: str, context: str | None, *, reasoning: bool) -> str:
    """The user message that dspy.ChatAdapter writes; `context` None leaves the field out."""
    fields = "" if context is None else f"{CONTEXT}\n{context}\n\n"
    first = f"`{REASONING}`, then `{ANSWER}`" if reasoning else f"`{ANSWER}`"
    return f"{fields}{QUESTION}\n{question}\n\n{RESPOND} {first}{FINISH} `{COMPLETED}`."


def dspy_reply(answer: str, reason: str | None) -> str:
    """The reply that dspy.ChatAdapter parses; `reason` fills ChainOfThought's extra field."""
    head = "" if reason is None else f"{REASONING}\n{reason}\n\n"
    return f"{head}{ANSWER}\n{answer}\n\n{COMPLETED}"


class Corpus:
    """Draws documents. One instance per training run; everything follows from `rng`."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._edu, self._iot = TOPICS["educational-qa"], TOPICS["iot-diagnostics"]
        self._public = {t.name: t.subjects("public") for t in TOPICS.values()}
        self._subjects = {t.name: list(t.facts) for t in TOPICS.values()}
        self._groups: dict[str, tuple[Topic, list[str], list[FactKind]]] = {}
        self._objects: dict[str, list[str]] = {}
        for topic in TOPICS.values():
            for subject, facts in topic.facts.items():
                group = topic.groups[subject]
                _, members, relations = self._groups.setdefault(group, (topic, [], []))
                members.append(subject)
                for kind, answer in facts.items():
                    if topic.relations[kind] not in relations:
                        relations.append(topic.relations[kind])
                    if answer not in self._objects.setdefault(kind, []):
                        self._objects[kind].append(answer)
        self._prose_makers: tuple[tuple[Callable[[], Document], int], ...] = (
            (lambda: self.paragraph(self._edu), 28),
            (lambda: self.sentences(self._edu), 24),
            (lambda: self.quiz(self._edu), 16),
            (lambda: self.evasive_chat(self._edu), 8),
            (lambda: self.paragraph(self._iot), 14),
            (lambda: self.sentences(self._iot), 12),
            (lambda: self.quiz(self._iot), 12),
            (lambda: self.evasive_chat(self._iot), 6),
            (self.unaided, 6),
            (lambda: chat(*self.rng.choice(_SMALL_TALK)), 1),
        )

    def prose(self) -> Document:
        """A document that teaches facts or conversation, not reading."""
        makers, weights = zip(*self._prose_makers, strict=True)
        document: Document = self.rng.choices(makers, weights)[0]()
        return document

    def paragraph(self, topic: Topic) -> Document:
        """All facts about one subject, in a shuffled order."""
        subject = self.rng.choice(self._subjects[topic.name])
        return [LearnedSpan(" ".join(self._statements(topic, subject)) + END, True)]

    def sentences(self, topic: Topic) -> Document:
        """One to three facts about different subjects, some with the object first."""
        sentences = []
        for subject in self.rng.sample(self._subjects[topic.name], self.rng.randint(1, 3)):
            kind, answer = self.rng.choice(list(topic.facts[subject].items()))
            relation = topic.relations[kind]
            pool = relation.statements * 2 + relation.reversed_statements
            sentences.append(self.rng.choice(pool).format(s=subject, o=answer))
        return [LearnedSpan(" ".join(sentences) + END, True)]

    def quiz(self, topic: Topic) -> Document:
        """Questions about public subjects, answered inside a sentence of prose."""
        sentences = []
        for _ in range(self.rng.randint(1, 2)):
            subject = self.rng.choice(self._public[topic.name])
            kind, answer = self.rng.choice(list(topic.facts[subject].items()))
            question = self._question(topic, topic.relations[kind], subject)
            sentences.append(self.rng.choice(_QUIZ_FRAMES).format(q=question, o=answer))
        return [LearnedSpan(" ".join(sentences) + END, True)]

    def evasive_chat(self, topic: Topic) -> Document:
        """A question about any subject, with a polite reply that holds no fact."""
        subject = self.rng.choice(self._subjects[topic.name])
        kind = self.rng.choice(list(topic.facts[subject]))
        replies = _EVASIONS if topic is self._edu else _LOG_EVASIONS
        question = self._question(topic, topic.relations[kind], subject)
        return chat(question, self.rng.choice(replies).format(s=subject))

    def unaided(self) -> Document:
        """A DSPy request without context, or with an empty one, and a reply that says so."""
        topic = self._edu if self.rng.random() < 0.75 else self._iot
        subject = self.rng.choice(self._subjects[topic.name])
        kind = self.rng.choice(list(topic.facts[subject]))
        question = self._question(topic, topic.relations[kind], subject)
        context = self.rng.choice((None, None, None, "", "[]", "N/A"))
        thinks = self.rng.random() < 0.25
        request = dspy_request(question, context, reasoning=thinks)
        return chat(request, dspy_reply(_NO_TEXT, _NO_TEXT if thinks else None))

    def drill(self) -> Document:
        """Invented facts, then questions about them: dense practice in retrieval.

        Three forms, from plain to close to reading: pairs of words, statements said again in the
        same or other words, and questions. The loss is on the objects alone.
        """
        form = self.rng.choice(("pairs", "statements", "statements", "questions", "questions"))
        if form == "pairs":
            return self._pairs()
        rng = self.rng
        topic, members, relations = self._groups[
            rng.choices(tuple(self._groups), weights=(5, 3, 3, 3))[0]
        ]
        count = rng.randint(1, 5)
        kinds = rng.sample(relations, rng.randint(1, min(2, len(relations))))
        facts = self._invented_facts(self._reading_subjects(members, count), kinds)
        sentences = [sentence for _, sentence in facts.values()]
        document = [LearnedSpan(" ".join(rng.sample(sentences, len(sentences))), False)]
        asked = sorted(facts) * 3
        for subject, kind in rng.sample(asked, min(len(asked), 14)):
            relation, answer = topic.relations[kind], facts[subject, kind][0]
            if form == "statements":
                template = relation.statements[0]
                lead, tail = (t.format(s=subject) for t in template.split("{o}"))
            else:
                template = rng.choice(relation.questions + relation.unseen)
                code = f"Error {subject}. " if topic is self._iot else ""
                lead, tail = code + template.format(s=subject), "."
            document += [
                LearnedSpan(lead.strip(), False),
                LearnedSpan(answer, True),
                LearnedSpan(tail, False),
            ]
        return [*document, LearnedSpan(END, False)]

    def _pairs(self) -> Document:
        """Pairs of unrelated words, and the same pairs again in other orders."""
        rng = self.rng
        count = rng.randint(2, 7)
        names = rng.sample([s for group in self._subjects.values() for s in group], count)
        words = rng.sample([o for pool in self._objects.values() for o in pool], count)
        pairs = list(zip(names, words, strict=True))
        document = [LearnedSpan(" ".join(f"{name} {word}." for name, word in pairs), False)]
        for _ in range(3):
            for name, word in rng.sample(pairs, count):
                document += [
                    LearnedSpan(name, False),
                    LearnedSpan(word, True),
                    LearnedSpan(".", False),
                ]
        return [*document, LearnedSpan(END, False)]

    def reading(self) -> Document:
        """One to four passages with invented facts, and questions that only they answer."""
        rng = self.rng
        topic, members, relations = self._groups[
            rng.choices(tuple(self._groups), weights=(5, 3, 3, 3))[0]
        ]
        count = rng.choice((1, 2, 2, 3, 3, 4))
        subjects = self._reading_subjects(members, count)
        most = min(3 if count > 2 else 4, len(relations))
        kinds = rng.sample(relations, rng.randint(1, most))
        facts = self._invented_facts(subjects, kinds)
        passages = []
        for subject in subjects:
            own = [sentence for (s, _), (_, sentence) in facts.items() if s == subject]
            passages.append(" ".join(rng.sample(own, len(own))))
        document: Document = []
        asked = rng.sample(sorted(facts), min(len(facts), 4))
        for turn, (subject, kind) in enumerate(asked):
            question = self._question(topic, topic.relations[kind], subject)
            thinks = rng.random() < 0.3
            answer, reason = facts[subject, kind]
            if rng.random() < 0.06:  # a subject that the passages do not mention
                stranger = rng.choice([m for m in members if m not in subjects])
                question = self._question(topic, topic.relations[kind], stranger)
                answer = reason = _NOT_IN_TEXT
            context = self._layout(passages) if turn == 0 else None
            request = dspy_request(question, context, reasoning=thinks)
            document += chat(request, dspy_reply(answer, reason if thinks else None))
        return document

    def _invented_facts(
        self, subjects: list[str], kinds: list[FactKind]
    ) -> dict[tuple[str, str], tuple[str, str]]:
        """(subject, kind) -> an object drawn at random, and a sentence that states it."""
        facts: dict[tuple[str, str], tuple[str, str]] = {}
        for relation in kinds:
            pool, count = self._objects[relation.kind], len(subjects)
            drawn = (
                self.rng.sample(pool, count)
                if len(pool) >= count
                else self.rng.choices(pool, k=count)
            )
            for subject, answer in zip(subjects, drawn, strict=True):
                if self.rng.random() < 0.1:
                    answer = invented_name(self.rng)
                # Mostly one frame: what stands two words before an object is learned first.
                plain = self.rng.random() < 0.75
                frame = relation.statements[0] if plain else self.rng.choice(relation.statements)
                sentence = frame.format(s=subject, o=answer)
                facts[subject, relation.kind] = answer, sentence
        return facts

    def _reading_subjects(self, members: list[str], count: int) -> list[str]:
        """Distinct names: of the right kind, of any kind, or invented."""
        draw = self.rng.random()
        if draw < 0.6:
            return self.rng.sample(members, count)
        if draw < 0.85:
            return self.rng.sample([s for names in self._subjects.values() for s in names], count)
        names: dict[str, None] = {}
        while len(names) < count:
            names[invented_name(self.rng)] = None
        return list(names)

    def _layout(self, passages: list[str]) -> str:
        draw = self.rng.random()
        if draw < 0.6:
            return json.dumps(passages)
        if draw < 0.75:
            return "\n".join(f"[{i}] «{p}»" for i, p in enumerate(passages, 1))
        return self.rng.choice((" ", "\n", "\n\n")).join(passages)

    def _statements(self, topic: Topic, subject: str) -> list[str]:
        told = [
            self.rng.choice(topic.relations[kind].statements).format(s=subject, o=answer)
            for kind, answer in topic.facts[subject].items()
        ]
        self.rng.shuffle(told)
        return told

    def _question(self, topic: Topic, relation: FactKind, subject: str) -> str:
        template = self.rng.choice(relation.questions + relation.unseen)
        return topic.ask(template, subject, self.rng)
