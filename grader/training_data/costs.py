"""The cost of training on a file, from a dated table of prices."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from grader.core.constants import MIB
from grader.core.errors import UsageError
from grader.core.strict_json import StrictJsonError, loads
from grader.training_data.encodings import base_of
from grader.training_data.read.faults import Fault
from grader.training_data.tokens import DEFAULT_CONTEXT_TOKENS, TokenCounts

PRICES_MAX_BYTES: Final = MIB  # a thousand models take a third of it
RETIREMENT_NOTICE_DAYS: Final = 60  # a model that goes sooner may not last a course's term

# OpenAI's rule for n_epochs "auto", as its cookbook has it and recorded jobs confirm.
_USUAL_EPOCHS: Final = 3
_MOST_EPOCHS: Final = 25
_FEW_EXAMPLES: Final = 100  # examples times epochs are raised to this
_MANY_EXAMPLES: Final = 25_000  # and lowered to this

_OURS: Final = Path(__file__).parent / "prices.json"
_SCHEMA: Final = Path(__file__).parents[1] / "schemas" / "prices.v1.json"
_DATE = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4})$")  # gpt-4o-2024-08-06, gpt-3.5-turbo-0125


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per million tokens: input, cached input, output."""

    input: float
    cached: float | None
    output: float | None


@dataclass(frozen=True, slots=True)
class Price:
    """One model's row of the table; grader/schemas/prices.v1.json says what each field is.

    None is what is not known, or does not exist. `closes`: OpenAI starts no training job after
    6 January 2027, whatever the model, because it gives up its fine-tuning service.
    """

    model: str
    train_per_m: float | None
    train_per_hour: float | None
    ft: Rates | None
    base: Rates | None
    batch: float | None
    context: int | None
    valid_from: str
    source: str
    retires: date | None
    closes: date | None


Prices = Mapping[str, Price]
"""Rows by the name of their model, in the order of the table."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one training. `usd` is None when the model has no price per token here.

    `billed_tokens` is the tokens of the file times the epochs. `estimated` comes from the tokens.
    `retires` is an ISO date.
    """

    model: str
    epochs: int
    billed_tokens: int
    usd: float | None
    train_per_m: float | None
    valid_from: str | None
    source: str | None
    retires: str | None
    estimated: bool
    currency: str = "USD"


def load_prices(path: Path | None = None) -> Prices:
    """The table that ships, with the rows of the instructor's file at `path` in place or added.

    Raises UsageError, with the file and the place, for a file that cannot be read or is not as
    grader/schemas/prices.v1.json says.
    """
    shipped = _rows(json.loads(_OURS.read_text(encoding="utf-8")))
    return shipped if path is None else {**shipped, **_rows(_checked(path))}


def price_of(model: str, prices: Prices) -> Price | None:
    """The price of a model: by its name, its base, or its name with or without a date.

    Of several dates of one model it is the first in the table.
    """
    for name in (model, base_of(model)):
        if name in prices:
            return prices[name]
    base = base_of(model)
    undated = (prices[row] for row in prices if base == _DATE.sub("", row))
    return prices.get(_DATE.sub("", base)) or next(undated, None)


def training_context(model: str, prices: Prices) -> int:
    """Tokens of one example that training this model reads."""
    price = price_of(model, prices)
    return (price and price.context) or DEFAULT_CONTEXT_TOKENS


def automatic_epochs(n_examples: int) -> int:
    """The epochs that OpenAI's service chooses for a file of so many examples."""
    if n_examples * _USUAL_EPOCHS < _FEW_EXAMPLES:
        return min(_MOST_EPOCHS, _FEW_EXAMPLES // max(1, n_examples))
    if n_examples * _USUAL_EPOCHS > _MANY_EXAMPLES:
        return max(1, _MANY_EXAMPLES // n_examples)
    return _USUAL_EPOCHS


def training_cost(
    tokens: TokenCounts, n_examples: int, model: str, prices: Prices, epochs: int | None = None
) -> Cost:
    """What training `model` on the file costs, with the service's own number of epochs if None.

    Every token is counted, also beyond the training context (TOK001), where none is billed.
    """
    price = price_of(model, prices)
    rate = price.train_per_m if price else None
    epochs = automatic_epochs(n_examples) if epochs is None else epochs
    billed = tokens.total * epochs
    return Cost(
        model=model,
        epochs=epochs,
        billed_tokens=billed,
        usd=None if rate is None else billed * rate / 1e6,
        train_per_m=rate,
        valid_from=price.valid_from if price else None,
        source=price.source if price else None,
        retires=price.retires.isoformat() if price and price.retires else None,
        estimated=tokens.estimated,
    )


def retirement_fault(model: str, prices: Prices, today: date) -> Fault | None:
    """TOK003 when the model is retired or closed to training, or will be within 60 days."""
    price = price_of(model, prices)
    if price is None:
        return None
    retires, closes = price.retires, price.closes
    if retires and retires <= today:
        message = f"{model} was withdrawn on {retires}, and its fine-tunes with it."
    elif closes and closes < today:
        message = f"{model} can no longer be trained: the service closed for that after {closes}."
    elif _near(retires, today) or _near(closes, today):
        facts = [
            f"can be trained until {closes}" if closes else "",
            f"is withdrawn with its fine-tunes on {retires}" if retires else "",
        ]
        message = f"{model} {' and '.join(fact for fact in facts if fact)}; today is {today}."
    else:
        return None
    return Fault("TOK003", message)


def _near(day: date | None, today: date) -> bool:
    return day is not None and (day - today).days <= RETIREMENT_NOTICE_DAYS


def _checked(path: Path) -> Any:
    """The document in an instructor's file, held to the schema."""
    from jsonschema import Draft202012Validator  # slow to import, and needed for such a file only

    try:
        with path.open("rb") as file:
            document = loads(file.read(PRICES_MAX_BYTES + 1), max_bytes=PRICES_MAX_BYTES)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from error
    except StrictJsonError as error:
        raise UsageError(f"{path}: {error}") from error
    schema = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    faults = sorted(validator.iter_errors(document), key=lambda fault: fault.json_path)
    if faults:
        lines = "; ".join(f"{fault.json_path}: {fault.message[:200]}" for fault in faults[:5])
        raise UsageError(f"{path}: {lines}")
    names = Counter(row["model"] for row in document["models"])
    if twice := [name for name, count in names.items() if count > 1]:
        raise UsageError(f"{path}: $.models: {twice[0]} occurs twice")
    return document


def _rows(document: Any) -> dict[str, Price]:
    return {row["model"]: _price(row) for row in document["models"]}


def _price(row: Mapping[str, Any]) -> Price:
    return Price(
        model=row["model"],
        train_per_m=row["train_per_m"],
        train_per_hour=row.get("train_per_hour"),
        ft=_rates(row.get("ft")),
        base=_rates(row.get("base")),
        batch=row.get("batch"),
        context=row.get("context"),
        valid_from=row["valid_from"],
        source=row["source"],
        retires=_day(row.get("retires")),
        closes=_day(row.get("closes")),
    )


def _rates(rates: Mapping[str, Any] | None) -> Rates | None:
    return Rates(rates["in"], rates["cached"], rates["out"]) if rates else None


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
