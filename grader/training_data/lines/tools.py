"""Checks the tools of a chat example: declarations, calls, and responses to calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from grader.core.constants import DATA_MAX_TOOLS
from grader.training_data.read.lines import loosely_decoded
from grader.training_data.rules.rule import Fault, pointer, quoted

if TYPE_CHECKING:
    from jsonschema import ValidationError

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def declaration_faults(value: Mapping[str, Any]) -> Iterator[Fault]:
    """The faults of "tools", "functions" and "parallel_tool_calls" of an example."""
    if "tools" in value:
        yield from _list_of(value["tools"], "tools")
    if "functions" in value:
        yield Fault("JSL307", "the example declares functions", None, "/functions")
        yield from _list_of(value["functions"], "functions")
    flag = value.get("parallel_tool_calls", False)
    if not isinstance(flag, bool):
        found = f"parallel_tool_calls is {quoted(flag)}; expected true or false"
        yield Fault("JSL219", found, None, "/parallel_tool_calls")


def makes_a_call(message: Mapping[str, Any]) -> bool:
    """Whether an assistant's message calls a tool, well formed or not."""
    return bool(message.get("tool_calls")) or bool(message.get("function_call"))


def call_faults(message: Mapping[str, Any], at: str) -> Iterator[Fault]:
    """The faults of the calls in a message of the assistant, at the JSON pointer `at`."""
    if message.get("function_call") is not None:  # null is how openai's client writes "no call"
        yield Fault("JSL307", "the message has a function_call", None, f"{at}/function_call")
        yield from _function(message["function_call"], f"{at}/function_call")
    calls = message.get("tool_calls")
    if "tool_calls" not in message or calls is None:
        return
    if not isinstance(calls, list) or not calls:
        found = "an empty list" if calls == [] else quoted(calls)
        expected = f"tool_calls is {found}; expected a list of calls"
        yield Fault("JSL301", expected, None, f"{at}/tool_calls")
        return
    for i, call in enumerate(calls):
        here = f"{at}/tool_calls/{i}"
        if not isinstance(call, dict):
            yield Fault("JSL301", f"a call is {quoted(call)}; expected an object", None, here)
            continue
        if not isinstance(call.get("id"), str) or not call["id"]:
            found = f"the id is {quoted(call['id'])}" if "id" in call else "the call has no id"
            yield Fault("JSL301", f"{found}; expected a text", None, here)
        if call.get("type") != "function":
            found = f"the type is {quoted(call['type'])}" if "type" in call else "there is no type"
            yield Fault("JSL301", f'{found}; expected "function"', None, here)
        yield from _function(call.get("function"), f"{here}/function")


def conversation_faults(messages: list[Any], value: Mapping[str, Any], at: str) -> Iterator[Fault]:
    """Check that calls, their responses and the declarations in `value` agree."""
    declared = _declared(value)
    waiting: dict[str, str] = {}  # id of a pending call -> its JSON pointer
    waits_for_function: str | None = None
    for i, message in enumerate(messages):
        if not isinstance(message, dict):
            continue
        here = f"{at}/{i}"
        role = message.get("role")
        if role == "tool":
            yield from _answered(message, waiting, here)
            continue
        if role == "function":
            if waits_for_function is None or message.get("name") != waits_for_function:
                found = f"the answer of {quoted(message.get('name'))}, which was not called before"
                yield Fault("JSL303", found, None, here)
            waits_for_function = None
            continue
        yield from _unanswered(waiting)
        if role == "assistant":
            for name, place in _called(message, here):
                if name not in declared:
                    found = f"the function {quoted(name)} is called and not declared"
                    yield Fault("JSL306", found, None, place)
            for id, place in _ids(message, here):
                if id in waiting:
                    found = f"two open calls have the id {quoted(id)}"
                    yield Fault("JSL301", found, None, place)
                waiting[id] = place
            call = message.get("function_call")
            waits_for_function = call.get("name") if isinstance(call, dict) else None
    last = messages[-1] if messages else None
    if isinstance(last, dict) and last.get("role") != "assistant":
        yield from _unanswered(waiting)


def _answered(message: Mapping[str, Any], waiting: dict[str, str], at: str) -> Iterator[Fault]:
    id = message.get("tool_call_id")
    if not isinstance(id, str):
        found = f"tool_call_id is {quoted(id)}" if "tool_call_id" in message else "no tool_call_id"
        yield Fault("JSL303", f"{found}; expected the id of an earlier call", None, at)
    elif waiting.pop(id, None) is None:
        found = f"no open call has the id {quoted(id)}"
        yield Fault("JSL303", found, None, f"{at}/tool_call_id")


def _unanswered(waiting: dict[str, str]) -> Iterator[Fault]:
    """A fault for each pending call; clears the pending calls."""
    for id, place in waiting.items():
        found = f"the call {quoted(id)} has no answer before the next message"
        yield Fault("JSL304", found, None, place)
    waiting.clear()


def _list_of(definitions: Any, key: str) -> Iterator[Fault]:
    at = f"/{key}"
    if not isinstance(definitions, list) or (not definitions and key == "functions"):
        found = "an empty list" if definitions == [] else quoted(definitions)
        yield Fault("JSL305", f"{key} is {found}; expected a list of functions", None, at)
        return  # an empty list of tools stands in OpenAI's own example of preference data
    if len(definitions) > DATA_MAX_TOOLS:
        found = f"{len(definitions)} functions; at most {DATA_MAX_TOOLS} are taken"
        yield Fault("JSL305", found, None, at)
    names: set[str] = set()
    for i, definition in enumerate(definitions):
        here = f"{at}/{i}"
        function = definition
        if key == "tools":
            if not isinstance(definition, dict) or definition.get("type") != "function":
                found = f"tool {i} is not an object of type function"
                yield Fault("JSL305", found, None, here)
                continue
            function, here = definition.get("function"), f"{here}/function"
        if not isinstance(function, dict):
            yield Fault("JSL305", f"{quoted(function)}; expected an object", None, here)
            continue
        name = function.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            found = f"the name is {quoted(name)}" if "name" in function else "there is no name"
            yield Fault(
                "JSL305", f"{found}; expected 1 to 64 of a-z, A-Z, 0-9, _ and -", None, here
            )
        elif name in names:
            yield Fault("JSL305", f"two functions are called {quoted(name)}", None, here)
        else:
            names.add(name)
        parameters = function.get("parameters", {})
        if not isinstance(parameters, dict):
            found = f"parameters is {quoted(parameters)}; expected an object"
            yield Fault("JSL305", found, None, f"{here}/parameters")
        elif (wrong := _schema_fault(json.dumps(parameters))) is not None:
            where, reason = wrong
            found = f"parameters is no JSON Schema: {reason}"
            yield Fault("JSL305", found, None, f"{here}/parameters{where}")


@lru_cache(maxsize=256)  # most examples of a file declare the same functions
def _schema_fault(schema: str) -> tuple[str, str] | None:
    """(JSON pointer, reason) of what makes this JSON no JSON Schema; None for a valid one."""
    if schema == "{}":
        return None
    from jsonschema import Draft202012Validator  # slow to import, and few files declare tools
    from jsonschema.exceptions import best_match

    meta = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    error: Any = best_match(meta.iter_errors(json.loads(schema)))
    if error is None:
        return None
    return pointer(*error.absolute_path), _reason(error)


def _reason(error: ValidationError) -> str:
    """What a schema has in a place, and what was expected there."""
    found = quoted(error.instance)
    if error.validator in ("type", "enum"):
        expected: Any = error.validator_value
        return (
            f"{found}; expected {expected if isinstance(expected, str) else ' or '.join(expected)}"
        )
    *_, key = error.absolute_path or ("parameters",)
    return f"{found} as {quoted(key)}"


def _function(function: Any, at: str) -> Iterator[Fault]:
    if not isinstance(function, dict):
        yield Fault("JSL301", f"function is {quoted(function)}; expected an object", None, at)
        return
    if not isinstance(function.get("name"), str) or not function["name"]:
        yield Fault("JSL301", "the function has no name", None, at)
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        given = "arguments" in function
        found = f"arguments is {quoted(arguments)}" if given else "there are no arguments"
        place = f"{at}/arguments" if given else at
        yield Fault("JSL302", f"{found}; expected JSON as text", None, place)
        return
    try:
        meant = loosely_decoded(arguments)
    except ValueError:
        found = f"arguments is {quoted(arguments)}, which is not JSON"
        yield Fault("JSL302", found, None, f"{at}/arguments")
        return
    if not isinstance(meant, dict):
        found = f"arguments is the JSON of {quoted(meant)}; expected that of an object"
        yield Fault("JSL302", found, None, f"{at}/arguments")


def _declared(value: Mapping[str, Any]) -> set[str]:
    names: set[Any] = set()
    for key in ("tools", "functions"):
        some = value.get(key)
        for one in some if isinstance(some, list) else ():
            function = one.get("function") if key == "tools" and isinstance(one, dict) else one
            name = function.get("name") if isinstance(function, dict) else None
            names.add(name if isinstance(name, str) else None)
    return names


def _called(message: Mapping[str, Any], at: str) -> Iterator[tuple[str, str]]:
    """(name, JSON pointer) of every well-formed function call of a message."""
    for place, function in _functions(message, at):
        name = function.get("name") if isinstance(function, dict) else None
        if isinstance(name, str) and name:
            yield name, place


def _functions(message: Mapping[str, Any], at: str) -> Iterator[tuple[str, Any]]:
    for i, call in enumerate(_calls(message)):
        if isinstance(call, dict):
            yield f"{at}/tool_calls/{i}/function", call.get("function")
    yield f"{at}/function_call", message.get("function_call")


def _ids(message: Mapping[str, Any], at: str) -> Iterator[tuple[str, str]]:
    for i, call in enumerate(_calls(message)):
        if isinstance(call, dict) and isinstance(call.get("id"), str) and call["id"]:
            yield call["id"], f"{at}/tool_calls/{i}"


def _calls(message: Mapping[str, Any]) -> list[Any]:
    calls = message.get("tool_calls")
    return calls if isinstance(calls, list) else []
