"""Functions that an example declares, and calls."""

import pytest

from grader.training_data.lines.tools import call_faults, declaration_faults


def _tool(name: object) -> dict[str, object]:
    return {"type": "function", "function": {"name": name, "parameters": {}}}


@pytest.mark.parametrize("name", ["get_weather", "A-1", "x" * 64])
def test_names_that_the_service_takes(name: str) -> None:
    assert list(declaration_faults({"tools": [_tool(name)]})) == []


@pytest.mark.parametrize("name", ["get weather", "größe", "", "x" * 65, "a.b", 7, None])
def test_names_that_it_refuses(name: object) -> None:
    (fault,) = declaration_faults({"tools": [_tool(name)]})
    assert (fault.code, fault.pointer) == ("JSL305", "/tools/0/function")
    assert "a-z" in fault.message


def test_two_functions_of_one_name() -> None:
    (fault,) = declaration_faults({"tools": [_tool("a"), _tool("b"), _tool("a")]})
    assert (fault.code, fault.pointer) == ("JSL305", "/tools/2/function")


def test_null_in_place_of_a_call_is_no_call() -> None:
    answer = {"role": "assistant", "content": "b", "function_call": None, "tool_calls": None}
    assert list(call_faults(answer, "/messages/1")) == []
