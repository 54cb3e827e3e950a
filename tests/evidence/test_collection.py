"""A class's evidence: what is there is not read until its student is judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.classes import Silent

from grader.assignment.load import load_assignment
from grader.assignment.questions import make_hidden
from grader.core.nouns import Deliverable, Evidence, EvidenceSpec
from grader.evidence.collection import Collection
from grader.evidence.kind import Candidate, Grading
from grader.evidence.store import EvidenceStore, StoredEvidence, open_store
from grader.intake.find import submission_at
from grader.intake.submission import take_in
from grader.sandbox.api import Sandbox
from grader.sandbox.choose import NoSandbox

ASSIGNMENT = replace(
    load_assignment("llm-methods"),
    evidence=(EvidenceSpec("report", "text", settings={"document": "report"}),),
    deliverables=(Deliverable("report", "Report", ("report.md",)),),
)


def no_sandbox() -> Sandbox:
    raise NoSandbox("No sandbox works here.")


def candidate(tmp_path: Path, student: str) -> Candidate:
    home = tmp_path / student
    home.mkdir(exist_ok=True)
    (home / "report.md").write_text(f"The report of {student}.\n")
    taken = take_in(submission_at(home), tmp_path / "work", ASSIGNMENT.deliverables)
    return Candidate(taken, lambda codes: True)


@pytest.fixture
def grading(tmp_path: Path) -> Grading:
    hidden = make_hidden(ASSIGNMENT.topic, 3, 10)
    return Grading(ASSIGNMENT, hidden, "cpu", tmp_path / "trainings", no_sandbox)


def test_evidence_is_read_for_one_student_at_a_time_and_only_then(
    tmp_path: Path, grading: Grading, monkeypatch: pytest.MonkeyPatch
) -> None:
    students = ("a", "b", "c")
    with open_store(tmp_path / "e.sqlite") as store:
        for again in (False, True):
            read: list[str] = []
            get = EvidenceStore.get

            def counted(self: EvidenceStore, key: str, get=get, read=read) -> Evidence | None:  # type: ignore[no-untyped-def]
                read.append(key)
                return get(self, key)

            with monkeypatch.context() as patch:
                patch.setattr(EvidenceStore, "get", counted)
                collection = Collection(grading, store)
                for student in students:
                    collection.plan(candidate(tmp_path, student))
                collection.collect(Silent())
                assert read == []
                assert collection.ran == (0 if again else 3)
                for n, student in enumerate(students, 1):
                    text = collection.of(student)["report"].payload["text"]
                    assert text == f"The report of {student}.\n"
                    assert len(read) == n


def test_a_submission_that_changed_before_its_evidence_is_collected_is_a_fault(
    tmp_path: Path, grading: Grading
) -> None:
    with open_store(tmp_path / "e.sqlite") as store:
        collection = Collection(grading, store)
        first = candidate(tmp_path, "a")
        collection.plan(first)
        (tmp_path / "a" / "report.md").write_text("Another, longer report of another.\n")
        collection.collect(Silent())
        assert "changed" in collection.missing("a")["report"]
        assert collection.of("a") == {}


@pytest.mark.parametrize(
    ("payload", "schema"),
    [
        ({"schema": "finegrade/text/v1", "text": "x" * 100_000}, "finegrade/text/v1"),
        ({"text": "x", "schema": "finegrade/text/v1"}, None),
        ({}, None),
    ],
)
def test_the_store_tells_schema_cost_and_size_without_reading(
    tmp_path: Path, payload: dict[str, str], schema: str | None
) -> None:
    with open_store(tmp_path / "e.sqlite") as store:
        store.put(Evidence("text", "k", payload, {"seconds": 0.5}))
        about = store.about("k")
        assert about is not None
        assert about == StoredEvidence(schema, {"seconds": 0.5}, about.size_bytes)
        assert about.size_bytes >= len(str(payload.get("text", "")))
        assert store.about("other") is None
