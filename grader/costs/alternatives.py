"""`finegrade cost`: four ways to the same answers, what each costs, and when fine-tuning pays.

The ways are a plain prompt, examples in the prompt, retrieval and fine-tuning. The tokens of a
query are measured on the training file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Final

from grader.core.errors import UsageError
from grader.costs.break_even import (
    Alternative,
    BreakEven,
    Horizon,
    QueryTokenUsage,
    break_even,
    query_cost,
)
from grader.training_data.costs import (
    Cost,
    Price,
    Prices,
    Rates,
    automatic_epochs,
    price_of,
    training_cost,
)
from grader.training_data.encodings import TextCounter, text_counter
from grader.training_data.read.examples import (
    Example,
    Message,
    ReadProgress,
    differences,
    read_examples,
    text_of,
    watched,
)
from grader.training_data.tokens import TokenCounts, count_tokens

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
    progress: ReadProgress | None = None,
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
        for message in _prompt_messages(example.messages):
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


def _prompt_messages(messages: list[Message]) -> list[Message]:
    """The messages before the last answer: the prompt."""
    answers = [i for i, m in enumerate(messages) if m.get("role") == "assistant"]
    return messages[: answers[-1]] if answers else messages


def _message(counter: TextCounter, role: str, text: str) -> int:
    if counter.local:
        return 1 + counter.count(text)
    return _PER_MESSAGE + counter.count(role) + counter.count(text)


PLAIN: Final = "plain prompt"
FEW_SHOT: Final = "few-shot prompt"
RAG: Final = "RAG"
TUNED: Final = "fine-tuned"

EMBEDDING_MODEL: Final = "text-embedding-3-small"
_CACHE_FROM_TOKENS: Final = 1024  # OpenAI's prompt caching: no shorter prompt is kept
_CACHE_STEP_TOKENS: Final = 128  # and a beginning is kept in steps of this


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Inputs that no training file holds. Tokens are of one query, amounts are USD.

    `prompt_tokens`, `tuned_prompt_tokens`, `answer_tokens`: in place of what was measured.
    `cache_hits` is the share of the queries that find the beginning of their prompt in the cache.
    `corpus_tokens` are embedded once, `context_tokens` are the passages that a query gets, and
    `store_per_month` is what it costs to keep the index. `other_fixed` comes on top of training.
    """

    shots: int = 5
    prompt_tokens: float | None = None
    tuned_prompt_tokens: float | None = None
    answer_tokens: float | None = None
    context_tokens: float = 1000
    corpus_tokens: float = 100_000
    store_per_month: float = 0.0
    cache_hits: float = 0.0
    other_fixed: float = 0.0
    queries_per_day: float = 200


@dataclass(frozen=True, slots=True)
class Alternatives:
    """The four ways by name, and the tokens of one query of each."""

    ways: Mapping[str, Alternative]
    usages: Mapping[str, QueryTokenUsage]


def four_ways(
    tokens: QueryTokens,
    assumed: Assumptions,
    training_usd: float,
    tuned_model: str,
    base_model: str,
    prices: Prices,
) -> Alternatives:
    """The cost of each way. Raises UsageError for a model that has no price for what is needed."""
    tuned_rates = _rates(tuned_model, prices, tuned=True)
    base_rates = _rates(base_model, prices)
    embedding = _rates(EMBEDDING_MODEL, prices).input
    usages = query_usages(tokens, assumed)
    # A month's rent is spread over a month's queries, so that it grows with the volume.
    rent = assumed.store_per_month * 12 / 365 / assumed.queries_per_day
    search = tokens.question * embedding / 1e6 + rent
    costs = {
        PLAIN: (0.0, query_cost(usages[PLAIN], base_rates)),
        FEW_SHOT: (0.0, query_cost(usages[FEW_SHOT], base_rates)),
        RAG: (
            assumed.corpus_tokens * embedding / 1e6,
            query_cost(usages[RAG], base_rates) + search,
        ),
        TUNED: (training_usd + assumed.other_fixed, query_cost(usages[TUNED], tuned_rates)),
    }
    return Alternatives({name: Alternative(name, *cost) for name, cost in costs.items()}, usages)


def query_usages(tokens: QueryTokens, assumed: Assumptions) -> dict[str, QueryTokenUsage]:
    """Tokens of one query of each way.

    Only what every query begins with can come from the cache: the plain prompt without its
    question, and the examples. Passages differ from query to query.
    """
    answer = tokens.answer if assumed.answer_tokens is None else assumed.answer_tokens
    plain = tokens.prompt() if assumed.prompt_tokens is None else assumed.prompt_tokens
    tuned = tokens.prompt() if assumed.tuned_prompt_tokens is None else assumed.tuned_prompt_tokens
    begins = max(0.0, plain - tokens.question - tokens.reply)
    examples = tokens.prefix(assumed.shots)

    def usage(total: float, beginning: float) -> QueryTokenUsage:
        return QueryTokenUsage(total, answer, assumed.cache_hits * cacheable(total, beginning))

    return {
        PLAIN: usage(plain, begins),
        FEW_SHOT: usage(plain + examples, begins + examples),
        RAG: usage(plain + assumed.context_tokens, begins),
        TUNED: usage(tuned, max(0.0, tuned - tokens.question - tokens.reply)),
    }


def cacheable(prompt: float, beginning: float) -> float:
    """Tokens of a prompt that OpenAI's cache keeps when `beginning` of them are always the same."""
    if prompt < _CACHE_FROM_TOKENS or beginning < _CACHE_FROM_TOKENS:
        return 0.0
    return beginning // _CACHE_STEP_TOKENS * _CACHE_STEP_TOKENS


def priced(model: str, prices: Prices) -> Price:
    """The row of a model. Raises UsageError, with the names that are known, when there is none."""
    price = price_of(model, prices)
    if price is None:
        known = ", ".join(prices)
        raise UsageError(f"There is no price of {model}. Known: {known}. --prices FILE adds rows.")
    return price


def _rates(model: str, prices: Prices, *, tuned: bool = False) -> Rates:
    price = priced(model, prices)
    rates = price.ft if tuned else price.base
    if rates is None:
        kind = "as a fine-tuned model" if tuned else "for queries"
        raise UsageError(f"{model} has no price {kind} in the table of {price.valid_from}.")
    return rates


@dataclass(frozen=True, slots=True)
class CostStudy:
    """The study of one file, one model and one set of assumptions.

    `break_evens` has, for each other way by its name, when fine-tuning is no dearer; `cached_ways`
    are the same four ways where every query finds the beginning of its prompt in the cache.
    """

    path: str
    examples: int
    tokens: TokenCounts
    query: QueryTokens
    tuned_price: Price
    base_price: Price
    training: Cost
    assumed: Assumptions
    horizon: Horizon
    ways: Mapping[str, Alternative]
    usages: Mapping[str, QueryTokenUsage]
    break_evens: Mapping[str, BreakEven]
    cached_ways: Mapping[str, Alternative]
    cached_usages: Mapping[str, QueryTokenUsage]

    @property
    def epochs_automatic(self) -> bool:
        """Whether the service would choose this number of epochs itself."""
        return self.training.epochs == automatic_epochs(self.examples)

    @property
    def estimated(self) -> bool:
        """Whether tokens are estimates, because the model's own tokenizer is not known here."""
        return self.tokens.estimated or self.query.estimated


def study(
    path: Path,
    model: str,
    base_model: str,
    prices: Prices,
    assumed: Assumptions,
    today: date,
    epochs: int | None = None,
    progress: ReadProgress | None = None,
) -> CostStudy:
    """Reads the file, counts it for `model`, and compares. `epochs` None: the service's choice.

    Raises UsageError for a file that cannot be read or holds no example, and for a model that has
    no price or cannot be trained by the token.
    """
    tuned_price, base_price = priced(model, prices), priced(base_model, prices)
    examples = sum(1 for _ in _read(path, progress))
    if not examples:
        raise UsageError(f"{path}: no usable example in it. `finegrade data check` says why.")
    if progress is not None:
        progress.start(f"Counting tokens of {path.name}", examples)
    step = differences(progress.advance) if progress is not None else None
    tokens, _ = count_tokens(read_examples(path), examples, model, step=step)
    query, _ = measure_queries(path, examples, model, progress=progress)
    training = training_cost(tokens, examples, model, prices, epochs)
    if training.usd is None:
        raise UsageError(f"{model} is not trained at a price per token. Name another --model.")

    def ways(some: Assumptions) -> Alternatives:
        return four_ways(query, some, training.usd or 0.0, model, base_model, prices)

    found, cached = ways(assumed), ways(replace(assumed, cache_hits=1.0))
    tuned = found.ways[TUNED]
    return CostStudy(
        path=str(path),
        examples=examples,
        tokens=tokens,
        query=query,
        tuned_price=tuned_price,
        base_price=base_price,
        training=training,
        assumed=assumed,
        horizon=Horizon(today, assumed.queries_per_day, tuned_price.retires, tuned_price.closes),
        ways=found.ways,
        usages=found.usages,
        break_evens={
            name: break_even(tuned, way) for name, way in found.ways.items() if name != TUNED
        },
        cached_ways=cached.ways,
        cached_usages=cached.usages,
    )


def _read(path: Path, progress: ReadProgress | None) -> Iterator[Example]:
    """The usable examples; reports bytes read to `progress`."""
    size = path.stat().st_size if path.is_file() else 0  # what is no file, reading it says
    stage = f"Reading {path.name}"
    return watched(read_examples(path), progress, stage, size, lambda one: len(one.raw))
