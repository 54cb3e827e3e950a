"""Written deliverables become text, or a fault that the student can mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.classes import Silent

from grader.core.nouns import EvidenceSpec
from grader.evidence.store import Collected, collect, open_store
from grader.evidence.texts import KIND, TextProducer, text_want
from grader.intake.find import find_submissions, take_in
from grader.sandbox.choose import UnavailableSandbox

SPEC = EvidenceSpec("report", KIND, document="report")


def collected(tmp_path: Path, name: str, data: bytes, *, again: bool = False) -> Collected:
    if not again:
        (tmp_path / "s01").mkdir()
        (tmp_path / "s01" / name).write_bytes(data)
    (found,) = find_submissions([tmp_path / "s01"])
    submission = take_in(found, tmp_path / f"work{again}")
    absent = UnavailableSandbox("No sandbox works here.")
    with open_store(tmp_path / "evidence.sqlite") as store:
        want = text_want(submission, SPEC, name, None)
        return collect([want], store, {KIND: TextProducer(absent)}, Silent())


def payload(found: Collected) -> dict[str, Any]:
    return dict(found.evidence["s01", "report"].payload)


def test_markdown_is_text_also_where_no_sandbox_works(tmp_path: Path) -> None:
    found = collected(tmp_path, "report.md", "# Caf\u0065\u0301\n\nIt works.\n".encode())
    assert payload(found) == {
        "path": "report.md",
        "text": "# Café\n\nIt works.\n",
        "pages": None,
        "notes": [],
    }
    assert collected(tmp_path, "report.md", b"", again=True).ran == 0


def test_a_document_that_cannot_be_read_is_the_students_to_mend(tmp_path: Path) -> None:
    fault = payload(collected(tmp_path, "report.md", b"\xff\xfe\x00broken"))["fault"]
    assert fault["code"] == "DOC102"
    assert fault["hint"]


def test_a_pdf_without_a_sandbox_is_nobodys_fault(tmp_path: Path) -> None:
    found = collected(tmp_path, "report.pdf", b"%PDF-1.7\n%%EOF\n")
    assert found.missing["s01", "report"] == "GraderFault: No sandbox works here."
