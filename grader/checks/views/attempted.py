"""What of a submission is the student's own, part by part."""

from __future__ import annotations

from grader.checks.api.context import Context, Verdict, skipped
from grader.core.nouns import Deliverable, Submission


def is_there(submission: Submission, deliverable: Deliverable) -> bool:
    """Found, even if more than once (LAY002 judges that), and not as the kit has it."""
    return deliverable.id in submission.places


def is_attempted(context: Context, part: str) -> bool:
    """Whether anything of this part is there."""
    return any(
        is_there(context.submission, deliverable)
        for deliverable in context.assignment.deliverables
        if deliverable.part == part
    )


def part_left_out(context: Context, deliverable: Deliverable) -> Verdict | None:
    """The verdict on what is not there because nothing of its part is, else None.

    Another check says that the part is missing, and whether that costs anything.
    """
    part = deliverable.part
    if part is None or is_attempted(context, part):
        return None
    titles = {one.id: one.title for one in context.assignment.parts}
    return skipped(f"Nothing of {titles[part]} was submitted.")
