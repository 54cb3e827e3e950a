"""Evidence `text`: what a written deliverable says, as plain text.

That a document cannot be read is the student's to mend, and as much evidence as its text.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from grader.collect.collector import Progress, Want, reason
from grader.collect.predictions import versions
from grader.constants import DOCUMENT_MAX_BYTES, TEXT_VERSION
from grader.errors import FileRefused
from grader.intake import read_file
from grader.model import Evidence, EvidenceSpec, Submission
from grader.sandbox.documents import text_of
from grader.sandbox.launch import Sandbox

KIND: Final = "text"
_READERS: Final = ("pypdf", "python-docx", "nbformat")


@dataclass(frozen=True, slots=True)
class Document:
    """A written deliverable of a submission."""

    submission: Submission
    path: str


def text_want(
    submission: Submission, spec: EvidenceSpec, path: str, sandbox: Sandbox | None
) -> Want:
    """The text of the document at `path` inside the submission."""
    (digest,) = (file.sha256 for file in submission.files if file.path == path)
    inputs = {
        "kind": KIND,
        "version": TEXT_VERSION,
        "name": path,
        "file": digest,
        "readers": versions(*_READERS),
        "sandbox": sandbox.policy() if sandbox is not None else None,
    }
    key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    return Want(submission.student, spec.id, KIND, key, Document(submission, path))


class Texts:
    """The producer. Without a sandbox, formats that need none are read all the same."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Where no sandbox works, one that raises GraderFault for every run."""
        self._sandbox = sandbox

    def produce(
        self, new: Mapping[str, Want], put: Callable[[Evidence], None], progress: Progress
    ) -> dict[str, str]:
        """See Producer."""
        progress.start("Reading written work", len(new))
        failed: dict[str, str] = {}
        for key, want in new.items():
            began = time.monotonic()
            try:
                payload = self._read(want.work)
                put(Evidence(KIND, key, payload, {"seconds": time.monotonic() - began}))
            except Exception as error:  # whatever it is, it must not stop the batch
                failed[key] = reason(error)
            progress.step(want.student)
        return failed

    def _read(self, document: Document) -> dict[str, Any]:
        try:
            data = read_file(document.submission, document.path, DOCUMENT_MAX_BYTES)
            text = text_of(document.path, data, self._sandbox)
        except FileRefused as refused:
            fault = {"code": refused.code, "message": refused.message, "hint": refused.hint}
            return {"path": document.path, "fault": fault}
        return {
            "path": document.path,
            "text": text.text,
            "pages": text.pages,
            "notes": list(text.notes),
        }
