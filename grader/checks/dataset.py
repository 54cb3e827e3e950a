"""JSL: the training data that a student submits keeps every rule of `finegrade data check`.

One check a rule, so that an assignment can weigh each. All of them read one report, which is made
once a file. API024 to API027: what the data is about, how much there is, whether it is true, and
all rules together.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from grader.assignment.domain_questions import DomainData, domain_data, hidden_of
from grader.checks.api.context import (
    Context,
    Verdict,
    failed,
    needs_review,
    not_looked_at,
    passed,
    skipped,
)
from grader.checks.api.registry import Check, add, check
from grader.checks.views.attempted import part_left_out
from grader.core.constants import (
    COURSE_DATA_MAX_BYTES,
    DOMAIN_MIN_JUDGED,
    HIDDEN_MIN_QUESTIONS,
)
from grader.core.errors import FileRefused
from grader.core.nouns import DataSpec, Severity
from grader.core.text import counted
from grader.intake.submission import refuse_larger
from grader.topics.domain import plural
from grader.training_data.check import FileReport, check_file
from grader.training_data.read.examples import Kind
from grader.training_data.rules import RULES, Rule
from grader.training_data.rules.rule import quoted

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


DATA: Final = "openai_data"
_LISTED: Final = 3  # answers that are shown
_NUMBER: Final = "JSL601"  # too few examples, which API025 judges
_ON_ONE: Final = "Write pairs on one domain alone: countries, chemical elements or animals."


@check("API024", deliverables=(DATA,), measures=("pairs", "share"))
def is_about_one_domain(context: Context) -> Verdict:
    """The training data is about one domain that hidden questions can be asked of

    Why: The grader asks the tuned model other questions on what it was trained for. A domain is
    one group of subjects that the topic has facts on: the capitals of countries are one, and so are
    countries with all that is asked of them. Data on several domains, or on none of these, is
    judged by your own test set alone.

    Fix: Choose one domain of the topic, and ask for facts of the kinds that the public data asks
    for. A stray question does no harm: four of five pairs have to be on it.
    """
    if (left_out := _left_out(context)) is not None:
        return left_out
    data = _data(context)
    domain = data.domain
    share = round(domain.pairs / max(1, len(data.pairs)), 3)
    measures = {"pairs": domain.pairs, "share": share if domain.group else 0.0}
    alone = "so only your own test set is asked of your model."
    if domain.group is None:
        said = f"Most of {counted(len(data.pairs), 'pair')} are on nothing that the topic knows, "
        return failed(said + alone, _ON_ONE, path=data.path, measures=measures)
    if not domain.is_one:
        parts = ", ".join(f"{n} on {plural(g) if g else 'other things'}" for g, n in _counts(data))
        return failed(
            f"The pairs are on several domains ({parts}), {alone}",
            _ON_ONE,
            path=data.path,
            measures=measures,
        )
    if not domain.kinds:
        said = f"The pairs name {plural(domain.group)}, and ask for nothing that the topic knows, "
        return failed(said + alone, _ON_ONE, path=data.path, measures=measures)
    left = hidden_of(data, context.assignment.topic, "", public=not context.hidden)
    if len(left) < HIDDEN_MIN_QUESTIONS:
        said = "The training data holds nearly all that could be asked, "
        hint = "Leave facts for a test: twenty pairs are enough."
        return failed(said + alone, hint, path=data.path, measures=measures)
    kinds = ", ".join(f"{kind} ({n})" for kind, n in sorted(domain.kinds.items()))
    told = f"{domain.pairs} of {counted(len(data.pairs), 'pair')} are on {plural(domain.group)}"
    return passed(f"{told}: {kinds}.", measures=measures)


@check("API025", deliverables=(DATA,), measures=("pairs", "share"))
def has_enough_pairs(context: Context) -> Verdict:
    """The training data has enough different pairs on one domain

    Why: A few pairs teach a model how to answer one question, not a domain. Copies of a pair teach
    nothing new.

    Fix: Write as many different questions on your one domain as the assignment asks for.
    """
    if (left_out := _left_out(context)) is not None:
        return left_out
    data, spec = _data(context), context.assignment.data
    least = spec.min_examples if spec is not None else 1
    pairs = data.different
    share = round(min(1.0, pairs / least), 3) if data.domain.is_one else 0.0
    measures = {"pairs": pairs, "share": share}
    said = f"{counted(pairs, 'different question')} on one domain; at least {least} are asked for."
    if not data.domain.is_one:
        return failed(
            f"No domain has four of five pairs. {said}", _ON_ONE, path=data.path, measures=measures
        )
    if pairs < least:
        hint = "Add questions that are not there yet, on the same domain."
        return failed(said, hint, path=data.path, measures=measures)
    if data.domain.group is None:
        said = f"{said} Whether they are on one domain only a person can tell."
    return passed(said, measures=measures)


@check(
    "API026",
    deliverables=(DATA,),
    measures=("judged", "contradicting", "share"),
)
def answers_agree_with_the_topic(context: Context) -> Verdict:
    """The training answers agree with what the topic says

    Why: A model learns what it is shown, true or not, and repeats it with the same confidence.
    Answers are compared with the topic's facts, whatever their case, punctuation and articles, also
    within a sentence. What the topic does not know is not judged, and costs nothing.

    Fix: Look each answer up, and correct those that are named here.
    """
    if (left_out := _left_out(context)) is not None:
        return left_out
    data = _data(context)
    judged = [
        (pair, one)
        for pair, one in zip(data.pairs, data.places, strict=True)
        if one is not None and one.agrees is not None
    ]
    wrong = [(pair, one) for pair, one in judged if not one.agrees]
    share = round(1 - len(wrong) / len(judged), 3) if judged else 0.0
    measures = {"judged": len(judged), "contradicting": len(wrong), "share": share}
    rest = len(data.pairs) - len(judged)
    aside = f" {counted(rest, 'answer')} cannot be judged." if rest else ""
    if len(judged) < DOMAIN_MIN_JUDGED * len(data.pairs) or not judged:
        return needs_review(
            f"Of {counted(len(data.pairs), 'answer')} only {len(judged)} can be compared with the "
            "topic's facts; a person looks at the others.",
            "Nothing to do, if your answers are right.",
            measures={name: measures[name] for name in ("judged", "contradicting")},
        )
    if not wrong:
        said = f"{counted(len(judged), 'answer')} agree with what the topic says.{aside}"
        return passed(said, measures=measures)
    shown = "; ".join(
        f"line {pair.line}: {quoted(pair.answer)} to {quoted(pair.prompt)}, where the topic says "
        f"{quoted(one.fact)}"
        for pair, one in wrong[:_LISTED]
    )
    more = f"; and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
    return failed(
        f"{counted(len(wrong), 'answer')} of {len(judged)} contradict the topic: {shown}{more}."
        f"{aside}",
        "Look these answers up and correct them; the lines are those of the file.",
        path=data.path,
        line=wrong[0][0].line,
        measures=measures,
    )


@check("API027", deliverables=(DATA,), measures=("errors", "rules"))
def breaks_no_rule(context: Context) -> Verdict:
    """The training data has no errors of the JSONL rules

    Why: The service refuses a file with a single line that it cannot read, or trains on something
    else than you meant. How many examples there are is judged elsewhere.

    Fix: `finegrade data check` names every line with its error; `finegrade data fix` corrects most.
    """
    if (left_out := _left_out(context)) is not None:
        return left_out
    spec = context.assignment.data
    if spec is None:
        return skipped("No training data is asked for.")
    data = _data(context)
    file = context.submission.file(data.path)
    report = _report(context.submission.root / data.path, file.sha256 if file else "", spec)
    broken = {
        code: count
        for code, count in report.counts.items()
        if count and code != _NUMBER and _is_error(code, spec)
    }
    measures = {"errors": sum(broken.values()), "rules": len(broken)}
    if not broken:
        return passed("No line breaks a rule.", measures=measures)
    first = next(finding for finding in report.findings if finding.code in broken)
    return failed(
        f"{counted(measures['errors'], 'error')} ({', '.join(sorted(broken))}); {first.message}.",
        f"`finegrade data check {data.path}` lists all, with what to do.",
        path=data.path,
        line=first.location.line,
        measures=measures,
    )


def _is_error(code: str, spec: DataSpec) -> bool:
    rule = RULES.get(code)
    return code in spec.errors or (rule is not None and rule.severity is Severity.ERROR)


def _left_out(context: Context) -> Verdict | None:
    """The verdict where nothing of Part 2 is submitted; else None."""
    if context.place(DATA) is not None:
        return None
    return part_left_out(context, context.deliverable(DATA))


def _data(context: Context) -> DomainData:
    """The training data. Raises FileRefused where there is none, or nothing usable in it."""
    data = domain_data(context.submission, context.assignment.topic, context.bound(DATA))
    if data is None:
        wanted = context.deliverable(DATA).paths[0]
        raise FileRefused("LAY022", "There is no training data.", f"Submit {wanted}.")
    if not data.pairs:
        hint = f"`finegrade data check {data.path}` says what is wrong with each line."
        raise FileRefused("JSL002", "No line holds a question and its answer.", hint, data.path)
    return data


def _counts(data: DomainData) -> list[tuple[str, int]]:
    return sorted(data.domain.groups.items(), key=lambda one: (-one[1], one[0]))


for _rule in RULES.values():
    if _rule.code.startswith("JSL") and _rule.code not in _NOT_IN_A_SUBMISSION:
        _register(_rule)
