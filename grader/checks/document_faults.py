"""DOC1xx: what a document must be to be read into plain text.

The reader gives the code of the fault that it met first (`grader/sandbox/documents.py`). Which
document has it is said here, beside the page that explains it; what it costs hangs on DOC0xx, so
that one document's fault never costs another's points.
"""

from __future__ import annotations

from grader.checks.registry import Context, Verdict, check, failed, passed, skipped
from grader.checks.written_work import all_written
from grader.training_data.faults import counted


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

    Fix: Export or save the document again, open it once yourself, and hand that file in. Save
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

    Fix: Hand in the document that you wrote, exported with its fonts, and not a scan of it.
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
