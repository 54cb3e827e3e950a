"""Grade one or many: intake -> file checks -> collect -> the other checks -> score -> write.

What goes wrong for one student becomes that student's finding, and the others go on. Submissions
and evidence are read student by student, so that memory and disk do not grow with the class.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader import __version__
from grader.assignment.load import load_assignment
from grader.assignment.questions import QuestionSet
from grader.assignment.rubric import score, status, total
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Classmate, Context
from grader.checks.api.grader_faults import repeated_faults
from grader.checks.api.registry import all_checks, check_of, in_order, run_check
from grader.checks.integrity import answer_traits
from grader.core.constants import BOOTSTRAP_SEED, ENGINE_VERSION, FREE_MIN_BYTES
from grader.core.errors import AssignmentError, GraderFault, UsageError
from grader.core.nouns import Assignment, Finding, Outcome
from grader.core.result import Result
from grader.core.temporary import prefix, require_room, sweep
from grader.course.decisions import all_alike, rescored, status_without_work
from grader.course.judged_texts import keep_texts
from grader.course.students import StudentWork, not_readable, take_in_all
from grader.evidence import predictions
from grader.evidence.collection import Collection
from grader.evidence.kind import Grading, Progress, versions
from grader.evidence.kinds import KINDS, inconsistencies, specs
from grader.evidence.review import ReviewLog
from grader.evidence.store import EvidenceStore, Recordings, open_store
from grader.intake.find import Extent, FoundClass, FoundSubmission, find_submissions
from grader.intake.unpacked import UnpackedSubmissions
from grader.models.base_model import base_digest, base_folder
from grader.training_data.rules import RULES

if TYPE_CHECKING:
    from grader.model_service.forward import Endpoint
    from grader.sandbox.api import Sandbox


def load(reference: str | Path) -> Assignment:
    """An assignment whose checks, measures and evidence exist.

    Raises AssignmentError, which names those that do not.
    """
    return known(load_assignment(reference))


def known(assignment: Assignment) -> Assignment:
    """The assignment as it is. Raises what `load` raises."""
    checks = all_checks()
    refs = assignment.refs
    problems = inconsistencies(assignment)
    problems += [f"there is no check {c.code}" for c in assignment.checks if c.code not in checks]
    if not problems:
        payloads = {spec.id: KINDS[spec.kind].payload for spec in assignment.evidence}
        used = in_order(refs, assignment)
        problems += [
            f"its checks need {c.ref}, which is not in checks" for c in used if c.ref not in refs
        ]
        problems += [what for check in used for what in check.problems(assignment, payloads)]
    if assignment.data is not None:
        problems += [f"there is no rule {c}" for c in assignment.data.errors if c not in RULES]
    for criterion in assignment.criteria:
        ref, _, measure = criterion.source.partition(".")
        code = ref.partition("@")[0]
        if measure and code in checks and measure not in checks[code].measures:
            known = ", ".join(checks[code].measures) or "none"
            problems.append(
                f"criterion {criterion.id!r} reads {criterion.source}; {code} measures: {known}"
            )
    if problems:
        raise AssignmentError(f"Assignment {assignment.id}: {'; '.join(dict.fromkeys(problems))}.")
    return assignment


TRAININGS_NAME = "trainings"  # beside the store: what jobs of submissions' programs trained


@dataclass(frozen=True, slots=True)
class Graded:
    """What one run did: results by student, and how many runs and readings it took."""

    results: tuple[Result, ...]
    collected: int
    left_out: tuple[Path, ...] = ()
    """Files of a class folder that are no submissions."""


def grade(
    paths: Sequence[Path],
    assignment: Assignment,
    questions: QuestionSet | None,
    store_path: Path,
    progress: Progress,
    *,
    device: str = "cpu",
    open_sandbox: Callable[[], Sandbox] | None = None,
    endpoint: Endpoint | None = None,
    recordings: Recordings | None = None,
    extent: Extent | None = None,
) -> Graded:
    """Grade every submission found under `paths`. Without questions, nothing is run.

    `extent` is the caller's word on whether a folder is one submission or a class; see
    `find_submissions`.

    `open_sandbox` (by default one whose walls were tried) is asked when a program is to be run;
    where it raises NoSandbox, what needs such a run stays unknown. An `endpoint` answers hidden
    questions to programs in the simulator's place. With `recordings` programs are answered as they
    were in that earlier grading, by no model; what else it collected and is still true is reused.

    Raises UsageError for a wrong path or damaged recordings, and GraderFault when the store itself
    cannot be used.
    """
    sweep()
    require_room(Path(tempfile.gettempdir()), FREE_MIN_BYTES, "Grading")
    require_room(store_path.parent, FREE_MIN_BYTES, "The evidence store", by="--out")
    with (
        tempfile.TemporaryDirectory(prefix=prefix("class")) as work,
        open_store(store_path) as store,
    ):
        found = _found(paths, extent, assignment, store)
        about = _provenance(assignment, questions, device, replayed=recordings is not None)
        if recordings is not None:
            _remember(recordings, store)
        grading = Grading(
            assignment,
            questions,
            device,
            store_path.parent / TRAININGS_NAME,
            open_sandbox,
            endpoint,
            recordings,
        )
        unpacked = UnpackedSubmissions(Path(work), assignment.deliverables)
        collection = Collection(grading, store)
        students, refused = take_in_all(found.submissions, unpacked, collection, grading, progress)
        collection.collect(progress)
        for one in students:
            _register(one, assignment, collection, store)
        judge = _Judge(
            assignment,
            collection,
            unpacked,
            store.reviews,
            store.registered(),
            about,
            hidden=questions is None or not questions.public,
            runs=questions is not None,
        )
        results = [judge.result(one) for one in students]
        results += [_not_taken_in(one, first, assignment, judge.about) for one, first in refused]
        reviews = store.reviews.latest()
        results = [rescored(result, assignment, reviews) for result in results]
    ordered = tuple(sorted(results, key=lambda r: r.student))
    return Graded(ordered, collection.ran, found.left_out)


def _found(
    paths: Sequence[Path], extent: Extent | None, assignment: Assignment, store: EvidenceStore
) -> FoundClass:
    """The submissions at these paths; their places are noted.

    Raises UsageError where a student whose submission lies elsewhere would be graded again with
    what a folder holds of which the caller said nothing: it may be one submission of another
    student, who chose the names in it.
    """
    places = store.places()
    found = find_submissions(paths, extent, assignment.top_names, places.values())
    moved = [
        one.student for one in found.submissions if places.get(one.student, one.place) != one.place
    ]
    if extent is None and moved and len(found.submissions) < len(places):
        first = moved[0]
        raise UsageError(
            f"{first} was graded from {places[first]}, and {paths[0]} has another {first}. Add "
            "--class if it holds newer submissions of these students, or --one if it is one "
            "submission itself."
        )
    for one in found.submissions:
        store.note_place(one.student, one.place)
    return found


def _register(
    one: StudentWork, assignment: Assignment, collection: Collection, store: EvidenceStore
) -> None:
    """Let the class register know the student's adapters, and what their answers tell of them."""
    asked = [spec.id for spec in specs(assignment, predictions.KIND)]
    traits = answer_traits(assignment, collection.of(one.student, asked)) if one.registered else {}
    adapters = [replace(adapter, traits=traits.get(id)) for id, adapter in one.registered.items()]
    one.registered.clear()  # the register holds them now
    store.register(one.student, adapters)


def _remember(recordings: Recordings, store: EvidenceStore) -> None:
    """Note the adapters of the earlier class that this one does not know: copies have originals."""
    known = {mate.student for mate in store.registered()}
    for student, adapters in groupby(recordings.registered, lambda mate: mate.student):
        if student not in known:
            store.register(student, list(adapters))


@dataclass(frozen=True, slots=True)
class _Judge:
    """Judges the students of a class one by one: what it reads of one is gone with the next."""

    assignment: Assignment
    collection: Collection
    unpacked: UnpackedSubmissions
    reviews: ReviewLog
    classmates: Sequence[Classmate]
    about: Mapping[str, Any]
    hidden: bool
    runs: bool

    def result(self, one: StudentWork) -> Result:
        """The result of a submission; an error where its files are not as they were taken in."""
        try:
            with self.unpacked.held(one.student):
                return self._judged(one)
        except GraderFault as fault:
            return _not_taken_in(one.entry, not_readable(fault), self.assignment, self.about)

    def _judged(self, one: StudentWork) -> Result:
        assignment, submission = self.assignment, one.submission
        evidence = self.collection.of(one.student)
        keep_texts(submission, assignment, evidence, self.reviews)
        missing = one.missing | self.collection.missing(one.student)
        context = Context(
            assignment,
            submission,
            evidence,
            tuple(mate for mate in self.classmates if mate.student != one.student),
            not_run=self.collection.not_run(one.student),
            hidden=self.hidden,
            runs=self.runs,
        )
        for check in in_order(assignment.refs, assignment):
            if check.ref not in one.findings:
                one.findings[check.ref] = run_check(check, context, one.findings, missing)
        used = tuple(one.findings[ref] for ref in assignment.refs)
        findings = (*used, *repeated_faults(evidence.values(), used))
        scores = score(assignment, findings)
        return Result(
            assignment_id=assignment.id,
            assignment_version=assignment.version,
            student=submission.student,
            digest=submission.digest,
            submitted_at=submission.submitted_at,
            status=status(scores, findings),
            total=total(assignment, scores),
            scores=scores,
            findings=findings,
            provenance={
                **self.about,
                "evidence": {id: one.key for id, one in evidence.items()},
                "files": [[f.path, f.size, f.sha256] for f in submission.files],
                "places": {id: at for id, at in submission.places.items() if isinstance(at, str)},
            },
        )


def _not_taken_in(
    found: FoundSubmission, first: Finding, assignment: Assignment, about: Mapping[str, Any]
) -> Result:
    """The result of what could not be taken in: no points for a fault of the student's, unknown
    points for one of the machine's or the instructor's."""
    behind = Outcome.SKIP if first.outcome is Outcome.FAIL else first.outcome
    rest = [
        Finding(ref, behind, check_of(ref, assignment).title, "The submission was not taken in.")
        for ref in assignment.refs
        if ref != first.code
    ]
    findings = (first, *rest)
    scores = all_alike(score(assignment, findings), first)
    return Result(
        assignment_id=assignment.id,
        assignment_version=assignment.version,
        student=found.student,
        digest="",
        submitted_at=found.submitted_at,
        status=status_without_work(first),
        total=total(assignment, scores),
        scores=scores,
        findings=findings,
        provenance={**about, "evidence": {}, "files": []},
    )


def _provenance(
    assignment: Assignment, questions: QuestionSet | None, device: str, *, replayed: bool
) -> Mapping[str, Any]:
    """What all results say of how they came about; where nothing runs, no base is needed.

    Raises GraderFault where the base is not on this machine.
    """
    used = {}
    if questions is not None:
        base = assignment.base
        used = {"base": {"name": base.title, "digest": base_digest(base_folder(base))}}
    return {
        "finegrade": __version__,
        "assignment_digest": assignment.digest,
        **used,
        "questions_digest": questions.digest if questions is not None else None,
        "engine": ENGINE_VERSION,
        "device": device,
        "replayed": replayed,
        "versions": dict(versions("torch", "transformers")),
        "bootstrap_seed": BOOTSTRAP_SEED,
    }
