"""What comparison.json says: how every approach did on the public test set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from grader.checks.api.context import Context
from grader.core.constants import METRICS_MAX_BYTES
from grader.core.errors import FileRefused
from grader.core.strict_json import StrictJsonError, loads
from grader.intake.submission import read_file

COMPARISON: Final = "comparison"
APPROACHES: Final = (
    "dspy_original",
    "dspy_enhanced",
    "openai_base",
    "openai_tuned",
    "lora_base",
    "lora_adapter",
)
_MOST_QUESTIONS: Final = 100_000


class ComparisonError(Exception):
    """The file cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class ComparisonClaim:
    """`exact_match` is the share of `n` questions, 0 to 1, with the model of this name."""

    exact_match: float
    n: int
    model: str


def claims_of(context: Context) -> dict[str, ComparisonClaim] | None:
    """The claims by approach, None where no comparison.json was submitted.

    Raises ComparisonError for a file that is no comparison.
    """
    try:
        path = context.place(COMPARISON)
        if path is None:
            return None
        data = read_file(context.submission, path, METRICS_MAX_BYTES)
        value = loads(data, max_bytes=METRICS_MAX_BYTES)
    except (FileRefused, StrictJsonError) as error:
        raise ComparisonError(f"cannot be read: {error}") from error
    rows = value.get("approaches") if isinstance(value, dict) else None
    if not isinstance(rows, dict) or not rows:
        raise ComparisonError('holds no "approaches"')
    unknown = sorted(set(rows) - set(APPROACHES))
    if unknown:
        raise ComparisonError(f"names an approach that compare.py does not know: {unknown[0]!r}")
    return {name: _claim(name, row) for name, row in rows.items()}


def _claim(name: str, row: object) -> ComparisonClaim:
    share = row.get("exact_match") if isinstance(row, dict) else None
    n = row.get("n") if isinstance(row, dict) else None
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ComparisonError(f'has no "exact_match" from 0 to 1 for {name}')
    if isinstance(n, bool) or not isinstance(n, int) or not 0 < n <= _MOST_QUESTIONS:
        raise ComparisonError(f'has no number of questions "n" for {name}')
    model = row.get("model") if isinstance(row, dict) else None
    return ComparisonClaim(float(share), n, model if isinstance(model, str) else "")
