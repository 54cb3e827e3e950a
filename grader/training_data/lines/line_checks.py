"""The first pass over a training file: its format, and every line against its rules.

Most lines of most files are conversations of system, user and assistant with text and nothing
else. A fast path recognises faultless lines of this form, many at a time, at the speed of the JSON
reader; all other lines go through the rules one by one. The fast path may accept only lines in
which the rules find nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import msgspec

from grader.core.constants import DATA_MAX_FAULTS, DATA_MAX_FILE_BYTES, DATA_MAX_IMAGE_EXAMPLES
from grader.core.text import counted
from grader.training_data.lines.chat import chat_faults, count_images, too_many_images
from grader.training_data.lines.pairs import completion_faults, preference_faults, qa_faults
from grader.training_data.read.examples import Kind, kind_of
from grader.training_data.read.faults import Fault, quoted
from grader.training_data.read.format_detection import decoded_head, majority_kind, wrong_format
from grader.training_data.read.lines import (
    BOM,
    LineError,
    UnreadableFile,
    blocks,
    decode,
    open_data,
)

# A key that is written with escapes could hide a second one of the same name. No JSON writer
# escapes the letters that keys are made of; NUL has a rule of its own.
_ODD_ESCAPE: Final = re.compile(rb"\\u00(?:00|[4-7])")


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "user", "assistant"]
    content: str


class _PlainExample(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    messages: list[_Message]


_decode: Final = msgspec.json.Decoder(_PlainExample).decode


def odd_finder() -> Callable[[Sequence[bytes]], Sequence[int]]:
    """Return a function that finds the lines which are not faultless plain chat examples.

    It gives their indexes, in order. It remembers which orders of roles are faultless: use one
    for a whole file.
    """
    known: dict[tuple[str, ...], bool] = {}

    def odd(lines: Sequence[bytes]) -> Sequence[int]:
        try:
            examples: Sequence[_PlainExample | None] = list(map(_decode, lines))
        except (ValueError, RecursionError):
            examples = [_decoded(line) for line in lines]
        found: list[int] = []
        messages = 0
        for i, example in enumerate(examples):
            if example is None or not _is_plain(example, known):
                found.append(i)
            else:
                messages += len(example.messages)
        left_out = set(found)
        plain = [line for i, line in enumerate(lines) if i not in left_out] if found else lines
        if _no_key_twice(plain, messages):
            return found
        return [
            i
            for i, example in enumerate(examples)
            if example is None
            or i in left_out
            or not _no_key_twice(lines[i : i + 1], len(example.messages))
        ]

    return odd


def _decoded(line: bytes) -> _PlainExample | None:
    try:
        return _decode(line)
    except (ValueError, RecursionError):
        return None


def _is_plain(example: _PlainExample, known: dict[tuple[str, ...], bool]) -> bool:
    messages = example.messages
    roles = tuple([message.role for message in messages])
    if not known.get(roles) and not _is_clean(roles, known):
        return False
    for message in messages:
        text = message.content
        if not text or text.isspace():
            return False
    return True


def _no_key_twice(lines: Sequence[bytes], messages: int) -> bool:
    """Whether these plain lines, with this number of messages, certainly repeat no key.

    msgspec keeps the last of two. Each key is in the bytes as often as an object has it, or more
    often if a text is its name. Carriage returns and escaped letters want a closer look, too.
    """
    block = b"\n".join(lines)
    return (
        (b"\\u00" not in block or not _ODD_ESCAPE.search(block))
        and b"\r" not in block
        and block.count(b'"role"') == messages
        and block.count(b'"content"') == messages
        and block.count(b'"messages"') == len(lines)
    )


def _is_clean(roles: tuple[str, ...], known: dict[tuple[str, ...], bool]) -> bool:
    """Whether the rules find no fault in messages of these roles with non-empty texts."""
    example = {"messages": [{"role": role, "content": "text"} for role in roles]}
    clean = not any(chat_faults(example))
    if len(known) < _KNOWN_ORDERS:
        known[roles] = clean
    return clean


_KNOWN_ORDERS: Final = 10_000  # a file where every order of roles is new must not fill the memory


Report = Callable[[Fault], None]
Advance = Callable[[int], None]

_RULES: Final[Mapping[Kind, Callable[[Mapping[str, Any]], Iterator[Fault]]]] = {
    Kind.CHAT: chat_faults,
    Kind.PREFERENCE: preference_faults,
    Kind.COMPLETION: completion_faults,
    Kind.QA: qa_faults,
}
_JSON_SPACE: Final = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class LineReport:
    """The result of the first pass: the kind, how it was detected, the number of examples.

    `usable` is False for a file that no later pass can read. An example is a line that holds an
    object, right or wrong. `stopped_at` is the line at which reading stopped
    because of too many faults; None for a file that was read to its end.
    """

    kind: Kind | None
    kind_reason: str
    examples: int = 0
    usable: bool = True
    stopped_at: int | None = None


def check_lines(path: Path, expected: Kind | None, report: Report, advance: Advance) -> LineReport:
    """Report every fault of the file's format and of its lines, in order; never raises.

    `expected` is the expected kind, None to detect it from the examples.
    `advance` is called with the number of bytes done since the last call.
    """
    try:
        file = open_data(path)
    except UnreadableFile as error:
        report(Fault("JSL001", str(error)))
        return LineReport(expected, "", usable=False)
    with file:
        if path.suffix.lower() != ".jsonl":
            report(Fault("JSL004", f"the name is {quoted(path.name)}"))
        try:
            size = file.seek(0, 2)
            file.seek(0)
            if size > DATA_MAX_FILE_BYTES:
                found = f"{size} bytes; at most {DATA_MAX_FILE_BYTES} are taken"
                report(Fault("JSL003", found))
                return LineReport(expected, "", usable=False)
            return _check_open(file, expected, report, advance)
        except OSError as error:  # the disk or the network behind it
            report(Fault("JSL001", f"it cannot be read to its end: {error.strerror or error}"))
            return LineReport(expected, "", usable=False)


def _check_open(
    file: BinaryIO, expected: Kind | None, report: Report, advance: Advance
) -> LineReport:
    rest = blocks(file)
    head = next(rest, [])
    bare = [head[0].removeprefix(BOM), *head[1:]] if head else []
    if (fault := wrong_format(bare)) is not None:
        if bare[0] is not head[0]:
            report(Fault("JSL005", "the file begins with a byte order mark", 1))
        report(fault)
        return LineReport(expected, "", usable=False)
    kind, reason = majority_kind(decoded_head(bare))
    if expected is not None and kind is not None and kind is not expected:
        report(Fault("JSL014", f"the examples are of kind {kind}; {expected} is expected"))
    if expected is not None and kind is None:
        kind, reason = expected, "it was requested"
    work = _PassState(kind, reason, report)
    try:
        for block in chain([head], rest):
            work.block(block)
            advance(sum(map(len, block)) + len(block))
    except _TooManyFaults:
        return LineReport(kind, reason, work.examples, usable=False, stopped_at=work.number)
    work.finish()
    return LineReport(kind, reason, work.examples)


class _TooManyFaults(Exception):
    """Too many faults: stop reading."""


class _PassState:
    """The state of one pass."""

    def __init__(self, kind: Kind | None, reason: str, report: Report) -> None:
        self.kind = kind
        self.reason = reason
        self.report = report
        self.number = 0  # of the last line that was done
        self.examples = 0
        self.texts = 0  # lines that are not blank
        self.faults = 0
        self.odd = odd_finder()
        self.carriage_returns = self.first_return = 0
        self.with_images = self.first_image = 0

    def block(self, lines: Sequence[bytes]) -> None:
        first = self.number + 1
        if lines and lines[0].endswith(b"\r") and all(line.endswith(b"\r") for line in lines):
            lines = [line[:-1] for line in lines]
            self.carriage_returns += len(lines)
            self.first_return = self.first_return or first
        odd = self.odd(lines) if self.kind is Kind.CHAT else range(len(lines))
        for i in odd:
            self.number = first + i
            self.line(lines[i])
        self.number = first + len(lines) - 1
        self.examples += len(lines) - len(odd)
        self.texts += len(lines) - len(odd)

    def line(self, raw: bytes) -> None:
        if raw.endswith(b"\r"):
            self.carriage_returns += 1
            self.first_return = self.first_return or self.number
            raw = raw[:-1]
        if raw.startswith(BOM):
            self.fault(Fault("JSL005", "the line begins with a byte order mark"))
            raw = raw[len(BOM) :]
        if not raw.strip(_JSON_SPACE):
            self.fault(Fault("JSL010", "the line is blank"))
            return
        self.texts += 1
        try:
            value = decode(raw)
        except LineError as error:
            self.fault(Fault(error.code, error.message))
            return
        if not isinstance(value, dict):
            self.fault(Fault("JSL109", f"the line is {quoted(value)}; expected an object"))
            return
        self.examples += 1
        self.example(value)

    def example(self, value: Mapping[str, Any]) -> None:
        if self.kind is None:
            return
        own = kind_of(value) or self.kind
        if own is not self.kind:
            found = f"this example is of kind {own}; the file is of kind {self.kind}"
            self.fault(Fault("JSL013", found))
        for fault in _RULES[own](value):
            self.fault(fault)
        if own is Kind.CHAT and (images := count_images(value)):
            self.with_images += 1
            self.first_image = self.first_image or self.number
            for fault in too_many_images(images):
                self.fault(fault)

    def fault(self, fault: Fault) -> None:
        if self.faults == DATA_MAX_FAULTS:
            raise _TooManyFaults
        self.faults += 1
        self.report(fault._replace(line=self.number))

    def finish(self) -> None:
        """Report the faults that only the end of the file shows."""
        if self.carriage_returns:
            found = f"{counted(self.carriage_returns, 'line')} with a carriage return at the end"
            self.report(Fault("JSL009", found, self.first_return))
        if not self.number:
            self.report(Fault("JSL002", "the file is empty"))
        elif not self.texts:
            self.report(Fault("JSL002", f"{counted(self.number, 'line')}, all of them blank"))
        if self.with_images > DATA_MAX_IMAGE_EXAMPLES:
            found = f"{self.with_images} examples hold images"
            self.report(Fault("JSL326", f"{found}; at most {DATA_MAX_IMAGE_EXAMPLES} are taken"))
        if self.with_images:
            found = f"{counted(self.with_images, 'example')} with images, which were not checked"
            self.report(Fault("JSL327", found, self.first_image))
        if self.kind is Kind.COMPLETION and self.examples:
            self.report(Fault("JSL423", "the examples are prompts and completions"))
        if self.kind is None and self.examples:
            self.report(Fault("JSL012", self.reason))
