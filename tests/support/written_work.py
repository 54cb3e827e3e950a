"""Evidence of written work in tests: really read where no sandbox is needed, or said to be."""

from __future__ import annotations

from pathlib import Path

from grader.core.nouns import Evidence
from grader.core.payloads import DocumentFault, WrittenWork
from grader.evidence.kind import EvidenceRequest
from grader.evidence.text import NAME, SubmittedDocument, TextProducer
from grader.intake.find import submission_at
from grader.intake.submission import take_in
from grader.sandbox.choose import UnavailableSandbox
from support.classes import Silent


def read(home: Path, name: str) -> Evidence:
    """What is read of this document of the submission at `home`, without a sandbox."""
    found = submission_at(home)
    document = SubmittedDocument(take_in(found, home), name, UnavailableSandbox("No sandbox."))
    request = EvidenceRequest("s01", "x", NAME, "k", document)
    kept: list[Evidence] = []
    assert TextProducer().produce({"k": request}, kept.append, Silent()) == {}
    return Evidence(NAME, "k", kept[0].payload, {})


def text(
    path: str, says: str, *, pages: int | None = None, notes: tuple[str, ...] = ()
) -> Evidence:
    """Evidence of a document that was read."""
    return Evidence(NAME, "k", WrittenWork(path, says, pages, list(notes)).to_json(), {})


def unread(path: str, code: str) -> Evidence:
    """Evidence of a document that has the fault of this code."""
    fault = DocumentFault(code, f"{path!r} cannot be read.", "Export it again.")
    return Evidence(NAME, "k", WrittenWork(path, fault=fault).to_json(), {})
