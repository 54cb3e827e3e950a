"""GRD0xx: what went wrong on our side. The grader finds it itself; the checks hold the pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from grader.checks.api.context import Context, Verdict, needs_review, passed
from grader.checks.api.registry import FAILED_ON, all_checks, check
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


@check("GRD003")
def checks_ran_to_their_end(ctx: Context) -> Verdict:
    """The grader's checks ran to their end on the submission

    Why: A check failed by a fault of its own, twice on the same files. A submission may have been
    made to cause that, so the points that hang on the check neither count nor are lost: they stay
    open until a person has looked.

    Fix: Students need do nothing. Instructors: the note names the checks and where they failed.
    Decide on their points in `finegrade review`, and report the fault to finegrade.
    """
    return passed("All checks ran to their end.")


def repeated_faults(evidence: Iterable[Evidence], findings: Iterable[Finding]) -> list[Finding]:
    """The questions for a person about faults of our own that came again on the same submission.

    No criterion reads them: by themselves they neither give nor take a point.
    """
    return [*_service_faults(evidence), *_check_faults(findings)]


def _check_faults(findings: Iterable[Finding]) -> list[Finding]:
    failed = [finding for finding in findings if finding.message == FAILED_ON]
    if not failed:
        return []
    shown = "; ".join(f"{finding.code}: {finding.note}" for finding in failed[:_SHOWN_FAULTS])
    verdict = needs_review(
        "The grader failed on some checks of your submission by a fault of its own. Your "
        "instructor decides on the points that hang on them.",
        note=f"{counted(len(failed), 'check')} failed: {shown}.",
    )
    return [all_checks()["GRD003"].finding(verdict)]


def _service_faults(evidence: Iterable[Evidence]) -> list[Finding]:
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
