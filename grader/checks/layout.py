"""LAY0xx: the deliverables are there, under names that can be found, with work in them.

A file that is as the kit has it is not submitted. A part that holds no other is not attempted.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from grader.checks.api.context import Context, Verdict, failed, passed, skipped
from grader.checks.api.registry import Check, add, check
from grader.checks.dataset import too_large
from grader.checks.views.attempted import is_attempted, is_there
from grader.core.errors import FileRefused
from grader.core.nouns import Assignment, CheckInstance, Deliverable, Submission
from grader.intake.paths import shown
from grader.intake.submitted_notebook import is_script


@check("LAY001")
def holds_deliverables(context: Context) -> Verdict:
    """The submission holds deliverables of this assignment

    Why: An upload of another assignment, or of a folder inside the right one, looks like a
    submission with everything missing. That is better said once.

    Fix: Submit the folder that holds the files the assignment names, at its top.
    """
    asked = [d for d in context.assignment.deliverables if not d.optional]
    found = [d for d in context.assignment.deliverables if is_there(context.submission, d)]
    if found:
        voluntary = ", ".join(d.title for d in found if d.optional)
        also = f" Voluntary: {voluntary}." if voluntary else ""
        required = sum(not d.optional for d in found)
        return passed(f"{required} of {len(asked)} were found.{also}")
    if context.submission.untouched:
        return failed(
            f"Nothing in it is yours yet: {_listed(context.submission.untouched.values())} "
            f"{_are_the_kits(len(context.submission.untouched))}.",
            "Write what the kit's README asks for, and submit that.",
        )
    names = sorted({file.path.split("/")[0] for file in context.submission.files})
    listed = ", ".join(shown(name) for name in names[:8])
    return failed(
        f"None of this assignment's deliverables was found. The submission holds: {listed}.",
        "Check that you submitted the right folder, and that the names are the assignment's.",
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
            context.submission.place(deliverable.id)
        except FileRefused as error:
            return failed(error.message, error.hint)
    return passed("Every deliverable that was found is there once.")


@check("LAY003")
def enough_parts_are_complete(context: Context) -> Verdict:
    """As many parts are complete as the assignment asks for

    Why: The assignment lets students choose among its parts, but asks for a number of them, and a
    comparison needs at least that many to compare.

    Fix: Submit every deliverable of as many parts as the assignment asks for. The findings on each
    part say what is missing.
    """
    if _nothing_is_there(context):
        return _BEHIND_ALL
    asked, complete = _parts_asked(context.assignment), _complete_parts(context)
    if len(complete) >= asked:
        return passed(f"Complete: {len(complete)} of {len(context.assignment.parts)} parts.")
    listed = f" ({', '.join(complete)})" if complete else ""
    return failed(
        f"Complete: {len(complete)} of {len(context.assignment.parts)} parts{listed}; "
        f"the assignment asks for {asked}.",
        "Complete another part; the findings on each part say what is missing.",
    )


_BEHIND_ALL: Final = skipped("Not looked at, because LAY001 did not hold.", "See there.")


def _nothing_is_there(context: Context) -> bool:
    """Whether LAY001 says it all."""
    assignment, submission = context.assignment, context.submission
    if not assignment.deliverables or "LAY001" not in assignment.refs:
        return False
    return not any(is_there(submission, one) for one in assignment.deliverables)


def _parts_asked(assignment: Assignment) -> int:
    """How many parts a student has to submit."""
    return max((c.best_parts or 0 for c in assignment.categories), default=0)


def _complete_parts(context: Context) -> list[str]:
    """Titles of the parts of which every deliverable is there."""
    return [
        part.title
        for part in context.assignment.parts
        if all(_counts(context, d) for d in _of_part(context.assignment, part.id))
    ]


def _counts(context: Context, deliverable: Deliverable) -> bool:
    """Whether it is there; what the student left as the kit has it is, in a part with own work.

    Such a file earns nothing itself, but costs the others of its part nothing either.
    """
    if deliverable.id not in context.submission.untouched:
        return is_there(context.submission, deliverable)
    part = deliverable.part
    return part is not None and any(
        is_there(context.submission, one) and not _is_document(one)
        for one in _of_part(context.assignment, part)
    )


def _is_document(deliverable: Deliverable) -> bool:
    return any(path.endswith(".md") for path in deliverable.paths)


def _of_part(assignment: Assignment, part: str) -> list[Deliverable]:
    return [deliverable for deliverable in assignment.deliverables if deliverable.part == part]


def _all_are_there(context: Context) -> Verdict:
    """Whether each deliverable that the assignment lists here, or of its parts, can be found."""
    deliverables, parts = (context.bindings.get(role, ()) for role in LISTS)
    asked = [
        deliverable
        for deliverable in context.assignment.deliverables
        if not deliverable.optional
        and (deliverable.id in deliverables or deliverable.part in parts)
    ]
    there = _counts if parts else lambda context, d: is_there(context.submission, d)
    if _nothing_is_there(context):
        return _BEHIND_ALL
    missing = [d for d in asked if not there(context, d)]
    if not missing:
        large = too_large(context)
        if large is None or all(large.path != context.submission.places.get(d.id) for d in asked):
            return passed("Everything is there.")
        return failed(large.message, large.hint, path=large.path)
    if not any(d.part is None or is_attempted(context, d.part) for d in asked):
        return _not_attempted(context, asked, missing)
    return failed(
        " ".join(_search_report(context.submission, deliverable) for deliverable in missing),
        f"Submit what is missing: {', '.join(d.paths[0] for d in missing)}.",
    )


def _not_attempted(
    context: Context, asked: list[Deliverable], missing: list[Deliverable]
) -> Verdict:
    """The verdict on parts of which nothing is there, or nothing but the kit's own files."""
    submission = context.submission
    of_parts = {deliverable.part for deliverable in asked}
    ids = {d.id for d in context.assignment.deliverables if d.part in of_parts}
    kits = [path for id, path in submission.untouched.items() if id in ids]
    only = f"{_listed(kits)} {_are_the_kits(len(kits))}, with nothing of yours" if kits else ""
    if len(_complete_parts(context)) >= _parts_asked(context.assignment):
        why = f"Not attempted: {only}" if only else "Not submitted"
        return skipped(f"{why}; the assignment lets you leave this part out.")
    first = next(one for one in context.assignment.checks if _lists_any_of(one, ids, of_parts))
    if first.bindings != context.bindings:
        return skipped(f"Not looked at, because {first.ref} did not hold.", "See there.")
    if only:
        return failed(
            f"Not attempted: {only}.",
            "Write what these files ask for, or leave the part out and do another.",
        )
    return failed(
        " ".join(_search_report(submission, deliverable) for deliverable in missing),
        f"Submit what is missing: {', '.join(d.paths[0] for d in missing)}.",
    )


def _lists_any_of(instance: CheckInstance, deliverables: set[str], parts: set[str | None]) -> bool:
    """Whether it is one of these checks, and about these parts or deliverables."""
    listed, whole = (instance.bindings.get(role, ()) for role in LISTS)
    return instance.code in _CODES and not (
        deliverables.isdisjoint(listed) and parts.isdisjoint(whole)
    )


def _listed(paths: Iterable[str]) -> str:
    return ", ".join(shown(path) for path in paths)


def _are_the_kits(count: int) -> str:
    return "are the kit's own files" if count > 1 else "is the kit's own file"


_THERE: Final = (
    (
        "LAY010",
        "The DSPy part is complete",
        "The grader runs the program and a person reads the report; without one of them the part "
        "cannot be graded.",
    ),
    (
        "LAY020",
        "The OpenAI part is complete",
        "The grader runs the workflow on your dataset and reads your cost analysis; without one of "
        "the three the part cannot be graded.",
    ),
    (
        "LAY021",
        "The numbers of the cost analysis are there",
        "The grader works out every number again from your dataset; a person reads the text beside "
        "them. It needs the numbers in a form that a program can read, and the dataset.",
    ),
    (
        "LAY022",
        "The OpenAI workflow and its training data are there",
        "The grader runs the workflow, which uploads the training data. Without one of them there "
        "is nothing to run.",
    ),
    (
        "LAY030",
        "The LoRA part is complete",
        "The adapter is what is graded on hidden questions; the scripts show how it came to be and "
        "how it is used, and the metrics what you measured yourself.",
    ),
    (
        "LAY040",
        "The comparative analysis is there",
        "The comparison of the methods is where the course asks for judgement and not for code.",
    ),
    (
        "LAY041",
        "The reflection is there",
        "What you would do differently is a part of what you learned, and of the grade.",
    ),
)
_FIX: Final = (
    "Submit every deliverable that the finding names as missing, in one of the formats and under "
    "one of the names that the assignment gives."
)
LISTS: Final = ("deliverables", "parts")
"""What the assignment lists for these checks: deliverables, and parts for all of theirs."""

_CODES: Final = frozenset(code for code, _, _ in _THERE)

for _code, _title, _why in _THERE:
    add(Check(_code, _title, _why, _FIX, _all_are_there, lists=LISTS))


def _search_report(submission: Submission, deliverable: Deliverable) -> str:
    """What was looked for, and which names come close."""
    if (path := submission.untouched.get(deliverable.id)) is not None:
        return f"{deliverable.title}: {shown(path)!r} is the kit's own file, with nothing of yours."
    looked_for = ", ".join(deliverable.paths)
    names = {part for file in submission.files for part in file.path.split("/")}
    close: dict[str, None] = {}
    for path in deliverable.paths:
        close |= dict.fromkeys(get_close_matches(path.rstrip("/"), sorted(names), n=2))
    instead = ", ".join(shown(name) for name in list(close)[:3])
    found = f"the closest found: {instead}" if close else "nothing like it was found"
    return f"{deliverable.title}: looked for {looked_for}; {found}."


@check("LAY004", needs=("LAY001",))
def holds_a_program_of_its_own(context: Context) -> Verdict:
    """At least one program is the student's own

    Why: Improvements on the kit's programs are judged in the student's. Where each is as the kit
    has it, there is nothing to judge.

    Fix: Write what the kit's programs leave to you, in as many parts as the assignment asks for.
    """
    scripts = [d for d in context.assignment.deliverables if is_script(d) and not d.optional]
    own = [d for d in scripts if is_there(context.submission, d)]
    if own:
        return passed(f"{len(own)} of {len(scripts)} programs are there.")
    kits = [path for d in scripts if (path := context.submission.untouched.get(d.id)) is not None]
    found = f"{_listed(kits)} {_are_the_kits(len(kits))}." if kits else "No program was found."
    return failed(found, "Submit the programs of the parts that you did.")
