"""The kinds of evidence there are, and collecting what an assignment asks of a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from grader.core.errors import AssignmentError
from grader.core.nouns import Assignment
from grader.evidence import answers, metric_scores, predictions, text, transcript
from grader.evidence.kind import Candidate, Collected, EvidenceKind, Grading, Progress, Spec
from grader.evidence.store import EvidenceStore

KINDS: Final[Mapping[str, EvidenceKind[Any, Any]]] = {
    kind.name: kind
    for kind in (
        predictions.KIND,
        transcript.KIND,
        answers.KIND,
        metric_scores.KIND,
        text.KIND,
    )
}
"""In the order in which a class's evidence is collected."""


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


def collect(
    grading: Grading, candidates: Sequence[Candidate], store: EvidenceStore, progress: Progress
) -> Collected:
    """Fetch from the store, or produce, all the evidence that the class's grading needs.

    Raises UsageError where nothing can run and the user can fix it, and where the store holds
    evidence of another version.
    """
    batches = [kind.plan(grading, candidates) for kind in KINDS.values()]
    collected = Collected()
    for batch in batches:
        batch.collect(store, progress, collected)
    return collected
