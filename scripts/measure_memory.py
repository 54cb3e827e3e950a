"""Peak memory of the grader on classes of two sizes: it must not grow with the class.

Usage: python scripts/measure_memory.py [SMALL [LARGE]]     (20 and 200 without them)

A class consists of variants of the recorded solution (tests/recorded): each has words of its own
and an adapter of its own, and its evidence, the recorded one, is in the store before. So nothing is
run: what is measured is reading submissions and evidence, all checks and all pages. Each class is
graded in a process of its own. Exits with 1 where the large class takes more than 1.2 times as
much.
"""

from __future__ import annotations

import lzma
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from grader.assignment.questions import make_hidden
from grader.core.errors import GraderFault
from grader.course import grade
from grader.course.output import prepare, write_class, write_student
from grader.evidence.kind import AdapterRef, Candidate, Grading, Progress
from grader.evidence.kinds import KINDS
from grader.evidence.store import open_store, read_store
from grader.intake.find import Extent, submission_at
from grader.intake.submission import take_in
from grader.models.adapter_files import read_adapter
from grader.sandbox.api import Isolation, RunResult

ROOT = Path(__file__).parents[1]
ASSIGNMENT = "llm-methods"
QUESTIONS = (11, 150)  # seed and number, as they were recorded
MOST = 1.2


class Recorded:
    """A sandbox that runs nothing; its walls are in no key of the recording."""

    name = "recorded"
    isolation = Isolation.FULL

    def why_not(self) -> str | None:
        return None

    def policy(self) -> Mapping[str, Any]:
        return {}

    def run(self, *_: Any) -> RunResult:
        raise GraderFault("a run that is not recorded: see `make record`")


class Silent(Progress):
    def start(self, stage: str, total: int) -> None: ...

    def step(self, label: str) -> None: ...


def grading(folder: Path) -> Grading:
    loaded = grade.load(ASSIGNMENT)
    hidden = make_hidden(loaded.topic, *QUESTIONS)
    return Grading(loaded, hidden, "cpu", folder / "trainings", Recorded)


def write_solution(home: Path, recorded: Path) -> None:
    """The submission that was recorded."""
    shutil.copytree(ROOT / "solutions" / ASSIGNMENT, home)
    shutil.copytree(ROOT / "datasets" / grade.load(ASSIGNMENT).topic, home / "data")
    with closing(sqlite3.connect(recorded)) as connection:
        for path, body in connection.execute("SELECT path, body FROM made"):
            file = home / path.removeprefix(f"{ASSIGNMENT}/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)


def write_variant(solution: Path, home: Path, number: int) -> None:
    """The solution with other words, and an adapter whose weights are drawn anew."""
    shutil.copytree(solution, home)
    with (home / "reflection.md").open("a") as file:
        file.write(f"\nThis is variant {number}.\n")
    weights = home / "adapter" / "adapter_model.safetensors"
    rng = np.random.default_rng(number)
    drawn = {
        name: rng.normal(0, float(tensor.std()) or 0.01, tensor.shape).astype(tensor.dtype)
        for name, tensor in load_file(weights).items()
    }
    save_file(drawn, weights, {"format": "pt"})


def keys(home: Path, work: Path) -> dict[str, tuple[str, str]]:
    """By evidence id, kind and key of what this submission needs."""
    mine = grading(work)
    submission = take_in(submission_at(home), work / "taken", mine.assignment.deliverables)
    adapter = AdapterRef(
        read_adapter(submission, "adapter").digest, lambda: read_adapter(submission, "adapter")
    )
    candidate = Candidate(submission, lambda codes: True, {"adapter": adapter})
    plans = [kind.plan(mine, candidate) for kind in KINDS.values()]
    return {request.id: (request.kind, request.key) for p in plans for request in p.requests}


def make_class(work: Path, number: int) -> None:
    """A class of this many variants, and the store with their evidence."""
    recorded = work / "recorded.sqlite"
    packed = ROOT / "tests" / "recorded" / "assignments.sqlite.xz"
    recorded.write_bytes(lzma.decompress(packed.read_bytes()))
    solution = work / "me"
    write_solution(solution, recorded)
    with read_store(recorded) as store:
        evidence = {id: store.get(key) for id, (_, key) in keys(solution, work).items()}
    absent = [id for id, found in evidence.items() if found is None]
    if absent:
        sys.exit(f"The recording is stale ({', '.join(absent)}): see `make record`.")
    with open_store(prepare(work / "out")) as store:
        for n in range(number):
            home = work / "class" / f"variant-{n:03d}"
            write_variant(solution, home, n)
            for id, (_, key) in keys(home, work).items():
                known = evidence.get(id)
                if known is not None:
                    store.put(replace(known, key=key))


def grade_class(work: Path) -> None:
    """Grade it and write all pages, as `finegrade grade` does; prints the peak in MiB."""
    mine = grading(work)
    done = grade.grade(
        [work / "class"],
        mine.assignment,
        mine.questions,
        prepare(work / "out"),
        Silent(),
        open_sandbox=Recorded,
        extent=Extent.CLASS,
    )
    for result in done.results:
        write_student(work / "out", mine.assignment, result)
    write_class(work / "out", mine.assignment)
    assert done.collected == 0, "all of it was in the store"
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def peak(number: int) -> float:
    """The grader's peak memory on a class of this size, in MiB."""
    with tempfile.TemporaryDirectory(prefix="finegrade-memory-") as work:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        for step in (f"make:{number}", "grade"):
            command = [sys.executable, __file__, step, work]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


def main(arguments: list[str]) -> int:
    """Measure two classes, or do one step of that in this process."""
    if arguments and arguments[0].startswith("make:"):
        make_class(Path(arguments[1]), int(arguments[0].partition(":")[2]))
        return 0
    if arguments and arguments[0] == "grade":
        grade_class(Path(arguments[1]))
        return 0
    sizes = [int(one) for one in arguments] or [20, 200]
    peaks = {number: peak(number) for number in sizes}
    for number, mebibytes in peaks.items():
        print(f"{number:>4} submissions: peak {mebibytes:.0f} MiB")
    ratio = peaks[sizes[-1]] / peaks[sizes[0]]
    print(f"Ratio: {ratio:.2f} (at most {MOST})")
    return int(ratio > MOST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
