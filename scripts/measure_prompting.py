"""What prompts alone make of the models of Part 1: rows for the card, for scripts/course_model.py.

Messages are those that DSPy's ChatAdapter writes, answers those that the service decodes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dspy
from dspy.adapters import ChatAdapter
from dspy.utils.exceptions import AdapterParseError

from grader.core.metrics import exact_match, mean
from grader.models.base_model import load_folder
from grader.models.tokenization import prompt_text, tokens
from grader.openai_sim.decoding.continuous_batching import Batcher
from grader.openai_sim.decoding.dspy_fields import fields_asked, guides
from grader.openai_sim.decoding.grammar_process import GrammarProcess
from grader.openai_sim.decoding.sequences import Generation, Sampling
from grader.topics import TOPICS, TopicExample

TOPIC: Final = TOPICS["educational-qa"]
LOGS: Final = TOPICS["iot-diagnostics"]
NEW_TOKENS: Final = 300  # as the example program allows
Demo = dict[str, Any]
Asked = tuple[list[Demo], dict[str, Any]]  # demonstrations and inputs


@dataclass(frozen=True)
class Condition:
    """A way to ask: output fields, demonstrations of a question, and passages beside it."""

    outputs: tuple[str, ...] = ("answer",)
    demos: Callable[[random.Random], list[Demo]] = lambda rng: []
    passages: int = 0

    @property
    def signature(self) -> Any:
        """The DSPy signature."""
        inputs = "context: list[str], question" if self.passages else "question"
        return dspy.Signature(f"{inputs} -> {', '.join(self.outputs)}")

    def ask(self, example: TopicExample, number: int) -> Asked:
        """What is sent for this question; everything drawn follows from its number."""
        rng = random.Random(f"finegrade/prompting/{number}")
        inputs: dict[str, Any] = {"question": example.question}
        if self.passages:
            others = rng.sample(TOPIC.subjects("public"), self.passages - 1)
            subjects = rng.sample([example.subject, *others], self.passages)
            inputs["context"] = [TOPIC.passage(subject) for subject in subjects]
        return self.demos(rng), inputs


def shown(
    count: int, *steps: str, said: str | None = None, wrong: bool = False
) -> Callable[[random.Random], list[Demo]]:
    """Demonstrations from the public training data; `steps` hold the fact, or what is `said`."""

    def drawn(rng: random.Random) -> list[Demo]:
        examples = rng.sample(TOPIC.public("train"), count)
        answers = [example.answer for example in examples]
        if wrong:
            answers = answers[1:] + answers[:1]
        demos = []
        for example, answer in zip(examples, answers, strict=True):
            statement = TOPIC.relations[example.kind].statements[0]
            fact = statement.format(s=example.subject, o=example.answer)
            fields = dict.fromkeys(steps, fact if said is None else said)
            demos.append({"question": example.question, **fields, "answer": answer})
        return demos

    return drawn


def labelled(count: int) -> Callable[[random.Random], list[Demo]]:
    """What dspy.LabeledFewShot sets: a question and an answer, whatever else is asked for."""
    return shown(count)


def logs(rng: random.Random) -> list[Demo]:
    """Demonstrations of the other topic."""
    examples = rng.sample(LOGS.public("train"), 4)
    return [{"question": example.question, "answer": example.answer} for example in examples]


def sums(rng: random.Random) -> list[Demo]:
    """Demonstrations of adding."""
    pairs = [(rng.randint(1, 60), rng.randint(1, 39)) for _ in range(4)]
    return [{"question": f"What is {a} plus {b}?", "answer": str(a + b)} for a, b in pairs]


def moods(rng: random.Random) -> list[Demo]:
    """Demonstrations of naming the mood of a sentence, which no training showed."""
    sentences = (
        ("I love this bread.", "happy"),
        ("I hate rain.", "sad"),
        ("What a fine day!", "happy"),
        ("The film made me cry.", "sad"),
        ("We had fun at the sea.", "happy"),
        ("Nobody came to the party.", "sad"),
    )
    return [{"question": text, "answer": mood} for text, mood in rng.sample(sentences, 4)]


def common(rng: random.Random) -> list[Demo]:
    """Demonstrations of general knowledge, none of them in the training."""
    pairs = (
        ("Who wrote Hamlet?", "Shakespeare"),
        ("What is the largest ocean?", "Pacific"),
        ("Which planet is red?", "Mars"),
        ("What is the boiling point of water?", "100"),
        ("How many legs has a spider?", "eight"),
        ("What do bees make?", "honey"),
    )
    return [{"question": text, "answer": answer} for text, answer in rng.sample(pairs, 4)]


THOUGHT: Final = ("reasoning", "answer")  # what dspy.ChainOfThought asks for
EXAMPLE: Final = ("answer", "reasoning")  # and the example's program
CHAT_ROWS: Final = {
    "zero-shot": Condition(),
    "the example's program, zero-shot": Condition(EXAMPLE),
    "1 demonstration": Condition(demos=shown(1)),
    "2 demonstrations": Condition(demos=shown(2)),
    "4 demonstrations": Condition(demos=shown(4)),
    "8 demonstrations": Condition(demos=shown(8)),
    "16 demonstrations": Condition(demos=shown(16)),
    "4 with wrong answers": Condition(demos=shown(4, wrong=True)),
    "4 of general knowledge": Condition(demos=common),
    "4 of device logs": Condition(demos=logs),
    "4 of sums": Condition(demos=sums),
    "4 of moods, a task unseen in training": Condition(demos=moods),
    "the example's program, 4 labelled": Condition(EXAMPLE, labelled(4)),
    "chain of thought": Condition(THOUGHT),
    "chain of thought, 4 labelled": Condition(THOUGHT, labelled(4)),
    "chain of thought, 4 bootstrapped": Condition(THOUGHT, shown(4, "reasoning")),
    "chain of thought, 12 labelled and 4 bootstrapped": Condition(
        THOUGHT, lambda rng: labelled(12)(rng) + shown(4, "reasoning")(rng)
    ),
    **{
        f"field `{name}`": Condition((name, "answer"))
        for name in ("fact", "recall", "step_1", "rationale", "relevant_facts")
    },
    **{
        f"field `{name}`, unseen in training": Condition((name, "answer"))
        for name in ("thinking", "known_facts", "hypothesis", "premise")
    },
    "fields `step1`, `step2`": Condition(("step1", "step2", "answer")),
    "fields `facts`, `reasoning`": Condition(("facts", "reasoning", "answer")),
    "three fields": Condition(("question_type", "key_facts", "conclusion", "answer")),
    "empty step `confidence`": Condition(("confidence", "answer")),
    "empty step `greeting`": Condition(("greeting", "answer")),
    "empty step `title`": Condition(("title", "answer")),
    "field `fact`, 4 demonstrations": Condition(("fact", "answer"), shown(4, "fact")),
    "field `fact`, 4 labelled": Condition(("fact", "answer"), labelled(4)),
    "passage, zero-shot": Condition(passages=1),
    "3 passages, chain of thought": Condition(THOUGHT, passages=3),
    "3 passages, field `fact`": Condition(("fact", "answer"), passages=3),
    "3 passages, 4 demonstrations": Condition(demos=shown(4), passages=3),
}
READER_ROWS: Final = {
    "zero-shot": Condition(),
    "the example's program, zero-shot": Condition(EXAMPLE),
    "4 demonstrations": Condition(demos=shown(4)),
    "field `fact`": Condition(("fact", "answer")),
    "passage, zero-shot": Condition(passages=1),
    "3 passages, zero-shot": Condition(passages=3),
    "passage, chain of thought": Condition(THOUGHT, passages=1),
    "passage, the example's program": Condition(EXAMPLE, passages=1),
    "passage, field `fact`": Condition(("fact", "answer"), passages=1),
    "3 passages, 4 demonstrations": Condition(demos=shown(4), passages=3),
}


class Prompting:
    """Asks one model through DSPy's messages, greedily, as the service does."""

    def __init__(self, folder: Path) -> None:
        self._base = load_folder(folder, "cpu")
        self._process = GrammarProcess()
        self._batcher = Batcher(self._base)  # its thread ends with this process
        self._adapter = ChatAdapter()

    def score(self, condition: Condition, hidden: Sequence[TopicExample]) -> float:
        """Exact match in percent; a reply that DSPy cannot read is wrong."""
        signature = condition.signature
        asked = [condition.ask(example, number) for number, example in enumerate(hidden)]
        replies = self._replies(signature, asked)
        right = []
        for reply, example in zip(replies, hidden, strict=True):
            given = ""
            with suppress(AdapterParseError):
                given = self._adapter.parse(signature, reply)["answer"]
            right.append(exact_match(given, example.answer))
        return round(100 * mean(right), 1)

    def _replies(self, signature: Any, asked: Sequence[Asked]) -> list[str]:
        generations = []
        for demos, inputs in asked:
            messages = self._adapter.format(signature, demos, inputs)
            fields = fields_asked(messages)
            assert fields is not None  # it is DSPy that asks
            (guide,) = guides(self._base, fields, self._process, 1)
            prompt = tokens(self._base.tokenizer, prompt_text(self._base.tokenizer, messages))
            sampling = Sampling(temperature=0)
            generations.append(Generation(tuple(prompt), NEW_TOKENS, sampling, guide=guide))
        completions = self._batcher.submit(generations)
        for one in completions:
            one.done.wait()
            if one.error is not None:
                raise one.error
        return [one.text for one in completions]

    def table(self, rows: dict[str, Condition], hidden: Sequence[TopicExample]) -> dict[str, float]:
        """The score of each row."""
        return {name: self.score(condition, hidden) for name, condition in rows.items()}
