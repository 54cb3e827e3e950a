"""Topics: the subject matter of the course's questions. Standard library only."""

from __future__ import annotations

from typing import Final

from grader.topics.educational_qa import EDUCATIONAL_QA
from grader.topics.iot_diagnostics import IOT_DIAGNOSTICS
from grader.topics.topic import Split, Topic, TopicExample

__all__ = ["TOPICS", "Split", "Topic", "TopicExample", "get_topic"]

TOPICS: Final[dict[str, Topic]] = {t.name: t for t in (EDUCATIONAL_QA, IOT_DIAGNOSTICS)}


def get_topic(name: str) -> Topic:
    """The topic of that name. Raises KeyError naming the known topics."""
    try:
        return TOPICS[name]
    except KeyError:
        raise KeyError(f"no topic {name!r}; known topics: {', '.join(TOPICS)}") from None
