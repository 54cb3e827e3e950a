"""Grading a class: repeatable, resumable, and one student's trouble stays that student's."""

from __future__ import annotations

import dataclasses
import errno
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.classes import TIMES, Silent, write_class, write_student

from grader.assignment.questions import QuestionSet, make_hidden
from grader.checks.api import context, registry
from grader.core.errors import AssignmentError, GraderFault, UsageError
from grader.core.nouns import Assignment, CheckInstance, Deliverable, Outcome, Status, Submission
from grader.core.result import Result
from grader.course import grade, students
from grader.course.decisions import rescored
from grader.course.output import prepare, read_results
from grader.course.output import write_student as write_result
from grader.evidence import predictions
from grader.evidence.store import read_store
from grader.intake import unpacked
from grader.intake.find import Extent, FoundSubmission
from grader.intake.submission import taken_from
from grader.models.adapter_files import read_adapter
from grader.report.result_json import to_json

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return grade.load("llm-methods")


@pytest.fixture(scope="module")
def questions() -> QuestionSet:
    return make_hidden("educational-qa", 7, 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_class(tmp_path_factory.mktemp("class"))


@pytest.fixture(scope="module")
def graded(
    folder: Path,
    assignment: Assignment,
    questions: QuestionSet,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, Result], Path]:
    """Results by student, and the store they came from."""
    store = tmp_path_factory.mktemp("out") / "evidence.sqlite"
    done = grade.grade([folder], assignment, questions, store, Silent())
    assert done.collected == 4  # the base, good-1 (the copy shares it), good-2, the one analysis
    return {r.student: r for r in done.results}, store


def timeless(result: Result) -> dict[str, Any]:
    """A result without what measures time: EVL003's measures."""
    value = to_json(result)
    for finding in value["findings"]:
        if finding["code"] == "EVL003":
            finding["measures"] = {}
    return value


def outcome(result: Result, code: str) -> Outcome:
    return next(f.outcome for f in result.findings if f.code == code)


def test_every_student_gets_a_result(graded: tuple[dict[str, Result], Path]) -> None:
    assert set(graded[0]) == set(TIMES)


def test_each_broken_submission_fails_its_own_code(
    graded: tuple[dict[str, Result], Path],
) -> None:
    results, _ = graded
    assert outcome(results["broken"], "ADP007") is Outcome.FAIL
    assert outcome(results["broken"], "EVL001") is Outcome.SKIP
    assert results["evil"].status is Status.FAILED
    assert results["evil"].total.upper == 0
    assert results["evil"].findings[0].code.startswith("LAY1")


def test_the_later_of_two_equal_adapters_earns_nothing_for_it_and_the_earlier_keeps_all(
    graded: tuple[dict[str, Result], Path],
) -> None:
    results, _ = graded
    assert outcome(results["copy"], "INT001") is Outcome.FAIL
    assert outcome(results["good-1"], "INT001") is Outcome.PASS
    improvement = next(s for s in results["copy"].scores if s.id == "lora_improvement")
    assert (improvement.points, improvement.because) == (0, ("INT001",))
    shown = [f.message + f.hint for f in results["copy"].findings]
    assert not any("good-1" in text for text in shown)


@pytest.mark.parametrize("student", ["good-1", "good-2", "broken"])
def test_graded_alone_and_in_the_class_the_result_is_the_same(
    student: str,
    folder: Path,
    assignment: Assignment,
    questions: QuestionSet,
    graded: tuple[dict[str, Result], Path],
    tmp_path: Path,
) -> None:
    alone = grade.grade(
        [folder / student],
        assignment,
        questions,
        tmp_path / "e.sqlite",
        Silent(),
        extent=Extent.ONE,
    ).results[0]
    assert timeless(alone) == timeless(graded[0][student])


def test_the_register_knows_what_each_adapter_answered(
    graded: tuple[dict[str, Result], Path], questions: QuestionSet
) -> None:
    with read_store(graded[1]) as store:
        mates = {mate.student: mate for mate in store.registered()}
    assert set(mates) == {"good-1", "good-2", "copy"}
    assert mates["copy"].traits == mates["good-1"].traits != mates["good-2"].traits
    for mate in mates.values():
        assert mate.traits is not None
        assert len(mate.traits.logliks) == len(mate.traits.wrong) == 4 * len(questions.questions)


def test_graded_again_nothing_is_collected_and_results_are_identical(
    folder: Path,
    assignment: Assignment,
    questions: QuestionSet,
    graded: tuple[dict[str, Result], Path],
) -> None:
    results, store = graded
    again = grade.grade([folder], assignment, questions, store, Silent())
    assert again.collected == 0
    assert {r.student: to_json(r) for r in again.results} == {
        s: to_json(r) for s, r in results.items()
    }


def test_a_check_that_raises_costs_nobody_a_mark(
    folder: Path,
    assignment: Assignment,
    questions: QuestionSet,
    graded: tuple[dict[str, Result], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results, store = graded
    whole, tries = registry.all_checks()["SRC003"], list[str]()

    def raises(context: context.Context) -> context.Verdict:
        tries.append(context.submission.student)
        raise RuntimeError("a fault in the check, with /a/path of ours")

    broken = dataclasses.replace(whole, function=raises, needs=())
    monkeypatch.setitem(registry._CHECKS, "SRC003", broken)
    again = grade.grade([folder], assignment, questions, store, Silent())
    assert len(again.results) == len(results)
    for result in again.results:
        if result.status is Status.FAILED:
            continue
        finding = next(f for f in result.findings if f.code == "SRC003")
        assert finding.outcome is Outcome.REVIEW
        assert "/a/path" not in finding.message + finding.hint
        assert "RuntimeError" in finding.note
        assert "test_grade.py:" in finding.note
        assert tries.count(result.student) == 2
        (question,) = (f for f in result.findings if f.code == "GRD003")
        assert "SRC003: RuntimeError" in question.note
        assert result.status is Status.PENDING_MANUAL
        for old, new in zip(results[result.student].scores, result.scores, strict=True):
            assert new.points in (old.points, None), "no point is given or taken by it"
        others = [f for f in result.findings if f.code.startswith(("ADP", "EVL"))]
        same = [f for f in results[result.student].findings if f.code.startswith(("ADP", "EVL"))]
        assert others == same


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), GraderFault("no base")])
def test_a_machine_that_fails_in_a_check_is_an_error(
    error: Exception,
    folder: Path,
    assignment: Assignment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def raises(context: context.Context) -> context.Verdict:
        raise error

    broken = dataclasses.replace(registry.all_checks()["SRC003"], function=raises, needs=())
    monkeypatch.setitem(registry._CHECKS, "SRC003", broken)
    (result,) = grade.grade(
        [folder / "good-1"], assignment, None, tmp_path / "e.sqlite", Silent(), extent=Extent.ONE
    ).results
    assert outcome(result, "SRC003") is Outcome.ERROR
    assert not any(f.code == "GRD003" for f in result.findings)


def test_a_machine_fault_while_answering_is_an_error_for_that_student_alone(
    folder: Path,
    assignment: Assignment,
    questions: QuestionSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from grader.models.engine import Engine

    whole, calls = Engine.predict, []

    def fails_once(self: Engine, adapter: Any, on_batch: Any = None) -> Any:
        calls.append(adapter)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        return whole(self, adapter, on_batch)

    monkeypatch.setattr(Engine, "predict", fails_once)
    students = [folder / "good-1", folder / "good-2"]
    done = grade.grade(
        students, assignment, questions, tmp_path / "e.sqlite", Silent(), extent=Extent.ONE
    )
    first, second = done.results
    assert outcome(first, "EVL001") is Outcome.ERROR
    assert next(s for s in first.scores if s.id == "lora_improvement").points is None
    assert outcome(second, "EVL001") in (Outcome.PASS, Outcome.FAIL)
    again = grade.grade(
        students, assignment, questions, tmp_path / "e.sqlite", Silent(), extent=Extent.ONE
    )
    assert again.collected == 1  # only what was missing
    assert outcome(again.results[0], "EVL001") in (Outcome.PASS, Outcome.FAIL)


def test_an_adapter_that_changes_while_it_is_graded_troubles_nobody_else(
    folder: Path,
    assignment: Assignment,
    questions: QuestionSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def changed(submission: Submission, path: str) -> Any:
        if submission.student == "good-1":
            raise GraderFault("/a/path of ours changed since it was taken in")
        return read_adapter(submission, path)

    monkeypatch.setattr(students, "read_adapter", changed)
    paths = [folder / "good-1", folder / "good-2"]
    done = grade.grade(
        paths, assignment, questions, tmp_path / "e.sqlite", Silent(), extent=Extent.ONE
    )
    first, second = done.results
    finding = next(f for f in first.findings if f.code == "EVL001")
    assert finding.outcome is Outcome.ERROR
    assert "/a/path" in finding.note
    assert "/a/path" not in finding.message + finding.hint
    assert outcome(second, "EVL001") in (Outcome.PASS, Outcome.FAIL)


def test_a_fault_of_intakes_own_is_an_error_for_that_student_alone(
    folder: Path, assignment: Assignment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(
        found: FoundSubmission, own: Path | None, deliverables: Sequence[Deliverable]
    ) -> Submission:
        if found.student == "good-1":
            raise ValueError("a fault in the reader")
        return taken_from(found, own, deliverables)

    monkeypatch.setattr(unpacked, "taken_from", fails)
    students = [folder / "good-1", folder / "good-2"]
    first, second = grade.grade(
        students, assignment, None, tmp_path / "e.sqlite", Silent(), extent=Extent.ONE
    ).results
    assert first.findings[0].code == "GRD001"
    assert first.findings[0].outcome is Outcome.ERROR
    assert first.total.points is None
    assert second.digest


def test_a_base_that_cannot_be_opened_is_tried_once_and_costs_nobody_a_mark(
    folder: Path,
    assignment: Assignment,
    questions: QuestionSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = []

    def fails(*_: Any) -> Any:
        tried.append(1)
        raise ValueError("the tokenizer has no chat template")

    monkeypatch.setattr(predictions, "load_base", fails)
    done = grade.grade([folder], assignment, questions, tmp_path / "e.sqlite", Silent())
    assert len(tried) == 1
    assert done.collected == 1  # the analysis, which needs no base
    good = [r for r in done.results if r.student.startswith("good")]
    assert [outcome(r, "EVL001") for r in good] == [Outcome.ERROR, Outcome.ERROR]


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_wrong_usage(
    device: str, folder: Path, assignment: Assignment, questions: QuestionSet, tmp_path: Path
) -> None:
    store = tmp_path / "e.sqlite"
    with pytest.raises(UsageError, match=f"--device {device}"):
        grade.grade(
            [folder / "good-1"],
            assignment,
            questions,
            store,
            Silent(),
            device=device,
            extent=Extent.ONE,
        )


def test_without_questions_hidden_tests_are_pending(
    folder: Path, assignment: Assignment, tmp_path: Path
) -> None:
    (result,) = grade.grade(
        [folder / "good-1"], assignment, None, tmp_path / "e.sqlite", Silent(), extent=Extent.ONE
    ).results
    finding = next(f for f in result.findings if f.code == "EVL001")
    assert finding.outcome is Outcome.REVIEW
    assert finding.message == "Hidden tests run at grading."


def test_results_read_back_as_they_were_written(
    assignment: Assignment, graded: tuple[dict[str, Result], Path], tmp_path: Path
) -> None:
    prepare(tmp_path / "out")
    for result in graded[0].values():
        write_result(tmp_path / "out", assignment, result)
    read = read_results(tmp_path / "out", assignment.id)
    assert {r.student: to_json(r) for r in read} == {s: to_json(r) for s, r in graded[0].items()}


def test_new_weights_rescore_without_evidence(
    assignment: Assignment, graded: tuple[dict[str, Result], Path]
) -> None:
    doubled = tuple(
        dataclasses.replace(c, points=c.points * 2) if c.id == "lora_adapter" else c
        for c in assignment.criteria
    )
    changed = dataclasses.replace(assignment, criteria=doubled)
    for result in graded[0].values():
        new = rescored(result, changed)
        assert new.findings == result.findings
        assert next(s for s in new.scores if s.id == "lora_adapter").max_points == 4
        assert rescored(new, assignment).scores == result.scores


def test_a_rubric_that_needs_what_was_never_found_is_refused(
    assignment: Assignment, graded: tuple[dict[str, Result], Path]
) -> None:
    more = dataclasses.replace(assignment, checks=(*assignment.checks, CheckInstance("GRD001")))
    with pytest.raises(AssignmentError, match="GRD001"):
        rescored(graded[0]["good-1"], more)


def test_zip_and_folder_of_the_same_work_grade_alike(
    assignment: Assignment, questions: QuestionSet, tmp_path: Path
) -> None:
    import shutil

    write_student(tmp_path / "f" / "same", 5)
    (tmp_path / "z").mkdir()
    shutil.make_archive(str(tmp_path / "z" / "same"), "zip", tmp_path / "f" / "same")
    store = tmp_path / "e.sqlite"
    as_folder, as_zip = (
        grade.grade([path], assignment, questions, store, Silent(), extent=Extent.ONE).results[0]
        for path in (tmp_path / "f" / "same", tmp_path / "z" / "same.zip")
    )
    assert json.dumps(timeless(as_folder)) == json.dumps(timeless(as_zip))


@pytest.mark.parametrize("size", [0.02, 1.0])
def test_a_copy_with_noise_waits_for_a_person(
    size: float, assignment: Assignment, tmp_path: Path
) -> None:
    """Noise on every weight, of a share of it: not the same adapter, and no other training."""
    import numpy as np
    from support.adapters import config, pair, safetensors, write_adapter
    from support.classes import LAYER

    folder = tmp_path / "class"
    write_student(folder / "first", 1)
    write_student(folder / "noisy", 1)
    rng = np.random.default_rng(1)
    a, b = (rng.normal(0, 0.3, shape).astype(np.float32) for shape in ((2, 128), (128, 2)))
    noise = np.random.default_rng(9)
    a, b = ((m * (1 + noise.normal(0, size, m.shape))).astype(np.float32) for m in (a, b))
    weights = safetensors(pair(a, b, LAYER), {"format": "pt"})
    write_adapter(
        folder / "noisy" / "adapter", weights=weights, settings=config(target_modules=[LAYER])
    )
    times = ["student,submitted_at", "first,2026-03-01T12:00:00", "noisy,2026-03-02T12:00:00"]
    (folder / "submissions.csv").write_text("\n".join(times) + "\n")
    first, noisy = grade.grade([folder], assignment, None, tmp_path / "e.sqlite", Silent()).results
    assert outcome(first, "INT001") is Outcome.PASS
    assert outcome(noisy, "INT001") is Outcome.REVIEW


def test_two_folders_of_one_student_wait_for_the_instructor(
    assignment: Assignment, tmp_path: Path
) -> None:
    import shutil

    write_student(tmp_path / "class" / "twice", 1)
    shutil.make_archive(str(tmp_path / "class" / "twice"), "zip", tmp_path / "class" / "twice")
    (result,) = grade.grade(
        [tmp_path / "class"], assignment, None, tmp_path / "e.sqlite", Silent()
    ).results
    assert result.findings[0].code == "LAY115"
    assert result.status is Status.PENDING_MANUAL
    everything = sum(category.points for category in assignment.categories)
    assert (result.total.lower, result.total.upper) == (0, everything)


def test_too_little_room_is_told_before_anything_is_done(
    folder: Path, assignment: Assignment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grade, "FREE_MIN_BYTES", 1 << 60)
    (tmp_path / "out").mkdir()
    with pytest.raises(GraderFault, match=r"Grading needs \d+ MiB in .*TMPDIR, and grade again"):
        grade.grade([folder], assignment, None, tmp_path / "out" / "e.sqlite", Silent())
    assert not list((tmp_path / "out").iterdir())
