"""Evidence `metric_scores`: what a student's metric says of answers that it has not seen.

Questions, references and answers go in, scores come out. Our own judgement of each answer stays
outside. Every case is scored twice, the second time in reverse order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from grader.collect.collector import Want
from grader.collect.module_use import (
    Use,
    Uses,
    first_fault,
    model_digest,
    need_no_fault,
    text_of,
    use_run,
)
from grader.collect.transcripts import run_want
from grader.constants import ANSWER_MAX_CHARACTERS
from grader.model import Assignment, EvidenceSpec, Submission
from grader.sandbox.launch import Sandbox
from grader.topics.metric_cases import MetricCase, metric_cases

KIND: Final = "metric_scores"
_TURNS: Final = 2


class MetricScores(Uses):
    """The producer of scores."""


def scores_want(
    submission: Submission,
    spec: EvidenceSpec,
    module: str | None,
    assignment: Assignment,
    sandbox: Sandbox,
) -> Want:
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
        work=Use(run, complete),
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
