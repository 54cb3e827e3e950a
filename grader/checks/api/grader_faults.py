"""GRD0xx: what went wrong on our side. The grader finds it itself; the checks hold the pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from grader.checks.api.context import Context, Verdict, needs_review, passed
from grader.checks.api.registry import all_checks, check
from grader.core.nouns import Evidence, Finding
from grader.core.payloads import SERVICE_FAULT
from grader.core.text import counted

_SHOWN_FAULTS: Final = 5


@check("GRD001")
def submission_was_read(ctx: Context) -> Verdict:
    """The grader could read the submission.

    Why: A full disk or a file that the machine cannot read is not the student's fault. The
    points stay unknown until the submission has been graded.

    Fix: Students need do nothing. Instructors: see the note in result.json, mend the machine and
    run `finegrade grade` again; what is done is not repeated.
    """
    return passed("The submission was read.")


@check("GRD002")
def model_service_answered(ctx: Context) -> Verdict:
    """The model service answered all requests of the submission's programs

    Why: A program ran twice, and each time the service failed by a fault of its own. The run is
    judged as it went. A person looks at the requests and decides whether the fault cost points: a
    program could have caused it on purpose.

    Fix: Students need do nothing. Instructors: the note names the requests, whose bodies are in the
    evidence. Give points back where an honest request failed, and report the fault to finegrade.
    """
    return passed("The service answered all requests.")


def service_faults(evidence: Iterable[Evidence]) -> list[Finding]:
    """The question for a person about runs in which the service failed; none without such a run.

    No criterion reads it: by itself it neither gives nor takes a point.
    """
    failed = [
        (one.key, exchange)
        for one in evidence
        for exchange in one.payload.get("exchanges", ())
        if SERVICE_FAULT in exchange["notes"]
    ]
    if not failed:
        return []
    shown = [
        f"{e['method']} {e['path']} ({e['notes'][SERVICE_FAULT]}, request {e['digest'][:12]} of "
        f"evidence {key[:12]})"
        for key, e in failed[:_SHOWN_FAULTS]
    ]
    verdict = needs_review(
        "While your program ran, the grader's model service failed by a fault of its own, twice. "
        "Your instructor looks at what it was asked and decides whether that cost you points.",
        note=f"The service failed on {counted(len(failed), 'request')}: {'; '.join(shown)}.",
    )
    return [all_checks()["GRD002"].finding(verdict)]
