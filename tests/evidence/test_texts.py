"""Written deliverables become text, or a fault that the student can fix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from support.classes import Silent

from grader.assignment.load import load_assignment
from grader.assignment.questions import make_hidden
from grader.core.nouns import Deliverable, Evidence, EvidenceSpec
from grader.evidence.collection import Collection
from grader.evidence.kind import Candidate, Grading
from grader.evidence.store import open_store
from grader.intake.find import submission_at
from grader.intake.submission import take_in
from grader.sandbox.api import Sandbox
from grader.sandbox.choose import NoSandbox

SPEC = EvidenceSpec("report", "text", settings={"document": "report"})
PATHS = ("report.md", "report.pdf")
ASSIGNMENT = replace(
    load_assignment("llm-methods"),
    evidence=(SPEC,),
    deliverables=(Deliverable("report", "Report", PATHS),),
)


def no_sandbox() -> Sandbox:
    raise NoSandbox("No sandbox works here.")


class Collected(NamedTuple):
    """What came of it: the evidence by id, why some is missing, and how much was collected."""

    evidence: dict[str, Evidence]
    missing: dict[str, str]
    ran: int


def collected(tmp_path: Path, name: str, data: bytes, *, again: bool = False) -> Collected:
    if not again:
        (tmp_path / "s01").mkdir()
        (tmp_path / "s01" / name).write_bytes(data)
    found = submission_at(tmp_path / "s01")
    submission = take_in(found, tmp_path / f"work{again}", ASSIGNMENT.deliverables)
    candidate = Candidate(submission, lambda codes: True)
    hidden = make_hidden(ASSIGNMENT.topic, 3, 10)
    grading = Grading(ASSIGNMENT, hidden, "cpu", tmp_path / "trainings", no_sandbox)
    with open_store(tmp_path / "evidence.sqlite") as store:
        collection = Collection(grading, store)
        collection.plan(candidate)
        collection.collect(Silent())
        return Collected(collection.of("s01"), collection.missing("s01"), collection.ran)


def payload(found: Collected) -> dict[str, Any]:
    return dict(found.evidence["report"].payload)


def test_markdown_is_text_also_where_no_sandbox_works(tmp_path: Path) -> None:
    found = collected(tmp_path, "report.md", "# Caf\u0065\u0301\n\nIt works.\n".encode())
    assert payload(found) == {
        "schema": "finegrade/text/v1",
        "path": "report.md",
        "text": "# Café\n\nIt works.\n",
        "pages": None,
        "notes": [],
        "fault": None,
    }
    assert collected(tmp_path, "report.md", b"", again=True).ran == 0


def test_a_document_that_cannot_be_read_is_the_students_to_fix(tmp_path: Path) -> None:
    fault = payload(collected(tmp_path, "report.md", b"\xff\xfe\x00broken"))["fault"]
    assert fault["code"] == "DOC102"
    assert fault["hint"]


def test_a_pdf_without_a_sandbox_is_nobodys_fault(tmp_path: Path) -> None:
    found = collected(tmp_path, "report.pdf", b"%PDF-1.7\n%%EOF\n")
    assert found.missing["report"] == "No sandbox works here."
