"""An earlier grading's recordings answer programs in a model's place, or say that they cannot."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.classes import Silent
from support.paths import SOLUTION
from support.sandboxes import need_sandbox

from grader.assignment.questions import make_hidden
from grader.core.errors import GraderFault, UsageError
from grader.core.nouns import Assignment, Evidence, Outcome
from grader.core.result import Result
from grader.course import grade
from grader.course.output import prepare, recordings, write_student
from grader.evidence import answers, predictions
from grader.evidence.kind import Candidate, Grading
from grader.evidence.store import Recordings, open_store
from grader.intake.find import Extent, FoundSubmission
from grader.intake.submission import take_in
from grader.model_service import simulated
from grader.model_service.record import CLIENT_LEFT, Exchange
from grader.sandbox.api import Isolation

ANSWERED = {"dspy_enhanced": 4, "dspy_perturbed": 2}
"""How many questions are asked of which evidence."""

KEPT = {"before", *ANSWERED, "openai_ok", "openai_timeout"}

STREAMS = """
from openai import OpenAI

client = OpenAI()
with open("openai_train.jsonl", "rb") as file:
    print(client.files.create(file=file, purpose="fine-tune").id)
for most in (64, 2):  # the second stream is left early
    asked = [{"role": "user", "content": "What is an atom made of?"}]
    told = client.chat.completions.create(
        model="gpt-4.1-mini", messages=asked, stream=True, max_tokens=8
    )
    for number, piece in enumerate(told):
        print(piece.choices[0].delta.content if piece.choices else "")
        if number >= most:
            told.close()
            break
"""
TELLS_THE_TIME = """
import time
from openai import OpenAI

asked = [{"role": "user", "content": f"It is {time.time()}."}]
OpenAI().chat.completions.create(model="gpt-4.1-mini", messages=asked, max_tokens=8)
"""
EXCHANGE = Exchange(0.0, 0.5, "GET", "/", "", "d", 200, None, "", "", "", (), "", {})


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    """The whole assignment, with few runs and few questions."""
    whole = grade.load("llm-methods")
    few = [
        replace(spec, settings={**spec.settings, "questions": ANSWERED[spec.id]})
        if spec.id in ANSWERED
        else spec
        for spec in whole.evidence
        if spec.id in KEPT
    ]
    return replace(whole, evidence=tuple(few))


def graded(folder: Path, assignment: Assignment, out: Path, **more: Any) -> grade.Graded:
    questions = make_hidden("educational-qa", 3, 30)
    done = grade.grade(
        [folder], assignment, questions, prepare(out), Silent(), open_sandbox=need_sandbox, **more
    )
    for result in done.results:
        write_student(out, assignment, result)
    return done


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the class is, and both gradings are."""
    work = tmp_path_factory.mktemp("replay")
    data = ("openai_train.jsonl", "openai_test.jsonl")
    for student, script in (("streams", STREAMS), ("tells-the-time", TELLS_THE_TIME)):
        home = work / "class" / student
        home.mkdir(parents=True)
        (home / "openai_domain_finetune.py").write_text(script)
        for name in data:
            shutil.copyfile(SOLUTION / name, home / name)
    home = work / "class" / "solution"
    home.mkdir()
    for name in ("dspy_enhanced.py", "dspy_report.md", "openai_domain_finetune.py", *data):
        shutil.copyfile(SOLUTION / name, home / name)
    return work


@pytest.fixture(scope="module")
def first(work: Path, assignment: Assignment, trainings: Path) -> dict[str, Result]:
    (work / "out").mkdir()
    (work / "out" / grade.TRAININGS_NAME).symlink_to(trainings)
    done = graded(work / "class", assignment, work / "out")
    return {result.student: result for result in done.results}


@pytest.fixture(scope="module")
def no_model() -> Iterator[None]:
    """Neither the simulator nor the engine can be opened."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a model was asked")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulated.Simulator, "__init__", refuse)
        patch.setattr(predictions, "open_engine", refuse)
        yield


@pytest.fixture(scope="module")
def again(
    work: Path, assignment: Assignment, first: dict[str, Result], no_model: None
) -> dict[str, Result]:
    """The class graded from the recordings of the first time, and one student more."""
    shutil.copytree(work / "class" / "streams", work / "class" / "unknown")
    recorded = recordings(work / "out", work / "again", assignment.id)
    done = graded(work / "class", assignment, work / "again", recordings=recorded)
    assert done.collected == 4 + 2  # runs of the solution, and of streams
    return {result.student: result for result in done.results}


def said(result: Result) -> list[tuple[str, Outcome, str, str]]:
    """All but times."""
    found = [(f.code, f.outcome, f.message, f.note) for f in result.findings]
    return [(c, o, re.sub(r"[\d.]+ s\b", "… s", text), note) for c, o, text, note in found]


@pytest.mark.live
@pytest.mark.parametrize("student", ["solution", "streams"])
def test_marks_and_findings_are_the_same_without_a_model(
    student: str, first: dict[str, Result], again: dict[str, Result]
) -> None:
    assert said(again[student]) == said(first[student])
    assert again[student].scores == first[student].scores
    assert not any(f.outcome is Outcome.ERROR for f in again[student].findings)
    assert (first[student].provenance["replayed"], again[student].provenance["replayed"]) == (
        False,
        True,
    )


@pytest.mark.live
def test_all_was_run_again_and_what_no_program_made_was_reused(
    first: dict[str, Result], again: dict[str, Result]
) -> None:
    was, now = (done["solution"].provenance["evidence"] for done in (first, again))
    assert {id for id in KEPT if was[id] == now[id]} == {"before"}


@pytest.mark.live
@pytest.mark.parametrize(
    ("student", "why"),
    [("tells-the-time", "gone another way"), ("unknown", "no run of it is recorded")],
)
def test_what_cannot_be_replayed_is_left_open_at_no_cost(
    student: str, why: str, again: dict[str, Result]
) -> None:
    runs = next(f for f in again[student].findings if f.code == "API001")
    assert runs.outcome is Outcome.ERROR
    assert why in runs.note
    assert runs.note.endswith("Grade again without --replay.")
    assert "--replay" not in runs.message  # the student has nothing to do
    points = {score.id: score.points for score in again[student].scores}
    assert points["openai_upload"] is None


@pytest.mark.live
def test_a_replay_resumes_and_can_be_replayed(
    work: Path, assignment: Assignment, again: dict[str, Result]
) -> None:
    home = work / "class" / "streams"
    recorded = recordings(work / "out", work / "again", assignment.id)
    assert graded(home, assignment, work / "again", recordings=recorded).collected == 0
    replayed = recordings(work / "again", work / "third", assignment.id)
    for student, result in again.items():
        for id in set(result.provenance["evidence"]) - {"before"}:
            assert replayed.of(student, id).digest == recorded.of(student, id).digest


@pytest.mark.live
def test_another_sandbox_is_another_run_of_the_same_recording(
    work: Path, assignment: Assignment, first: dict[str, Result], no_model: None
) -> None:
    class Stricter:
        """The same sandbox under a policy of another name."""

        name, isolation = "stricter", Isolation.FULL

        def __init__(self) -> None:
            self._same = need_sandbox()
            self.why_not, self.run = self._same.why_not, self._same.run

        def policy(self) -> dict[str, Any]:
            return {**self._same.policy(), "stricter": True}

    recorded = recordings(work / "out", work / "stricter", assignment.id)
    keys = []
    for sandbox in (need_sandbox, Stricter):
        done = grade.grade(
            [work / "class" / "streams"],
            assignment,
            make_hidden("educational-qa", 3, 30),
            prepare(work / "stricter"),
            Silent(),
            open_sandbox=sandbox,
            recordings=recorded,
            extent=Extent.ONE,
        )
        assert said(done.results[0]) == said(first["streams"])
        keys.append(done.results[0].provenance["evidence"]["openai_ok"])
    assert keys[0] != keys[1]


def recorded(folder: Path, verdict: str, *exchanges: Exchange) -> Recordings:
    """The recordings of one run, s1's `run`."""
    told = [exchange.as_json() for exchange in exchanges]
    with open_store(folder / "evidence.sqlite") as store:
        store.put(Evidence("transcript", "k", {"verdict": verdict, "exchanges": told}, {}))
    return Recordings(folder / "evidence.sqlite", {("s1", "run"): "k"})


def test_a_model_whose_answers_are_recorded_need_not_be_here(
    tmp_path: Path, assignment: Assignment
) -> None:
    specs = tuple(
        replace(spec, settings={**spec.settings, "model": "school-llm"}, needs=())
        for spec in assignment.evidence
        if spec.id in ANSWERED
    )
    (tmp_path / "s1").mkdir()
    shutil.copyfile(SOLUTION / "dspy_enhanced.py", tmp_path / "s1" / "dspy_enhanced.py")
    grading = Grading(
        replace(assignment, evidence=specs),
        make_hidden("educational-qa", 3, 30),
        "cpu",
        tmp_path,
        need_sandbox,
        recordings=recorded(tmp_path, "ok", EXCHANGE),
    )
    submission = take_in(FoundSubmission("s1", tmp_path / "s1"), tmp_path, assignment.deliverables)
    candidate = Candidate(submission, lambda codes: True)
    requests = answers.KIND.plan(grading, candidate).requests
    assert {request.id for request in requests} == set(ANSWERED)


@pytest.mark.parametrize(("verdict", "known"), [("timeout", 1), ("memory", 1), ("exit", 2)])
def test_what_a_run_waited_for_when_it_was_ended_is_not_known(
    tmp_path: Path, verdict: str, known: int
) -> None:
    waiting = replace(EXCHANGE, at=1.0, status=CLIENT_LEFT)
    earlier = recorded(tmp_path, verdict, EXCHANGE, waiting)
    assert len(earlier.of("s1", "run").exchanges()) == known


def test_times_do_not_tell_recordings_apart_and_answers_do(tmp_path: Path) -> None:
    digests = []
    for number, change in enumerate(({"at": 3.0}, {}, {"reply": "eA=="}, {"status": 500})):
        folder = tmp_path / str(number)
        folder.mkdir()
        digests.append(recorded(folder, "ok", replace(EXCHANGE, **change)).of("s1", "run").digest)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_nothing_recorded_is_a_fault_that_names_the_folder(tmp_path: Path) -> None:
    nothing = recorded(tmp_path, "ok", EXCHANGE).of("s2", "run")
    with pytest.raises(GraderFault, match=f"no run of it is recorded in {tmp_path}"):
        nothing.exchanges()


def damage(store: Path) -> None:
    """Overwrite a page in the middle of the file."""
    page = 4096
    with store.open("r+b") as file:
        file.seek(store.stat().st_size // 2 // page * page)
        file.write(b"\xff" * page)


@pytest.mark.parametrize("how", ["missing", "no store", "empty", "damaged"])
def test_a_store_that_cannot_be_read_is_refused_and_left_as_it_is(tmp_path: Path, how: str) -> None:
    store = tmp_path / "evidence.sqlite"
    if how == "damaged":
        recorded(tmp_path, "ok", *[replace(EXCHANGE, reply="A" * 1000)] * 40)
        damage(store)
    elif how != "missing":
        store.write_bytes(b"not a database " * 500 if how == "no store" else b"")
    before = store.read_bytes() if store.exists() else None
    with pytest.raises(UsageError, match="cannot be replayed"):
        Recordings(store, {})
    assert (store.read_bytes() if store.exists() else None) == before


@pytest.mark.parametrize("payload", ["{}", '{"verdict": "ok", "exchanges": [{}]}', "half a {"])
def test_a_recording_of_another_form_is_refused(tmp_path: Path, payload: str) -> None:
    earlier = recorded(tmp_path, "ok", EXCHANGE)
    with sqlite3.connect(tmp_path / "evidence.sqlite") as connection:
        connection.execute("UPDATE evidence SET payload = ?", (payload,))
    with pytest.raises(UsageError, match=r"cannot be read .* Grade again without --replay"):
        earlier.of("s1", "run")
