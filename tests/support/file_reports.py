"""Reports on made-up training files, of the same parts as real ones."""

from __future__ import annotations

from collections import Counter
from typing import Any

from grader.core.nouns import Finding, Location, Outcome
from grader.training_data.check import FileReport
from grader.training_data.costs import Cost
from grader.training_data.read.examples import Kind
from grader.training_data.rules import RULES
from grader.training_data.tokens import TokenCounts

TOKENS = TokenCounts(total=61_204, min=9, mean=25.1, p95=34, max=51, estimated=False, counted=2_438)
COST = Cost(
    model="gpt-4.1-mini-2025-04-14",
    epochs=3,
    billed_tokens=183_612,
    usd=0.91806,
    train_per_m=5,
    valid_from="2026-10",
    source="a price list",
    retires="2027-01-14",
    estimated=False,
)


def finding(
    code: str, line: int | None = None, message: str = "the role is odd", **where: Any
) -> Finding:
    rule = RULES[code]
    return Finding(
        code=code,
        outcome=Outcome.FAIL,
        title=rule.title,
        message=message,
        hint=rule.fix,
        severity=rule.severity,
        location=Location(where.get("path", "train.jsonl"), line, where.get("pointer")),
    )


def file_report(*findings: Finding, **changes: Any) -> FileReport:
    """A report with these findings, and `counts` of them unless others are given."""
    values: dict[str, Any] = {
        "path": "train.jsonl",
        "kind": Kind.CHAT,
        "kind_reason": 'its examples have "messages"',
        "examples": 2_438,
        "findings": findings,
        "counts": dict(Counter(f.code for f in findings)),
        "tokens": TOKENS,
        "cost": COST,
        "notes": (),
    }
    return FileReport(**(values | changes))
