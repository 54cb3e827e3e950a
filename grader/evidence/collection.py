"""The evidence of a class: planned and read student by student, collected all at once.

Only keys are held meanwhile, so that the memory of the grader does not grow with the class: what a
request runs is made again when it runs, and evidence is read when its student is judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from grader.checks.api.context import NotRun
from grader.core.errors import UsageError
from grader.core.nouns import Evidence, Outcome
from grader.core.payloads import Predictions, read, schema_of
from grader.evidence.kind import Candidate, EvidenceKind, Grading, PlannedRequest, Progress
from grader.evidence.kinds import KINDS
from grader.evidence.store import EvidenceStore


@dataclass(slots=True)
class _OfStudent:
    """What is known of one student's evidence, by id: its key, and why there is none."""

    keys: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


class Collection:
    """The evidence of one grading: `plan` each submission, `collect`, then read it with `of`."""

    def __init__(self, grading: Grading, store: EvidenceStore) -> None:
        self._grading, self._store = grading, store
        self._students: defaultdict[str, _OfStudent] = defaultdict(_OfStudent)
        self._new: dict[str, dict[str, PlannedRequest[Any]]] = {kind: {} for kind in KINDS}
        self._sharing: defaultdict[str, list[PlannedRequest[Any]]] = defaultdict(list)
        """By key of what is not in the store, all who wait for it."""
        self._failed: dict[str, str] = {}
        specs = grading.assignment.evidence
        self._made_by = {s.id: s.settings["made_by"] for s in specs if "made_by" in s.settings}
        """By id of evidence on an adapter, the run that makes it."""
        self.ran = 0

    def plan(self, candidate: Candidate) -> None:
        """Note what this submission needs, while its files are there.

        Raises UsageError where the store holds evidence of another version.
        """
        mine = self._students[candidate.submission.student]
        candidate = replace(candidate, keys=mine.keys, stored=self._stored)
        for kind in KINDS.values():
            plan = kind.plan(self._grading, candidate)
            mine.missing |= {id: why for (_, id), why in plan.missing.items()}
            for request in plan.requests:
                mine.keys[request.id] = request.key
                if self._known(kind, request.key):
                    self._charge(request)
                else:
                    self._new[kind.name].setdefault(request.key, request)
                    self._sharing[request.key].append(request)
        self._note_known_firsts(candidate.submission.student)

    def collect(self, progress: Progress) -> None:
        """Produce what the store has not. Raises UsageError where the user can fix something."""
        for name, kind in KINDS.items():
            new = self._new.pop(name)
            if not new:
                continue
            failed = kind.producer(self._grading).produce(new, self._put, progress)
            self._failed |= failed
            withheld = self._grading.ledger.withheld
            self.ran += sum(key not in failed and key not in withheld for key in new)

    def of(self, student: str, ids: Sequence[str] | None = None) -> dict[str, Evidence]:
        """The evidence of one student by id, in the assignment's order, read from the store; with
        `ids` that of these alone."""
        keys, not_run = self._students[student].keys, self.not_run(student)
        found = {
            spec.id: self._store.get(keys[spec.id])
            for spec in self._grading.assignment.evidence
            if spec.id in keys and spec.id not in not_run and (ids is None or spec.id in ids)
        }
        return {id: evidence for id, evidence in found.items() if evidence is not None}

    def missing(self, student: str) -> dict[str, str]:
        """By id, why evidence of this student could not be collected: a fault of the machine."""
        mine, not_run = self._students[student], self.not_run(student)
        behind = {id: mine.missing[run] for id, run in self._made_by.items() if run in mine.missing}
        absent = {
            id: self._failed.get(key, "not collected")
            for id, key in mine.keys.items()
            if id not in not_run and self._store.about(key) is None
        }
        return behind | mine.missing | absent

    def not_run(self, student: str) -> dict[str, NotRun]:
        """By id, what is not collected by the student's own doing, or counts as if it was not: a
        store of an earlier version may have it. Behind a run stands what it would have made."""
        ledger, keys = self._grading.ledger, self._students[student].keys
        found = {
            id: ledger.withheld.get(key) or ledger.behind_first(student, id)
            for id, key in keys.items()
        }
        for id, run in self._made_by.items():
            if id in keys:
                found[id] = found.get(run) or self._adapter_fault(keys[id])
        return {id: why for id, why in found.items() if why is not None}

    def _adapter_fault(self, key: str) -> NotRun | None:
        """Why nothing was asked of the adapter that a run made, by the student's doing."""
        evidence = self._store.get(key)
        fault = read(evidence, Predictions).fault if evidence is not None else None
        return NotRun(Outcome.FAIL, fault.message, fault.hint) if fault is not None else None

    def _stored(self, key: str) -> Evidence | None:
        """What the store has of a key, or the recordings."""
        recordings = self._grading.recordings
        found = self._store.get(key)
        return recordings.evidence(key) if found is None and recordings is not None else found

    def _known(self, kind: EvidenceKind[Any, Any], key: str) -> bool:
        """Whether the store has it, or now has it from the recordings."""
        held = self._store.about(key)
        if held is None and self._grading.recordings is not None:
            recorded = self._grading.recordings.evidence(key)
            if recorded is not None:
                self._store.put(recorded)
                held = self._store.about(key)
        if held is None:
            return False
        schema = held.schema
        if schema is None:  # written before schemas were named
            evidence = self._store.get(key)
            assert evidence is not None
            schema = schema_of(evidence, kind.payload)
        if schema != kind.payload.SCHEMA:
            raise UsageError(
                f"The evidence store holds {schema}, and this version of finegrade reads "
                f"{kind.payload.SCHEMA}. Grade into another --out."
            )
        return True

    def _put(self, evidence: Evidence) -> None:
        self._store.put(evidence)
        for request in self._sharing.pop(evidence.key, ()):
            self._charge(request)
            if self._grading.ledger.is_first(request.id):
                self._grading.ledger.note_first(request.student, request.id, evidence)

    def _charge(self, request: PlannedRequest[Any]) -> None:
        held = self._store.about(request.key) if request.own else None
        if held is not None:
            self._grading.ledger.charge(request.student, held.cost, held.size_bytes)

    def _note_known_firsts(self, student: str) -> None:
        """Read how the runs went that others of the student's stand behind."""
        ledger, keys = self._grading.ledger, self._students[student].keys
        for id in sorted({first for one in keys if (first := ledger.first_run_of(one))}):
            evidence = self._store.get(keys[id]) if id in keys else None
            if evidence is not None:
                ledger.note_first(student, id, evidence)
