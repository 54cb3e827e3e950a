"""Evidence `text`: what a written deliverable says, as plain text.

That a document cannot be read is the student's to mend, and as much evidence as its text.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Final

from grader.core.constants import DOCUMENT_MAX_BYTES, TEXT_VERSION
from grader.core.errors import FileRefused
from grader.core.nouns import Evidence, EvidenceSpec, Submission
from grader.evidence.documents import text_of
from grader.evidence.predictions import versions
from grader.evidence.store import EvidenceRequest, Progress, reason
from grader.intake.find import open_file
from grader.sandbox.api import Sandbox

KIND: Final = "text"
_READERS: Final = ("pypdf", "python-docx", "nbformat")


@dataclass(frozen=True, slots=True)
class Document:
    """A written deliverable of a submission."""

    submission: Submission
    path: str


def text_want(
    submission: Submission, spec: EvidenceSpec, path: str, sandbox: Sandbox | None
) -> EvidenceRequest:
    """The text of the document at `path` inside the submission.

    `sandbox` is the one in which it is read; None where it needs none, or there is none.
    """
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
    return EvidenceRequest(submission.student, spec.id, KIND, key, Document(submission, path))


class TextProducer:
    """The producer. Without a sandbox, formats that need none are read all the same."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Where no sandbox works, one that raises GraderFault for every run."""
        self._sandbox = sandbox
        self._stop = threading.Event()

    def produce(
        self,
        new: Mapping[str, EvidenceRequest],
        put: Callable[[Evidence], None],
        progress: Progress,
    ) -> dict[str, str]:
        """See Producer. When the caller is interrupted, readers under way are killed."""
        progress.start("Reading written work", len(new))
        failed: dict[str, str] = {}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            running = {pool.submit(self._evidence, want): want for want in new.values()}
            try:
                for future in as_completed(running):
                    want = running[future]
                    try:
                        put(future.result())
                    except Exception as error:  # whatever it is, it must not stop the batch
                        failed[want.key] = reason(error)
                    progress.step(want.student)
            finally:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
        return failed

    def _evidence(self, want: EvidenceRequest) -> Evidence:
        began = time.monotonic()
        payload = self._read(want.work)
        return Evidence(KIND, want.key, payload, {"seconds": time.monotonic() - began})

    def _read(self, document: Document) -> dict[str, Any]:
        try:
            with open_file(document.submission, document.path) as file:
                data = file.read(DOCUMENT_MAX_BYTES + 1)  # one more shows that it is too large
            text = text_of(document.path, data, self._sandbox, self._stop)
        except FileRefused as refused:
            fault = {"code": refused.code, "message": refused.message, "hint": refused.hint}
            return {"path": document.path, "fault": fault}
        return {
            "path": document.path,
            "text": text.text,
            "pages": text.pages,
            "notes": list(text.notes),
        }
