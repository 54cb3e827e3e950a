"""The text of each written deliverable, as it was read into evidence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from grader.checks.registry import Context
from grader.model import Evidence

ANALYSIS: Final = "analysis_text"
REFLECTION: Final = "reflection_text"
DSPY_REPORT: Final = "dspy_report_text"
COST_ANALYSIS: Final = "cost_analysis_text"
_WORD: Final = re.compile(r"\w[\w'\u2019-]*")


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a document cannot be read, by its writer's fault."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Written:
    """A document: its text, or what is wrong with it (`fault`; the text is then "").

    `pages` is None where the format has none. `notes` are sentences for whoever judges it.
    """

    path: str
    text: str
    pages: int | None
    notes: tuple[str, ...]
    fault: Unread | None

    @property
    def words(self) -> int:
        """How many words and numbers it has; Markdown's own signs are none."""
        return len(_WORD.findall(self.text))


def written(evidence: Evidence) -> Written:
    """The document of one piece of evidence of the kind `text`."""
    payload = evidence.payload
    fault = payload.get("fault")
    return Written(
        path=payload["path"],
        text=payload.get("text", ""),
        pages=payload.get("pages"),
        notes=tuple(payload.get("notes", ())),
        fault=Unread(fault["code"], fault["message"], fault["hint"]) if fault else None,
    )


def all_written(context: Context) -> Iterator[Written]:
    """Every document of the submission that was looked at, in the assignment's order."""
    for spec in context.assignment.evidence:
        if spec.kind == "text" and spec.id in context.evidence:
            yield written(context.evidence[spec.id])
