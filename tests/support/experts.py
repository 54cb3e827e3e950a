"""What decides about some criteria of an assignment, and what a submission earned by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.registry import in_order
from grader.core.nouns import Assignment, Outcome
from grader.core.result import Result

Points = float | tuple[float, float]
"""What a criterion earns, or the least and the most."""


def narrowed(assignment: Assignment, criteria: Iterable[str]) -> Assignment:
    """The assignment with these criteria alone, and no more evidence than they read."""
    wanted = set(criteria)
    mine = tuple(c for c in assignment.criteria if c.id in wanted)
    codes = {code for c in mine for code in (c.source.split(".")[0], *c.requires)}
    checks = in_order(sorted(codes), assignment)
    read = {id for check in checks for id in check.evidence_ids}
    read |= {
        s.settings["made_by"]
        for s in assignment.evidence
        if s.id in read and "made_by" in s.settings
    }
    evidence = tuple(spec for spec in assignment.evidence if spec.id in read)
    by_ref = {instance.ref: instance for instance in assignment.checks}
    in_turn = tuple(by_ref[check.ref] for check in checks)
    return replace(assignment, criteria=mine, evidence=evidence, checks=in_turn)


def lay_out(files: Mapping[str, bytes], home: Path) -> Path:
    """A submission of these files by name, in the new folder `home`."""
    home.mkdir(parents=True)
    for name, body in files.items():
        (home / name).write_bytes(body)
    return home


def hold_to(expected: Mapping[str, Points], result: Result) -> None:
    """Each criterion earned what an expert gives. No check broke; whoever fails reads why and
    what to do."""
    text = "\n".join(
        f"{f.code} {f.outcome}: {f.message} {dict(f.measures)} {f.note}" for f in result.findings
    )
    given = {score.id: score.points for score in result.scores}
    for id, points in expected.items():
        least, most = points if isinstance(points, tuple) else (points, points)
        earned = given[id]
        assert earned is not None, f"{id} is not known\n{text}"
        assert least <= earned <= most, f"{id}: {earned}\n{text}"
    assert not [f.code for f in result.findings if f.outcome is Outcome.ERROR], text
    assert all(f.message and f.hint for f in result.findings if f.outcome is Outcome.FAIL), text


def judgement(result: Result) -> dict[str, object]:
    """What was found by code, and the points of each criterion."""
    return {f.code: f.outcome for f in result.findings} | {s.id: s.points for s in result.scores}
