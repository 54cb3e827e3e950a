"""TOK: the numbers of a cost analysis, worked out again from the student's own dataset.

Each check takes the numbers before it as the student stated them, so that one mistake is one
mistake. `agreement` is 1 less the relative difference, so that a rubric's bands can weigh it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final

from grader.checks.api.context import Context, Verdict, failed, needs_review, passed
from grader.checks.api.registry import check
from grader.checks.views.cost_recount import (
    ENOUGH,
    NUMBERS,
    agreement,
    claims_of,
    found_data,
    found_file,
    judged,
    off,
    price_of_model,
    recount,
)
from grader.core.errors import FileRefused
from grader.core.text import counted
from grader.costs.break_even import (
    Alternative,
    BreakEven,
    BreakEvenRelation,
    Horizon,
    break_even,
    query_cost,
)
from grader.costs.claims import ClaimsError, CostClaims, Volume
from grader.training_data.costs import Price, Rates, automatic_epochs
from grader.training_data.rules.rule import quoted

_check = partial(check, deliverables=(NUMBERS,))
_ENOUGH_OF_PROMPTS: Final = 0.9  # means over examples and the words around them differ a little
_SLACK_TOKENS: Final = 3  # of a query: one message's own tokens, which people count differently
_MOST_EPOCHS: Final = automatic_epochs(1)  # that the service chooses, even for one example


@_check("TOK101", needs=("LAY021",))
def cost_numbers_are_readable(context: Context) -> Verdict:
    """The numbers of the cost analysis can be read

    Why: A program reads cost_analysis.json and works every number out again. It has to know which
    number is which.

    Fix: Fill in every field of the example in the assignment's README, and no others. Numbers
    stand without quotes, units and thousands separators: 9375, not "9,375 queries".
    """
    try:
        path = found_file(context)
        found_data(context)
        claims = claims_of(context)
    except FileRefused as error:
        return failed(error.message, error.hint)
    except ClaimsError as error:
        return failed(
            f"{path} cannot be used: {error.message}",
            "Compare cost_analysis.json with the example and the table of fields in the "
            "assignment's README.",
            path=path,
            line=error.line,
            pointer=error.pointer,
        )
    return passed(f"It is on {quoted(claims.model)}, as of {claims.date}.")


@_check("TOK102", needs=("TOK101",), measures=("agreement", "stated", "recounted"))
def epoch_tokens_agree(context: Context) -> Verdict:
    """The tokens of the dataset agree with a recount

    Why: Training is billed by the token, so the count is where every cost begins. Words are not
    tokens, and each message has a few tokens of its own.

    Fix: `finegrade data check openai_train.jsonl` counts examples and tokens as the service bills
    them; name your model with --model.
    """
    claims, found = claims_of(context), recount(context)
    stated, recounted = claims.training.tokens_per_epoch, found.tokens.total
    measures = {"stated": stated, "recounted": recounted}
    if not found.examples:
        return off(
            "TOK102",
            "The dataset has no usable example.",
            "/training/examples",
            context,
            0,
            measures,
        )
    close = agreement(stated, recounted)
    if claims.training.examples != found.examples:
        close = min(close, agreement(claims.training.examples, found.examples))
        text = f"{claims.training.examples:,} examples stated, {found.examples:,} found."
        return off(
            "TOK102", text, "/training/examples", context, min(close, ENOUGH - 0.001), measures
        )
    text = (
        f"{stated:,} tokens an epoch stated, {recounted:,} counted in {found.examples:,} examples."
    )
    return judged("TOK102", text, "/training/tokens_per_epoch", context, close, measures)


@_check("TOK103", needs=("TOK101",), measures=("agreement", "epochs", "automatic_epochs"))
def every_epoch_is_billed(context: Context) -> Verdict:
    """Training is billed for every epoch

    Why: The service reads the file once an epoch and bills each time. With "auto" it chooses 3
    epochs, more for a small file (as many as make about 100 examples, at most 25) and fewer for a
    very large one. To forget the epochs is the most frequent mistake in such estimates.

    Fix: billed_tokens is tokens_per_epoch times epochs. If you leave the number of epochs to the
    service, `finegrade data check openai_train.jsonl` says which it chooses.
    """
    training = claims_of(context).training
    billed = training.tokens_per_epoch * training.epochs
    chosen = automatic_epochs(training.examples)
    measures = {"epochs": training.epochs, "automatic_epochs": chosen}
    own = f"For {counted(training.examples, 'example')} the service would choose {chosen}."
    if training.epochs > _MOST_EPOCHS:
        text = f"{training.epochs} epochs are more than the service ever chooses. {own}"
        return off("TOK103", text, "/training/epochs", context, 0, measures)
    text = (
        f"{training.billed_tokens:,} billed tokens stated; {training.tokens_per_epoch:,} tokens "
        f"in {counted(training.epochs, 'epoch')} are {billed:,}. {own}"
    )
    close = agreement(training.billed_tokens, billed)
    return judged("TOK103", text, "/training/billed_tokens", context, close, measures)


@_check("TOK104", needs=("TOK101",), measures=("agreement", "stated", "expected"))
def training_cost_follows(context: Context) -> Verdict:
    """The training cost follows from the billed tokens and the price

    Why: The cost of training is what fine-tuning has to earn back, query by query.

    Fix: usd is billed_tokens times the training price, divided by a million, because the price is
    for a million tokens.
    """
    claims = claims_of(context)
    expected = claims.training.billed_tokens * claims.train_per_m / 1e6
    text = (
        f"{_usd(claims.training.usd)} stated; {claims.training.billed_tokens:,} tokens at "
        f"{claims.train_per_m:g} USD a million cost {_usd(expected)}."
    )
    measures = {"stated": claims.training.usd, "expected": expected}
    close = agreement(claims.training.usd, expected)
    return judged("TOK104", text, "/training/usd", context, close, measures)


@_check("TOK105", needs=("TOK101",), measures=("wrong",))
def prices_are_the_tables(context: Context) -> Verdict:
    """The prices are those of the dated table

    Why: Prices change, and many pages on the web show old or invented ones. A calculation says
    from when its prices are, and can then be repeated.

    Fix: `finegrade cost openai_train.jsonl --model MODEL` prints the prices with their date. Copy
    them, with the date as valid_from.
    """
    claims = claims_of(context)
    tuned, base = price_of_model(claims.model), price_of_model(claims.base_model)
    if tuned is None or base is None:
        unknown = claims.model if tuned is None else claims.base_model
        return needs_review(
            f"The price table has no model {quoted(unknown)}; a person compares the prices."
        )
    wrong = [
        f"{name} {_price_words(said)} stated, {_price_words(known)} in the table"
        for name, said, known in _prices(claims, tuned, base)
        if (said is None) != (known is None) or not _same_price(said, known)
    ]
    measures = {"wrong": len(wrong)}
    if not wrong:
        return passed(f"They are those of {tuned.valid_from}.", measures=measures)
    text = f"{'; '.join(wrong)} (USD for a million tokens, table of {tuned.valid_from})."
    if claims.valid_from != tuned.valid_from:
        date = f"Your prices are of {claims.valid_from}, the table is of {tuned.valid_from}: "
        return needs_review(f"{date}a person compares them. {text}", measures=measures)
    return failed(
        text,
        "Copy the prices that `finegrade cost` prints for your model.",
        path=found_file(context),
        pointer="/prices",
        measures=measures,
    )


@_check("TOK106", needs=("TOK101",), measures=("agreement",))
def query_tokens_fit(context: Context) -> Verdict:
    """The tokens of a query fit the dataset and the prompts

    Why: Fine-tuning saves money by making prompts shorter: what examples and instructions say in
    every prompt, the tuned model has learned. How much that is shows in the tokens of a query.

    Fix: A tuned query has the messages of your examples before the answer, on average, as the
    model was trained on them. A base query has the base's instructions instead of your system
    message, if they differ, and as many examples before the question as shots says. An answer has
    the tokens of your examples' answers. `finegrade cost openai_train.jsonl` counts them.
    """
    claims, found = claims_of(context), recount(context)
    if not found.examples:
        text = "The dataset has no usable example to compare with."
        return off("TOK106", text, "/per_query", context, 0, {})
    system = None if claims.instructions is None else found.instructions
    base = found.queries.prompt(claims.shots, system)
    answer = found.queries.answer
    rows = [
        ("base", "input_tokens", claims.base.usage.input, base),
        ("base", "output_tokens", claims.base.usage.output, answer),
        ("tuned", "input_tokens", claims.tuned.usage.input, found.queries.prompt()),
        ("tuned", "output_tokens", claims.tuned.usage.output, answer),
    ]
    compared = [
        (agreement(said, counted, _SLACK_TOKENS), f"/per_query/{which}/{field}", said, counted)
        for which, field, said, counted in rows
    ]
    close, place, said, counted_ = min(compared)
    if close >= _ENOUGH_OF_PROMPTS:
        return passed("They fit.", measures={"agreement": close})
    text = f"{place}: {said:g} stated, about {counted_:,.0f} counted."
    return off("TOK106", text, place, context, close, {})


@_check("TOK107", needs=("TOK101",), measures=("agreement",))
def query_costs_follow(context: Context) -> Verdict:
    """The cost of a query follows from its tokens, for the base and for the tuned model

    Why: Tokens that are read, that come from the cache and that are written have three prices, and
    the tuned model's are higher than the base's.

    Fix: (input_tokens - cached_tokens) times the input price, plus cached_tokens times the cached
    price, plus output_tokens times the output price, divided by a million.
    """
    claims = claims_of(context)
    compared = [
        (agreement(query.usd, cost), name, query.usd, cost)
        for name, query, cost in (
            ("base", claims.base, query_cost(claims.base.usage, claims.base_rates)),
            ("tuned", claims.tuned, query_cost(claims.tuned.usage, claims.tuned_rates)),
        )
    ]
    words = [
        f"a {name} query {_usd(said)} stated, {_usd(cost)} expected"
        for _, name, said, cost in compared
    ]
    close, name = min(compared)[:2]
    return judged("TOK107", f"{'; '.join(words)}.", f"/per_query/{name}/usd", context, close, {})


@_check("TOK108", needs=("TOK101",), measures=("agreement",))
def break_even_follows(context: Context) -> Verdict:
    """The break-even volume follows from the costs

    Why: Fine-tuning costs once and may save with every query. Where a tuned query is not cheaper,
    as with equal prompts on the same base or with a cached prompt, no volume ever pays for it.

    Fix: Divide what is paid once (training and other_fixed_usd) by what a query saves (base less
    tuned). If a query saves nothing, write "never".
    """
    claims = claims_of(context)
    tuned_usd = query_cost(claims.tuned.usage, claims.tuned_rates)
    base_usd = query_cost(claims.base.usage, claims.base_rates)
    fixed = claims.training.usd + claims.other_fixed_usd
    exact_fixed = claims.training.billed_tokens * claims.train_per_m / 1e6 + claims.other_fixed_usd
    # Stated costs are rounded, and a small difference of rounded numbers is far off: what follows
    # from the tokens is as good.
    tuned = (
        Alternative("tuned", fixed, claims.tuned.usd),
        Alternative("tuned", exact_fixed, tuned_usd),
    )
    base = (Alternative("base", 0, claims.base.usd), Alternative("base", 0, base_usd))
    compared = [_volume_agreement(claims.break_even, tuned, base, "the base", "/break_even")]
    for number, other in enumerate(claims.alternatives):
        way = Alternative(other.name, other.fixed_usd, other.usd_per_query)
        place = f"/alternatives/{number}/break_even"
        name = quoted(other.name)
        compared.append(_volume_agreement(other.break_even, tuned, (way, way), name, place))
    close, place, text = min(compared)
    return judged("TOK108", text, place, context, close, {})


@_check("TOK109", needs=("TOK101",), measures=("queries_left",))
def end_of_the_model_is_considered(context: Context) -> Verdict:
    """The break-even is held against the end of the model

    Why: A tuned model is withdrawn together with its base, and the service that trains it closes.
    A break-even that comes later is never reached, whatever the formula says.

    Fix: `finegrade cost openai_train.jsonl --model MODEL` says when the model goes. Multiply the
    days from your date until then by your queries a day; pays_before is true only if that is at
    least the break-even, and if the model can still be trained on your date.
    """
    claims = claims_of(context)
    price = price_of_model(claims.model)
    if price is None:
        return needs_review(f"The price table has no model {quoted(claims.model)}.")
    path = found_file(context)
    if claims.retires != price.retires:
        text = f"{_day(claims.retires)} stated, {_day(price.retires)} in the table."
        if claims.valid_from != price.valid_from:
            return needs_review(f"The model's end: {text} The tables are of different dates.")
        hint = "Copy the day of your model's end from what `finegrade cost` prints."
        return failed(f"The model's end: {text}", hint, path=path, pointer="/retirement/date")
    horizon = Horizon(claims.date, claims.queries_per_day, price.retires, price.closes)
    measures = {"queries_left": horizon.queries_left} if price.retires else {}
    never = claims.break_even is None
    stated = BreakEven(
        BreakEvenRelation.NEVER if never else BreakEvenRelation.FROM, claims.break_even
    )
    text = _end_words(horizon, stated)
    if claims.pays_before == horizon.pays(stated) or _close_call(horizon, claims.break_even):
        return passed(text, measures=measures)
    said = "true" if claims.pays_before else "false"
    hint = "Compare the break-even with the queries that are left until the model is withdrawn."
    place = "/retirement/pays_before"
    return failed(f"{said} stated. {text}", hint, path=path, pointer=place, measures=measures)


def _prices(
    claims: CostClaims, tuned: Price, base: Price
) -> Iterable[tuple[str, float | None, float | None]]:
    """(name, stated, of the table) of every price."""
    yield "training", claims.train_per_m, tuned.train_per_m
    none = Rates(0, None, None)
    for name, said, known in (
        ("base", claims.base_rates, base.base or none),
        ("tuned", claims.tuned_rates, tuned.ft or none),
    ):
        yield f"{name} input", said.input, known.input
        yield f"{name} cached", said.cached, known.cached
        yield f"{name} output", said.output, known.output


def _same_price(said: float | None, known: float | None) -> bool:
    return said is None or known is None or agreement(said, known) > 0.999


def _price_words(price: float | None) -> str:
    return "none" if price is None else f"{price:g}"


def _volume_agreement(
    stated: Volume,
    tuned: tuple[Alternative, Alternative],
    other: tuple[Alternative, Alternative],
    name: str,
    place: str,
) -> tuple[float, str, str]:
    """How well a stated volume agrees with either calculation, with its place and words."""
    compared = []
    for mine, theirs in zip(tuned, other, strict=True):
        first = break_even(mine, theirs).first
        if stated is None or first is None:
            close = float(stated is None and first is None)
        else:
            close = agreement(stated, first, slack=1)
        compared.append((close, _volume_words(first)))
    close, expected = max(compared)
    return close, place, f"Against {name}: {_volume_words(stated)} stated, {expected} expected."


def _volume_words(volume: float | None) -> str:
    return "never" if volume is None else f"{volume:,.0f} queries"


def _end_words(horizon: Horizon, stated: BreakEven) -> str:
    volume = _volume_words(stated.queries)
    if not horizon.trainable:
        return f"The model can no longer be trained on {horizon.today}."
    if horizon.days_left is None:
        return f"Break-even: {volume}; no end of the model is known."
    left = f"{counted(horizon.days_left, 'day')} at {horizon.queries_per_day:g} queries a day"
    return f"Break-even: {volume}; until {horizon.retires}: {left}, {horizon.queries_left:,.0f}."


def _close_call(horizon: Horizon, volume: Volume) -> bool:
    """Whether a day more or less, or rounding, decides: then either answer is right."""
    if volume is None or not horizon.trainable:
        return False
    apart = abs(volume - horizon.queries_left)
    return apart <= max(horizon.queries_per_day, volume * (1 - ENOUGH))


def _day(day: object) -> str:
    return "no day" if day is None else str(day)


def _usd(amount: float) -> str:
    return f"{amount:.10f}".rstrip("0").rstrip(".") + " USD"  # never an exponent
