"""Releasing a class: marks are frozen, and students' pages say that they are final."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.core.errors import UsageError
from grader.core.nouns import Status
from grader.core.result import Result
from grader.course.marks import marks_key, marks_text
from grader.course.output import STORE_NAME, write_class, write_student
from grader.course.rescore import rescore
from grader.evidence.store import open_store


@dataclass(frozen=True, slots=True)
class Released:
    """Students whose marks were released for the first time, and whose had changed since then."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: int
    pending: tuple[str, ...]
    """Left out, since something of theirs is to be decided."""


def release(out: Path, students: Sequence[str], *, ready: bool) -> Released:
    """Release the marks of these students, of all who are `ready`, or of the whole class.

    Raises UsageError where one of them is pending or unknown: nothing is then released.
    """
    scored = rescore(out)  # with what was decided since
    assignment = scored.assignment
    results = {result.student: result for result in scored.after}
    unknown = sorted(set(students) - set(results))
    if unknown:
        raise UsageError(f"{out} has no student {unknown[0]!r}.")
    chosen = [results[student] for student in dict.fromkeys(students)] or list(results.values())
    pending = tuple(r.student for r in chosen if r.status is Status.PENDING_MANUAL)
    if pending and not ready:
        raise UsageError(
            f"{len(pending)} of {len(chosen)} are pending, {_some(pending)}. `finegrade review "
            f"{out}` says what is open. --ready releases the others, --student NAME one."
        )
    final = [result for result in chosen if result.status is not Status.PENDING_MANUAL]
    with open_store(out / STORE_NAME) as store:
        held = store.marks.released()
        fresh = [result for result in final if held.get(result.student) != marks_key(result)]
        for result in fresh:
            store.reviews.keep_text(marks_text(result))
        store.marks.release({result.student: marks_key(result) for result in fresh})
        released = store.marks.released()
    for result in final:
        write_student(out, assignment, result, released)
    write_class(out, assignment)
    new, changed = _split(fresh, held)
    return Released(new, changed, len(final) - len(fresh), pending)


def _split(
    fresh: Sequence[Result], held: dict[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    new = tuple(result.student for result in fresh if result.student not in held)
    changed = tuple(result.student for result in fresh if result.student in held)
    return new, changed


def _some(students: Sequence[str]) -> str:
    more = f" and {len(students) - 5} more" if len(students) > 5 else ""
    return ", ".join(students[:5]) + more
