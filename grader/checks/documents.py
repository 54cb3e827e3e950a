"""DOC: what documents say, as it was read into evidence.

DOC1xx: what a document must be to be read into plain text.

The reader gives the code of the fault that it met first (`grader/evidence/documents.py`). Which
document has it is said here, beside the page that explains it; what it costs hangs on DOC0xx, so
that one document's fault never costs another's points.

DOC0xx: the document that the assignment binds can be read, is more than the kit's template, and is
about as long as the assignment asks. A person judges what it says; what stops a person from reading
it is said here.

SRC010: no key or token travels with the submission.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from grader.assignment.given import OwnText, Template, template_of
from grader.checks.api.context import Context, EvidenceRole, Verdict, failed, passed, skipped
from grader.checks.api.registry import Check, add, check
from grader.core.constants import (
    DOCUMENT_OWN_WORDS_AT_LEAST,
    NOTEBOOK_MAX_BYTES,
    SECRETS_MAX_BYTES,
    SOURCE_MAX_BYTES,
)
from grader.core.errors import FileRefused
from grader.core.nouns import Severity
from grader.core.payloads import WrittenWork, read
from grader.core.text import counted
from grader.intake.notebooks import read_cells
from grader.intake.paths import shown
from grader.intake.submission import read_file
from grader.intake.submitted_notebook import is_notebook

TEXT: Final = EvidenceRole("text", WrittenWork)
DOCUMENT: Final = "document"


def all_written(context: Context) -> Iterator[WrittenWork]:
    """Every document of the submission that was looked at, in the assignment's order."""
    for spec in context.assignment.evidence:
        if spec.kind == "text" and spec.id in context.evidence:
            yield read(context.evidence[spec.id], WrittenWork)


@check("DOC101")
def documents_are_what_their_names_say(context: Context) -> Verdict:
    """Every document is of the kind that its name says

    Why: The name's ending says how a file is to be opened. A web page, an old Word file (.doc) or a
    photo that was renamed to .pdf is none, whatever it is called.

    Fix: Open the document in the program that you wrote it with, and export it as PDF or save it as
    .docx or .md; do not rename it.
    """
    return _none_has(context, "DOC101")


@check("DOC102")
def documents_can_be_opened(context: Context) -> Verdict:
    """Every document can be opened

    Why: An upload that broke off, a damaged file or a text in an old encoding shows nothing, or
    something else than you wrote.

    Fix: Export or save the document again, open it once yourself, and submit that file. Save
    Markdown as UTF-8.
    """
    return _none_has(context, "DOC102")


@check("DOC103")
def documents_have_no_password(context: Context) -> Verdict:
    """No document is protected by a password

    Why: Nobody is there to type it in.

    Fix: Export the PDF without a password; in Word remove it under File, Info, Protect Document.
    """
    return _none_has(context, "DOC103")


@check("DOC104")
def documents_hold_text(context: Context) -> Verdict:
    """Every document holds text, and not pictures of it

    Why: A scan, a photo or letters that were turned into outlines can be looked at, but neither
    searched nor read aloud nor compared.

    Fix: Submit the document that you wrote, exported with its fonts, and not a scan of it.
    """
    return _none_has(context, "DOC104")


@check("DOC105")
def documents_are_of_a_sensible_size(context: Context) -> Verdict:
    """No document is too large to be read

    Why: A few pages with pictures need a few MiB and are read in a second. What takes far more is
    broken, or holds what does not belong in it.

    Fix: Export it again with pictures in a lower resolution, and leave out data and listings.
    """
    return _none_has(context, "DOC105")


def _none_has(context: Context, code: str) -> Verdict:
    """Whether no document that was looked at has the fault of this code."""
    documents = list(all_written(context))
    if not documents:
        return skipped("No document was looked at.")
    found = [(d.path, d.fault) for d in documents if d.fault is not None and d.fault.code == code]
    if not found:
        return passed(f"It holds for {counted(len(documents), 'document')}.")
    path, first = found[0]
    return failed(" ".join(fault.message for _, fault in found), first.hint, path=path)


def _can_be_read(context: Context) -> Verdict:
    document = context.read(TEXT)
    if document.fault is not None:
        return failed(
            f"{shown(document.path)!r} cannot be read, so nobody can judge what it says; "
            f"{document.fault.code} says why.",
            document.fault.hint,
            path=document.path,
        )
    own = _own_text(context, document)
    if own.words < DOCUMENT_OWN_WORDS_AT_LEAST:
        template = " beside the kit's template" if own.blank else ""
        return failed(
            f"{shown(document.path)!r} holds {counted(own.words, 'word')}{template}, so it counts "
            "as not submitted.",
            "Write below its headings what each asks for.",
            path=document.path,
            measures={"words": document.words, "pages": document.pages},
        )
    pages = f" on {counted(document.pages, 'page')}" if document.pages is not None else ""
    return passed(
        f"{shown(document.path)!r} was read: {counted(document.words, 'word')}{pages}.",
        measures={"words": document.words, "pages": document.pages},
        note=" ".join(document.notes),
    )


def _own_text(context: Context, document: WrittenWork) -> OwnText:
    """What of a document is not the kit's template of it."""
    specs = (spec for spec in context.assignment.evidence if spec.kind == "text")
    documents = {spec.settings.get("document") for spec in specs}
    for deliverable in context.assignment.deliverables:
        place = context.submission.places.get(deliverable.id)
        if deliverable.id in documents and place == document.path:
            return template_of(context.assignment.id, deliverable).compared(document.text)
    return Template("").compared(document.text)


@check("DOC106", severity=Severity.WARNING)
def no_heading_is_left_blank(context: Context) -> Verdict:
    """Every heading of a template has text of yours below it

    Why: The headings are what the document is judged by. Below one that is left as the kit has it,
    whoever reads finds nothing to give points for.

    Fix: Write below each heading, or take out one that you do not need.
    """
    documents = [document for document in all_written(context) if document.fault is None]
    if not documents:
        return skipped("No document was looked at.")
    own = {document.path: _own_text(context, document) for document in documents}
    blank = {
        path: text.blank
        for path, text in own.items()
        if text.blank and text.words >= DOCUMENT_OWN_WORDS_AT_LEAST
    }
    if not blank:
        return passed(f"It holds for {counted(len(documents), 'document')}.")
    told = (f"{shown(path)}: {'; '.join(headings)}" for path, headings in blank.items())
    return failed(
        f"Left blank: {'. '.join(told)}.",
        "Write below each of these headings.",
        path=next(iter(blank)),
    )


def _has_its_length(context: Context) -> Verdict:
    """The length is that of the deliverable in the assignment."""
    document, asked = context.read(TEXT), context.deliverable(DOCUMENT).length
    if asked is None:
        return passed("The assignment asks for no length.")
    fewest, most = asked.words
    found = f"{shown(document.path)!r} has {counted(document.words, 'word')}"
    if fewest <= document.words <= most:
        return passed(f"{found}.")
    return failed(
        f"{found}; the course asks for {asked.text}, so {fewest} to {most} were expected.",
        "Say more of what you found out." if document.words < fewest else "Keep what matters.",
        path=document.path,
    )


_READABLE: Final = {
    "DOC001": "The comparative analysis can be read and is more than the template",
    "DOC002": "The reflection can be read and is more than the template",
    "DOC003": "The report on the DSPy program can be read and is more than the template",
    "DOC004": "The text of the cost analysis can be read and is more than the template",
}
_OF_LENGTH: Final = {
    "DOC010": ("The comparative analysis is about as long as the course asks", "DOC001"),
    "DOC011": ("The reflection is about as long as the course asks", "DOC002"),
}

for _code, _title in _READABLE.items():
    add(
        Check(
            _code,
            _title,
            "A person judges what it says. Of a file that does not open, is locked by a password "
            "or holds pictures of text, nobody can; and in the kit's template there is nothing of "
            "yours to judge.",
            "Open the file that you submit, and mark a sentence in it with the mouse: what can be "
            "marked can be read. If it cannot, submit the Markdown or Word file that you made it "
            "from. Write below the template's headings.",
            _can_be_read,
            evidence=(TEXT,),
            measures=("words", "pages"),
        )
    )
for _code, (_title, _needed) in _OF_LENGTH.items():
    add(
        Check(
            _code,
            _title,
            "The length that the course asks for is room enough for what matters, and what can be "
            "read of a whole class. Words are counted, not pages; no points hang on it.",
            "Write about as much as the assignment asks for: what you measured or learned, and "
            "what follows from it.",
            _has_its_length,
            needs=(_needed,),
            evidence=(TEXT,),
            severity=Severity.NOTE,
            deliverables=(DOCUMENT,),
        )
    )


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
    left = SECRETS_MAX_BYTES
    for file in context.submission.files:
        most = min(left, NOTEBOOK_MAX_BYTES if is_notebook(file.path) else SOURCE_MAX_BYTES)
        if file.path.lower().endswith(_SOURCE_SUFFIXES) and file.size <= most:
            left -= file.size
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
