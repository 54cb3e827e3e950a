"""Evidence of submissions that experts have judged, recorded once and judged again at any time.

A recording is an evidence store in `tests/recorded`. The key of an evidence hashes all that decides
about it, so what has changed since is not found, and the test that misses it fails. Only the
sandbox is left out of the keys: its walls differ between machines, and decide nothing here.
"""

from __future__ import annotations

import hashlib
import lzma
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from grader.assignment.questions import QuestionSet
from grader.core.errors import GraderFault
from grader.core.nouns import Assignment, Evidence
from grader.core.result import Result
from grader.course import grade
from grader.evidence.store import read_store
from grader.intake.find import Extent
from grader.sandbox.api import Isolation, RunResult, RunSpec, Sandbox, Serve
from support.classes import Silent
from support.experts import judgement
from support.paths import ROOT, TESTS
from support.sandboxes import need_sandbox

RECORDED: Final = TESTS / "recorded"
STALE: Final = (
    "is not in {name}: the submission, the kit, the assignment, a library or the version of this "
    "kind of evidence has changed since it was recorded. Run `make record`, and commit what it "
    "writes."
)
"""What is said where a recording lacks an evidence."""


class AnySandbox:
    """A sandbox whose walls are in no key; without a real one it runs nothing."""

    name = "any"
    isolation = Isolation.FULL

    def __init__(self, real: Sandbox | None = None) -> None:
        self._real = real

    def why_not(self) -> str | None:
        """It is there."""
        return None

    def policy(self) -> Mapping[str, Any]:
        """Nothing that differs between machines."""
        return {}

    def run(
        self, launch: RunSpec, serve: Serve | None = None, stop: threading.Event | None = None
    ) -> RunResult:
        """See Sandbox."""
        if self._real is None:
            raise GraderFault("a run that is not recorded")
        return self._real.run(launch, serve, stop)


class Family:
    """Submissions of one kind, graded from their recording or live."""

    def __init__(self, name: str, work: Path, trainings: Path, *, recording: bool) -> None:
        """`work` is a new folder for its stores; `recording`: nothing is compared."""
        self.recording = recording
        self._made: dict[str, bytes] = {}
        self.file = RECORDED / f"{name}.sqlite.xz"
        self._recorded, self._live = work / "recorded" / "e.sqlite", work / "live" / "e.sqlite"
        for store in (self._recorded, self._live):
            store.parent.mkdir(parents=True)
        (self._live.parent / grade.TRAININGS_NAME).symlink_to(trainings)

    def recorded(
        self, paths: Sequence[Path], assignment: Assignment, questions: QuestionSet
    ) -> dict[str, Result]:
        """The results of submissions by student, from their recording alone."""
        known = {key for (key,) in self._select("SELECT key FROM evidence")}
        results = self._graded(paths, assignment, questions, self._recorded, AnySandbox())
        for result in results.values():
            for id, key in result.provenance["evidence"].items():
                if key not in known:
                    pytest.fail(f"{id} of {result.student} {STALE.format(name=self.file.name)}")
            for finding in result.findings:
                if "a run that is not recorded" in finding.note:
                    told = f"What {finding.code} reads of {result.student}"
                    pytest.fail(f"{told} {STALE.format(name=self.file.name)}")
        return results

    def live(
        self, paths: Sequence[Path], assignment: Assignment, questions: QuestionSet
    ) -> dict[str, Result]:
        """The results of submissions by student, whose programs run now."""
        sandbox = AnySandbox(need_sandbox())
        return self._graded(paths, assignment, questions, self._live, sandbox)

    def live_as_recorded(
        self, paths: Sequence[Path], assignment: Assignment, questions: QuestionSet
    ) -> None:
        """What is found of programs that run now is what was found of the recorded runs."""
        now = self.live(paths, assignment, questions)
        if self.recording:
            return
        then = self.recorded(paths, assignment, questions)
        for student, result in now.items():
            assert judgement(result) == judgement(then[student]), "see `make record`"

    def evidence(self, result: Result, id: str) -> Evidence:
        """Recorded evidence that this result stands on."""
        with read_store(self._recorded) as store:
            found = store.get(result.provenance["evidence"][id])
        assert found is not None
        return found

    def folder(self, name: str, make: Callable[[Path], object] | None = None) -> Path:
        """A folder that `make` fills when the family is recorded; else it is as it was then."""
        place = self._live.parent / name
        if place.exists():
            return place
        if self.recording and make is not None:
            make(place)
            for file in sorted(path for path in place.rglob("*") if path.is_file()):
                self.keep(f"{name}/{file.relative_to(place)}", file.read_bytes())
            return place
        for path, body in self._select("SELECT path, body FROM made"):
            if path.startswith(f"{name}/"):
                file = self._live.parent / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(body)
        if not place.exists():
            pytest.fail(f"{name} {STALE.format(name=self.file.name)}")
        return place

    def keep(self, path: str, body: bytes) -> None:
        """Note a file of a folder."""
        self._made[path] = body

    def record(self) -> None:
        """Write what was collected live in the recording's place."""
        plain = self._live.with_name("whole.sqlite")
        with closing(sqlite3.connect(self._live)) as connection:
            connection.execute("DELETE FROM register")
            # What they answered is recorded; their weights take more room than all the rest.
            connection.execute("DELETE FROM evidence WHERE kind = 'made_adapter'")
            connection.execute("CREATE TABLE made (path TEXT PRIMARY KEY, body BLOB) STRICT")
            connection.executemany("INSERT INTO made VALUES (?, ?)", self._made.items())
            connection.commit()
            connection.execute("VACUUM INTO ?", [str(plain)])
        RECORDED.mkdir(exist_ok=True)
        self.file.write_bytes(lzma.compress(plain.read_bytes(), preset=9 | lzma.PRESET_EXTREME))

    def _select(self, query: str) -> list[Any]:
        """Rows of the recording; none where there is none."""
        if not self._recorded.exists():
            if not self.file.exists():
                return []
            self._recorded.write_bytes(lzma.decompress(self.file.read_bytes()))
        with closing(sqlite3.connect(self._recorded)) as connection:
            return connection.execute(query).fetchall()

    @staticmethod
    def _graded(
        paths: Sequence[Path],
        assignment: Assignment,
        questions: QuestionSet,
        store: Path,
        sandbox: Sandbox,
    ) -> dict[str, Result]:
        done = grade.grade(
            paths,
            assignment,
            questions,
            store,
            Silent(),
            open_sandbox=lambda: sandbox,
            extent=Extent.ONE,
        )
        return {result.student: result for result in done.results}


@cache
def training_code() -> str:
    """A name for the code that trains: what other code has trained is not used."""
    digest = hashlib.sha256()
    for room in ("models", "openai_sim/jobs"):
        for file in sorted((ROOT / "grader" / room).glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
