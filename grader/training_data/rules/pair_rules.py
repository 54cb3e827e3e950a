"""Rules on one example of the other kinds: preference, completion, question and answer."""

from __future__ import annotations

from typing import Final

from grader.model import Severity
from grader.training_data.rules.rule import GUIDE, OURS, SPECIFICATION, Rule

PREFERENCE_RULES: Final = (
    Rule(
        "JSL401",
        "A preference example has input, preferred_output and non_preferred_output",
        "Preference training compares two answers to one input; other keys are refused.",
        "Use exactly these three keys. preferred_completion and non_preferred_completion are the "
        "names of an earlier draft: rename them.",
        GUIDE,
    ),
    Rule(
        "JSL402",
        "The input of a preference example is an object with messages",
        "The input is a conversation, as in chat.",
        'Write "input": {"messages": [...]}.',
        GUIDE,
    ),
    Rule(
        "JSL403",
        "Each output is exactly one message of the assistant, with text",
        "Two single answers are compared, not conversations or tool calls.",
        'Write "preferred_output": [{"role": "assistant", "content": "..."}].',
        SPECIFICATION,
    ),
    Rule(
        "JSL404",
        "The input does not end with the assistant",
        "The outputs are the assistant's next message; it cannot speak twice.",
        "End the input with the message that the outputs answer.",
        OURS,
    ),
    Rule(
        "JSL405",
        "The two outputs differ",
        "Two equal outputs express no preference.",
        "Write a worse second output, or drop the example.",
        OURS,
        Severity.WARNING,
    ),
)

COMPLETION_RULES: Final = (
    Rule(
        "JSL421",
        "An example has the texts prompt and completion, and nothing else",
        "Other values and keys are refused.",
        'Write {"prompt": "...", "completion": "..."}.',
        SPECIFICATION,
    ),
    Rule(
        "JSL422",
        "No completion is empty",
        "An empty completion teaches the model to say nothing.",
        "Write the completion, or drop the example.",
        OURS,
    ),
    Rule(
        "JSL423",
        "The data is in the chat format",
        "Prompt and completion train only babbage-002 and davinci-002, which are no longer served.",
        "Run `finegrade data convert FILE --to chat`.",
        SPECIFICATION,
        Severity.WARNING,
    ),
)

QA_RULES: Final = (
    Rule(
        "JSL431",
        "An example has the texts question and answer",
        "Both are needed, as text, to make a conversation of them.",
        'Write {"question": "...", "answer": "..."}.',
        OURS,
    ),
    Rule(
        "JSL432",
        "Neither question nor answer is empty",
        "An empty text teaches nothing.",
        "Fill it in, or drop the example.",
        OURS,
    ),
)
