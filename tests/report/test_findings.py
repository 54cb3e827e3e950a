"""Families of many small rules are shortened to what is worth reading."""

from grader.core.nouns import Finding, Outcome, Severity
from grader.report.pages import summed_up
from grader.report.terminal import findings_table


def _finding(code: str, outcome: Outcome, severity: Severity = Severity.ERROR) -> Finding:
    return Finding(code, outcome, f"The claim of {code}", "found", "do", severity)


PASSED = [_finding(f"JSL{n}", Outcome.PASS) for n in range(101, 110)]
OTHER = _finding("ADP001", Outcome.PASS)


def test_rules_that_hold_become_one_line_at_their_place() -> None:
    (first, rules, last) = summed_up([OTHER, *PASSED, OTHER])
    assert (first, last) == (OTHER, OTHER)
    assert (rules.code, rules.title) == ("JSL", "All rules on training data hold")
    assert rules.message == "9 rules, JSL101 to JSL109."


def test_a_rule_that_does_not_hold_keeps_its_line() -> None:
    broken = _finding("JSL204", Outcome.FAIL)
    rules, kept = summed_up([*PASSED, broken])
    assert kept == broken
    assert rules.title == "All other rules on training data hold"


def test_what_was_not_looked_at_says_why_once() -> None:
    (rules,) = summed_up([_finding(f"JSL{n}", Outcome.SKIP) for n in range(101, 105)])
    assert (rules.outcome, rules.message) == (Outcome.SKIP, "found")


def test_a_warning_is_called_one_in_the_table() -> None:
    some = [_finding("JSL216", Outcome.FAIL, Severity.WARNING), _finding("JSL204", Outcome.FAIL)]
    (signs, *_) = findings_table(some).columns
    assert [str(cell) for cell in signs.cells] == ["✗ warning", "✗ fail"]
