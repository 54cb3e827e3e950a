"""Evidence `metric_scores`: what a student's metric says of answers that it has not seen.

Questions, references and answers go in, scores come out. Our own judgement of each answer, which a
metric is held against, stays outside: no kit has these cases, and in a sandbox this package is not
shown. Every case is scored twice, the second time in reverse order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from typing import Any, Final

from grader.core.payloads import MetricScores, ProgramRun, ScoredCase
from grader.evidence.kind import Candidate, EvidenceKind, EvidenceRequest, Grading, Producer
from grader.evidence.module_run import (
    Lines,
    ModuleRun,
    ModuleRunner,
    ModuleSpec,
    model_digest,
    module_request,
    text_of,
)

NAME: Final = "metric_scores"
_TURNS: Final = 2


@dataclass(frozen=True, slots=True)
class MetricScoresSpec(ModuleSpec):
    """`program` is a metric."""


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


def _request(
    spec: MetricScoresSpec, candidate: Candidate, grading: Grading
) -> EvidenceRequest[ModuleRun] | None:
    if grading.questions is None:
        return None
    cases = _mixed(metric_cases(grading.assignment.topic))
    task = {
        "cases": {
            id: {"question": case.question, "reference": case.reference, "given": case.given}
            for id, case in cases.items()
        }
    }
    more = {
        "judgements": [[case.kind, case.judgement] for case in cases.values()],
        "model": model_digest(spec.model, grading.assignment.base),
    }
    complete = partial(_complete, cases)
    return module_request(spec, NAME, candidate, grading, task, complete, more)


def _mixed(cases: tuple[MetricCase, ...]) -> dict[str, MetricCase]:
    """Cases by ids that tell nothing, in an order that tells nothing."""

    def shuffled(case: MetricCase) -> str:
        text = "\0".join((case.question, case.reference, case.given))
        return hashlib.sha256(text.encode()).hexdigest()

    ordered = sorted(cases, key=shuffled)
    return {f"c{number:03d}": case for number, case in enumerate(ordered, 1)}


def _complete(
    cases: Mapping[str, MetricCase], run: ProgramRun, found: Lines, fault: str | None
) -> MetricScores:
    """Each case with its two scores, None where there is none, and why not."""
    said: dict[tuple[str, int], dict[str, Any]] = {}
    for line in found:
        id, turn = line.get("id"), line.get("turn")
        if line.get("kind") == "score" and isinstance(id, str) and isinstance(turn, int):
            said.setdefault((id, turn), line)
    scored = []
    for id, case in cases.items():
        lines = [said.get((id, turn), {}) for turn in range(_TURNS)]
        scores = [_number(line.get("score")) for line in lines]
        errors = [text_of(line, "error") for line in lines]
        why = next((one for one in errors if one), fault or "it gave no score")
        scored.append(
            ScoredCase(
                id=id,
                group=case.group,
                kind=case.kind,
                question=case.question,
                reference=case.reference,
                given=case.given,
                judgement=case.judgement,
                scores=scores,
                error=why if None in scores else None,
            )
        )
    return MetricScores(tuple(scored), fault)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)  # the reader of its line has refused infinities


def _producer(grading: Grading) -> Producer[ModuleRun]:
    from grader.evidence.program_runs import ProgramRunner, simulator

    simulated = simulator(grading, hidden=True)
    return ModuleRunner(
        ProgramRunner(grading.sandbox, simulated, grading.ledger), grading.questions
    )


KIND: Final = EvidenceKind(NAME, MetricScoresSpec, MetricScores, _request, _producer)
