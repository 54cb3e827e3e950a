"""Evidence of written work in tests: really read where no sandbox is needed, or said to be."""

from __future__ import annotations

from pathlib import Path

from grader.core.nouns import Evidence, EvidenceSpec
from grader.evidence.texts import KIND, TextProducer, text_want
from grader.intake.find import find_submissions, take_in
from grader.sandbox.choose import UnavailableSandbox
from support.classes import Silent


def read(home: Path, name: str) -> Evidence:
    """What is read of this document of the submission at `home`, without a sandbox."""
    (found,) = find_submissions([home])
    want = text_want(take_in(found, home), EvidenceSpec("x", KIND, document="x"), name, None)
    kept: list[Evidence] = []
    assert (
        TextProducer(UnavailableSandbox("No sandbox.")).produce(
            {want.key: want}, kept.append, Silent()
        )
        == {}
    )
    return Evidence(KIND, "k", kept[0].payload, {})


def text(
    path: str, says: str, *, pages: int | None = None, notes: tuple[str, ...] = ()
) -> Evidence:
    """Evidence of a document that was read."""
    payload = {"path": path, "text": says, "pages": pages, "notes": list(notes)}
    return Evidence(KIND, "k", payload, {})


def unread(path: str, code: str) -> Evidence:
    """Evidence of a document that has the fault of this code."""
    fault = {"code": code, "message": f"{path!r} cannot be read.", "hint": "Export it again."}
    return Evidence(KIND, "k", {"path": path, "fault": fault}, {})
