"""A rule on training data, and its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from grader.core.nouns import Severity

SPECIFICATION: Final = "OpenAI API specification"
COOKBOOK: Final = "OpenAI cookbook, data preparation for chat fine-tuning"
GUIDE: Final = "OpenAI fine-tuning guide"
SERVICE: Final = "answers of OpenAI's fine-tuning service"
JSON: Final = "RFC 8259"
OURS: Final = "finegrade"


@dataclass(frozen=True, slots=True)
class Rule:
    """One claim that good training data satisfies, with its page.

    `title` is the claim, so that it reads right beside a tick and a cross. `source` names who
    requires it. `service` is the error message of OpenAI's service, where it is known.
    """

    code: str
    title: str
    why: str
    fix: str
    source: str
    severity: Severity = Severity.ERROR
    service: str = ""
