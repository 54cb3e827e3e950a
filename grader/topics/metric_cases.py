"""Answers with our own judgement of each: what a student's metric is held against.

They stay with the grader. No kit has them, and in a sandbox this package is not shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class MetricCase:
    """An answer to a question, with its reference and how right we find it, 0 to 1.

    Cases of one `group` are about the same question. `kind` says what sort of answer it is:
    "exact", "case", "punctuation", "sentence", "paraphrase", "partial", "long" (right in part or
    in whole), "reorder", "duplicate", "hedge", "stuffed" (games), "wrong", "number_off", "negated",
    "refusal" or "empty".
    """

    group: str
    kind: str
    question: str
    reference: str
    given: str
    judgement: float


@cache
def metric_cases(topic: str) -> tuple[MetricCase, ...]:
    """The cases of a topic; LookupError where it has none."""
    text = files("grader.topics").joinpath("data", "metric_cases.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    cases = tuple(
        MetricCase(**{k: v for k, v in row.items() if k != "topic"})
        for row in rows
        if row["topic"] == topic
    )
    if not cases:
        raise LookupError(f"topic {topic} has no cases for metrics")
    return cases
