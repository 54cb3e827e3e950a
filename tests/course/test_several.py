"""More than one of anything: adapters, bases, workflows and documents, and checks under names."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from support.adapters import config, write_adapter
from support.classes import Silent
from support.sandboxes import need_sandbox

from grader.assignment.questions import make_hidden
from grader.assignment.rubric import score, total
from grader.checks.api.registry import all_needs, check_of
from grader.core.errors import AssignmentError
from grader.core.nouns import Assignment, Finding, Outcome
from grader.core.payloads import Predictions, read
from grader.core.result import Result, Total
from grader.course import grade
from grader.course.decisions import rescored
from grader.course.output import prepare, write_class
from grader.course.output import write_student as write_result
from grader.evidence.store import open_store
from grader.report.result_json import to_json

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
SEVERAL = Path(__file__).parent / "several.yaml"
RUNS = """
import json, time
from openai import OpenAI

client = OpenAI()
question = [{"role": "user", "content": f"What is {n}?"} for n in range(10)]
answer = {"role": "assistant", "content": "It is a number."}
with open("train.jsonl", "w") as file:
    file.writelines(json.dumps({"messages": [one, answer]}) + "\\n" for one in question)
file = client.files.create(file=open("train.jsonl", "rb"), purpose="fine-tune")
job = client.fine_tuning.jobs.create(
    model="gpt-4.1-mini",
    training_file=file.id,
    method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 1}}},
)
while job.status not in ("succeeded", "failed", "cancelled"):
    time.sleep(30)
    job = client.fine_tuning.jobs.retrieve(job.id)
"""
STOPS = RUNS.partition("job = ")[0]
READER = config(base_model_name_or_path="kit/course-model-reader")


def submitted(home: Path, seed: int, reader: int, *, settings: Mapping[str, Any] = READER) -> None:
    """A submission of both parts: the first workflow runs, the second one creates no job."""
    write_adapter(home / "adapter", seed=seed)
    write_adapter(home / "reader_adapter", seed=reader, settings=settings)
    (home / "workflow.py").write_text(RUNS)
    (home / "reader_workflow.py").write_text(STOPS)
    (home / "plan.md").write_text("Train, then ask.\n")
    (home / "diary.md").write_text("Too short.\n")


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return grade.load(SEVERAL)


@pytest.fixture(scope="module")
def out(assignment: Assignment, trainings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class of three: `copy` has the other's adapter of the reader, and `wrong` one of another
    base; only the first part of `half` is there."""
    work = tmp_path_factory.mktemp("several")
    submitted(work / "class" / "first", 1, 2)
    submitted(work / "class" / "copy", 3, 2)
    submitted(work / "class" / "wrong", 4, 5, settings=config())
    write_adapter(work / "class" / "half" / "reader_adapter", seed=6, settings=READER)
    (work / "class" / "half" / "reader_workflow.py").write_text(RUNS)
    (work / "class" / "half" / "diary.md").write_text("Today I trained an adapter.\n")
    names = ("first", "copy", "wrong", "half")
    rows = [f"{name},2026-03-0{day}T12:00:00+00:00" for day, name in enumerate(names, 1)]
    times = "\n".join(["student,submitted_at", *rows]) + "\n"
    (work / "class" / "submissions.csv").write_text(times)
    store = prepare(work / "out")
    (work / "out" / grade.TRAININGS_NAME).symlink_to(trainings)
    done = grade.grade(
        [work / "class"],
        assignment,
        make_hidden(assignment.topic, 7, 20),
        store,
        Silent(),
        open_sandbox=need_sandbox,
    )
    for result in done.results:
        write_result(work / "out", assignment, result)
    return work / "out"


@pytest.fixture(scope="module")
def results(assignment: Assignment, out: Path) -> dict[str, Result]:
    return {result.student: result for result in write_class(out, assignment)}


def found(result: Result, code: str) -> Finding:
    return next(finding for finding in result.findings if finding.code == code)


@pytest.mark.live
def test_each_adapter_is_held_against_its_own_base(results: dict[str, Result], out: Path) -> None:
    keys = results["first"].provenance["evidence"]
    with open_store(out / "evidence.sqlite") as store:
        texts = {}
        for id in ("before", "after", "reader_before", "reader_after"):
            evidence = store.get(keys[id])
            assert evidence is not None
            texts[id] = [answer.text for answer in read(evidence, Predictions).answers]
    assert len({tuple(answers) for answers in texts.values()}) == 4
    for code in ("EVL001", "EVL001@reader"):
        assert found(results["first"], code).measures["n"] == 20
    assert found(results["first"], "ADP008").message == "The config names course-model."
    named = found(results["first"], "ADP008@reader").message
    assert named == "The config names course-model-reader."


@pytest.mark.live
def test_each_workflow_and_each_document_is_judged_by_itself(results: dict[str, Result]) -> None:
    first = results["first"]
    assert found(first, "API001").outcome is Outcome.PASS
    assert found(first, "API001@reader").outcome is Outcome.FAIL
    assert found(first, "API003").measures["jobs"] == 1
    assert found(first, "API003@reader").measures["jobs"] == 0
    assert "'plan.md' was read: 3 words" in found(first, "DOC001").message
    assert "'diary.md' was read: 2 words" in found(first, "DOC001@reader").message
    assert found(first, "DOC010").outcome is Outcome.PASS
    assert "the course asks for a sentence" in found(first, "DOC010@reader").message
    assert found(first, "DOC010@reader").title == "The diary is a sentence"
    assert found(first, "API001@reader").title == "The workflow runs to its end (reader)"


@pytest.mark.live
def test_a_fault_of_one_adapter_leaves_the_other_alone(results: dict[str, Result]) -> None:
    wrong = results["wrong"]
    assert found(wrong, "ADP008@reader").outcome is Outcome.FAIL
    assert "course-model-reader" in found(wrong, "ADP008@reader").message
    behind = found(wrong, "EVL001@reader")
    assert behind.outcome is Outcome.SKIP
    assert "ADP008@reader" in behind.message
    assert found(wrong, "EVL001").measures["n"] == 20


@pytest.mark.live
def test_a_copy_of_one_adapter_is_a_copy_of_that_one_alone(results: dict[str, Result]) -> None:
    copy = results["copy"]
    assert found(copy, "INT001").outcome is Outcome.PASS
    assert found(copy, "INT001@reader").outcome is Outcome.FAIL
    assert "first" in found(copy, "INT001@reader").note
    assert found(results["first"], "INT001@reader").outcome is Outcome.PASS


def test_the_part_that_earns_most_counts_whatever_the_others_are_worth(
    results: dict[str, Result],
) -> None:
    first, half = results["first"], results["half"]
    assert (first.total.points, first.total.counted_parts) == (70, ("plain",))  # 10 + 40 + 20
    assert (half.total.points, half.total.counted_parts) == (40, ("reading",))  # 10 + 20 + 10
    assert found(half, "LAY003").outcome is Outcome.PASS
    left_out = found(half, "LAY010")
    assert (left_out.outcome, left_out.hint) == (Outcome.SKIP, "")
    assert half.total.max_points == 100


@pytest.mark.live
def test_results_and_pages_name_what_was_used_under_a_name(
    results: dict[str, Result], out: Path
) -> None:
    schema = json.loads((Path(grade.__file__).parents[1] / "schemas/result.v1.json").read_text())
    for path in (out / "staff").glob("*/result.json"):
        Draft202012Validator(schema).validate(json.loads(path.read_text()))
    page = (out / "students" / "first" / "feedback.html").read_text()
    for shown in ("EVL001@reader", "The diary can be read", "The best part counts"):
        assert shown in page
    with (out / "gradebook.csv").open(encoding="utf-8-sig", newline="") as file:
        columns = next(csv.reader(file))
    assert {"plain_gain", "reader_gain"} <= set(columns)
    assert (out / "staff" / "first" / "plan.txt").exists()
    assert (out / "staff" / "first" / "diary.txt").exists()


@pytest.mark.live
def test_scored_again_and_graded_again_nothing_changes(
    assignment: Assignment, results: dict[str, Result], out: Path
) -> None:
    for result in results.values():
        assert rescored(result, assignment).scores == result.scores
    hidden = make_hidden(assignment.topic, 7, 20)
    again = grade.grade(
        [out.parent / "class"],
        assignment,
        hidden,
        out / "evidence.sqlite",
        Silent(),
        open_sandbox=need_sandbox,
    )
    assert again.collected == 0
    assert {r.student: to_json(r) for r in again.results} == {
        student: to_json(result) for student, result in results.items()
    }


def test_a_check_under_a_name_needs_the_others_of_that_name_where_they_are(
    assignment: Assignment,
) -> None:
    assert all_needs(check_of("ADP004@reader", assignment), assignment) == (
        "ADP003@reader",
        "ADP006@reader",
        "ADP009@reader",
    )
    fewer = tuple(c for c in assignment.checks if c.ref != "ADP006@reader")
    without = replace(assignment, checks=fewer)
    assert all_needs(check_of("ADP004@reader", without), without) == (
        "ADP003@reader",
        "ADP006",
        "ADP009@reader",
    )


EVALUATED = {"code": "EVL001", "as": "more", "with": {"before": "before", "after": "after"}}


@pytest.mark.parametrize(
    ("check", "says"),
    [
        (EVALUATED | {"as": "reader"}, "check 'EVL001@reader' appears twice"),
        (EVALUATED | {"with": {"before": "plan_text"}}, "evidence 'plan_text' is finegrade/text"),
        (EVALUATED | {"with": {"before": "nothing"}}, "evidence 'nothing' is not there"),
        (EVALUATED | {"with": {"during": "before"}}, "has no role 'during'"),
        (EVALUATED | {"with": {"before": ["before", "after"]}}, "takes one 'before', not 2"),
        (EVALUATED | {"as": "No Name"}, "No Name"),
        ({"code": "ADP011", "as": "x", "with": {"adapter": "none"}}, "needs a deliverable 'none'"),
        ({"code": "LAY020"}, "needs deliverables or parts"),
        ({"code": "LAY020", "with": {"parts": ["third"]}}, "names 'third'"),
        ({"code": "EVL999"}, "there is no check EVL999"),
    ],
)
def test_a_use_of_a_check_that_cannot_be_is_refused(
    check: dict[str, object], says: str, tmp_path: Path
) -> None:
    document = yaml.safe_load(SEVERAL.read_text())
    document["checks"].append(check)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(AssignmentError, match=says):
        grade.load(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": "after", "kind": "predictions", "adapter": "adapter", "base": "reader"}, "adapter"),
        ({"id": "before", "kind": "predictions", "base": "unknown"}, "'unknown', which is not in"),
    ],
)
def test_a_base_that_cannot_be_is_refused(
    change: dict[str, object], says: str, tmp_path: Path
) -> None:
    document = yaml.safe_load(SEVERAL.read_text())
    document["evidence"] = [change if e["id"] == change["id"] else e for e in document["evidence"]]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(AssignmentError, match=says):
        grade.load(path)


def totals(assignment: Assignment, plain: Outcome, reading: Outcome) -> Total:
    """The total where all checks of each part came out so; a measure that is there is full."""
    findings = [
        Finding(
            ref, reading if "@" in ref else plain, "", "", measures={"delta_low95": 1, "share": 1}
        )
        for ref in assignment.refs
    ]
    return total(assignment, score(assignment, findings))


def test_a_range_holds_whichever_part_turns_out_to_count(assignment: Assignment) -> None:
    unknown = totals(assignment, Outcome.REVIEW, Outcome.PASS)
    assert (unknown.lower, unknown.upper, unknown.points) == (60, 100, None)
    known = totals(assignment, Outcome.SKIP, Outcome.PASS)
    assert (known.points, known.counted_parts) == (60, ("reading",))
    # The larger part is complete: what the smaller one may earn changes nothing.
    settled = totals(assignment, Outcome.PASS, Outcome.REVIEW)
    assert (settled.points, settled.counted_parts) == (100, ("plain",))
