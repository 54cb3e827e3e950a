"""What examples of no known kind are: formats of other tools, told by their keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from grader.training_data.examples import kind_of
from grader.training_data.faults import quoted

_FORMS: Final = (
    (("conversations",), 'the ShareGPT form; here it is "messages" with "role" and "content"'),
    (
        ("instruction", "output"),
        'the Alpaca form; here it is "messages", or "question" and "answer"',
    ),
    (
        ("chosen", "rejected"),
        'the form of TRL; here it is "input", "preferred_output" and "non_preferred_output"',
    ),
    (("custom_id", "body"), "the form of OpenAI's Batch API, whose requests hold no answers"),
    (("contents",), 'the form of Gemini; here it is "messages" with "role" and "content"'),
    (("input", "output"), 'pairs of text; here it is "question" and "answer"'),
    (("input", "output"), 'pairs of text; here it is "question" and "answer"'),
    (("text",), 'plain text; here it is "messages", with a question and its answer'),
)
_KEYS_SHOWN: Final = 5  # enough to recognise one's own data


def foreign_form(value: Mapping[str, Any]) -> str | None:
    """The form of another tool that this example has, and what it is called here; else None."""
    return next((name for keys, name in _FORMS if all(key in value for key in keys)), None)


def unknown_form(value: Mapping[str, Any]) -> str:
    """What an example of no kind and no known form has, and what it may have been meant to be."""
    if not value:
        return "the first one is empty"
    for key, inner in value.items():
        if isinstance(inner, list) and inner and kind_of(inner[0]) is not None:
            return f"they stand inside {quoted(key)}; expected each on a line of its own"
    found = ", ".join(quoted(key) for key in list(value)[:_KEYS_SHOWN])
    meant = kind_of({key.strip().casefold(): inner for key, inner in value.items()})
    how = f"; of kind {meant}, if they were in small letters and without spaces" if meant else ""
    return f"the first one has {found}{how}"
