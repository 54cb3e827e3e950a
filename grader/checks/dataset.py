"""JSL: the training data that a student submits keeps every rule of `finegrade data check`.

One check a rule, so that an assignment can weigh each. All of them read one report, which is made
once a file.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from grader.checks.api.context import Context, Verdict, failed, not_looked_at, passed, skipped
from grader.checks.api.registry import Check, add
from grader.core.constants import COURSE_DATA_MAX_BYTES
from grader.core.errors import FileRefused
from grader.core.nouns import DataSpec, Severity
from grader.intake.submission import refuse_larger
from grader.training_data.check import FileReport, check_file
from grader.training_data.read.examples import Kind
from grader.training_data.rules import RULES, Rule

# What intake and the assignment already see to, and what takes two files.
_NOT_IN_A_SUBMISSION: Final = frozenset(
    {"JSL001", "JSL003", "JSL004", "JSL012", "JSL605", "JSL615"}
)


def _register(rule: Rule) -> None:
    def rule_holds(context: Context) -> Verdict:
        return _verdict(rule, context)

    add(
        Check(
            code=rule.code,
            title=rule.title,
            why=rule.why,
            fix=rule.fix,
            function=rule_holds,
            measures=("faults",),
            severity=rule.severity,
        )
    )


def _verdict(rule: Rule, context: Context) -> Verdict:
    spec = context.assignment.data
    try:
        path = None if spec is None else context.place(spec.deliverable)
    except FileRefused as refused:
        return not_looked_at(refused)
    if (large := too_large(context)) is not None:
        return not_looked_at(large)
    if spec is None or path is None:
        return skipped("No training data is submitted.")
    file = context.submission.file(path)
    report = _report(context.submission.root / path, file.sha256 if file else "", spec)
    count = report.counts.get(rule.code, 0)
    if not count:
        return passed("Every example keeps it.", measures={"faults": 0})
    first = next(finding for finding in report.findings if finding.code == rule.code)
    more = f" And {count - 1} more." if count > 1 else ""
    return failed(
        first.message + more,
        f"{first.hint} `finegrade data check {path}` lists all.",
        path=path,
        line=first.location.line,
        pointer=first.location.pointer,
        measures={"faults": count},
        severity=Severity.ERROR if rule.code in spec.errors else rule.severity,
    )


def too_large(context: Context) -> FileRefused | None:
    """Why the training data is too large to be graded; None where it is not, or is not there."""
    spec = context.assignment.data
    path = context.submission.places.get(spec.deliverable) if spec is not None else None
    try:
        if isinstance(path, str):
            refuse_larger(context.submission, path, COURSE_DATA_MAX_BYTES)
    except FileRefused as refused:
        return refused
    return None


@lru_cache(maxsize=4)  # the checks of one submission run one after another
def _report(path: Path, _sha256: str, spec: DataSpec) -> FileReport:
    return check_file(
        path, kind=Kind(spec.kind), min_examples=spec.min_examples, model=None, keep=1
    )


for _rule in RULES.values():
    if _rule.code.startswith("JSL") and _rule.code not in _NOT_IN_A_SUBMISSION:
        _register(_rule)
