"""result.json: the contract `finegrade/result/v1`, held to its schema both ways."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import grader
from grader.core.errors import GraderFault, UsageError
from grader.core.nouns import Finding, Location, Outcome, Severity, Status, Visibility
from grader.core.result import Result, Score, Total
from grader.report.result_json import from_json, to_json, to_text

SCHEMA = json.loads(
    (Path(grader.__file__).parent / "schemas" / "result.v1.json").read_text(encoding="utf-8")
)
VALIDATOR = Draft202012Validator(SCHEMA)

_points = st.floats(0, 1000).map(lambda x: round(x, 6))
_texts = st.text(max_size=20)
_maybe = st.none() | _texts
_codes = st.sampled_from(["LAY001", "ADP010", "EVL001", "INT001", "GRD001"])
_numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 6) + 0.0)
_measures = st.dictionaries(_texts, _numbers | st.integers() | _texts | st.none(), max_size=4)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_findings = st.builds(
    Finding,
    code=_codes,
    outcome=st.sampled_from(Outcome),
    title=_texts,
    message=_texts,
    hint=_texts,
    severity=st.sampled_from(Severity),
    location=st.builds(Location, _maybe, st.none() | st.integers(1, 9999), _maybe),
    visibility=st.sampled_from(Visibility),
    measures=_measures,
    note=_texts,
)
_scores = st.builds(
    Score,
    id=_texts,
    title=_texts,
    category=_texts,
    part=_maybe,
    points=st.none() | _points,
    max_points=_points,
    status=st.sampled_from(Status),
    because=st.lists(_codes, max_size=3).map(tuple),
)
_totals = st.builds(
    Total,
    points=st.none() | _points,
    max_points=_points,
    lower=_points,
    upper=_points,
    categories=st.dictionaries(_texts, st.tuples(_points, _points), max_size=3),
    counted_parts=st.lists(_texts, max_size=3).map(tuple),
)
results = st.builds(
    Result,
    assignment_id=_texts,
    assignment_version=_texts,
    student=_texts,
    digest=_texts,
    submitted_at=_maybe,
    status=st.sampled_from(Status),
    total=_totals,
    scores=st.lists(_scores, max_size=3).map(tuple),
    findings=st.lists(_findings, max_size=3).map(tuple),
    provenance=st.dictionaries(_texts, _json, max_size=3),
)


@given(results)
def test_what_is_written_fits_the_schema_and_reads_back_equal(result: Result) -> None:
    text = to_text(result)
    document = json.loads(text)
    VALIDATOR.validate(document)
    assert from_json(document) == result
    assert to_text(from_json(document)) == text
    assert text.endswith("}\n")


def test_the_schema_itself_is_sound() -> None:
    Draft202012Validator.check_schema(SCHEMA)


LATER = {"items", "worth", "parts", "answers", "curves"}
"""What earlier versions did not write."""


def _objects(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for item in schema for found in _objects(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if schema.get("additionalProperties") is False else []
    return own + [found for item in schema.values() for found in _objects(item)]


def test_the_schema_asks_for_every_key_that_it_knows() -> None:
    assert all(set(o["required"]) == set(o["properties"]) - LATER for o in _objects(SCHEMA))


def _without_each_key(value: Any) -> list[Any]:
    """The document once for each key of each object in it, without that key."""
    if isinstance(value, list):
        return [[less, *value[1:]] for item in value[:1] for less in _without_each_key(item)]
    if not isinstance(value, dict):
        return []
    here = [{k: v for k, v in value.items() if k != key} for key in value if key not in LATER]
    below = [
        {**value, key: less}
        for key, item in value.items()
        if key not in ("measures", "provenance", "categories", "parts")
        for less in _without_each_key(item)
    ]
    return here + below


def test_a_document_that_lacks_any_key_is_refused(make_result) -> None:
    document = to_json(make_result())
    for broken in _without_each_key(document):
        with pytest.raises(UsageError, match=r"not a finegrade/result/v1"):
            from_json(broken)


def test_a_key_that_the_contract_does_not_know_is_refused(make_result) -> None:
    with pytest.raises(UsageError, match="grade"):
        from_json({**to_json(make_result()), "grade": "A"})


def test_the_contract_holds_what_the_plan_says(make_result) -> None:
    document = to_json(make_result("s01-careful"))
    assert document["schema"] == "finegrade/result/v1"
    assert document["assignment"] == {"id": "llm-methods", "version": "1.0"}
    assert document["submission"]["student"] == "s01-careful"
    assert document["status"] == "PendingManual"
    assert document["points"] is None
    assert document["total"]["categories"]["functionality"]["upper"] <= 40
    assert len(document["total"]["counted_parts"]) == 2


def test_the_order_in_which_facts_arrive_does_not_show(make_result) -> None:
    result = make_result()
    turned = replace(
        result,
        provenance=dict(reversed(result.provenance.items())),
        total=replace(
            result.total, categories=dict(reversed(list(result.total.categories.items())))
        ),
        findings=tuple(
            replace(f, measures=dict(reversed(list(f.measures.items())))) for f in result.findings
        ),
    )
    assert to_text(turned) == to_text(result)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_no_number_that_is_not_finite_is_written(make_result, bad: float) -> None:
    result = make_result()
    finding = replace(result.findings[0], measures={"share": bad})
    text = to_text(replace(result, findings=(finding,), provenance={"seconds": [bad]}))
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text)["findings"][0]["measures"] == {"share": None}
    with pytest.raises(GraderFault):
        to_json(replace(result, total=replace(result.total, lower=bad)))


def test_numbers_are_rounded_to_six_decimals_and_zero_has_no_sign(make_result) -> None:
    finding = replace(make_result().findings[0], measures={"a": 1 / 3, "b": -1e-9, "n": 150})
    document = to_json(replace(make_result(), findings=(finding,)))
    assert json.dumps(document["findings"][0]["measures"]) == '{"a": 0.333333, "b": 0.0, "n": 150}'


def test_what_is_no_json_value_is_the_graders_fault(make_result) -> None:
    with pytest.raises(GraderFault, match="set"):
        to_json(replace(make_result(), provenance={"codes": {1, 2}}))
