"""The options of `finegrade grade` about an instructor's endpoint: its model, price and budget."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from grader.model_service.forward import Endpoint
    from grader.training_data.costs import Rates


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """What the instructor said about the endpoint, all of it valid."""

    url: str
    key: str
    model: str
    rates: Rates
    budget: float

    def open(self, store: Path) -> Endpoint:
        """The endpoint, with what was spent on it before. Raises GraderFault for no store."""
        from grader.model_service.forward import Endpoint
        from grader.model_service.spending import Budget

        return Endpoint(self.url, self.key, self.model, self.rates, Budget(self.budget, store))


def checked_endpoint(
    url: str | None, model: str | None, price: str | None, budget: float | None
) -> EndpointOptions | None:
    """The endpoint of these options, None without one.

    Raises UsageError for an invalid address, and where the key, the model, its price or a budget
    is missing.
    """
    if url is None:
        given = {"--endpoint-model": model, "--endpoint-price": price, "--budget": budget}
        for option, value in given.items():
            if value is not None:
                raise UsageError(f"{option} says something about --endpoint URL, which is missing.")
        return None
    key = os.environ.get("FINEGRADE_ENDPOINT_KEY", "")
    if not url.startswith(("http://", "https://")) or not url.rstrip("/").endswith("/v1"):
        raise UsageError(f"--endpoint {url}: expected an address like https://api.openai.com/v1.")
    if not key:
        raise UsageError("--endpoint needs its key in the environment: FINEGRADE_ENDPOINT_KEY.")
    if not model:
        raise UsageError("--endpoint needs --endpoint-model NAME, the model that answers.")
    if budget is not None and not math.isfinite(budget):
        raise UsageError(f"--budget {budget}: expected an amount in USD.")
    rates = _given_rates(price) if price is not None else _known_rates(model)
    free = not rates.input and not rates.output
    if budget is None and not free:
        raise UsageError(
            f"--endpoint needs --budget USD: {model} costs USD {rates.input:g} for a million "
            f"tokens of prompts and {rates.output:g} for a million of answers, and finegrade "
            "spends nothing without a limit."
        )
    return EndpointOptions(url, key, model, rates, math.inf if budget is None else budget)


def spending_text(endpoint: Endpoint) -> str:
    """What was spent at the endpoint, and how to go on where that was all."""
    limit, spent = endpoint.budget.limit, endpoint.budget.used
    if math.isinf(limit):
        return f"{endpoint.model} answered at no cost."
    text = f"Spent USD {spent:.2f} of the budget of USD {limit:.2f} on {endpoint.model}."
    if not endpoint.stopped:
        return text
    return (
        f"{text} The rest is too small for another request, so the remaining programs are not "
        "graded, at no cost in marks. Go on with the same command and a larger --budget: what was "
        "collected is kept, and what was spent counts."
    )


def _given_rates(price: str) -> Rates:
    from grader.training_data.costs import Rates

    try:
        into, out = (float(part) for part in price.split(","))
    except ValueError:
        into = out = math.nan
    if not (0 <= into < math.inf and 0 <= out < math.inf):
        raise UsageError(
            f"--endpoint-price {price}: expected USD for a million tokens of prompts and of "
            "answers, such as 0.15,0.60."
        )
    return Rates(into, None, out)


def _known_rates(model: str) -> Rates:
    from grader.training_data.costs import load_prices, price_of
    from grader.training_data.encodings import base_of

    row = price_of(model, load_prices())
    rates = None if row is None else row.base if base_of(model) == model else row.ft
    if rates is None or rates.output is None:
        raise UsageError(
            f"There is no price of {model} here. Give it as --endpoint-price IN,OUT, in USD for a "
            "million tokens of prompts and of answers, such as 0.15,0.60; 0,0 for a model of your "
            "own."
        )
    return rates
