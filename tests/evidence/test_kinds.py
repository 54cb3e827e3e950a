"""What evidence is requested of a submission, and a kind of evidence added to the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from support.benchmarks import BENCHMARK, PAIRS
from support.classes import Silent

from grader.assignment import load
from grader.assignment.load import load_assignment
from grader.assignment.questions import make_hidden
from grader.checks.api import registry
from grader.checks.api.context import Context, EvidenceRole, Verdict, passed
from grader.checks.api.registry import check
from grader.core.errors import AssignmentError, GraderFault, UsageError
from grader.core.files import resource
from grader.core.nouns import Evidence
from grader.core.payloads import Payload, Predictions, read
from grader.course import grade
from grader.evidence import kinds, predictions, text, transcript
from grader.evidence.collection import Collection
from grader.evidence.kind import (
    AdapterRef,
    Candidate,
    Collectable,
    EvidenceKind,
    EvidenceRequest,
    Grading,
    KindSpec,
    PlannedRequest,
    Progress,
    hashed,
)
from grader.evidence.kinds import KINDS
from grader.evidence.store import open_store
from grader.intake.find import submission_at
from grader.intake.submission import take_in
from grader.models.adapter_files import AdapterFiles
from grader.sandbox.unsandboxed import Unsandboxed

WHOLE = load_assignment("llm-methods")
HIDDEN = make_hidden(WHOLE.topic, 3, 10)


def _never_read() -> AdapterFiles:
    raise AssertionError("a request runs nothing")


def bench_requests(
    home: Path, benchmark: str | None, *, passed: bool = True
) -> list[PlannedRequest[predictions.PredictionWork]]:
    """The requests for a submission with an adapter and this benchmark."""
    home.mkdir()
    (home / "notes.md").write_text("n\n")
    if benchmark is not None:
        (home / "benchmark.jsonl").write_text(benchmark)
    found = submission_at(home)
    bench = tuple(spec for spec in WHOLE.evidence if spec.id == "bench_lora")
    grading = Grading(replace(WHOLE, evidence=bench), HIDDEN, "cpu", home.parent / "trainings")

    def told(codes: Sequence[str]) -> bool:
        assert "EVL011" in codes
        return passed

    adapters = {"adapter": AdapterRef("ab12", _never_read)}
    candidate = Candidate(take_in(found, home.parent / "work", WHOLE.deliverables), told, adapters)
    return predictions.KIND.plan(grading, candidate).requests


def test_a_benchmark_is_asked_in_the_place_of_the_hidden_questions(tmp_path: Path) -> None:
    (request,) = bench_requests(tmp_path / "s01", BENCHMARK)
    with request.opened() as work:
        asked = [q.messages[-1][1] for q in work.questions.questions]
    assert asked == [question for question, _ in PAIRS]


def test_another_benchmark_is_another_run_and_an_equal_one_is_not(tmp_path: Path) -> None:
    (one,) = bench_requests(tmp_path / "s01", BENCHMARK)
    (same,) = bench_requests(tmp_path / "s02", BENCHMARK)
    (other,) = bench_requests(tmp_path / "s03", BENCHMARK.replace("N7", "N8"))
    assert one.key == same.key != other.key


def test_without_a_benchmark_that_passed_nothing_is_run(tmp_path: Path) -> None:
    assert bench_requests(tmp_path / "s01", None) == []
    assert bench_requests(tmp_path / "s02", BENCHMARK, passed=False) == []


def test_what_a_kit_gives_lies_beside_a_script_that_is_run(tmp_path: Path) -> None:
    home = tmp_path / "s01" / "bonus"
    home.mkdir(parents=True)
    (home / "distill.py").write_text("print('hello')\n")
    (home.parent / "notes.md").write_text("n\n")
    found = submission_at(home.parent)
    submission = take_in(found, tmp_path / "work", WHOLE.deliverables)
    candidate = Candidate(submission, lambda codes: True)
    grading = Grading(WHOLE, HIDDEN, "cpu", tmp_path / "trainings", Unsandboxed)
    (spec,) = (spec for spec in kinds.specs(WHOLE, transcript.KIND) if spec.id == "distill_ok")
    laid = {}
    for given in (spec.given, None):
        request = transcript.KIND.request(replace(spec, given=given), candidate, grading)
        assert request is not None
        laid[given] = request.work.spec.inputs
    assert laid[None] == {}
    assert set(laid[spec.given]) >= {"bonus/dspy_example.py", "bonus/data/train.jsonl"}
    ours = resource("starter", "llm-methods", "dspy_example.py").read_bytes()
    assert laid[spec.given]["bonus/dspy_example.py"] == ours


@pytest.mark.parametrize(
    ("evidence", "says"),
    [
        ({"kind": "text"}, "document"),
        ({"kind": "text", "document": "nothing"}, "names document 'nothing'"),
        ({"kind": "predictions", "adapter": "nothing"}, "names adapter 'nothing'"),
        ({"kind": "predictions", "script": "openai_script"}, "script"),
        ({"kind": "rumour"}, "rumour"),
    ],
)
def test_evidence_that_its_kind_cannot_give_is_refused(
    evidence: dict[str, Any], says: str, tmp_path: Path
) -> None:
    document = yaml.safe_load(resource("rubrics", "llm-methods.yaml").read_text())
    document["evidence"].append({"id": "more", **evidence})
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(AssignmentError, match=says):
        grade.load(path)


def test_evidence_of_another_kind_or_version_is_refused_with_one_line(tmp_path: Path) -> None:
    old = {"answers": [], "schema": "finegrade/predictions/v0"}
    with pytest.raises(GraderFault, match=r"predictions/v1 was expected, .*predictions/v0"):
        read(Evidence("predictions", "k", old, {}), Predictions)
    (tmp_path / "s01").mkdir()
    (tmp_path / "s01" / "reflection.md").write_text("n\n")
    found = submission_at(tmp_path / "s01")
    submission = take_in(found, tmp_path / "work", WHOLE.deliverables)
    candidate = Candidate(submission, lambda codes: True)
    grading = Grading(WHOLE, HIDDEN, "cpu", tmp_path / "trainings")
    (request,) = text.KIND.plan(grading, candidate).requests
    with open_store(tmp_path / "e.sqlite") as store:
        store.put(Evidence("text", request.key, {"schema": "finegrade/text/v9"}, {}))
        with pytest.raises(UsageError, match=r"holds finegrade/text/v9.* another --out"):
            Collection(grading, store).plan(candidate)


# A kind of evidence as its one file would have it: how many lines a deliverable has.


@dataclass(frozen=True, slots=True)
class LineCountSpec(KindSpec):
    """`file` is the deliverable whose lines are counted."""

    DELIVERABLES: ClassVar = ("file",)

    file: str


@dataclass(frozen=True, slots=True)
class LineCount(Payload):
    """How many lines it has."""

    SCHEMA: ClassVar[str] = "finegrade/line-count/v1"

    lines: int


def _request(
    spec: LineCountSpec, candidate: Candidate, grading: Grading
) -> EvidenceRequest[Path] | None:
    place = grading.place(candidate.submission, spec.file)
    if place is None:
        return None
    file = candidate.submission.file(place)
    assert file is not None
    path = candidate.submission.root / place
    key = hashed({"kind": "line_count", "file": file.sha256})
    return EvidenceRequest(candidate.submission.student, spec.id, "line_count", key, path)


class _Counter:
    def produce(
        self,
        new: Mapping[str, Collectable[Path]],
        put: Callable[[Evidence], None],
        progress: Progress,
    ) -> dict[str, str]:
        for key, request in new.items():
            with request.opened() as path:
                count = LineCount(len(path.read_text().splitlines()))
            put(Evidence("line_count", key, count.to_json(), {}))
        return {}


LINE_COUNT = EvidenceKind("line_count", LineCountSpec, LineCount, _request, lambda _: _Counter())
_LINES = EvidenceRole("reflection_lines", LineCount)


def _has_lines(context: Context) -> Verdict:
    """The reflection has lines

    Why: A test.

    Fix: Write some.
    """
    lines = context.read(_LINES).lines
    return passed(f"{lines} lines.", measures={"lines": lines})


def test_a_kind_that_is_added_is_collected_and_read_by_a_check_and_earns_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "line_count", LINE_COUNT)
    schema = json.loads(load._SCHEMA.read_text())
    items = schema["properties"]["evidence"]["items"]
    items["properties"]["kind"]["enum"].append("line_count")
    fields = {"id": True, "kind": True, "needs": True, "file": {"$ref": "#/$defs/id"}}
    mine = {"properties": fields, "additionalProperties": False, "required": ["file"]}
    named = {"properties": {"kind": {"const": "line_count"}}}
    items["allOf"].append({"if": named, "then": mine})
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    monkeypatch.setattr(load, "_SCHEMA", tmp_path / "schema.json")
    monkeypatch.setattr(registry, "_CHECKS", dict(registry._CHECKS))
    check("DOC999", evidence=(_LINES,), measures=("lines",))(_has_lines)

    document = yaml.safe_load(resource("rubrics", "llm-methods.yaml").read_text())
    document |= {
        "evidence": [{"id": "reflection_lines", "kind": "line_count", "file": "reflection"}],
        "checks": ["DOC999"],
        "categories": [{"id": "all", "title": "All", "points": 100}],
        "criteria": [
            {
                "id": "lines",
                "title": "Lines",
                "category": "all",
                "points": 100,
                "from": "DOC999.lines",
                "bands": [{"at_least": 2, "points": 40}, {"at_least": 3, "points": 100}],
            }
        ],
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document))
    for student, lines in (("s01", "one\ntwo\n"), ("s02", "one\ntwo\nthree\n")):
        (tmp_path / "class" / student).mkdir(parents=True)
        (tmp_path / "class" / student / "reflection.md").write_text(lines)
    assignment = grade.load(tmp_path / "mine.yaml")
    done = grade.grade([tmp_path / "class"], assignment, HIDDEN, tmp_path / "e.sqlite", Silent())
    assert done.collected == 2
    assert [result.total.points for result in done.results] == [40, 100]
