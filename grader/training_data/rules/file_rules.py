"""Rules on a whole file and on the JSON of each line."""

from __future__ import annotations

from typing import Final

from grader.core.nouns import Severity
from grader.training_data.rules.rule import (
    COOKBOOK,
    GUIDE,
    JSON,
    OURS,
    SERVICE,
    SPECIFICATION,
    Rule,
)

_NOT_JSONL: Final = (
    "Expected file to have JSONL format, where every line is a valid JSON dictionary"
)

FILE_RULES: Final = (
    Rule(
        "JSL001",
        "The file is a regular file that can be read",
        "A folder, a pipe or a device is no data set, and a file without read permission is lost.",
        "Give the path of the .jsonl file itself, and check that you may read it.",
        OURS,
    ),
    Rule(
        "JSL002",
        "The file holds at least one example",
        "An empty file trains nothing and is refused at upload.",
        "Write one JSON object a line into it; check that the script that made it really ran.",
        SPECIFICATION,
    ),
    Rule(
        "JSL003",
        "The file is at most 512 MB",
        "Larger files are refused at upload.",
        "Split the file, or keep its best examples.",
        SPECIFICATION,
    ),
    Rule(
        "JSL004",
        "The file's name ends in .jsonl",
        "Upload goes by the name: other endings are refused.",
        "Rename the file so that it ends in .jsonl.",
        SPECIFICATION,
    ),
    Rule(
        "JSL005",
        "The file has no byte order mark",
        "Three invisible bytes at the start make the first line invalid JSON for many readers.",
        'Save as "UTF-8" and not "UTF-8 with BOM", or run `finegrade data fix`.',
        OURS,
        Severity.WARNING,
    ),
    Rule(
        "JSL006",
        "The file is plain UTF-8 text",
        "Text in UTF-16, a compressed file or a workbook cannot be read as lines of JSON.",
        "Unpack it, or export it as UTF-8 text. `finegrade data fix` reads UTF-16 with its mark.",
        OURS,
    ),
    Rule(
        "JSL007",
        "Each line holds one whole JSON object",
        "JSONL is one object a line. A JSON array, or an object spread over several lines, is "
        "another format.",
        "Write each example with json.dumps(example) and a line feed, without indent; or run "
        "`finegrade data convert`, which reads such files.",
        SERVICE,
        service=_NOT_JSONL,
    ),
    Rule(
        "JSL008",
        "The file is JSONL and not a table",
        "Comma- or tab-separated values hold no messages.",
        "Run `finegrade data convert FILE --to chat`. Where it does not know the names of the "
        "columns, call two of them question and answer first.",
        SERVICE,
        service=_NOT_JSONL,
    ),
    Rule(
        "JSL009",
        "Lines end with a line feed alone",
        "Windows line ends are harmless in JSON, but tools that compare or count bytes stumble.",
        "Run `finegrade data fix`, or open the file for writing with newline='\\n'.",
        OURS,
        Severity.WARNING,
    ),
    Rule(
        "JSL010",
        "No line is blank",
        "Loaders that call json.loads on every line crash on a blank one.",
        "Run `finegrade data fix`.",
        OURS,
        Severity.WARNING,
    ),
    Rule(
        "JSL011",
        "No line is longer than 16 MiB",
        "A line this long is a whole file without line feeds, or more image than fits.",
        "Write one example a line; give large images by URL.",
        OURS,
    ),
    Rule(
        "JSL012",
        "The kind of the examples can be detected",
        "Training needs examples of a known kind: chat, preference, prompt and completion, or "
        "question and answer.",
        'Give each line "messages" (chat), "input" with two outputs (preference), "prompt" and '
        '"completion", or "question" and "answer".',
        SERVICE,
        service="Unexpected file format, expected either prompt/completion pairs or chat messages",
    ),
    Rule(
        "JSL013",
        "All examples are of one kind",
        "A job trains on one kind; the first line of another kind stops it.",
        "Give the other kind a file of its own, or `finegrade data convert` it.",
        OURS,
    ),
    Rule(
        "JSL014",
        "The examples are of the requested kind",
        "A job of one method refuses data of another.",
        "Submit the requested kind, or convert the file with `finegrade data convert`.",
        SERVICE,
        service="is in the fine-tune-chat format, but the specified fine-tuning job is not using "
        "'supervised'",
    ),
    Rule(
        "JSL015",
        "The data is not for reinforcement fine-tuning",
        "Prompts without answers train only OpenAI's reasoning models, which no course can use.",
        "End each example with the answer, as an assistant message.",
        GUIDE,
    ),
)

JSON_RULES: Final = (
    Rule(
        "JSL101",
        "Each line is valid JSON",
        "One bad line stops the whole upload.",
        "Write lines with json.dumps: single quotes, trailing commas, comments, None and True are "
        "Python and not JSON.",
        SERVICE,
        service="cannot be parsed. Error: line contains invalid json",
    ),
    Rule(
        "JSL102",
        "Each line is valid UTF-8",
        "JSON is UTF-8; bytes of another encoding cannot be read.",
        "Open the file for writing with encoding='utf-8'.",
        JSON,
    ),
    Rule(
        "JSL103",
        "No text holds a NUL character",
        "A NUL ends a text early in many tools; it comes from broken exports.",
        "Remove the character where the data is made.",
        OURS,
    ),
    Rule(
        "JSL104",
        "No text holds half of a surrogate pair",
        "Half a pair is no character and cannot be written as UTF-8.",
        "Write the line again with json.dumps from text that was decoded as UTF-8.",
        JSON,
    ),
    Rule(
        "JSL105",
        "No object has the same key twice",
        "Readers disagree on which of the two values counts.",
        "Keep one of them.",
        JSON,
    ),
    Rule(
        "JSL106",
        "All numbers are finite",
        "NaN and Infinity are not JSON; Python writes them unless told not to.",
        "Use json.dumps(..., allow_nan=False) and fix what made the number.",
        JSON,
    ),
    Rule(
        "JSL107",
        "All integers fit 64 bits",
        "Longer integers are rounded by some readers and refused by others.",
        "Write it as text, in quotes.",
        JSON,
    ),
    Rule(
        "JSL108",
        "Values are nested at most 64 levels deep",
        "Deeper nesting crashes readers and has no use here.",
        "Flatten the value.",
        OURS,
    ),
    Rule(
        "JSL109",
        "Each line is a JSON object",
        "A list, a text or a number has no named fields.",
        'Write an object: {"messages": [...]}.',
        COOKBOOK,
        service=_NOT_JSONL,
    ),
)
