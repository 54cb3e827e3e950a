"""The first pass over a training file: its form as a whole, and every line against its rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final

from grader.constants import DATA_MAX_FAULTS, DATA_MAX_FILE_BYTES, DATA_MAX_IMAGE_EXAMPLES
from grader.training_data.chat import chat_faults
from grader.training_data.examples import kind_of
from grader.training_data.faults import Fault, counted, quoted
from grader.training_data.images import count_images, too_many_images
from grader.training_data.json_lines import LineError, decode
from grader.training_data.kinds import Kind
from grader.training_data.pairs import completion_faults, preference_faults, qa_faults
from grader.training_data.plain import odd_finder
from grader.training_data.reader import BOM, Unreadable, blocks, open_data
from grader.training_data.sniffing import decoded_head, told_kind, wrong_format

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
class Lines:
    """What the first pass learned: the kind and how it was told, and the number of examples.

    `usable` is False for a file that no later pass can read. An example is a line that holds an
    object, right or wrong. `stopped_at` is the line where there were more faults than help, and
    reading stopped; None for a file that was read to its end.
    """

    kind: Kind | None
    kind_reason: str
    examples: int = 0
    usable: bool = True
    stopped_at: int | None = None


def check_lines(path: Path, asked: Kind | None, report: Report, advance: Advance) -> Lines:
    """Report every fault of the file's form and of its lines, in order; no path raises.

    `asked` is the kind that is wanted, or None to take the kind from the examples themselves.
    `advance` is called with the number of bytes done since the last call.
    """
    try:
        file = open_data(path)
    except Unreadable as error:
        report(Fault("JSL001", str(error)))
        return Lines(asked, "", usable=False)
    with file:
        if path.suffix.lower() != ".jsonl":
            report(Fault("JSL004", f"the name is {quoted(path.name)}"))
        try:
            size = file.seek(0, 2)
            file.seek(0)
            if size > DATA_MAX_FILE_BYTES:
                found = f"{size} bytes; at most {DATA_MAX_FILE_BYTES} are taken"
                report(Fault("JSL003", found))
                return Lines(asked, "", usable=False)
            return _check_open(file, asked, report, advance)
        except OSError as error:  # the disk or the network behind it
            report(Fault("JSL001", f"it cannot be read to its end: {error.strerror or error}"))
            return Lines(asked, "", usable=False)


def _check_open(file: BinaryIO, asked: Kind | None, report: Report, advance: Advance) -> Lines:
    rest = blocks(file)
    head = next(rest, [])
    bare = [head[0].removeprefix(BOM), *head[1:]] if head else []
    if (fault := wrong_format(bare)) is not None:
        if bare[0] is not head[0]:
            report(Fault("JSL005", "the file begins with a byte order mark", 1))
        report(fault)
        return Lines(asked, "", usable=False)
    kind, reason = told_kind(decoded_head(bare))
    if asked is not None and kind is not None and kind is not asked:
        report(Fault("JSL014", f"the examples are of kind {kind}; {asked} is asked for"))
    if asked is not None and kind is None:
        kind, reason = asked, "it is asked for"
    work = _Work(kind, reason, report)
    try:
        for block in chain([head], rest):
            work.block(block)
            advance(sum(map(len, block)) + len(block))
    except _Enough:
        return Lines(kind, reason, work.examples, usable=False, stopped_at=work.number)
    work.finish()
    return Lines(kind, reason, work.examples)


class _Enough(Exception):
    """More faults than help."""


class _Work:
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
            raise _Enough
        self.faults += 1
        self.report(fault._replace(line=self.number))

    def finish(self) -> None:
        """Report what is known at the end only."""
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
            found = (
                f"{counted(self.with_images, 'example')} with images, which nobody looked at here"
            )
            self.report(Fault("JSL327", found, self.first_image))
        if self.kind is Kind.COMPLETION and self.examples:
            self.report(Fault("JSL423", "the examples are prompts and completions"))
        if self.kind is None and self.examples:
            self.report(Fault("JSL012", self.reason))
