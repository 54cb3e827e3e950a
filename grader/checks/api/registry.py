"""The registry of checks: a check is a function, its docstring is its page.

An assignment uses a check by its code, or more than once under names (`CheckInstance`). What a
check looks at it names by roles: ids of evidence and deliverables, for which an assignment may
bind others.

A check's docstring reads: title (the claim that must hold), blank line, `Why:` paragraph, blank
line, `Fix:` paragraph. The registry is frozen after import of `grader.checks.api.all`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from inspect import cleandoc
from typing import Any, Final

from grader.checks.api.context import (
    Bindings,
    Context,
    EvidenceRole,
    Verdict,
    bound,
    failed,
    needs_review,
)
from grader.core.errors import FileRefused, frames_of, is_machines
from grader.core.nouns import (
    Assignment,
    CheckInstance,
    Finding,
    Outcome,
    Severity,
    Visibility,
)
from grader.core.payloads import Payload
from grader.core.text import clean

CODE_PATTERN = re.compile(r"^(LAY|JSL|TOK|ADP|EVL|DSP|API|SRC|DOC|INT|GRD)\d{3}$")


"""By role, the ids that an assignment has bound to it."""


CheckFunction = Callable[[Context], Verdict]


@dataclass(frozen=True, slots=True)
class Check:
    """A check with its page and what it needs before it can run.

    It looks at the evidence and the deliverables in these roles; for those in `lists` the
    assignment must bind ids. `name` and `bindings` are those of one use in an assignment.
    """

    code: str
    title: str
    why: str
    fix: str
    function: CheckFunction
    needs: tuple[str, ...] = ()
    evidence: tuple[EvidenceRole[Any], ...] = ()
    measures: tuple[str, ...] = ()
    severity: Severity = Severity.ERROR
    visibility: Visibility = Visibility.STUDENT
    deliverables: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    name: str | None = None
    bindings: Bindings = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """As in CheckInstance."""
        return self.code if self.name is None else f"{self.code}@{self.name}"

    @property
    def evidence_ids(self) -> tuple[str, ...]:
        """The ids of the evidence that it reads."""
        return tuple(bound(self.bindings, role.id) for role in self.evidence)

    def used(self, instance: CheckInstance) -> Check:
        """This check as an assignment uses it."""
        title = self.title if instance.name is None else f"{self.title} ({instance.name})"
        return replace(
            self, title=instance.title or title, name=instance.name, bindings=instance.bindings
        )

    def judge(self, context: Context) -> Finding:
        """What it finds, whatever it needs. May raise what its function raises."""
        verdict = self.function(replace(context, bindings=self.bindings))
        if verdict.exact and not context.hidden:
            verdict = replace(verdict, message=verdict.exact, exact="")
        return self.finding(verdict)

    def problems(self, assignment: Assignment, payloads: Mapping[str, type[Payload]]) -> list[str]:
        """What is wrong with this use in the assignment; `payloads` are those of its evidence."""
        wrong = []
        evidence = {role.id: role for role in self.evidence}
        for name, role in evidence.items():
            found = payloads.get(bound(self.bindings, name))
            if found is not role.payload:
                is_ = "is not there" if found is None else f"is {found.SCHEMA}"
                id = bound(self.bindings, name)
                wrong.append(f"reads {role.payload.SCHEMA}, and evidence {id!r} {is_}")
        known = {d.id for d in assignment.deliverables}
        parts = {part.id for part in assignment.parts}
        for name, ids in self.bindings.items():
            if name not in {*evidence, *self.deliverables, *self.lists}:
                wrong.append(f"has no role {name!r}")
            elif len(ids) > 1 and name not in self.lists:
                wrong.append(f"takes one {name!r}, not {len(ids)}")
            elif name in self.lists:
                there = parts if name == "parts" else known
                absent = [repr(id) for id in ids if id not in there]
                wrong += [f"names {id}, which is not among the {name}" for id in absent]
        for name in self.deliverables:
            if bound(self.bindings, name) not in known:
                wrong.append(f"needs a deliverable {bound(self.bindings, name)!r}")
        if self.lists and not any(self.bindings.get(name) for name in self.lists):
            wrong.append(f"needs {' or '.join(self.lists)} in `with`")
        return [f"check {self.ref} {what}" for what in wrong]

    def finding(self, verdict: Verdict) -> Finding:
        """The verdict under this check's code and title.

        Raises ValueError for measures that nobody declared and for a line that no file has.
        """
        measures = dict(verdict.measures or {})
        undeclared = sorted(set(measures) - set(self.measures))
        if undeclared:
            raise ValueError(f"{self.ref} returned undeclared measures: {', '.join(undeclared)}")
        if (line := verdict.location.line) is not None and line < 1:
            raise ValueError(f"{self.ref} returned line {line}; lines count from 1")
        return Finding(
            code=self.ref,
            outcome=verdict.outcome,
            title=self.title,
            message=verdict.message,
            hint=verdict.hint,
            severity=verdict.severity or self.severity,
            location=verdict.location,
            visibility=self.visibility,
            measures=measures,
            note=" ".join(filter(None, (verdict.exact, verdict.note))),
        )


_CHECKS: dict[str, Check] = {}


def check(
    code: str,
    *,
    needs: tuple[str, ...] = (),
    evidence: tuple[EvidenceRole[Any], ...] = (),
    deliverables: tuple[str, ...] = (),
    measures: tuple[str, ...] = (),
    severity: Severity = Severity.ERROR,
    visibility: Visibility = Visibility.STUDENT,
) -> Callable[[CheckFunction], CheckFunction]:
    """Register a check. `needs`: codes that must pass first; `evidence` and `deliverables`: the
    roles of what it looks at."""

    def register(function: CheckFunction) -> CheckFunction:
        title, why, fix = _page(code, function)
        add(
            Check(
                code,
                title,
                why,
                fix,
                function,
                needs,
                evidence,
                measures,
                severity,
                visibility,
                deliverables,
            )
        )
        return function

    return register


def add(check: Check) -> None:
    """Register a check whose page is not a docstring."""
    if not CODE_PATTERN.match(check.code):
        raise ValueError(f"{check.code} is not a check code")
    if check.code in _CHECKS:
        raise ValueError(f"{check.code} is taken by {_CHECKS[check.code].title}")
    _CHECKS[check.code] = check


def _page(code: str, function: CheckFunction) -> tuple[str, str, str]:
    text = cleandoc(function.__doc__ or "")
    match = re.fullmatch(r"(?P<title>.+?)\n\nWhy: (?P<why>.+?)\n\nFix: (?P<fix>.+)", text, re.S)
    if match is None:
        raise ValueError(f"{code}: its docstring must read: title, 'Why: …', 'Fix: …'")
    title, why, fix = (" ".join(match[name].split()) for name in ("title", "why", "fix"))
    return title.rstrip("."), why, fix


def all_checks() -> Mapping[str, Check]:
    """Every registered check by code, in the order of the codes."""
    return dict(sorted(_CHECKS.items()))


def check_of(ref: str, assignment: Assignment) -> Check:
    """The check of this reference as the assignment uses it. KeyError for a code that is none."""
    instance = next((one for one in assignment.checks if one.ref == ref), None)
    return _CHECKS[ref] if instance is None else _CHECKS[instance.code].used(instance)


def all_needs(check: Check, assignment: Assignment) -> tuple[str, ...]:
    """The references of checks that must pass first: the check's own and those of the evidence
    that it reads.

    A check under a name needs the others under that name, where the assignment uses them so.
    """
    refs = assignment.refs
    named = ((f"{code}@{check.name}", code) for code in check.needs)
    own = tuple(ref if ref in refs else code for ref, code in named)
    behind = [spec.needs for spec in assignment.evidence if spec.id in check.evidence_ids]
    return tuple(dict.fromkeys(sum(behind, own)))


def in_order(refs: Iterable[str], assignment: Assignment) -> list[Check]:
    """The checks of these references and all that they need, each after what it needs."""
    ordered: dict[str, Check] = {}

    def visit(ref: str) -> None:
        if ref in ordered:
            return
        check = check_of(ref, assignment)
        for needed in all_needs(check, assignment):
            visit(needed)
        ordered[ref] = check

    for ref in refs:
        visit(ref)
    return list(ordered.values())


_LATER: Final = {"text": "PDF and Word files are read when programs are run, and at grading."}
"""What is said of evidence that was not collected, by its kind."""


FAILED_ON: Final = (
    "The grader failed on this check, twice. Your instructor looks at it and decides on its points."
)
"""The message where a check raised: a submission may have been made to do that."""


def run_check(
    check: Check, context: Context, earlier: Mapping[str, Finding], missing: Mapping[str, str]
) -> Finding:
    """Run one check, after those it needs.

    `earlier` holds the findings so far by reference. `missing` says of each evidence id that could
    not be collected why (a machine's fault). The result is `skip` behind a fail, the same behind a
    skip, `error` behind an error or missing evidence, `review` behind a review, else what the
    check says. One that raises is tried again; the second time it is a question for a person.
    """
    for needed in all_needs(check, context.assignment):
        before = earlier[needed]
        if before.outcome is Outcome.PASS:
            continue
        if before.outcome is Outcome.SKIP:  # what stopped that one stops this one
            return check.finding(Verdict(Outcome.SKIP, before.message, before.hint))
        if before.outcome is Outcome.FAIL:
            text = f"Not looked at, because {needed} ({before.title}) did not hold."
            return check.finding(Verdict(Outcome.SKIP, text, before.hint))
        text = f"Not known yet, because {needed} ({before.title}) is not known."
        return check.finding(Verdict(before.outcome, text))
    kinds = {spec.id: spec.kind for spec in context.assignment.evidence}
    for id in check.evidence_ids:
        if id in missing:
            text = "The grader could not run this; your instructor has been told. No marks lost."
            return check.finding(Verdict(Outcome.ERROR, text, note=missing[id]))
        if (why := context.not_run.get(id)) is not None:
            return check.finding(Verdict(why.outcome, why.message, why.hint, note=why.note))
        if id not in context.evidence:
            text = _LATER.get(kinds.get(id, ""), "Hidden tests run at grading.")
            return check.finding(Verdict(Outcome.REVIEW, text))
    found = _judged(check, context)
    if isinstance(found, Exception) and not is_machines(found):
        found = _judged(check, context)
    return found if isinstance(found, Finding) else check.finding(_raised(found))


def _judged(check: Check, context: Context) -> Finding | Exception:
    """What the check finds, or what it raises: its fault must not stop the batch."""
    try:
        return check.judge(context)
    except FileRefused as refused:  # the student's file, whichever check comes to it first
        return check.finding(failed(refused.message, refused.hint, path=refused.path))
    except Exception as error:
        return error


def _raised(error: Exception) -> Verdict:
    """What is said of a check that raised: it costs no mark, and a trick earns none by it."""
    note = f"{type(error).__name__}: {clean(str(error))} (in {frames_of(error)})"
    if is_machines(error):
        text = "The grader failed on this check; your instructor has been told. No marks lost."
        return Verdict(Outcome.ERROR, text, note=note)
    return needs_review(FAILED_ON, note=note)
