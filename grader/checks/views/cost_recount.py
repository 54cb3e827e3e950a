"""How a cost analysis is compared: the stated numbers, the dataset recounted, and how close."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from grader.checks.api.context import Context, Verdict, failed, passed
from grader.core.constants import COURSE_DATA_MAX_BYTES
from grader.core.nouns import Measures
from grader.costs.alternatives import QueryTokens, measure_queries
from grader.costs.claims import CLAIMS_MAX_BYTES, CostClaims, read_claims
from grader.intake.submission import open_file, refuse_larger
from grader.training_data.check import DEFAULT_MODEL
from grader.training_data.costs import Price, load_prices, price_of
from grader.training_data.read.examples import read_examples
from grader.training_data.tokens import TokenCounts, count_tokens

ENOUGH: Final = 0.98  # agreement: rounded numbers stay above it, a forgotten factor does not
NUMBERS: Final = "cost_analysis_json"


class Recount(NamedTuple):
    """What the dataset really has: examples, tokens of an epoch, tokens of its queries.

    `instructions` are the tokens of the base's own system message, 0 where none is stated.
    """

    examples: int
    tokens: TokenCounts
    queries: QueryTokens
    instructions: float


def found_file(context: Context) -> str:
    """The path of the numbers, which LAY021 has found.

    Raises FileRefused LAY002 when several files have the name.
    """
    return _path(context, NUMBERS)


def found_data(context: Context) -> str:
    """The path of the dataset, which LAY021 has found; raises as `found_file` does."""
    spec = context.assignment.data
    if spec is None:
        raise LookupError("the assignment asks for no dataset")
    return _path(context, spec.deliverable)


def claims_of(context: Context) -> CostClaims:
    """The student's numbers. Raises ClaimsError, and what `found_file` and `open_file` raise."""
    with open_file(context.submission, found_file(context)) as file:
        return read_claims(file.read(CLAIMS_MAX_BYTES + 1))  # the reader refuses the byte too many


def price_of_model(model: str) -> Price | None:
    """The row of the table that ships, or None for a model that it has not."""
    return price_of(model, load_prices())


def recount(context: Context) -> Recount:
    """The dataset counted for the student's model, or for the default one if it is unknown.

    Raises FileRefused for one that is too large, and as `claims_of` does.
    """
    claims, path = claims_of(context), found_data(context)
    file = context.submission.file(path)
    refuse_larger(context.submission, path, COURSE_DATA_MAX_BYTES)
    # Never a name of the student's own: a tokenizer is looked up by it, on this machine's disk.
    price = price_of_model(claims.model)
    model = price.model if price else DEFAULT_MODEL
    digest = file.sha256 if file else ""
    return _counted(context.submission.root / path, digest, model, claims.instructions)


def agreement(stated: float, expected: float, slack: float = 0.0) -> float:
    """1 where both are equal (or no further apart than `slack`), down to 0 for twice as much."""
    apart = abs(stated - expected)
    if apart <= slack or stated == expected:
        return 1.0
    return max(0.0, 1 - apart / abs(expected)) if expected else 0.0


def judged(
    code: str, text: str, place: str, context: Context, close: float, measures: Measures
) -> Verdict:
    """Holds when an agreement is close enough; `place` is the number's pointer."""
    if close >= ENOUGH:
        return passed(text, measures={**measures, "agreement": close})
    return off(code, text, place, context, close, measures)


def off(
    code: str, text: str, place: str, context: Context, close: float, measures: Measures
) -> Verdict:
    """Does not hold, whatever the agreement, which a rubric may still weigh."""
    return failed(
        text,
        f"Work this number of the cost analysis out again; `finegrade explain {code}` says how.",
        path=found_file(context),
        pointer=place,
        measures={**measures, "agreement": close},
    )


def _path(context: Context, id: str) -> str:
    path = context.place(id)
    if path is None:
        raise LookupError(f"{id} is gone")
    return path


@lru_cache(maxsize=4)  # the checks of one submission run one after another
def _counted(path: Path, _sha256: str, model: str, instructions: str | None) -> Recount:
    examples = sum(1 for _ in read_examples(path))
    tokens, _ = count_tokens(read_examples(path), examples, model)
    return Recount(examples, tokens, *measure_queries(path, examples, model, instructions))
