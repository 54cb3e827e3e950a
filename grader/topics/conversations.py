"""Conversations that teach a model to answer when it is shown how, and only then.

A question in DSPy's format gets its answer after demonstrations of such questions, or behind
fields for steps of reasoning; otherwise it gets an evasion. All true answers are about public
subjects. The messages are those of dspy.ChatAdapter 3.4.1 without the system message.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from grader.topics import TOPICS
from grader.topics.corpus import (
    ASSISTANT,
    COMPLETED,
    END,
    FINISH,
    RESPOND,
    USER,
    invented_name,
)
from grader.topics.topic import TopicExample, read_table

INCOMPLETE: Final = (
    "This is an example of the task, though some input or output fields are not supplied."
)
NOT_SUPPLIED: Final = "Not supplied for this particular example."
MARK_OPEN: Final = "[[ ##"
MARK_CLOSE: Final = " ## ]]"


def _read_words() -> Mapping[str, list[str]]:
    text = files("grader.topics").joinpath("data", "conversation_words.json").read_text("utf-8")
    words: Mapping[str, list[str]] = json.loads(text)
    return words


# How much of the loss a word counts for.
IN_ANSWER: Final = 1.0
IN_EVASION: Final = 0.6
IN_REASONING: Final = 0.5
IN_FRAME: Final = 0.1
UNLEARNED: Final = 0.0

LEARNED_FROM: Final = 2  # demonstrations before the first whose answer is learned
IN_CONTEXT_SHARE: Final = 0.14  # of the conversations, which have passages as well
INVENTED_SHARE: Final = 0.1  # of the questions that are evaded

# The field of dspy.ChainOfThought, and the one that a model is most often asked for.
THOUGHT: Final = "reasoning"
_WORDS: Final = _read_words()
# Names of steps are a whole one, or are built of one word before others.
_WHOLE, _BEFORE, _CORES = _WORDS["whole"], _WORDS["before"], _WORDS["cores"]
# They hold nothing that leads to an answer. The tokenizer knows them; every other name is a step.
EMPTY_FIELDS: Final = _WORDS["empty"]
_NOUNS: Final = _WORDS["nouns"]
# What everybody knows, so that demonstrations of one's own choice count as well.
TRIVIA: Final = [(question, row["answer"]) for question, row in read_table("trivia").items()]
_EVASIONS: Final = (
    "That is a good question about {s}.",
    "Many people wonder about {s}.",
    "I like to hear questions about {s}.",
)


@dataclass(frozen=True, slots=True)
class WeightedSpan:
    """A span of a conversation, and how much its words count in the loss."""

    text: str
    weight: float


Conversation = list[WeightedSpan]
Fields = Sequence[tuple[str, str, float]]  # name, value, weight of its words


def marker(name: str) -> str:
    """The line that begins a field."""
    return f"{MARK_OPEN} {name}{MARK_CLOSE}"


def request(inputs: Sequence[tuple[str, str]], outputs: Sequence[str]) -> str:
    """The last user message: input fields, and the output fields that it asks for."""
    asked = ", then ".join(f"`{marker(name)}`" for name in outputs)
    return f"{_inputs(inputs)}\n\n{RESPOND} {asked}{FINISH} `{COMPLETED}`."


def _inputs(inputs: Sequence[tuple[str, str]]) -> str:
    return "\n\n".join(f"{marker(name)}\n{value}" for name, value in inputs)


def _reply(fields: Fields, *, learned: bool, ending: str = "") -> Iterator[WeightedSpan]:
    """An assistant's message; nothing in it counts unless `learned`."""
    frame = IN_FRAME if learned else UNLEARNED
    for name, value, weight in fields:
        yield WeightedSpan(f"{marker(name)}\n", frame)
        yield WeightedSpan(value, weight if learned else UNLEARNED)
        # The first break ends the value, so the model must know when to write it.
        yield WeightedSpan("\n\n", IN_REASONING if learned else UNLEARNED)
    yield WeightedSpan(f"{COMPLETED}{ending}{END}", frame)


def _ordered(steps: Fields, answer: str, behind: bool) -> Fields:
    answered = ("answer", answer, IN_ANSWER)
    return [answered, *steps] if behind else [*steps, answered]


class Conversations:
    """Draws conversations. Everything follows from `rng`."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._topic, self._other = TOPICS["educational-qa"], TOPICS["iot-diagnostics"]
        self._subjects = self._topic.subjects("public")
        self._makers: tuple[tuple[Callable[[], Conversation], float], ...] = (
            (self.demonstrated, 4),
            (self.shown_trivia, 1.2),
            (self.evaded, 2.5),
            (self.after_another_task, 3),
            (self.reasoned, 5.5),
            (self.reasoned_after_demonstrations, 4),
            (self.emptily_reasoned, 0.8),
            (self.answered_first, 1.5),
        )

    def conversation(self) -> Conversation:
        """A conversation of any kind."""
        makers, weights = zip(*self._makers, strict=True)
        made: Conversation = self.rng.choices(makers, weights)[0]()
        return made

    def demonstrated(self) -> Conversation:
        """Questions with short answers, then one more."""
        examples = self._examples(self._count())
        return self._shown(examples, [], lambda example: [])

    def shown_trivia(self) -> Conversation:
        """Demonstrations of other questions with short answers show how to answer, too."""
        document: Conversation = []
        for question, answer in self.rng.sample(TRIVIA, self.rng.randint(2, 6)):
            fields = [("answer", answer, UNLEARNED)]
            document += self.demonstration([("question", question)], fields, learned=False)
        example = self._examples(1)[0]
        return document + self._turn(example, [("answer", example.answer, IN_ANSWER)])

    def evaded(self) -> Conversation:
        """A question alone: no answer."""
        return self._evasion([])

    def emptily_reasoned(self) -> Conversation:
        """A question behind fields that lead nowhere: no answer."""
        return self._evasion(self.rng.sample(EMPTY_FIELDS, self.rng.choice((1, 1, 2))))

    def answered_first(self) -> Conversation:
        """Reasoning behind the answer comes too late."""
        name = self.rng.choice((THOUGHT, THOUGHT, self._step_name()))
        return self._evasion([], [name])

    def after_another_task(self) -> Conversation:
        """Demonstrations of something else show nothing about this question."""
        make = self.rng.choice(_OTHER_TASKS)
        behind = [THOUGHT] if self.rng.random() < 0.25 else []
        document: Conversation = []
        for _ in range(self.rng.randint(1, 6)):
            if self.rng.random() < 0.3:
                example = self.rng.choice(self._other.public("train"))
                question, answer = example.question, example.answer
            else:
                question, answer = make(self.rng)
            value = self.rng.choice((NOT_SUPPLIED + " ", f"It is {answer}."))
            fields = [("answer", answer, UNLEARNED)]
            fields += [(name, value, UNLEARNED) for name in behind]
            document += self.demonstration([("question", question)], fields, learned=False)
        return document + self._evasion([], behind)

    def reasoned(self) -> Conversation:
        """Steps before the answer: the fact first, then the answer from it."""
        example = self._examples(1)[0]
        names = self._step_names()
        steps = self._steps(example, names)
        return self._turn(example, [*steps, ("answer", example.answer, IN_ANSWER)])

    def reasoned_after_demonstrations(self) -> Conversation:
        """Both together; demonstrations may lack their reasoning, or hold little.

        Steps may stand behind the answer here: it is the demonstrations that show it.
        """
        examples = self._examples(self._count())
        names = [THOUGHT] if self.rng.random() < 0.5 else self._step_names()
        behind = self.rng.random() < 0.35
        form = self.rng.random()
        if form < 0.4:
            missing = len(examples)
        elif form < 0.6:
            missing = self.rng.randint(0, len(examples))
        else:
            missing = 0
        blank = self.rng.choice(("Let us see.", "N/A", "I know this.", ""))
        hollow = self.rng.random() < 0.15

        def steps(example: TopicExample) -> list[tuple[str, str, float]]:
            found = self._steps(example, names)
            return [(name, blank, UNLEARNED) for name in names] if hollow else found

        return self._shown(examples, names, steps, missing, behind=behind)

    # --- parts ----------------------------------------------------------------------------------

    def _shown(
        self,
        examples: Sequence[TopicExample],
        names: Sequence[str],
        steps: Callable[[TopicExample], list[tuple[str, str, float]]],
        missing: int = 0,
        *,
        behind: bool = False,
    ) -> Conversation:
        """All examples but the last as demonstrations; the first `missing` lack their steps.

        Steps stand before the answer, or `behind` it.
        """
        document: Conversation = []
        reads = self.rng.random() < IN_CONTEXT_SHARE and len(examples) < 7
        for place, example in enumerate(examples[:-1]):
            found = steps(example)
            if place < missing:
                found = [(name, NOT_SUPPLIED + " ", UNLEARNED) for name in names]
            fields = _ordered(found, example.answer, behind)
            inputs = [("question", example.question)]
            if reads:
                inputs.insert(0, ("context", self._context(example, 2)))
            document += self.demonstration(inputs, fields, learned=place >= LEARNED_FROM)
        last = examples[-1]
        fields = _ordered(self._steps(last, names), last.answer, behind)
        return document + self._turn(last, fields, reads=reads or None)

    def demonstration(
        self, inputs: Sequence[tuple[str, str]], fields: Fields, *, learned: bool
    ) -> Iterator[WeightedSpan]:
        """An earlier turn; one that lacks a field says so."""
        incomplete = any(value.startswith(NOT_SUPPLIED) for _, value, _ in fields)
        head = f"{INCOMPLETE}\n\n" if incomplete else ""
        text = f"{USER}{head}{_inputs(inputs)}{ASSISTANT}"
        yield WeightedSpan(text, UNLEARNED)
        yield from _reply(fields, learned=learned, ending="\n")

    def _turn(
        self, example: TopicExample, fields: Fields, *, reads: bool | None = None
    ) -> Conversation:
        """The question that is asked, and its reply. `reads`: with passages; None: seldom."""
        inputs = [("question", example.question)]
        if reads or (reads is None and self.rng.random() < IN_CONTEXT_SHARE):
            inputs.insert(0, ("context", self._context(example, 3)))
        text = request(inputs, [name for name, _, _ in fields])
        asked = WeightedSpan(f"{USER}{text}{ASSISTANT}", UNLEARNED)
        return [asked, *_reply(fields, learned=True)]

    def _context(self, example: TopicExample, most: int) -> str:
        """Up to `most` passages, usually one about the subject: true, so that none is needed."""
        others = self.rng.sample(self._subjects, self.rng.randint(0, most - 1))
        known = example.subject in self._topic.facts and self.rng.random() < 0.8
        named = list(dict.fromkeys([example.subject, *others] if known else others))
        passages = [self._topic.passage(s) for s in self.rng.sample(named, len(named))]
        if self.rng.random() < 0.7:
            return json.dumps(passages)
        return "\n".join(f"[{i}] «{p}»" for i, p in enumerate(passages, 1))

    def _count(self) -> int:
        """How many questions a conversation has; seldom many, as they take long."""
        return self.rng.choices((2, 3, 4, 5, 6, 8, 9, 13, 17), (4, 4, 4, 5, 3, 2, 2, 1, 1))[0]

    def _evasion(self, before: Sequence[str], behind: Sequence[str] = ()) -> Conversation:
        """A question that gets no answer, with these fields before and behind it."""
        example = self._asked()
        evasion = self.rng.choice(_EVASIONS).format(s=example.subject)
        fields = [(name, evasion, IN_EVASION) for name in (*before, "answer", *behind)]
        return self._turn(example, fields)

    def _steps(self, example: TopicExample, names: Sequence[str]) -> list[tuple[str, str, float]]:
        """A sentence that states the fact, in each step."""
        statements = self._topic.relations[example.kind].statements
        found = []
        for name in names:
            frame = statements[0] if self.rng.random() < 0.7 else self.rng.choice(statements)
            said = frame.format(s=example.subject, o=example.answer)
            found.append((name, said, IN_REASONING))
        return found

    def _examples(self, number: int) -> list[TopicExample]:
        """Questions about different public subjects, a quarter of them in an unseen phrasing."""
        subjects = self.rng.sample(self._subjects, number)
        found = []
        for subject in subjects:
            kind = self.rng.choice(list(self._topic.facts[subject]))
            unseen = self.rng.random() < 0.25
            found.append(self._topic.example(subject, kind, self.rng, unseen=unseen))
        return found

    def _asked(self) -> TopicExample:
        """A question to evade: about any public subject or an invented one."""
        example = self._examples(1)[0]
        if self.rng.random() >= INVENTED_SHARE:
            return example
        name = invented_name(self.rng)
        question = example.question.replace(example.subject, name)
        return TopicExample(question, example.answer, example.kind, name)

    def _step_names(self) -> list[str]:
        """One to three different fields, at least one of which is for a step."""
        if self.rng.random() < 0.15:
            return [THOUGHT]
        number = self.rng.choice((1, 1, 1, 2, 2, 3))
        names = dict.fromkeys(self._step_name() for _ in range(number))
        found = list(names)
        if self.rng.random() < 0.2:
            found.insert(self.rng.randint(0, len(found)), THOUGHT)
        elif self.rng.random() < 0.1:
            found.insert(self.rng.randint(0, len(found)), self.rng.choice(EMPTY_FIELDS))
        return found

    def _step_name(self) -> str:
        form = self.rng.random()
        if form < 0.25:
            return self.rng.choice(_CORES)
        if form < 0.52:
            first = self.rng.choice(_BEFORE)
            return "_".join((first, *self.rng.sample(_CORES, self.rng.choice((1, 1, 2)))))
        if form < 0.8:
            return self.rng.choice(_WHOLE)
        return "_".join(invented_name(self.rng).lower() for _ in range(self.rng.choice((1, 1, 2))))


def _sum(rng: random.Random) -> tuple[str, str]:
    first, second = rng.randint(1, 60), rng.randint(1, 39)
    word, value = rng.choice((("plus", first + second), ("minus", first - second)))
    return rng.choice(("What is {} {} {}?", "{} {} {}")).format(first, word, second), str(value)


def _capitals(rng: random.Random) -> tuple[str, str]:
    word = rng.choice(_NOUNS)
    return f"Write in capitals: {word}", word.upper()


def _length(rng: random.Random) -> tuple[str, str]:
    word = rng.choice(_NOUNS)
    return f"How many letters has {word}?", str(len(word))


def _copied(rng: random.Random) -> tuple[str, str]:
    words = " ".join(rng.sample(_NOUNS, rng.randint(1, 3)))
    return f"Say again: {words}", words


def _liked(rng: random.Random) -> tuple[str, str]:
    word, good = rng.choice(_NOUNS), rng.random() < 0.5
    return f"The {word} was {'good' if good else 'bad'}.", "positive" if good else "negative"


def _next(rng: random.Random) -> tuple[str, str]:
    first, step = rng.randint(1, 20), rng.randint(1, 5)
    shown = ", ".join(str(first + step * i) for i in range(3))
    return f"What comes next: {shown}?", str(first + step * 3)


_OTHER_TASKS: Final = (_sum, _capitals, _length, _copied, _liked, _next)
