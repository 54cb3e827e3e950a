"""What `finegrade grade` leaves on disk, and reading it back.

    OUT/gradebook.csv, OUT/class.html, OUT/evidence.sqlite
    OUT/students/<student>/feedback.html, and nothing else: the folder may be handed out as it is
    OUT/staff/<student>/result.json, and each written work's plain text
    OUT/anonymous/<id>/: these texts again, for a review table that shows no names

Every file is replaced whole or not at all. The gradebook and the class page always show all of
OUT, also when one student was graded alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from grader.core.errors import UsageError
from grader.core.files import write_atomic
from grader.core.metrics import exact_match, mean
from grader.core.nouns import Assignment
from grader.core.payloads import Predictions, WrittenWork, read
from grader.core.result import Result
from grader.course.marks import marks_key, standing_of
from grader.evidence import predictions, text
from grader.evidence.kinds import specs
from grader.evidence.store import EvidenceStore, Recordings, open_store
from grader.intake.find import safe_name
from grader.report.classroom import ClassReport, class_html
from grader.report.exports.gradebook import gradebook_csv
from grader.report.feedback import feedback_html
from grader.report.result_json import from_json, to_text

STORE_NAME = "evidence.sqlite"
STUDENTS = "students"
STAFF = "staff"
ANONYMOUS = "anonymous"
_RESULT = "result.json"


def check_places(out: Path, hidden: Path, paths: Sequence[Path], assignment_id: str) -> None:
    """Refuse places that would mix what students submitted with what is the instructor's.

    Raises UsageError when OUT or the hidden set lies in a folder that is graded (it would count as
    a student's), and when OUT holds results of another assignment.
    """
    for option, ours in (("--out", out), ("--hidden", hidden)):
        for path in paths:
            if ours.resolve().is_relative_to(path.resolve()):
                raise UsageError(
                    f"{option} {ours} lies inside {path}, where it would count as a submission. "
                    "Choose a place outside."
                )
    if any(_result_files(out)) and assignment_of(out) != assignment_id:
        raise UsageError(f"{out} holds results of {assignment_of(out)}: use another --out.")


def prepare(out: Path) -> Path:
    """Make OUT (0700: it holds hidden questions) and return the path of its store."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; --out names a folder.")
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        (out / STAFF).mkdir(mode=0o700, exist_ok=True)  # OUT itself may have been there, for all
    except OSError as error:
        raise UsageError(f"{out} cannot be made ({error.strerror}).") from error
    return out / STORE_NAME


def recordings(earlier: Path, out: Path, assignment_id: str) -> Recordings:
    """What the grading whose OUT was `earlier` recorded of programs.

    Raises UsageError when it holds no results of this assignment, when its store is missing or
    damaged, and when it is OUT itself: the recording stays as it is.
    """
    if earlier.resolve() == out.resolve():
        raise UsageError(
            f"--replay and --out both name {out}. Choose a new --out: what was recorded, and the "
            "results of then, stay as they are."
        )
    id = assignment_of(earlier)
    if id != assignment_id:
        raise UsageError(f"--replay {earlier} holds results of {id}, and not of {assignment_id}.")
    keys = {
        (result.student, evidence_id): key
        for result in read_results(earlier, assignment_id)
        for evidence_id, key in result.provenance["evidence"].items()
    }
    return Recordings(earlier / STORE_NAME, keys)


def write_student(
    out: Path, assignment: Assignment, result: Result, released: Mapping[str, str] | None = None
) -> None:
    """Write one student's result.json and feedback.html.

    `released` are the marks that were released, by student; they are looked up where they are not
    given. As long as a student's marks differ from those, the page stays as it was released.
    """
    name = safe_name(result.student)
    write_atomic(out / STAFF / name / _RESULT, to_text(result))
    held = (released_marks(out) if released is None else released).get(result.student)
    page = out / STUDENTS / name / "feedback.html"
    if held in (None, marks_key(result)) or not page.is_file():
        final = held == marks_key(result)
        write_atomic(page, feedback_html(assignment, result, released=final))


def released_marks(out: Path) -> Mapping[str, str]:
    """By student, the key of the marks that were released last."""
    if not (out / STORE_NAME).is_file():
        return {}
    with open_store(out / STORE_NAME) as store:
        return store.marks.released()


def part_files(out: Path) -> int:
    """Move to staff/ what an earlier version wrote for the instructor beside feedback.html.

    Returns the number of students. What lies there then is newer than what lies in staff/: every
    command that writes begins with this. Half-written files of a killed run are removed.
    """
    for half in out.glob(f"{STUDENTS}/*/.*.tmp"):
        half.unlink()
    results = sorted(out.glob(f"{STUDENTS}/*/{_RESULT}"))
    for result in results:
        folder = out / STAFF / result.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        for file in (*result.parent.glob("*.txt"), result):  # the result last: it tells the version
            file.replace(folder / file.name)
    return len(results)


def write_class(out: Path, assignment: Assignment) -> tuple[Result, ...]:
    """Write gradebook.csv and class.html over all results in OUT; returns those results."""
    results = read_results(out, assignment.id)
    criteria = [criterion.id for criterion in assignment.criteria]
    write_atomic(out / "gradebook.csv", gradebook_csv(results, criteria))
    with open_store(out / STORE_NAME) as store:
        shares, texts = _questions(results, assignment, store)
        written = {r.student: _write_texts(out, assignment, r, store) for r in results}
        standing = standing_of(results, assignment, store)
    report = ClassReport(
        assignment=assignment,
        results=results,
        folders={r.student: safe_name(r.student) for r in results},
        question_shares=shares,
        question_texts=texts,
        provenance=results[0].provenance if results else {},
        written=written,
        standing=standing,
    )
    write_atomic(out / "class.html", class_html(report))
    return results


def _write_texts(
    out: Path, assignment: Assignment, result: Result, store: EvidenceStore
) -> tuple[tuple[str, str], ...]:
    """Write what a person judges as plain text: (file name, title) of each work that was read."""
    folder = out / STAFF / safe_name(result.student)
    written: list[tuple[str, str]] = []
    for spec in specs(assignment, text.KIND):
        key = result.provenance["evidence"].get(spec.id)
        found = store.get(key) if key is not None else None
        name = f"{spec.document}.txt"
        work = read(found, WrittenWork) if found is not None else None
        if work is None or work.fault is not None:
            (folder / name).unlink(missing_ok=True)  # of an earlier version
            continue
        _write_text(folder / name, work.text)
        written.append((name, assignment.deliverable(spec.document).title))
    _write_sources(folder, assignment, result, store)
    return tuple(written)


def _write_sources(
    folder: Path, assignment: Assignment, result: Result, store: EvidenceStore
) -> None:
    """Write what else a person judges, such as programs, as it was kept at grading."""
    documents = {spec.document for spec in specs(assignment, text.KIND)}
    digests = {path: sha256 for path, _, sha256 in result.provenance.get("files", ())}
    places = result.provenance.get("places", {})
    for id in dict.fromkeys(id for c in assignment.criteria for id in c.judges):
        if id in documents:
            continue
        source = store.reviews.kept(digests.get(places.get(id, ""), ""))
        if source is None:
            (folder / f"{id}.txt").unlink(missing_ok=True)  # of an earlier version
        else:
            _write_text(folder / f"{id}.txt", source)


def _write_text(path: Path, said: str) -> None:
    """The mark at the start tells browsers that it is UTF-8."""
    write_changed(path, "\ufeff" + said)


def write_changed(path: Path, text: str) -> None:
    """Write a text unless it stands there already: a class has thousands."""
    if not path.is_file() or path.read_bytes() != text.encode("utf-8", "replace"):
        write_atomic(path, text)


def read_results(out: Path, assignment_id: str) -> tuple[Result, ...]:
    """All results in OUT by student.

    Raises UsageError when there are none, or when they are of another assignment.
    """
    results = []
    for path in _result_files(out):
        try:
            results.append(from_json(json.loads(path.read_bytes())))
        except (ValueError, UsageError) as error:
            raise UsageError(f"{path}: {error}") from error
    if not results:
        raise UsageError(f"{out} holds no results. `finegrade grade` writes them.")
    others = {r.assignment_id for r in results} - {assignment_id}
    if others:
        raise UsageError(f"{out} holds results of {', '.join(sorted(others))}: use another --out.")
    return tuple(sorted(results, key=lambda r: r.student))


def _result_files(out: Path) -> Iterator[Path]:
    """Every result.json in OUT; an earlier version kept them in students/ (see `part_files`)."""
    for folder in (STAFF, STUDENTS):
        yield from sorted(out.glob(f"{folder}/*/{_RESULT}"))


def assignment_of(out: Path) -> str:
    """The id of the assignment whose results lie in OUT."""
    for path in _result_files(out):
        try:
            return str(json.loads(path.read_bytes())["assignment"]["id"])
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path} is damaged. Remove it and grade again.") from error
    raise UsageError(f"{out} holds no results. `finegrade grade` writes them.")


def _questions(
    results: Sequence[Result], assignment: Assignment, store: EvidenceStore
) -> tuple[Mapping[str, float], Mapping[str, str]]:
    """({question id: share of adapters that were right}, {id: text}) over the class's adapters.

    Only hidden questions: each student's own benchmark has other questions by the same ids.
    """
    right: dict[str, list[float]] = {}
    texts: dict[str, str] = {}
    for key in sorted({key for key in _adapter_keys(results, assignment) if key}):
        evidence = store.get(key)
        if evidence is None:
            continue
        for answer in read(evidence, Predictions).answers:
            right.setdefault(answer.id, []).append(exact_match(answer.text, answer.reference))
            texts[answer.id] = answer.question
    return {id: mean(values) for id, values in right.items()}, texts


def _adapter_keys(results: Sequence[Result], assignment: Assignment) -> list[str | None]:
    """Keys of the evidence that asked an adapter the hidden questions."""
    ids = {
        spec.id
        for spec in specs(assignment, predictions.KIND)
        if spec.adapter is not None and spec.questions_from is None
    }
    return [
        key for result in results for id, key in result.provenance["evidence"].items() if id in ids
    ]
