"""Four ways to the same answers: a plain prompt, examples in the prompt, retrieval, fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from grader.errors import UsageError
from grader.training_data.break_even import Usage, Way, query_cost
from grader.training_data.costs import Price, Prices, Rates, price_of
from grader.training_data.query_tokens import QueryTokens

PLAIN: Final = "plain prompt"
FEW_SHOT: Final = "few-shot prompt"
RAG: Final = "RAG"
TUNED: Final = "fine-tuned"

EMBEDDING_MODEL: Final = "text-embedding-3-small"
_CACHE_FROM_TOKENS: Final = 1024  # OpenAI's prompt caching: no shorter prompt is kept
_CACHE_STEP_TOKENS: Final = 128  # and a beginning is kept in steps of this


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a training file does not tell. Tokens are of one query, amounts are USD.

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
class Ways:
    """The four ways by name, and the tokens of one query of each."""

    ways: Mapping[str, Way]
    usages: Mapping[str, Usage]


def four_ways(
    tokens: QueryTokens,
    assumed: Assumptions,
    training_usd: float,
    tuned_model: str,
    base_model: str,
    prices: Prices,
) -> Ways:
    """What each way costs. Raises UsageError for a model that has no price for what is needed."""
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
    return Ways({name: Way(name, *cost) for name, cost in costs.items()}, usages)


def query_usages(tokens: QueryTokens, assumed: Assumptions) -> dict[str, Usage]:
    """Tokens of one query of each way.

    Only what every query begins with can come from the cache: the plain prompt without its
    question, and the examples. Passages differ from query to query.
    """
    answer = tokens.answer if assumed.answer_tokens is None else assumed.answer_tokens
    plain = tokens.prompt() if assumed.prompt_tokens is None else assumed.prompt_tokens
    tuned = tokens.prompt() if assumed.tuned_prompt_tokens is None else assumed.tuned_prompt_tokens
    begins = max(0.0, plain - tokens.question - tokens.reply)
    examples = tokens.prefix(assumed.shots)

    def usage(total: float, beginning: float) -> Usage:
        return Usage(total, answer, assumed.cache_hits * cacheable(total, beginning))

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
