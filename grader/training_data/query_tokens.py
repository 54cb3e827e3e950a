"""How long the queries are that a training file teaches a model to answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from grader.training_data.encodings import TextCounter, text_counter
from grader.training_data.examples import Example, Message, read_examples, text_of
from grader.training_data.watching import Progress, watched

QUERY_EXAMPLES: Final = 5_000  # a mean of so many is known to a hundredth; counted in a second
_PER_MESSAGE: Final = 3  # as OpenAI's cookbook counts a request; the role's word comes on top
_PER_REPLY: Final = 3  # the reply is opened with so many


@dataclass(frozen=True, slots=True)
class QueryTokens:
    """Mean tokens of the parts of a query, over the examples of a file.

    `system` and `question` are whole messages, with the tokens that separate them; `answer` is the
    text alone, as it is billed when a model writes it. `per_message` is what a message takes beyond
    its text, `reply` what opens the answer. `estimated`: not the model's own tokenizer.
    """

    system: float
    question: float
    answer: float
    per_message: float
    reply: int
    estimated: bool

    def prompt(self, shots: int = 0, system: float | None = None) -> float:
        """Tokens of a prompt with so many examples before the question.

        `system` is in place of the file's own system message.
        """
        instructions = self.system if system is None else system
        return instructions + self.prefix(shots) + self.question + self.reply

    def prefix(self, shots: int) -> float:
        """Tokens of so many examples, as messages of a prompt."""
        return shots * (self.question + self.answer + self.per_message)


def measure_queries(
    path: Path,
    n_examples: int,
    model: str,
    instructions: str | None = None,
    progress: Progress | None = None,
) -> tuple[QueryTokens, float]:
    """The mean query of a file of `n_examples` usable examples, and the tokens of `instructions`.

    Of many examples an even sample is measured. `instructions` is a system message as text; its
    tokens are those of the whole message, 0 without one. A file without examples has zeros.
    Raises UsageError when the file cannot be opened or the tokenizer of the model is not here.
    """
    every = -(-n_examples // QUERY_EXAMPLES) or 1
    stage = f"Measuring queries of {path.name}"
    passing = watched(read_examples(path), progress, stage, n_examples)
    sample = list(islice(passing, 0, None, every))
    texts = {text for example in sample for text in _texts(example)}
    given = {"system", "user", "assistant", instructions or ""}
    counter = text_counter(model, texts | given)
    own = 0.0 if not instructions else _message(counter, "system", instructions)
    return _mean(sample, counter), own


def _texts(example: Example) -> Iterable[str]:
    yield example.answer
    for message in example.messages:
        yield text_of(message)
        yield str(message.get("role"))


def _mean(sample: Sequence[Example], counter: TextCounter) -> QueryTokens:
    n = len(sample) or 1
    system = question = answer = 0
    for example in sample:
        answer += counter.count(example.answer)
        for message in _asked(example.messages):
            tokens = _message(counter, str(message.get("role")), text_of(message))
            if message.get("role") == "system":
                system += tokens
            else:
                question += tokens
    return QueryTokens(
        system=system / n,
        question=question / n,
        answer=answer / n,
        per_message=_message(counter, "assistant", ""),
        reply=1 if counter.local else _PER_REPLY,
        estimated=counter.estimated or counter.local,
    )


def _asked(messages: list[Message]) -> list[Message]:
    """The messages before the last answer."""
    answers = [i for i, m in enumerate(messages) if m.get("role") == "assistant"]
    return messages[: answers[-1]] if answers else messages


def _message(counter: TextCounter, role: str, text: str) -> int:
    if counter.local:
        return 1 + counter.count(text)
    return _PER_MESSAGE + counter.count(role) + counter.count(text)
