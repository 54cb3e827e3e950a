"""The kinds of training data."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What the lines of a training file are."""

    CHAT = "chat"
    """OpenAI supervised fine-tuning: {"messages": [...]}, with tools, parts and images."""
    PREFERENCE = "preference"
    """OpenAI direct preference optimisation: input, preferred_output, non_preferred_output."""
    COMPLETION = "completion"
    """The older {"prompt", "completion"}."""
    QA = "qa"
    """Plain {"question", "answer"}, as courses and scripts write it."""


KEYS_OF_KIND = {
    Kind.CHAT: ("messages",),
    Kind.PREFERENCE: ("input", "preferred_output", "non_preferred_output"),
    Kind.COMPLETION: ("prompt", "completion"),
    Kind.QA: ("question", "answer"),
}
"""The keys that make a line of this kind."""
