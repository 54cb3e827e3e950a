"""What the programs of one submission may use in all, and which of its runs are left out.

A run has limits of its own (`grader.sandbox.api.Limits`); a class pays for all runs of everybody.
So the runs of a submission share a budget of time and of what is stored of them, and a program that
fails with nothing going wrong is not run again in scenarios that it cannot even meet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from grader.checks.api.context import NotRun
from grader.core.constants import MIB, SUBMISSION_MAX_EVIDENCE_BYTES
from grader.core.nouns import Assignment, Evidence, Outcome
from grader.core.openai_wire import JOBS
from grader.core.payloads import ProgramRun, read

_TRANSCRIPT: Final = "transcript"
_MET_BY_JOBS: Final = frozenset({"sunset", "timeout-after-accept", "job-fails", "bad-file"})
"""Scenarios that a program meets when it creates a job; the others at its first request."""


@dataclass(slots=True)
class Spent:
    """What the runs of one submission have used so far."""

    wall_seconds: float = 0.0
    processor_seconds: float = 0.0
    stored_bytes: int = 0

    def charge(self, cost: Mapping[str, float], stored_bytes: int) -> None:
        """Add a run: what it cost, and the bytes that are stored of it."""
        self.wall_seconds += cost.get("wall_seconds", 0.0) - cost.get("uncounted_seconds", 0.0)
        self.processor_seconds += cost.get("cpu_seconds", 0.0)
        self.stored_bytes += stored_bytes


@dataclass(frozen=True, slots=True)
class FirstRun:
    """How a program's run ended with nothing going wrong, and how far it came."""

    verdict: str
    sent_requests: bool
    created_jobs: bool


@dataclass
class Ledger:
    """The budgets of a class, by student. For one thread."""

    assignment: Assignment
    withheld: dict[str, NotRun] = field(default_factory=dict)
    """By key of the evidence, why it was not collected."""
    _spent: defaultdict[str, Spent] = field(default_factory=lambda: defaultdict(Spent))
    _ran_first: dict[tuple[str, str], FirstRun] = field(default_factory=dict)

    def __post_init__(self) -> None:
        runs = {s.id: s.settings for s in self.assignment.evidence if s.kind == _TRANSCRIPT}
        plain = {id: run for id, run in runs.items() if not run.get("scenarios")}
        self._behind = {
            id: first
            for id, run in runs.items()
            if id not in plain
            for first in [next((one for one in plain if _same(plain[one], run)), None)]
            if first is not None
        }

    def charge(self, student: str, cost: Mapping[str, float], stored_bytes: int) -> None:
        """Note what a run of the student's program used."""
        self._spent[student].charge(cost, stored_bytes)

    def note_first(self, student: str, id: str, evidence: Evidence) -> None:
        """Note how a run that others stand behind (see `first_run_of`) went."""
        run = read(evidence, ProgramRun)
        creates = [e for e in run.exchanges if e["method"] == "POST" and e["path"] == JOBS]
        self._ran_first[student, id] = FirstRun(run.verdict, bool(run.exchanges), bool(creates))

    def first_run_of(self, id: str) -> str | None:
        """The evidence whose outcome decides whether this is collected: the run of the same script
        in no scenario. None for that run itself, and for other evidence."""
        return self._behind.get(id)

    def is_first(self, id: str) -> bool:
        """Whether other runs stand behind this one."""
        return id in self._behind.values()

    def knows_first(self, student: str, id: str) -> bool:
        """Whether the outcome of this first run is known."""
        return (student, id) in self._ran_first

    def decide(self, student: str, id: str, key: str) -> NotRun | None:
        """Why this run of the student's program is not to be started; None where it is."""
        why = self.behind_first(student, id) or self._over_budget(student)
        if why is not None:
            self.withheld[key] = why
        return why

    def behind_first(self, student: str, id: str) -> NotRun | None:
        """Why a run shows nothing, after what the first run of the program showed. None where it
        may show something: then it has to be run."""
        first = self.first_run_of(id)
        run = self._ran_first.get((student, first)) if first is not None else None
        if run is None or run.verdict == "ok":
            return None
        (spec,) = (spec for spec in self.assignment.evidence if spec.id == id)
        by_jobs = set(spec.settings["scenarios"]) <= _MET_BY_JOBS
        if run.created_jobs if by_jobs else run.sent_requests:
            return None
        reached = "tried to create a job" if by_jobs else "sent a request"
        how = "crashed" if run.verdict in ("exit", "signal") else f"was ended ({run.verdict})"
        return NotRun(
            Outcome.SKIP,
            f"With nothing going wrong the program {how} before it {reached}, so it was not run "
            "where something does.",
            "Make the program run to its end when nothing goes wrong, then look at this again.",
        )

    def seconds(self, student: str) -> float:
        """What the student's runs have taken so far, on the wall and on processors."""
        return self._spent[student].processor_seconds + self._spent[student].wall_seconds

    def _over_budget(self, student: str) -> NotRun | None:
        spent, budget = self._spent[student], self.assignment.budget
        stored = spent.stored_bytes / MIB
        for used, most, what in (
            (spent.wall_seconds, budget.wall_seconds, "seconds"),
            (spent.processor_seconds, budget.processor_seconds, "seconds of processor time"),
            (stored, SUBMISSION_MAX_EVIDENCE_BYTES / MIB, "MiB of requests and output"),
        ):
            if used >= most:
                return NotRun(
                    Outcome.FAIL,
                    f"Not run: the programs of this submission may use {most:.0f} {what} over all "
                    "their runs, and had used that up before.",
                    "Look for loops without an end and for work that is done again and again; the "
                    "kit's README names the budget.",
                    # Not for students: a program that sees hidden questions decides how much.
                    f"Used before this run: {used:.0f} {what}.",
                )
        return None


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    names = ("script", "arguments", "given")
    return all(one.get(name) == other.get(name) for name in names)
