"""SRC010: no key or token travels with the submission."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grader.checks.registry import Context, Verdict, check, failed, passed
from grader.checks.written_work import all_written
from grader.constants import NOTEBOOK_MAX_BYTES, SOURCE_MAX_BYTES
from grader.errors import FileRefused
from grader.intake import read_file
from grader.sandbox.notebooks import read_cells
from grader.sandbox.submitted_notebook import is_notebook
from grader.submitted_paths import shown

_SECRETS = {
    "an OpenAI key": re.compile(rb"\bsk-(?!ant-)[A-Za-z0-9_-]{20,200}"),
    "an Anthropic key": re.compile(rb"\bsk-ant-[A-Za-z0-9_-]{20,200}"),
    "a Hugging Face token": re.compile(rb"\bhf_[A-Za-z0-9]{30,60}\b"),
    "a GitHub token": re.compile(rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,90})\b"),
    "a Google key": re.compile(rb"\bAIza[A-Za-z0-9_-]{35}"),
    "an AWS key": re.compile(rb"\bAKIA[A-Z0-9]{16}\b"),
}
_SOURCE_SUFFIXES = (".py", ".ipynb", ".md", ".txt", ".json", ".yaml", ".yml", ".toml", ".sh",
                    ".env", ".cfg", ".ini")  # fmt: skip
_PLACEHOLDER = re.compile(rb"your|example|placeholder|dummy|fake|test|xxx|simulat|local", re.I)


@check("SRC010", needs=("LAY030",))
def no_secret_is_in_the_source(context: Context) -> Verdict:
    """No secret is in the source

    Why: A key in a file travels with it: to your instructor, into a repository, to whoever finds
    it and runs up your bill.

    Fix: Revoke the key where you got it, then read it from an environment variable.
    """
    for path, source, is_file in _searched(context):
        for kind, pattern in _SECRETS.items():
            for match in pattern.finditer(source):
                if _is_real(match[0]):
                    line = source.count(b"\n", 0, match.start()) + 1
                    cell = _cell(path, source, match[0]) if is_notebook(path) else ""
                    where = cell or (f"Line {line}" if is_file else "The text")
                    return failed(
                        f"{where} of {shown(path)!r} holds what looks like {kind}.",
                        "Revoke this key now, and read the new one from an environment variable.",
                        path=path,
                        line=line if is_file and not cell else None,
                    )
    return passed("No key or token was found.")


def _searched(context: Context) -> Iterator[tuple[str, bytes, bool]]:
    """(path, what is searched, whether that is the file itself) of whatever holds text."""
    for file in context.submission.files:
        most = NOTEBOOK_MAX_BYTES if is_notebook(file.path) else SOURCE_MAX_BYTES
        if file.path.lower().endswith(_SOURCE_SUFFIXES) and file.size <= most:
            yield file.path, read_file(context.submission, file.path, most), True
    for document in all_written(context):
        if not document.path.lower().endswith(_SOURCE_SUFFIXES):
            yield document.path, document.text.encode(), False


def _cell(path: str, notebook: bytes, key: bytes) -> str:
    """Where in a notebook it stands, or "" where that has no cells."""
    try:
        cells = read_cells(notebook, path)
    except FileRefused:
        return ""
    for number, source in enumerate((c.source for c in cells if c.kind == "code"), 1):
        before, found, _ = source.partition(key.decode())
        if found:
            return f"Cell {number}, line {before.count(chr(10)) + 1}"
    return "A text or an output"


def _is_real(key: bytes) -> bool:
    """Whether it is as random as keys are; `sk-your-key-here` is not."""
    return (
        not _PLACEHOLDER.search(key)
        and len(set(key)) >= 12
        and any(48 <= c <= 57 for c in key)
        and any(65 <= c <= 90 or 97 <= c <= 122 for c in key[4:])
    )
