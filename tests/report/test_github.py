"""Findings as GitHub annotations: well escaped, and never more than GitHub shows."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from grader.core.nouns import Finding, Location, Outcome, Severity, Visibility
from grader.report.exports import github

FAIL = Finding("SRC003", Outcome.FAIL, "Rank is chosen", "Found 8.", "Choose one.")


def test_a_fail_stands_at_its_file_and_line() -> None:
    finding = replace(FAIL, location=Location("a.py", 3))
    assert github.annotations([finding]) == [
        "::error file=a.py,line=3,title=SRC003 Rank is chosen::Found 8. Choose one."
    ]


def test_what_has_a_meaning_for_the_runner_is_escaped() -> None:
    finding = replace(
        FAIL, title="a,b:c", message="100% done: x,y", location=Location("d,e:f%.py", None)
    )
    assert github.annotations([finding]) == [
        "::error file=d%2Ce%3Af%25.py,title=SRC003 a%2Cb%3Ac::100%25 done: x,y. Choose one."
    ]


@given(st.text(), st.text(), st.text())
def test_student_text_never_starts_another_command(title: str, message: str, path: str) -> None:
    lines = github.annotations(
        [replace(FAIL, title=title, message=message, location=Location(path, 1))]
    )
    assert len(lines) == 1
    assert len(lines[0].splitlines()) == 1
    assert lines[0].startswith("::error ")
    assert lines[0][len("::error ") :].split("::")[0].count("title=SRC003") == 1


def test_severity_and_outcome_choose_the_kind() -> None:
    findings = [
        replace(FAIL, outcome=Outcome.REVIEW),
        replace(FAIL, severity=Severity.NOTE),
        replace(FAIL, outcome=Outcome.ERROR),
        replace(FAIL, severity=Severity.WARNING),
        FAIL,
        replace(FAIL, outcome=Outcome.PASS),
        replace(FAIL, outcome=Outcome.SKIP),
        replace(FAIL, visibility=Visibility.INSTRUCTOR),
    ]
    kinds = [line.split(" ")[0] for line in github.annotations(findings)]
    assert kinds == ["::error", "::warning", "::warning", "::notice", "::notice"]


def test_only_ten_of_a_kind_are_shown_and_the_rest_is_counted() -> None:
    lines = github.annotations([FAIL] * 13 + [replace(FAIL, severity=Severity.WARNING)])
    assert len(lines) == 12
    assert lines[10] == "3 more of kind error: run finegrade on your own machine to read them all."
    assert lines[11].startswith("::warning ")
