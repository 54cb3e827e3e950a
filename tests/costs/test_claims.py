"""A student's cost_analysis.json: read exactly, and every fault named by its place."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support.paths import ROOT

from grader.costs.break_even import QueryTokenUsage
from grader.costs.claims import CLAIMS_MAX_BYTES, ClaimsError, read_claims

SOLUTION = ROOT / "solutions" / "llm-methods"
GOOD = json.loads((SOLUTION / "cost_analysis.json").read_text())


def changed(pointer: str, value: Any) -> bytes:
    """The good analysis with another value at this place; `...` takes the key away."""
    document = deepcopy(GOOD)
    *path, last = pointer.strip("/").split("/")
    at = document
    for step in path:
        at = at[int(step) if isinstance(at, list) else step]
    if value is ...:
        del at[last]
    else:
        at[int(last) if isinstance(at, list) else last] = value
    return json.dumps(document).encode()


def fault(data: bytes) -> ClaimsError:
    with pytest.raises(ClaimsError) as caught:
        read_claims(data)
    return caught.value


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(
        json.loads((ROOT / "grader" / "schemas" / "cost-analysis.v1.json").read_text())
    )


def test_the_kit_holds_the_same_schema() -> None:
    ours = ROOT / "grader" / "schemas" / "cost-analysis.v1.json"
    assert (SOLUTION / "cost_analysis.schema.json").read_bytes() == ours.read_bytes()


def test_a_good_one_is_read() -> None:
    claims = read_claims(json.dumps(GOOD).encode())
    assert claims.date == date(2026, 11, 21)
    assert claims.base_model == claims.model
    tuned = GOOD["per_query"]["tuned"]
    assert claims.tuned.usage == QueryTokenUsage(tuned["input_tokens"], tuned["output_tokens"], 0)
    assert claims.instructions is None
    assert claims.break_even == GOOD["break_even"]
    assert [other.break_even is None for other in claims.alternatives] == [True, False]


def test_what_may_be_left_out_may() -> None:
    document = deepcopy(GOOD)
    del document["alternatives"], document["per_query"]["base"]["shots"]
    del document["assumptions"]["other_fixed_usd"]
    claims = read_claims(json.dumps(document).encode())
    assert (claims.alternatives, claims.shots, claims.other_fixed_usd) == ((), 0, 0)


def test_the_example_of_the_kit_can_be_read() -> None:
    text = (SOLUTION / "README.md").read_text()
    (example,) = [part for part in text.split("```") if "finegrade/cost-analysis/v1" in part]
    claims = read_claims(example.removeprefix("json").encode())
    assert claims.instructions
    assert claims.break_even == 1_000


@pytest.mark.parametrize(
    ("pointer", "value", "says"),
    [
        ("/training/epochs", "5", 'found "5"; expected how often training reads the file, 1 to 50'),
        ("/training/epochs", 0, "1 to 50"),
        ("/training/usd", "0.02 USD", "what the training costs"),
        ("/training/tokens_per_epoch", 35.9, "the tokens of the whole file"),
        ("/training/usd", True, "found true"),
        ("/training/usd", -1, "found -1"),
        ("/per_query/tuned/usd", None, "what the query costs"),
        ("/per_query/base/input_tokens", "1,500", "the tokens of the whole prompt"),
        ("/break_even", "nie", 'or the text "never"'),
        ("/break_even", None, 'or the text "never"'),
        ("/break_even", -5, "found -5"),
        ("/retirement/date", "14.1.2027", "2027-01-14"),
        ("/date", "2026-02-30", "the day for which you calculate"),
        ("/date", "2026-W47-6", "the day for which you calculate"),
        ("/assumptions/queries_per_day", 0, "above 0"),
        ("/prices/valid_from", "October", "2026-10"),
        ("/prices/training", 0, "above 0"),
        ("/prices/tuned/output", 0, "above 0"),
        ("/prices/base", 0.4, "an object with the prices of the base"),
        ("/alternatives/1/break_even", "no", 'the text "never"'),
        ("/per_query/tuned/cached_tokens", 999, "cannot be cached"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(pointer: str, value: Any, says: str) -> None:
    error = fault(changed(pointer, value))
    assert error.pointer == pointer
    assert f"{pointer}: " in error.message
    assert says in error.message


def test_a_missing_key_is_named_with_what_belongs_there() -> None:
    error = fault(changed("/training/billed_tokens", ...))
    assert error.message == '/training: it lacks "billed_tokens" (the tokens that are paid for).'
    assert '"usd" (what the query costs)' in fault(changed("/per_query/base/usd", ...)).message


def test_an_unknown_key_is_named_with_those_that_are_known() -> None:
    error = fault(changed("/training/cost", 3))
    assert 'the key "cost" is not known; expected examples, tokens_per_epoch' in error.message


def test_a_key_by_another_name_is_missing_and_unknown() -> None:
    document = deepcopy(GOOD)
    document["training"]["cost"] = document["training"].pop("usd")
    error = fault(json.dumps(document).encode())
    assert 'the key "cost" is not known' in error.message
    assert 'it lacks "usd" (what the training costs)' in error.message


def test_of_many_faults_some_are_told() -> None:
    error = fault(b"{}")
    assert error.message.startswith('the file: it lacks "schema"')
    document = deepcopy(GOOD)
    document["training"] = dict.fromkeys(document["training"], "x")
    assert "and 2 more" in fault(json.dumps(document).encode()).message


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not valid JSON"),
        (b"[1, 2]", "the file: found a list of 2"),
        (b'{"a": 1, "a": 2}', "appears twice"),
        (b'{\n"a": NaN}', "not a JSON number"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b" " * (CLAIMS_MAX_BYTES + 1), "at most"),
    ],
)
def test_what_is_no_strict_json_is_refused(data: bytes, says: str) -> None:
    assert says in fault(data).message


def test_the_line_of_what_is_no_json_is_told() -> None:
    assert fault(b'{\n"a": 1,\n}').line == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PLACES = st.sampled_from(
    [
        *("/schema", "/date", "/model", "/break_even", "/prices", "/prices/base"),
        *("/prices/tuned/cached", "/training", "/training/epochs", "/per_query"),
        *("/per_query/base", "/per_query/base/instructions", "/retirement", "/retirement/date"),
        *("/alternatives", "/alternatives/0"),
    ]
)


@given(PLACES, JSON)
def test_any_value_anywhere_is_read_or_refused(pointer: str, value: Any) -> None:
    said = ""
    try:
        read_claims(changed(pointer, value))
    except ClaimsError as error:
        said = error.message
    assert "\n" not in said
    assert len(said) < 3_000


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(ClaimsError):
        read_claims(data)
