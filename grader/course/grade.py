"""Grade one or many: intake -> file checks -> collect -> the other checks -> score -> write.

A submission's trouble stays its own: what goes wrong for one student becomes that student's
finding, and the others go on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader import __version__
from grader.assignment.load import load_assignment
from grader.assignment.questions import QuestionSet
from grader.assignment.rubric import score, status, total
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Classmate, Context
from grader.checks.api.registry import all_checks, check_of, in_order, run_check
from grader.checks.grader_faults import service_faults
from grader.checks.integrity import answer_traits, registered
from grader.core.constants import BOOTSTRAP_SEED, ENGINE_VERSION
from grader.core.errors import AssignmentError, IntakeError, UsageError
from grader.core.nouns import Assignment, Finding, Outcome, Result, Submission
from grader.course.decisions import all_alike, status_without_work
from grader.course.decisions import rescored as rescored
from grader.course.judged_texts import keep_texts
from grader.evidence import predictions
from grader.evidence.kind import AdapterRef, Candidate, Collected, Grading, Progress, versions
from grader.evidence.kinds import KINDS, collect, inconsistencies, specs
from grader.evidence.store import EvidenceStore, Recordings, open_store
from grader.intake.find import Extent, FoundClass, FoundSubmission, find_submissions
from grader.intake.submission import take_in
from grader.models.adapter_files import read_adapter
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


# Names of folders are the instructor's to mend: two of one student, or one that names nobody.
_INSTRUCTORS = frozenset({"LAY115", "LAY116"})


TRAININGS_NAME = "trainings"  # beside the store: what jobs of submissions' programs trained


@dataclass(slots=True)
class _Student:
    """One student on the way through: what was taken in, found so far, and wanted."""

    student: str
    submission: Submission
    findings: dict[str, Finding] = field(default_factory=dict)
    adapters: dict[str, AdapterRef] = field(default_factory=dict)
    """By deliverable."""
    registered: dict[str, Classmate] = field(default_factory=dict)
    """By deliverable, the same as the class register is to know them."""
    missing: dict[str, str] = field(default_factory=dict)
    """By evidence id, why its adapter could not be read although the checks could."""


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
    with tempfile.TemporaryDirectory(prefix="finegrade-") as work, open_store(store_path) as store:
        found = _found(paths, extent, assignment, store)
        pupils, refused = _take_in_all(found.submissions, Path(work), assignment, progress)
        if recordings is not None:
            _remember(recordings, store)
        for pupil in pupils:
            _check_files(pupil, assignment)
            _read_adapters(pupil, assignment)
        grading = Grading(
            assignment,
            questions,
            device,
            store_path.parent / TRAININGS_NAME,
            open_sandbox,
            endpoint,
            recordings,
        )
        candidates = [
            Candidate(pupil.submission, partial(_passed, pupil), pupil.adapters) for pupil in pupils
        ]
        collected = collect(grading, candidates, store, progress)
        for pupil in pupils:
            _register(pupil, assignment, collected, store)
            evidence = collected.of(pupil.student, assignment)
            keep_texts(pupil.submission, assignment, evidence, store.reviews)
        classmates = store.registered()
        about = _provenance(assignment, questions, device, replayed=recordings is not None)
        hidden = questions is None or not questions.public
        results = [_result(p, assignment, collected, classmates, about, hidden) for p in pupils]
        results += [_not_taken_in(found, first, assignment, about) for found, first in refused]
        reviews = store.reviews.latest()
        results = [rescored(result, assignment, reviews) for result in results]
    ordered = tuple(sorted(results, key=lambda r: r.student))
    return Graded(ordered, collected.ran, found.left_out)


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


def _take_in_all(
    found: Iterable[FoundSubmission], work: Path, assignment: Assignment, progress: Progress
) -> tuple[list[_Student], list[tuple[FoundSubmission, Finding]]]:
    pupils, refused = [], []
    entries = list(found)
    progress.start("Taking in submissions", len(entries))
    for number, entry in enumerate(entries):
        try:
            submission = take_in(entry, work / str(number), assignment.deliverables)
            pupils.append(_Student(submission.student, submission))
        except IntakeError as error:
            title = all_checks()[error.code].title
            outcome = Outcome.REVIEW if error.code in _INSTRUCTORS else Outcome.FAIL
            refused.append((entry, Finding(error.code, outcome, title, error.message, error.hint)))
        except Exception as error:  # our fault or the machine's: it must not stop the batch
            title = all_checks()["GRD001"].title
            text = (
                "The grader could not read the submission. No marks are lost; it will be retried."
            )
            note = f"{type(error).__name__}: {error}"
            refused.append((entry, Finding("GRD001", Outcome.ERROR, title, text, note=note)))
        progress.step(entry.student)
    return pupils, refused


def _check_files(pupil: _Student, assignment: Assignment) -> None:
    """Run the checks that stand before any evidence: they decide what may be run at all."""
    gates = [code for spec in assignment.evidence for code in spec.needs]
    context = Context(assignment, pupil.submission, {})
    for check in in_order(gates, assignment):
        pupil.findings[check.ref] = run_check(check, context, pupil.findings, {})


def _read_adapters(pupil: _Student, assignment: Assignment) -> None:
    """Read the adapters that passed their checks, for what they do by their weights."""
    needs = {spec.id: spec.needs for spec in assignment.evidence}
    for spec in specs(assignment, predictions.KIND):
        id = spec.adapter
        if id is None or id in pupil.adapters or not _passed(pupil, needs[spec.id]):
            continue
        try:
            path = pupil.submission.place(id)
            if path is not None:
                read = partial(read_adapter, pupil.submission, path)
                adapter = read()
                pupil.registered[id] = registered(pupil.submission, adapter)
                pupil.adapters[id] = AdapterRef(adapter.digest, read)
        except Exception as error:  # a file that changed meanwhile must not stop the batch
            pupil.missing[spec.id] = f"{type(error).__name__}: {error}"


def _register(
    pupil: _Student, assignment: Assignment, collected: Collected, store: EvidenceStore
) -> None:
    """Note the student's adapters in the class register, with what they answered."""
    traits = answer_traits(assignment, collected.of(pupil.student, assignment))
    adapters = [replace(one, traits=traits.get(id)) for id, one in pupil.registered.items()]
    store.register(pupil.student, adapters)


def _remember(recordings: Recordings, store: EvidenceStore) -> None:
    """Note the adapters of the earlier class that this one does not know: copies have originals."""
    known = {mate.student for mate in store.registered()}
    for student, adapters in groupby(recordings.registered, lambda mate: mate.student):
        if student not in known:
            store.register(student, list(adapters))


def _passed(pupil: _Student, codes: Sequence[str]) -> bool:
    return all(pupil.findings[code].outcome is Outcome.PASS for code in codes)


def _result(
    pupil: _Student,
    assignment: Assignment,
    collected: Collected,
    classmates: Sequence[Classmate],
    about: Mapping[str, Any],
    hidden: bool,
) -> Result:
    evidence = collected.of(pupil.student, assignment)
    missing = pupil.missing | {
        spec.id: collected.missing[pupil.student, spec.id]
        for spec in assignment.evidence
        if (pupil.student, spec.id) in collected.missing
    }
    others = tuple(mate for mate in classmates if mate.student != pupil.student)
    context = Context(assignment, pupil.submission, evidence, others, hidden=hidden)
    for check in in_order(assignment.refs, assignment):
        if check.ref not in pupil.findings:
            pupil.findings[check.ref] = run_check(check, context, pupil.findings, missing)
    findings = (
        *(pupil.findings[ref] for ref in assignment.refs),
        *service_faults(evidence.values()),
    )
    keys = {i: e.key for i, e in evidence.items()}
    submission = pupil.submission
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
            **about,
            "evidence": keys,
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
    folder = base_folder(assignment.base)
    return {
        "finegrade": __version__,
        "assignment_digest": assignment.digest,
        "base": {"name": assignment.base.name, "digest": base_digest(folder)},
        "questions_digest": questions.digest if questions is not None else None,
        "engine": ENGINE_VERSION,
        "device": device,
        "replayed": replayed,
        "versions": dict(versions("torch", "transformers")),
        "bootstrap_seed": BOOTSTRAP_SEED,
    }
