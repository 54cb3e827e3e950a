"""All rules on training data, by code."""

from __future__ import annotations

from typing import Final

from grader.training_data.rules.dataset_rules import DATASET_RULES, TOKEN_RULES
from grader.training_data.rules.file_rules import FILE_RULES, JSON_RULES
from grader.training_data.rules.line_rules import (
    CHAT_RULES,
    COMPLETION_RULES,
    IMAGE_RULES,
    PREFERENCE_RULES,
    QA_RULES,
    TOOL_RULES,
)
from grader.training_data.rules.rule import Rule as Rule

RULES: Final = {
    rule.code: rule
    for rules in (
        FILE_RULES,
        JSON_RULES,
        CHAT_RULES,
        TOOL_RULES,
        IMAGE_RULES,
        PREFERENCE_RULES,
        COMPLETION_RULES,
        QA_RULES,
        DATASET_RULES,
        TOKEN_RULES,
    )
    for rule in rules
}
"""Every rule by its code, in the order of the codes' families."""
