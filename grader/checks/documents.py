"""DOC0xx: each written deliverable can be read, and is about as long as the course asks.

A person judges what they say; what stops a person from reading it is said here.
"""

from __future__ import annotations

from grader.checks.registry import Context, Verdict, check, failed, passed
from grader.checks.written_work import (
    ANALYSIS,
    COST_ANALYSIS,
    DSPY_REPORT,
    REFLECTION,
    written,
)
from grader.constants import ANALYSIS_WORDS, REFLECTION_WORDS
from grader.model import Severity
from grader.submitted_paths import shown
from grader.training_data.faults import counted


@check("DOC001", evidence=(ANALYSIS,), measures=("words", "pages"))
def analysis_can_be_read(context: Context) -> Verdict:
    """The comparative analysis can be read

    Why: A person judges what it says. Of a file that does not open, is locked by a password or
    holds pictures of text, nobody can.

    Fix: Open the file that you hand in, and mark a sentence in it with the mouse: what can be
    marked can be read. If it cannot, hand in the Markdown or Word file that you made it from.
    """
    return _readable(context, ANALYSIS)


@check("DOC002", evidence=(REFLECTION,), measures=("words", "pages"))
def reflection_can_be_read(context: Context) -> Verdict:
    """The reflection can be read

    Why: A person judges what it says. Of a file that does not open, is locked by a password or
    holds pictures of text, nobody can.

    Fix: Open the file that you hand in, and mark a sentence in it with the mouse: what can be
    marked can be read. If it cannot, hand in the Markdown or Word file that you made it from.
    """
    return _readable(context, REFLECTION)


@check("DOC003", evidence=(DSPY_REPORT,), measures=("words", "pages"))
def dspy_report_can_be_read(context: Context) -> Verdict:
    """The report on the DSPy program can be read

    Why: A person judges what it says. Of a file that does not open, is locked by a password or
    holds pictures of text, nobody can.

    Fix: Open the file that you hand in, and mark a sentence in it with the mouse: what can be
    marked can be read. If it cannot, hand in the Markdown or Word file that you made it from.
    """
    return _readable(context, DSPY_REPORT)


@check("DOC004", evidence=(COST_ANALYSIS,), measures=("words", "pages"))
def cost_analysis_can_be_read(context: Context) -> Verdict:
    """The text of the cost analysis can be read

    Why: Its numbers are worked out again by a program; what follows from them is a person's to
    read. Of a file that does not open, is locked or holds pictures of text, nobody can.

    Fix: Open the file that you hand in, and mark a sentence in it with the mouse: what can be
    marked can be read. If it cannot, hand in the Markdown or Word file that you made it from.
    """
    return _readable(context, COST_ANALYSIS)


@check("DOC010", needs=("DOC001",), evidence=(ANALYSIS,), severity=Severity.NOTE)
def analysis_has_the_asked_length(context: Context) -> Verdict:
    """The comparative analysis is about as long as the course asks

    Why: Two to three pages are what it takes to compare methods with their numbers, and what can
    be read of a whole class. Words are counted, not pages; no points hang on it.

    Fix: Write two to three pages: what you measured, what follows from it, and what you would
    choose for which purpose.
    """
    return _length(context, ANALYSIS, "two to three pages", ANALYSIS_WORDS)


@check("DOC011", needs=("DOC002",), evidence=(REFLECTION,), severity=Severity.NOTE)
def reflection_has_the_asked_length(context: Context) -> Verdict:
    """The reflection is about as long as the course asks

    Why: A page is room enough for what you learned and would do differently, and short enough to
    choose what matters. Words are counted, not pages; no points hang on it.

    Fix: Write about a page.
    """
    return _length(context, REFLECTION, "about a page", REFLECTION_WORDS)


def _readable(context: Context, id: str) -> Verdict:
    document = written(context.evidence[id])
    if document.fault is not None:
        return failed(
            f"{shown(document.path)!r} cannot be read, so nobody can judge what it says; "
            f"{document.fault.code} says why.",
            document.fault.hint,
            path=document.path,
        )
    pages = f" on {counted(document.pages, 'page')}" if document.pages is not None else ""
    return passed(
        f"{shown(document.path)!r} was read: {counted(document.words, 'word')}{pages}.",
        measures={"words": document.words, "pages": document.pages},
        note=" ".join(document.notes),
    )


def _length(context: Context, id: str, asked: str, words: tuple[int, int]) -> Verdict:
    document = written(context.evidence[id])
    fewest, most = words
    found = f"{shown(document.path)!r} has {counted(document.words, 'word')}"
    if fewest <= document.words <= most:
        return passed(f"{found}.")
    return failed(
        f"{found}; the course asks for {asked}, so {fewest} to {most} were expected.",
        "Say more of what you found out." if document.words < fewest else "Keep what matters.",
        path=document.path,
    )
