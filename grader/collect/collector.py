"""What a class wants is collected once: what the store has is not run again.

Wants are values; equal wants of different students share one key and one run. What runs them is a
producer, one for each kind of evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from grader.collect.store import Store
from grader.model import Evidence


class Progress(Protocol):
    """Hears how far long work has come; the command line draws it."""

    def start(self, stage: str, total: int) -> None:
        """A stage of `total` steps begins."""

    def step(self, label: str) -> None:
        """One step is done."""


@dataclass(frozen=True, slots=True)
class Want:
    """One evidence that one student's grading needs; `work` is what its producer runs."""

    student: str
    id: str
    kind: str
    key: str
    work: Any


class Producer(Protocol):
    """Runs what is wanted of one kind."""

    def produce(
        self, new: Mapping[str, Want], put: Callable[[Evidence], None], progress: Progress
    ) -> dict[str, str]:
        """Run these wants, by key, and `put` what each gave as soon as it is there.

        Returns for each key that failed the reason: one want's trouble leaves the others alone.
        Raises UsageError where nothing can run and the user can mend it. `put` is called in the
        thread of the caller only.
        """


@dataclass(slots=True)
class Collected:
    """Evidence by (student, evidence id), and for what could not be collected the reason."""

    evidence: dict[tuple[str, str], Evidence] = field(default_factory=dict)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)
    ran: int = 0


def collect(
    wants: Sequence[Want],
    store: Store,
    producers: Mapping[str, Producer],
    progress: Progress,
    earlier: Callable[[str], Evidence | None] = lambda key: None,
) -> Collected:
    """Fetch or produce all that is wanted; `producers` by kind.

    `earlier` may know the evidence of a key from elsewhere; it is kept in this store, too.
    """
    collected = Collected()
    failed: dict[str, str] = {}
    for kind, producer in producers.items():
        mine = {want.key: want for want in wants if want.kind == kind}
        new = {}
        for key, want in mine.items():
            if store.get(key) is not None:
                continue
            known = earlier(key)
            if known is not None:
                store.put(known)
            else:
                new[key] = want
        if new:
            troubles = producer.produce(new, store.put, progress)
            collected.ran += len(new) - len(troubles)
            failed |= troubles
    for want in wants:
        evidence = store.get(want.key)
        if evidence is None:
            collected.missing[want.student, want.id] = failed.get(want.key, "not collected")
        else:
            collected.evidence[want.student, want.id] = evidence
    return collected


def reason(error: Exception) -> str:
    """Why a want failed, for the instructor."""
    return f"{type(error).__name__}: {error}"
