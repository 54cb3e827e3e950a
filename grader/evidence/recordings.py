"""What programs asked and were told when an earlier grading ran them, to be told again.

A recording is the exchanges of one run, in the store of that grading; its results say which
evidence is whose. Another grading may run the program under other limits or in another sandbox: as
long as it asks the same, its model service can answer from the recording and needs no model.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from grader.core.errors import GraderFault, UsageError
from grader.core.nouns import Evidence
from grader.evidence.store import read_store
from grader.model_service.record import CLIENT_LEFT, Exchange

INSTEAD: Final = "Grade again without --replay."
_ENDED_BY_ITSELF: Final = ("ok", "exit")


@dataclass(frozen=True, slots=True)
class RunRecording:
    """One run's exchanges. `digest` tells what it answers from others; both are None for none."""

    grading: Recordings
    key: str | None
    digest: str | None

    def exchanges(self) -> list[Exchange]:
        """What can be told again. Raises GraderFault where nothing was recorded.

        May be called in any thread.
        """
        evidence = self.grading.evidence(self.key) if self.key is not None else None
        if evidence is None:
            raise GraderFault(f"no run of it is recorded in {self.grading.store.parent}. {INSTEAD}")
        return _told(evidence.payload)


class Recordings:
    """The recordings of an earlier grading, and what else of it is as true now as then."""

    def __init__(self, store: Path, keys: Mapping[tuple[str, str], str]) -> None:
        """`keys` are those of its evidence in the store, by student and evidence id.

        Raises UsageError when the store is not there, or is damaged.
        """
        self.store, self._keys = store, keys
        self.registered: list[tuple[str, str | None, tuple[float, ...]]] = []
        """As in Store: the adapters of the earlier class."""
        try:
            with read_store(store) as opened:
                damage = opened.damage()
                self.registered = opened.registered()
        except (sqlite3.Error, ValueError) as error:
            damage = str(error)
        if damage is not None:
            raise UsageError(
                f"{store} cannot be replayed ({damage}). Expected the evidence of an earlier "
                f"grading, undamaged. {INSTEAD}"
            )

    def evidence(self, key: str) -> Evidence | None:
        """What the earlier grading collected under this key. Raises UsageError for a damaged one.

        May be called in any thread.
        """
        try:
            with read_store(self.store) as opened:
                return opened.get(key)
        except (sqlite3.Error, ValueError) as error:
            raise UsageError(f"{self.store} cannot be read ({error}). {INSTEAD}") from error

    def of(self, student: str, id: str) -> RunRecording:
        """The recording of this student's run of this evidence id."""
        key = self._keys.get((student, id))
        evidence = self.evidence(key) if key is not None else None
        if evidence is None:
            return RunRecording(self, None, None)
        try:
            return RunRecording(self, evidence.key, _digest(_told(evidence.payload)))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{self.store}: what is recorded of {student}'s {id} cannot be read "
                f"({type(error).__name__}). {INSTEAD}"
            ) from error


def _told(payload: Mapping[str, Any]) -> list[Exchange]:
    """The exchanges whose outcome was the program's own or the service's."""
    exchanges = [Exchange.from_json(one) for one in payload["exchanges"]]
    if payload["verdict"] in _ENDED_BY_ITSELF:
        return exchanges
    # What it still waited for when the run was ended: nobody knows what it would have been told.
    last = max((one.at for one in exchanges), default=0.0)
    return [e for e in exchanges if e.status != CLIENT_LEFT or e.at + e.seconds < last]


def _digest(exchanges: list[Exchange]) -> str:
    """The same for recordings that answer alike, at whatever times they were made."""
    answers = defaultdict(list)
    for one in exchanges:
        if not one.refused:
            told = [one.status, one.reply, one.reply_headers, dict(one.notes)]
            answers[one.digest].append(told)
    return hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()
