"""The kinds of evidence there are, and what an assignment asks of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from grader.core.errors import AssignmentError
from grader.core.nouns import Assignment
from grader.evidence import answers, metric_scores, predictions, text, transcript
from grader.evidence.kind import EvidenceKind, Spec

KINDS: Final[Mapping[str, EvidenceKind[Any, Any]]] = {
    kind.name: kind
    for kind in (
        text.KIND,
        answers.KIND,
        metric_scores.KIND,
        transcript.KIND,
        predictions.KIND,
    )
}
"""In the order in which a class's evidence is planned and collected: predictions may be those of an
adapter that a run made, so they come after the runs."""


def specs(assignment: Assignment, kind: EvidenceKind[Spec, Any]) -> list[Spec]:
    """What the assignment asks for of this kind, in its order."""
    return [kind.spec.of(spec) for spec in assignment.evidence if spec.kind == kind.name]


def inconsistencies(assignment: Assignment) -> list[str]:
    """What the assignment asks for and no kind can give, in words."""
    problems = []
    for spec in assignment.evidence:
        try:
            problems += KINDS[spec.kind].spec.of(spec).problems(assignment)
        except AssignmentError as error:
            problems.append(str(error))
    return problems
