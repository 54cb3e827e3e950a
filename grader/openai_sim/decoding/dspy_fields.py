"""DSPy's field markers: the service writes them and the model fills in what stands between.

dspy.ChatAdapter (3.4.1) asks for `[[ ## field ## ]]` before each field and
`[[ ## completed ## ]]` at the end, and notes the type of a field where it is not text. A small
model loses a marker now and then; DSPy then asks a second time, for a JSON object, and gives up.
With the scaffold it can only be wrong in what it says.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from grader.openai_sim.decoding.constrained import JsonGuide, json_grammar, starts_with
from grader.openai_sim.decoding.grammar_process import (
    OWN,
    Grammar,
    GrammarProcess,
    GrammarState,
)
from grader.openai_sim.decoding.schema_limits import check_size
from grader.openai_sim.decoding.sequences import Allowed, Guide

if TYPE_CHECKING:
    from grader.models.base_model import LoadedBase

FIELD_TOKENS: Final = 96  # of one field; the course model's longest reasoning has about 40
MAX_FIELDS: Final = 64  # of one request; more is not a signature
_COMPLETED: Final = "completed"
_CHAT: Final = "Respond with the corresponding output fields, starting with the field "
_CHAT_END: Final = ", and then ending with the marker for `[[ ## completed ## ]]`."
_JSON: Final = "Respond with a JSON object in the following order of fields: "
_FIELD: Final = re.compile(
    r"`(?:\[\[ ## )?(?P<name>\w+)(?: ## \]\])?`"
    r"(?: \(must be formatted as a valid Python (?P<type>\w+))?"
)
_NOTE: Final = "# note: the value you produce "
_META: Final = re.compile(r"([\\.+*?()|\[\]{}^$#&~-])")  # what llguidance's regexes give a meaning
_ESCAPED: Final = r"\\\1"
_REGEXES: Final = {
    "integer": r" ?-?[0-9]{1,18}",
    "number": r" ?-?[0-9]{1,15}(\.[0-9]{1,15})?",
    "boolean": r" ?(True|False)",
}
_TYPES: Final = {"int": "integer", "float": "number", "bool": "boolean"}
_TEXT: Final[Mapping[str, Any]] = {"type": "string"}


@dataclass(frozen=True, slots=True)
class Field:
    """A field that the prompt asks for, with the JSON schema of its value."""

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RequestedFields:
    """The fields that a prompt asks for: between markers, or as one JSON object (`as_json`)."""

    fields: tuple[Field, ...]
    as_json: bool


def fields_asked(messages: Sequence[Mapping[str, str]]) -> RequestedFields | None:
    """What the last message asks for in the words of DSPy's adapters; None when it does not."""
    text = messages[-1]["content"].rstrip() if messages and messages[-1]["role"] == "user" else ""
    for opening, ending, as_json in ((_CHAT, _CHAT_END, False), (_JSON, ".", True)):
        start = text.rfind(opening)
        if start < 0 or not text.endswith(ending):
            continue
        notes = "\n".join(m["content"] for m in messages if m["role"] in ("system", "developer"))
        found = [
            Field(match["name"], _schema(match["name"], match["type"], notes))
            for match in _FIELD.finditer(text[start + len(opening) : -len(ending)])
        ]
        if 0 < len(found) <= MAX_FIELDS:
            return RequestedFields(tuple(found), as_json)
    return None


def guides(
    base: LoadedBase, asked: RequestedFields, process: GrammarProcess, number: int
) -> list[Guide]:
    """What holds each of `number` answers to the fields.

    Raises BadSchema when a type is too complex for that.
    """
    if asked.as_json:
        names = [field.name for field in asked.fields]
        properties = {field.name: field.schema for field in asked.fields}
        schema = {"type": "object", "properties": properties, "required": names}
        grammar = json_grammar(base, {**schema, "additionalProperties": False}, process)
        return [JsonGuide(base, grammar, process) for _ in range(number)]
    values = [_grammar(base, field.schema, process) for field in asked.fields]
    fields = [(one.name, value) for one, value in zip(asked.fields, values, strict=True)]
    return [FieldWriter(base, fields, process) for _ in range(number)]


def _grammar(
    base: LoadedBase, schema: Mapping[str, Any], process: GrammarProcess
) -> Grammar | None:
    """What holds a field's value to its type; None for text. Raises BadSchema."""
    if schema == _TEXT:
        return None
    check_size(schema)
    regex = _REGEXES.get(str(schema.get("type")))
    options = schema.get("enum")
    if isinstance(options, list) and all(isinstance(option, str) for option in options):
        regex = f" ?({'|'.join(_META.sub(_ESCAPED, option) for option in options)})"
    if regex is None:
        return json_grammar(base, schema, process)
    return process.grammar(base, "regex", regex)


def _schema(name: str, python: str | None, notes: str) -> Mapping[str, Any]:
    """What a value may be, by the prompt's note on the field, else by its Python type."""
    note = _note(name, notes)
    _, _, options = note.partition(" one of: ")
    if options:
        return {"enum": options.split("; ")}
    _, _, written = note.partition("adhere to the JSON schema: ")
    with suppress(ValueError):
        schema = json.loads(written)
        if isinstance(schema, dict):
            return schema
    kind = _TYPES.get(python or "")
    return {"type": kind} if kind else _TEXT


def _note(name: str, notes: str) -> str:
    """DSPy's note on the field: on the line of its placeholder, which JSON may quote."""
    start = notes.find(f"{{{name}}}    ")
    line = notes[start:].split("\n", 1)[0] if start >= 0 else ""
    if notes[max(0, start - 1) : start] == '"':
        with suppress(ValueError):
            line, _ = json.JSONDecoder().raw_decode(f'"{line}')
    return line.partition(_NOTE)[2]


class FieldWriter:
    """Writes one answer in DSPy's form."""

    def __init__(
        self,
        base: LoadedBase,
        fields: Sequence[tuple[str, Grammar | None]],
        process: GrammarProcess = OWN,
    ) -> None:
        """`fields` are names, each with the grammar of its value; None for text."""
        self._base, self._fields, self._process = base, fields, process
        self._tokenizer = base.tokenizer
        self._vocabulary = int(base.model.config.vocab_size)
        self._names = [name for name, _ in fields]
        self._json: JsonGuide | None = None  # of the field that is being written,
        self._state: GrammarState | None = None  # or this one, for a regular expression
        self._ends = starts_with(base, ("\n", "[["))
        self._markers = starts_with(base, ("[[",))
        # How many tokens the markers from each field on take.
        sizes = [len(self._between(at)) for at in range(len(fields) + 1)]
        self._needed = [sum(sizes[at:]) for at in range(len(fields) + 2)]
        self._at = -1  # the field that is being written
        self._value: list[int] = []
        self._forced: deque[int] = deque()
        self._next_field()

    def __reduce__(
        self,
    ) -> tuple[type[FieldWriter], tuple[LoadedBase, Sequence[tuple[str, Grammar | None]]]]:
        """A copy for another process is at the start of its answer, and follows it there."""
        return FieldWriter, (self._base, self._fields)

    def step(self, choose: Callable[[Allowed | None], int], left: int) -> int | None:
        """The next token: a marker's, or the model's within a field. None at the end."""
        if not self._forced and self._at < len(self._names):
            room = min(left - self._needed[self._at + 1], FIELD_TOKENS - len(self._value))
            token = self._fill(choose, room) if room > 0 else None
            if token is not None:
                self._value.append(token)
                return token
            self._next_field()
        return self._forced.popleft() if self._forced else None

    def _fill(self, choose: Callable[[Allowed | None], int], room: int) -> int | None:
        """The model's next token of this field, None when the field is complete."""
        grammar = self._fields[self._at][1]
        if grammar is None:
            token = choose(None)
            return None if self._markers[token] else token
        if grammar.form == "json":
            if self._json is None:
                self._json = JsonGuide(self._base, grammar, self._process)
            return self._json.step(choose, room)
        if self._state is None:
            self._state = GrammarState(self._process, self._base, grammar)
        if self._state.stopped:
            return None
        may, complete = self._state.allowed(self._vocabulary), self._state.accepting
        # Where the value may be complete, the model may say so as it is used to.
        token = choose(may | self._ends if complete else may)
        if complete and self._ends[token]:
            return None
        self._state.consume(token)
        return token

    def _next_field(self) -> None:
        """Queue what stands between this field's value and the next one's."""
        written = self._tokenizer.decode(self._value)
        gap = max(0, 2 - (len(written) - len(written.rstrip("\n")))) if self._at >= 0 else 0
        self._at += 1
        self._value = []
        self._json = self._state = None
        self._forced.extend(self._between(self._at, "\n" * gap))

    def _between(self, at: int, gap: str = "\n\n") -> list[int]:
        name = self._names[at] if at < len(self._names) else _COMPLETED
        text = f"{gap}[[ ## {name} ## ]]" + ("\n" if at < len(self._names) else "")
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids
