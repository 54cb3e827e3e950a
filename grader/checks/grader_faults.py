"""GRD: the grader's own errors. They never cost a mark."""

from __future__ import annotations

from grader.checks.registry import Context, Verdict, check, passed


@check("GRD001")
def submission_was_read(ctx: Context) -> Verdict:
    """The grader could read the submission.

    Why: A full disk or a file that the machine cannot read is not the student's fault. The
    points stay unknown until the submission has been graded.

    Fix: Students need do nothing. Instructors: see the note in result.json, mend the machine and
    run `finegrade grade` again; what is done is not repeated.
    """
    return passed("The submission was read.")
