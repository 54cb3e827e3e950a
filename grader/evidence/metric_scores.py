"""Answers with our own judgement of each: what a student's metric is held against.

They stay with the grader. No kit has them, and in a sandbox this package is not shown.

Evidence `metric_scores`: what a student's metric says of answers that it has not seen.

Questions, references and answers go in, scores come out. Our own judgement of each answer stays
outside. Every case is scored twice, the second time in reverse order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from typing import Any, Final

from grader.core.constants import ANSWER_MAX_CHARACTERS
from grader.core.nouns import Assignment, EvidenceSpec, Submission
from grader.evidence.module_run import (
    ModuleRun,
    ModuleRunner,
    first_fault,
    model_digest,
    need_no_fault,
    text_of,
    use_run,
)
from grader.evidence.store import EvidenceRequest
from grader.evidence.transcripts import run_want
from grader.sandbox.api import Sandbox


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


KIND: Final = "metric_scores"
_TURNS: Final = 2


class MetricScoresProducer(ModuleRunner):
    """The producer of scores."""


def scores_want(
    submission: Submission,
    spec: EvidenceSpec,
    module: str | None,
    assignment: Assignment,
    sandbox: Sandbox,
) -> EvidenceRequest:
    """The scores of `module`, a path in the submission; None for the kit's own metric."""
    cases = _mixed(metric_cases(assignment.topic))
    task = {
        "cases": {
            id: {"question": case.question, "reference": case.reference, "given": case.given}
            for id, case in cases.items()
        }
    }
    mine = submission if module is not None else None
    run = use_run(mine, module, spec, assignment, task)
    complete = partial(_complete, cases, mine is None)
    return run_want(
        submission.student,
        spec.id,
        KIND,
        run,
        mine.digest if mine is not None else "",
        assignment.base,
        sandbox,
        work=ModuleRun(run, complete),
        more={
            "judgements": [[case.kind, case.judgement] for case in cases.values()],
            "model": model_digest(spec, assignment.base),
        },
    )


def _mixed(cases: tuple[MetricCase, ...]) -> dict[str, MetricCase]:
    """Cases by ids that tell nothing, in an order that tells nothing."""

    def shuffled(case: MetricCase) -> str:
        text = "\0".join((case.question, case.reference, case.given))
        return hashlib.sha256(text.encode()).hexdigest()

    ordered = sorted(cases, key=shuffled)
    return {f"c{number:03d}": case for number, case in enumerate(ordered, 1)}


def _complete(
    cases: Mapping[str, MetricCase],
    ours: bool,
    payload: Mapping[str, Any],
    found: list[dict[str, Any]],
) -> dict[str, Any]:
    """`cases`, each with the two scores (None where there is none) and why not; and `fault`."""
    if ours:
        need_no_fault(payload, found, ANSWER_MAX_CHARACTERS)
    fault = first_fault(payload, found, ANSWER_MAX_CHARACTERS)
    said: dict[tuple[str, int], dict[str, Any]] = {}
    for line in found:
        id, turn = line.get("id"), line.get("turn")
        if line.get("kind") == "score" and isinstance(id, str) and isinstance(turn, int):
            said.setdefault((id, turn), line)
    rows = []
    for id, case in cases.items():
        lines = [said.get((id, turn), {}) for turn in range(_TURNS)]
        scores = [_number(line.get("score")) for line in lines]
        errors = [text_of(line, "error", ANSWER_MAX_CHARACTERS) for line in lines]
        why = next((one for one in errors if one), fault or "it gave no score")
        rows.append(
            {
                "id": id,
                "group": case.group,
                "kind": case.kind,
                "question": case.question,
                "reference": case.reference,
                "given": case.given,
                "judgement": case.judgement,
                "scores": scores,
                "error": why if None in scores else None,
            }
        )
    return {"cases": rows, "fault": fault}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)  # the reader of its line has refused infinities
