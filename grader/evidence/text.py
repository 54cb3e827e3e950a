"""Evidence `text`: what a written deliverable says, as plain text.

That a document cannot be read is the student's to fix, and as much evidence as its text.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import ClassVar, Final

from grader.core.constants import DOCUMENT_MAX_BYTES, TEXT_VERSION
from grader.core.errors import FileRefused
from grader.core.nouns import Evidence, Submission
from grader.core.payloads import DocumentFault, WrittenWork
from grader.evidence.documents import needs_sandbox, text_of
from grader.evidence.kind import (
    Candidate,
    Collectable,
    EvidenceKind,
    EvidenceRequest,
    Grading,
    KindSpec,
    Progress,
    hashed,
    reason,
    versions,
)
from grader.intake.submission import open_file
from grader.sandbox.api import Sandbox
from grader.sandbox.choose import UnavailableSandbox

NAME: Final = "text"
_READERS: Final = ("pypdf", "python-docx", "nbformat")


@dataclass(frozen=True, slots=True)
class TextSpec(KindSpec):
    """`document` is the deliverable that is read."""

    DELIVERABLES: ClassVar = ("document",)

    document: str


@dataclass(frozen=True, slots=True)
class SubmittedDocument:
    """A written deliverable of a submission, and the sandbox that its reader runs in."""

    submission: Submission
    path: str
    sandbox: Sandbox


def _request(
    spec: TextSpec, candidate: Candidate, grading: Grading
) -> EvidenceRequest[SubmittedDocument] | None:
    submission = candidate.submission
    path = grading.place(submission, spec.document)
    if path is None:
        return None
    isolated = needs_sandbox(path)
    if isolated and grading.questions is None:
        return None
    sandbox = grading.sandbox if isolated else UnavailableSandbox("It needs none.")
    (digest,) = (file.sha256 for file in submission.files if file.path == path)
    key = hashed(
        {
            "kind": NAME,
            "version": TEXT_VERSION,
            "name": path,
            "file": digest,
            "readers": versions(*_READERS),
            "sandbox": sandbox.policy() if isolated else None,
        }
    )
    work = SubmittedDocument(submission, path, sandbox)
    return EvidenceRequest(submission.student, spec.id, NAME, key, work)


class TextProducer:
    """The producer: several documents at once."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def produce(
        self,
        new: Mapping[str, Collectable[SubmittedDocument]],
        put: Callable[[Evidence], None],
        progress: Progress,
    ) -> dict[str, str]:
        """See Producer. When the caller is interrupted, readers under way are killed."""
        progress.start("Reading written work", len(new))
        failed: dict[str, str] = {}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            running = {pool.submit(self._evidence, request): request for request in new.values()}
            try:
                for future in as_completed(running):
                    request = running[future]
                    try:
                        put(future.result())
                    except Exception as error:  # whatever it is, it must not stop the batch
                        failed[request.key] = reason(error)
                    progress.step(request.student)
            finally:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
        return failed

    def _evidence(self, request: Collectable[SubmittedDocument]) -> Evidence:
        began = time.monotonic()
        with request.opened() as document:
            payload = self._read(document).to_json()
        return Evidence(NAME, request.key, payload, {"seconds": time.monotonic() - began})

    def _read(self, document: SubmittedDocument) -> WrittenWork:
        try:
            with open_file(document.submission, document.path) as file:
                data = file.read(DOCUMENT_MAX_BYTES + 1)  # one more shows that it is too large
            found = text_of(document.path, data, document.sandbox, self._stop)
        except FileRefused as refused:
            fault = DocumentFault(refused.code, refused.message, refused.hint)
            return WrittenWork(document.path, fault=fault)
        return WrittenWork(document.path, found.text, found.pages, found.notes)


KIND: Final = EvidenceKind(NAME, TextSpec, WrittenWork, _request, lambda grading: TextProducer())
