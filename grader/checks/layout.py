"""LAY: the deliverables are there, under names that can be found. Intake's own: intake_rules.py."""

from __future__ import annotations

from difflib import get_close_matches

from grader.checks.api.registry import Context, Verdict, check, failed, passed, skipped
from grader.core.errors import FileRefused
from grader.core.nouns import Assignment, Deliverable, Submission
from grader.intake.find import locate
from grader.intake.paths import shown


@check("LAY001")
def holds_deliverables(context: Context) -> Verdict:
    """The submission holds deliverables of this assignment

    Why: An upload of another assignment, or of a folder inside the right one, looks like a
    submission with everything missing. That is better said once.

    Fix: Hand in the folder that holds the files the assignment names, at its top.
    """
    asked = [d for d in context.assignment.deliverables if not d.optional]
    found = [d for d in context.assignment.deliverables if _is_there(context.submission, d)]
    if found:
        voluntary = ", ".join(d.title for d in found if d.optional)
        also = f" Voluntary: {voluntary}." if voluntary else ""
        required = sum(not d.optional for d in found)
        return passed(f"{required} of {len(asked)} were found.{also}")
    names = sorted({file.path.split("/")[0] for file in context.submission.files})
    listed = ", ".join(shown(name) for name in names[:8])
    return failed(
        f"None of this assignment's deliverables was found. The submission holds: {listed}.",
        "Check that you handed in the right folder, and that the names are the assignment's.",
    )


@check("LAY002")
def no_deliverable_is_ambiguous(context: Context) -> Verdict:
    """No deliverable is there twice

    Why: When two files could be the one that is asked for, grading either would be a guess.

    Fix: Keep one file of that name, at the top of the submission, and remove copies and old
    versions.
    """
    for deliverable in context.assignment.deliverables:
        try:
            locate(context.submission, deliverable)
        except FileRefused as error:
            return failed(error.message, error.hint)
    return passed("Every deliverable that was found is there once.")


@check("LAY003")
def enough_parts_are_complete(context: Context) -> Verdict:
    """As many parts are complete as the assignment asks for

    Why: The assignment lets students choose among its parts, but asks for a number of them, and a
    comparison needs at least that many to compare.

    Fix: Hand in every deliverable of as many parts as the assignment asks for. The findings on each
    part say what is missing.
    """
    asked, complete = _parts_asked(context.assignment), _complete_parts(context)
    if len(complete) >= asked:
        return passed(f"Complete: {len(complete)} of {len(context.assignment.parts)} parts.")
    listed = f" ({', '.join(complete)})" if complete else ""
    return failed(
        f"Complete: {len(complete)} of {len(context.assignment.parts)} parts{listed}; "
        f"the assignment asks for {asked}.",
        "Complete another part; the findings on each part say what is missing.",
    )


def _parts_asked(assignment: Assignment) -> int:
    """How many parts a student has to hand in."""
    return max((c.best_parts or 0 for c in assignment.categories), default=0)


def _complete_parts(context: Context) -> list[str]:
    """Titles of the parts of which every deliverable is there."""
    return [
        part.title
        for part in context.assignment.parts
        if all(_is_there(context.submission, d) for d in _of_part(context.assignment, part.id))
    ]


def _of_part(assignment: Assignment, part: str) -> list[Deliverable]:
    return [deliverable for deliverable in assignment.deliverables if deliverable.part == part]


@check("LAY010")
def dspy_part_is_there(context: Context) -> Verdict:
    """The DSPy part is complete

    Why: The grader runs the program and a person reads the report; without one of them the part
    cannot be graded.

    Fix: Hand in the enhanced DSPy program and the short report on how its performance changed,
    under the names that the assignment gives.
    """
    return _all_there(context, "dspy_script", "dspy_report")


@check("LAY020")
def openai_part_is_there(context: Context) -> Verdict:
    """The OpenAI part is complete

    Why: The grader runs the workflow on your dataset and reads your cost analysis; without one of
    the three the part cannot be graded.

    Fix: Hand in the fine-tuning workflow, the domain dataset and the cost-benefit analysis, under
    the names that the assignment gives.
    """
    return _all_there(context, "openai_script", "openai_data", "cost_analysis")


@check("LAY021")
def cost_numbers_are_there(context: Context) -> Verdict:
    """The numbers of the cost analysis are there

    Why: The grader works out every number again from your dataset; a person reads the text beside
    them. It needs the numbers in a form that a program can read, and the dataset.

    Fix: Hand in the domain dataset and cost_analysis.json, filled in as the assignment's README
    shows.
    """
    return _all_there(context, "openai_data", "cost_analysis_json")


@check("LAY022")
def openai_workflow_is_there(context: Context) -> Verdict:
    """The OpenAI workflow and its training data are there

    Why: The grader runs the workflow, which uploads the training data. Without one of them there
    is nothing to run.

    Fix: Hand in the fine-tuning workflow and the domain dataset, under the names that the
    assignment gives.
    """
    return _all_there(context, "openai_script", "openai_data")


@check("LAY030")
def lora_part_is_there(context: Context) -> Verdict:
    """The LoRA part is complete

    Why: The adapter is what is graded on hidden questions; the scripts show how it came to be and
    how it is used, and the metrics what you measured yourself.

    Fix: Hand in the training script, the inference script, the adapter's folder and metrics.json,
    under the names that the assignment gives.
    """
    return _all_there(context, "lora_script", "inference_script", "adapter", "metrics")


@check("LAY040")
def analysis_is_there(context: Context) -> Verdict:
    """The comparative analysis is there

    Why: The comparison of the methods is where the course asks for judgement and not for code.

    Fix: Hand in the analysis as Markdown, PDF or Word, under the name that the assignment gives.
    """
    return _all_there(context, "comparative_analysis")


@check("LAY041")
def reflection_is_there(context: Context) -> Verdict:
    """The reflection is there

    Why: What you would do differently is a part of what you learned, and of the grade.

    Fix: Hand in the reflection as Markdown, PDF or Word, under the name that the assignment gives.
    """
    return _all_there(context, "reflection")


def _all_there(context: Context, *ids: str) -> Verdict:
    """Whether each deliverable of these ids that the assignment asks for can be found."""
    asked = [d for d in context.assignment.deliverables if d.id in ids and not d.optional]
    missing = [d for d in asked if not _is_there(context.submission, d)]
    if not missing:
        return passed("Everything is there.")
    left_out = len(missing) == len(asked) and all(d.part is not None for d in asked)
    if left_out and len(_complete_parts(context)) >= _parts_asked(context.assignment):
        return skipped("Not handed in; the assignment lets you leave this part out.")
    return failed(
        " ".join(_search_report(context.submission, deliverable) for deliverable in missing),
        f"Hand in what is missing: {', '.join(d.paths[0] for d in missing)}.",
    )


def _is_there(submission: Submission, deliverable: Deliverable) -> bool:
    """Found, even if more than once (LAY002 judges that)."""
    try:
        return locate(submission, deliverable) is not None
    except FileRefused:
        return True


def _search_report(submission: Submission, deliverable: Deliverable) -> str:
    """What was looked for, and which names come close."""
    looked_for = ", ".join(deliverable.paths)
    names = {part for file in submission.files for part in file.path.split("/")}
    close: dict[str, None] = {}
    for path in deliverable.paths:
        close |= dict.fromkeys(get_close_matches(path.rstrip("/"), sorted(names), n=2))
    instead = ", ".join(shown(name) for name in list(close)[:3])
    found = f"the closest found: {instead}" if close else "nothing like it was found"
    return f"{deliverable.title}: looked for {looked_for}; {found}."
