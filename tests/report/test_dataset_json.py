"""The contract finegrade/findings/v1."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support.file_reports import COST, TOKENS, file_report, finding
from support.paths import ROOT

from grader.report.result_json import findings_json
from grader.training_data.check import FileReport

SCHEMA = json.loads((ROOT / "grader" / "schemas" / "findings.v1.json").read_text())


def valid(document: object) -> bool:
    Draft202012Validator.check_schema(SCHEMA)
    return Draft202012Validator(SCHEMA).is_valid(document)


@pytest.mark.parametrize(
    "report",
    [
        file_report(),
        file_report(finding("JSL204", 3, pointer="/messages/0/role"), finding("JSL601")),
        file_report(
            finding("JSL001"), kind=None, kind_reason="", examples=0, tokens=None, cost=None
        ),
        file_report(cost=replace(COST, usd=None, train_per_m=None, valid_from=None, retires=None)),
        file_report(tokens=replace(TOKENS, estimated=True, mean=1 / 3), notes=("a note",)),
    ],
)
def test_every_report_is_as_the_schema_says(report: FileReport) -> None:
    document = json.loads(json.dumps(findings_json([report, report]), allow_nan=False))
    assert valid(document)
    assert document["schema"] == SCHEMA["$id"] == "finegrade/findings/v1"
    assert len(document["files"]) == 2


def test_every_field_of_a_report_is_in_it() -> None:
    (file,) = findings_json([file_report()])["files"]
    assert set(file) == {field.name for field in fields(FileReport)} | {"left_out"}


def test_a_finding_is_as_in_a_result_but_for_the_instructors_note() -> None:
    found = replace(finding("JSL204", 3, pointer="/messages/0/role"), note="for the instructor")
    document = findings_json([file_report(found, counts={"JSL204": 1_500})])
    (file,) = document["files"]
    (written,) = file["findings"]
    assert file["counts"] == {"JSL204": 1_500}
    assert file["left_out"] == {"JSL204": 1_499}
    assert written["location"] == {"path": "train.jsonl", "line": 3, "pointer": "/messages/0/role"}
    assert "for the instructor" not in json.dumps(document)


def test_numbers_have_no_noise() -> None:
    (file,) = findings_json([file_report(tokens=replace(TOKENS, mean=1 / 3))])["files"]
    assert file["tokens"]["mean"] == 0.333333


@given(st.text(), st.text())
def test_any_text_is_written_so_that_any_reader_takes_it(path: str, message: str) -> None:
    path += "\udcff"  # a byte of a file name that is no UTF-8
    report = file_report(finding("JSL204", 1, message, path=path), path=path)
    text = json.dumps(findings_json([report]))
    assert text.isascii()
    assert "\x1b" not in text
    assert valid(json.loads(text))
    assert json.loads(text)["files"][0]["path"].encode()
