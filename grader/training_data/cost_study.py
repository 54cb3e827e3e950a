"""Everything that `finegrade cost` knows of a training file: four ways, and when each pays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from grader.errors import UsageError
from grader.training_data.break_even import BreakEven, Horizon, Usage, Way, break_even
from grader.training_data.costs import Cost, Price, Prices, automatic_epochs, training_cost
from grader.training_data.examples import Example, read_examples
from grader.training_data.query_tokens import QueryTokens, measure_queries
from grader.training_data.tokens import TokenCounts, count_tokens
from grader.training_data.watching import Progress, differences, watched
from grader.training_data.ways import TUNED, Assumptions, Ways, four_ways, priced


@dataclass(frozen=True, slots=True)
class CostStudy:
    """One file, one model, one set of assumptions, and what follows from them.

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
    ways: Mapping[str, Way]
    usages: Mapping[str, Usage]
    break_evens: Mapping[str, BreakEven]
    cached_ways: Mapping[str, Way]
    cached_usages: Mapping[str, Usage]

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
    progress: Progress | None = None,
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

    def ways(some: Assumptions) -> Ways:
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


def _read(path: Path, progress: Progress | None) -> Iterator[Example]:
    """The usable examples, while `progress` hears of their bytes."""
    size = path.stat().st_size if path.is_file() else 0  # what is no file, reading it says
    stage = f"Reading {path.name}"
    return watched(read_examples(path), progress, stage, size, lambda one: len(one.raw))
