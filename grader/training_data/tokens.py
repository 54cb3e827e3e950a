"""Counts the tokens of a training file's examples, as OpenAI bills them."""

from __future__ import annotations

import json
import statistics
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NamedTuple

from grader.training_data.encodings import SMALL_TEXT_BYTES, TextCounter, text_counter
from grader.training_data.read.examples import Example, Kind, Message
from grader.training_data.read.faults import Fault

TOKEN_EXACT_EXAMPLES: Final = 50_000  # in 3 s (a tokenizer.json: 13 s); of more, a sample
DEFAULT_CONTEXT_TOKENS: Final = 4096  # OpenAI's cookbook; for models with no context of their own
_STEP_EXAMPLES: Final = 500  # counted between two reports of progress: 8 to 40 a second

_TOKENS_PER_EXAMPLE: Final = 1  # these two were measured on a bill of OpenAI, to the token
_TOKENS_PER_MESSAGE: Final = 3

# An outlier is far from the rest by all three, so that no even or short data set has any.
_OUTLIER_EXAMPLES: Final = 20  # fewer have no "rest" to be far from
_OUTLIER_DEVIATIONS: Final = 5  # median absolute deviations above the median
_OUTLIER_MEDIANS: Final = 4  # times the median
_OUTLIER_TOKENS: Final = 500  # about a page; a shorter one costs nothing worth a word


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of the examples of one file, of one epoch; zeros when it has none.

    `counted` examples were counted exactly. When they are a sample, `total` is scaled up to the
    whole file. `estimated` says so, and also that a tokenizer or a part of an example (tools,
    images) is not known exactly.
    """

    total: int
    min: int
    mean: float
    p95: int
    max: int
    estimated: bool
    counted: int


class TokenCount(NamedTuple):
    """Tokens of one example. Not `exact` where parts of it can only be estimated."""

    tokens: int
    exact: bool


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts an example for `model`; `estimated` when the tokenizer is not the model's own.

    A chat example has 1 token, and for each message 3 and those of its role and text: what
    OpenAI bills. Names, tool calls and tools are counted as the tokens of their compact JSON,
    which is an estimate, and images not at all. A completion has the tokens of its two texts. A
    preference example counts its input and both outputs once.

    With a tokenizer.json each message counts its text and 1 token for its marker, and the example
    1 for its end: the course model's template for a question and its answer, else an estimate.
    """

    model: str
    _texts: TextCounter

    @property
    def estimated(self) -> bool:
        return self._texts.estimated or self._texts.local

    def __call__(self, example: Example) -> int:
        return self.measure(example).tokens

    def measure(self, example: Example) -> TokenCount:
        """Count an example, and say whether parts of it are estimated."""
        bill = _bill(example, self._texts.local)
        return TokenCount(bill.fixed + sum(map(self._texts.count, bill.texts)), bill.exact)


def counter(model: str, examples: Collection[Example] | None = None) -> TokenCounter:
    """The counter for a model; `grader.training_data.encodings.text_counter` says which there are.

    `examples` are those that will be counted, when they are known and few: it starts faster then.
    Raises UsageError when the tokenizer of a model is not here or cannot be read.
    """
    texts = {text for example in examples or () for text in _bill(example, False).texts}
    return TokenCounter(model, text_counter(model, texts if examples is not None else None))


def count_tokens(
    examples: Iterable[Example],
    n_examples: int,
    model: str,
    context: int = DEFAULT_CONTEXT_TOKENS,
    step: Callable[[int], None] | None = None,
) -> tuple[TokenCounts, list[Fault]]:
    """Counts all of `n_examples` examples, or an even sample of TOKEN_EXACT_EXAMPLES of more.

    `context` is what the model reads of an example in training, in tokens. `step` is called now
    and then with the number of examples passed so far, at the end with `n_examples`.
    The faults are TOK001 and TOK002 of the examples counted, in order of lines.
    Raises UsageError when the tokenizer of the model is not here, and what `examples` raises.
    """
    sampled = n_examples > TOKEN_EXACT_EXAMPLES
    count, placed = _started(model, _even_sample(examples, n_examples))
    tokens, lines = array("Q"), array("Q")
    exact = not (sampled or count.estimated)
    for place, example in placed:
        counted = count.measure(example)
        tokens.append(counted.tokens)
        lines.append(example.line)
        exact = exact and counted.exact
        if step and len(tokens) % _STEP_EXAMPLES == 0:
            step(place)
    if step:
        step(n_examples)
    scale = n_examples / len(tokens) if sampled and tokens else 1
    return _counts(tokens, scale, not exact), list(_faults(tokens, lines, model, context))


class _TokenParts(NamedTuple):
    """The parts of an example's token count: a fixed number, and its texts."""

    fixed: int
    texts: list[str]
    exact: bool


def _bill(example: Example, local: bool) -> _TokenParts:
    if example.kind is Kind.COMPLETION and not local:
        return _TokenParts(0, [text for _, text in example.texts], True)
    messages = list(example.messages)
    tools = [example.value.get("tools"), example.value.get("functions")]
    if example.kind is Kind.PREFERENCE:
        other = example.value.get("non_preferred_output")
        messages += [m for m in other if isinstance(m, dict)] if isinstance(other, list) else []
        tools = [example.value["input"].get("tools")]
    texts, exact = [], True
    for message in messages:
        role = message.get("role")
        if isinstance(role, str) and not local:
            texts.append(role)
        for text, certain in _message_texts(message):
            texts.append(text)
            exact = exact and certain
    texts += [_compact(tool) for tool in tools if tool]
    fixed = len(messages) * (1 if local else _TOKENS_PER_MESSAGE) + _TOKENS_PER_EXAMPLE
    return _TokenParts(fixed, texts, exact and not any(tools))


def _message_texts(message: Message) -> Iterator[tuple[str, bool]]:
    """The texts of a message but its role, each with whether its tokens are known to be billed."""
    content = message.get("content")
    for part in content if isinstance(content, list) else [content]:
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            yield text, True
        elif part is not None:
            yield "", False  # an image, or something that should not be there
    for key in ("name", "refusal", "tool_calls", "function_call"):
        if message.get(key):
            yield _compact(message[key]), False


def _compact(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _even_sample(examples: Iterable[Example], n_examples: int) -> Iterator[tuple[int, Example]]:
    """Up to TOKEN_EXACT_EXAMPLES examples at even distances, each with its place from 1 on."""
    sample = min(n_examples, TOKEN_EXACT_EXAMPLES)
    for place, example in enumerate(examples, 1):
        if place * sample // n_examples > (place - 1) * sample // n_examples:
            yield place, example


def _started(
    model: str, placed: Iterator[tuple[int, Example]]
) -> tuple[TokenCounter, Iterable[tuple[int, Example]]]:
    """The counter, made for these very examples when they are few, and the examples."""
    first: list[tuple[int, Example]] = []
    size = 0
    for item in placed:
        first.append(item)
        size += len(item[1].raw)
        if size > SMALL_TEXT_BYTES:
            return counter(model), chain(first, placed)
    return counter(model, [example for _, example in first]), first


def _counts(tokens: array[int], scale: float, estimated: bool) -> TokenCounts:
    if not tokens:
        return TokenCounts(0, 0, 0.0, 0, 0, estimated, 0)
    ordered = sorted(tokens)
    rank = -(-95 * len(ordered) // 100)  # nearest rank: an example that really has this many
    total = sum(ordered)
    return TokenCounts(
        total=round(total * scale),
        min=ordered[0],
        mean=total / len(ordered),
        p95=ordered[rank - 1],
        max=ordered[-1],
        estimated=estimated,
        counted=len(ordered),
    )


def _faults(tokens: array[int], lines: array[int], model: str, context: int) -> Iterator[Fault]:
    usual, outlier = _outlier_from(tokens)
    for line, count in zip(lines, tokens, strict=True):
        if count > context:
            yield Fault(
                "TOK001",
                f"The example has {count:,} tokens; training {model} reads at most {context:,}.",
                line,
            )
        if count > outlier:
            yield Fault(
                "TOK002",
                f"The example has {count:,} tokens; half of the examples have at most {usual:,}.",
                line,
            )


def _outlier_from(tokens: array[int]) -> tuple[int, float]:
    """The median, and the number of tokens above which an example is an outlier."""
    if len(tokens) < _OUTLIER_EXAMPLES:
        return 0, float("inf")
    median = statistics.median_high(tokens)
    deviation = statistics.median(abs(count - median) for count in tokens)
    bounds = (
        median + _OUTLIER_DEVIATIONS * deviation,
        median * _OUTLIER_MEDIANS,
        _OUTLIER_TOKENS - 1,
    )
    return median, max(bounds)
