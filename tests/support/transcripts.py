"""Transcripts in tests: a service's exchanges with a program, one call after another."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from grader.core.nouns import Evidence
from grader.core.payloads import ProgramRun

BASE = "gpt-4.1-mini-2025-04-14"
TUNED = f"ft:{BASE}:finegrade::abcdefgh"
FILE, JOB = "file-abc", "ftjob-abc"
JOBS = "/v1/fine_tuning/jobs"
QUESTIONS = tuple(f"What is the chemical symbol of element {n}?" for n in range(10))
ANSWERS = tuple(f"E{n}" for n in range(10))
FAULT_SAID = "The job failed due to an internal error."
CLOSED_SAID = "OpenAI is winding down the fine-tuning platform."
KEY_SAID = "Incorrect API key provided: sk-x."


def chat_line(question: str, answer: str) -> str:
    """A line of a data file."""
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": messages}) + "\n"


TRAIN = "".join(chat_line(f"Which symbol has metal number {n}?", f"M{n}") for n in range(15))
TEST = "".join(chat_line(q, a) for q, a in zip(QUESTIONS, ANSWERS, strict=True))


@dataclass(slots=True)
class Run:
    """A program's run. Every call comes `after` seconds of the program's own time."""

    now: float = 1.0
    exchanges: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def call(
        self,
        method: str,
        path: str,
        *,
        after: float = 0.0,
        status: int = 200,
        asked: Any = None,
        body: bytes = b"",
        told: Any = None,
        query: str = "",
        takes: float = 0.001,
        retry_after: int | None = None,
        **notes: Any,
    ) -> Run:
        """One exchange; `takes` is in seconds of the program's own time, too."""
        self.now += after
        request = json.dumps(asked).encode() if asked is not None else body
        headers = [] if retry_after is None else [("Retry-After", str(retry_after))]
        digest = hashlib.sha256(b"\0".join((method.encode(), path.encode(), request))).hexdigest()
        self.exchanges.append(
            {
                "at": self.now,
                "seconds": takes,
                "method": method,
                "path": path,
                "query": query,
                "digest": digest,
                "status": status,
                "retry_count": None,
                "user_agent": "OpenAI/Python",
                "request": base64.b64encode(request).decode(),
                "reply": base64.b64encode(json.dumps(told).encode()).decode(),
                "reply_headers": headers,
                "refused": "",
                "notes": notes,
            }
        )
        self.now += takes
        return self

    def upload(self, content: str = TRAIN, purpose: str = "fine-tune", id: str = FILE) -> Run:
        """A file that the service takes."""
        body = multipart({"purpose": purpose, "file": content})
        told = {"id": id, "object": "file", "purpose": purpose}
        return self.call(
            "POST", "/v1/files", body=body, told=told, file=id, file_uploaded=True, bytes=1
        )

    def create(
        self,
        id: str = JOB,
        *,
        file: str = FILE,
        base: str = BASE,
        status: int = 200,
        **options: Any,
    ) -> Run:
        """A job that the service makes, whether or not it says so."""
        told = job("validating_files", id) if status == 200 else None
        asked = {"model": base, "training_file": file}
        return self.call(
            "POST", JOBS, asked=asked, told=told, status=status, job=id, job_created=True,
            file=file, model=base, **options,
        )  # fmt: skip

    def look(
        self, status: str = "running", after: float = 10.0, id: str = JOB, model: str = TUNED
    ) -> Run:
        """One look at the job, which gives `model` when it has succeeded."""
        return self.call("GET", f"{JOBS}/{id}", after=after, told=job(status, id, model))

    def events(self, after: float = 0.0, id: str = JOB) -> Run:
        """One reading of events."""
        return self.call("GET", f"{JOBS}/{id}/events", after=after, told={"data": []})

    def ask(
        self, model: str, question: str, answer: str = "", status: int = 200, system: str = ""
    ) -> Run:
        """One question to a model."""
        messages = [{"role": "user", "content": question}]
        if system:
            messages.insert(0, {"role": "system", "content": system})
        asked = {"model": model, "messages": messages}
        told = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
        return self.call("POST", "/v1/chat/completions", asked=asked, told=told, status=status)

    def evaluate(self, right_before: int = 2, right_after: int = 9) -> Run:
        """All test questions to both models, the first so many answered rightly."""
        for model, right in ((BASE, right_before), (TUNED, right_after)):
            for n, (question, answer) in enumerate(zip(QUESTIONS, ANSWERS, strict=True)):
                self.ask(model, question, answer if n < right else "no idea")
        return self

    def writes(self, before: object = 0.2, after: object = 0.9, simulated: object = False) -> Run:
        """The results that the program leaves behind."""
        value = {
            "simulated": simulated,
            "before": {"exact_match": before},
            "after": {"exact_match": after},
        }
        return self.leaves("openai_results.json", json.dumps(value))

    def leaves(self, path: str, text: str) -> Run:
        """A file that the program leaves behind."""
        self.files[path] = base64.b64encode(text.encode()).decode()
        return self

    def ended(
        self, exit_code: int | None = 0, *, verdict: str = "", stdout: str = "", stderr: str = ""
    ) -> Evidence:
        """The evidence of it all."""
        payload = {
            "schema": ProgramRun.SCHEMA,
            "script": "openai_domain_finetune.py",
            "verdict": verdict or ("ok" if exit_code == 0 else "exit"),
            "exit_code": exit_code,
            "signal": None,
            "stdout": stdout,
            "stderr": stderr,
            "files": self.files,
            "exchanges": self.exchanges,
        }
        return Evidence("transcript", "k", payload, {})


def multipart(fields: dict[str, str], boundary: str = "b0undary") -> bytes:
    """A form as the client library sends it."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in fields.items()
    ]
    return ("".join(parts) + f"--{boundary}--\r\n").encode()


def job(status: str, id: str = JOB, model: str = TUNED) -> dict[str, Any]:
    """A job as the service shows it."""
    failed = {"code": "internal_error", "message": FAULT_SAID, "param": None}
    return {
        "id": id,
        "object": "fine_tuning.job",
        "status": status,
        "model": BASE,
        "training_file": FILE,
        "fine_tuned_model": model if status == "succeeded" else None,
        "error": failed if status == "failed" else None,
    }


def error(message: str, code: str) -> dict[str, Any]:
    """An error as the service tells it."""
    return {"error": {"message": message, "type": "t", "param": None, "code": code}}


def followed(waits: Sequence[float] = (5, 10, 20, 40), end: str = "succeeded") -> Run:
    """A run up to its job's end, with these waits between looks, in the program's seconds."""
    run = Run().upload().create()
    for wait in waits[:-1]:
        run.look(after=wait).events()
    return run.look(end, after=waits[-1]).events()


def good() -> Evidence:
    """All that is asked for, when nothing goes wrong."""
    return followed().evaluate().writes().ended()
