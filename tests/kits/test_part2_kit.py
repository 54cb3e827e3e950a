"""The solution of Part 2 against the service in each of its moods, judged by the journal."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.sim_apps import BASE, ROOT, environment
from support.sim_services import MODEL, Service, service
from support.waiting import PATIENCE

from grader.assignment.kit import write_kit
from grader.openai_sim.decoding.serving import NamedServer, open_bases
from grader.openai_sim.jobs.runner import JobRunner
from grader.openai_sim.store.store import SimulatorStore

pytestmark = pytest.mark.live(sample=1, of="the kit of part 2")

SOLUTION = ROOT / "solutions" / "llm-methods"
SCRIPT = "openai_domain_finetune.py"
JOBS, CHAT = "/v1/fine_tuning/jobs", "/v1/chat/completions"
POLL = 0.2  # seconds before the first look at a job
PACE = f"--poll-seconds={POLL}"
FEW = 4  # test questions, where only the way of asking is tested

Serve = Callable[..., AbstractContextManager[Service]]


@dataclass(frozen=True)
class Ran:
    """What a script did: its exit code and words, and its requests as the service saw them."""

    folder: Path
    code: int
    said: str
    lines: list[dict[str, Any]]

    @property
    def results(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "openai_results.json").read_text())
        return found

    @property
    def created(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["method"] == "POST" and line["path"] == JOBS]

    @property
    def jobs(self) -> list[str]:
        return [line["job"] for line in self.lines if line.get("job_created")]

    @property
    def asked(self) -> Counter[str]:
        """How many questions each model answered."""
        return Counter(
            line["model"] for line in self.lines if line["path"] == CHAT and line["status"] == 200
        )

    def looks(self, job: str, at: str = "") -> list[dict[str, Any]]:
        """The requests for a job itself, or for its events."""
        return [line for line in self.lines if line["path"] == f"{JOBS}/{job}{at}"]


def student(folder: Path, questions: int | None = None) -> Path:
    """A folder with the solution's script and data, and so many of its test questions."""
    folder.mkdir()
    for name in (SCRIPT, "openai_train.jsonl"):
        shutil.copy(SOLUTION / name, folder)
    lines = (SOLUTION / "openai_test.jsonl").read_text("utf-8").splitlines(keepends=True)
    (folder / "openai_test.jsonl").write_text("".join(lines[:questions]), "utf-8")
    return folder


@pytest.fixture(scope="module")
def trainings(happy: Ran) -> Path:
    """What the happy run trained; the other runs of the same data repeat it."""
    return happy.folder.parent / "trainings"


@pytest.fixture
def serve(tmp_path: Path, trainings: Path) -> Serve:
    """Starts a service that keeps its state in a folder of the test's own."""
    return partial(serving, tmp_path / "home", trainings)


@contextmanager
def serving(
    home: Path, trainings: Path, scenario: str = "ok", *, trains: bool = True
) -> Iterator[Service]:
    store = SimulatorStore.open(home)
    server = NamedServer(open_bases(reader=False), store)
    runner = JobRunner(store, BASE, trainings) if trains else None
    with service(home, runner=runner, server=server, scenarios=[scenario]) as started:
        yield started
    server.close()


def command(folder: Path, url: str, script: str, *words: str) -> subprocess.Popen[str]:
    """A student's script, started in its folder and sent to a service."""
    sent = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-a-key-of-a-student"}
    return subprocess.Popen(
        [sys.executable, script, *words],
        cwd=folder,
        env=environment() | sent | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def against(started: Service, folder: Path, script: str, *words: str) -> Ran:
    """Run a script against the service until it ends by itself."""
    with command(folder, f"{started.url}/v1", script, *words) as process:
        try:
            said, _ = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    lines = sorted(started.lines, key=lambda line: line["time"])
    return Ran(folder, process.returncode, said, lines)


def tuning(serve: Serve, folder: Path, scenario: str, *words: str) -> Ran:
    """The solution in one scenario, with few questions."""
    with serve(scenario) as started:
        return against(started, student(folder / "me", FEW), SCRIPT, PACE, *words)


@pytest.fixture(scope="module")
def happy(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("part2")
    with serving(folder / "home", folder / "trainings") as started:
        ran = against(started, student(folder / "me"), SCRIPT, PACE)
    assert ran.code == 0, ran.said
    return ran


def test_it_uploads_once_and_creates_one_job_of_that_file(happy: Ran) -> None:
    (upload,) = [line for line in happy.lines if line.get("file_uploaded")]
    (create,) = happy.created
    assert create["file"] == upload["file"]  # a job takes no file of another purpose
    assert create["time"] > upload["time"]


def test_it_looks_less_and_less_often_and_stops_with_the_job(happy: Ran) -> None:
    (job,) = happy.jobs
    polls = [line["time"] for line in happy.looks(job)]
    waits = [after - before for before, after in pairwise(polls)]
    assert len(polls) >= 2
    assert all(wait >= POLL * 1.5**place for place, wait in enumerate(waits, start=1))
    last_look = max(line["time"] for line in happy.lines if line.get("job") == job)
    assert last_look < min(line["time"] for line in happy.lines if line["path"] == CHAT)


def test_it_reads_all_events_and_tells_each_once(happy: Ran) -> None:
    (job,) = happy.jobs
    assert len(happy.looks(job, "/events")) >= len(happy.looks(job))
    told = [line.strip() for line in happy.said.splitlines() if line.startswith("  ")]
    steps = [line.partition("/")[0] for line in told if line.startswith("Step ")]
    assert steps == [f"Step {number}" for number in range(1, len(steps) + 1)]
    assert told[0] == f"Created fine-tuning job: {job}"
    assert told[-1] == "The job has successfully completed"


def test_both_models_answer_the_test_and_the_tuned_one_knows_more(happy: Ran) -> None:
    results = happy.results
    assert happy.asked == {MODEL: 12, results["model"]: 12}
    assert [results["job"]] == happy.jobs
    assert results["simulated"] is False
    assert results["after"]["exact_match"] >= results["before"]["exact_match"] + 0.5
    right = [a["after"].lower() == a["expected"].lower() for a in results["answers"]]
    assert results["after"]["exact_match"] == sum(right) / 12


@pytest.mark.parametrize("scenario", ["rate-limited", "flaky", "truncated"])
def test_passing_faults_are_waited_out(serve: Serve, tmp_path: Path, scenario: str) -> None:
    ran = tuning(serve, tmp_path, scenario)
    assert ran.code == 0, ran.said
    struck = [line for line in ran.lines if line.get("scenario") == scenario]
    assert struck
    for line in struck:
        rest = [other for other in ran.lines if other["time"] > line["time"]]
        wait = rest[0]["time"] - line["time"]
        assert wait >= (1.0 if scenario == "rate-limited" else 0.5)  # what retry-after asks for
    assert len(ran.jobs) == 1
    model = ran.results["model"]
    assert set(ran.asked) == {MODEL, model}
    assert ran.asked[model] >= FEW


def test_a_job_whose_answer_got_lost_is_found_and_not_paid_twice(
    serve: Serve, tmp_path: Path
) -> None:
    ran = tuning(serve, tmp_path, "timeout-after-accept", "--timeout=5")
    assert ran.code == 0, ran.said
    assert [line.get("scenario") for line in ran.created] == ["timeout-after-accept"]
    assert [ran.results["job"]] == ran.jobs


def test_killed_it_goes_on_with_its_own_job(serve: Serve, tmp_path: Path) -> None:
    folder = student(tmp_path / "me", FEW)
    with serve(trains=False) as started:
        for _ in range(2):
            with command(folder, f"{started.url}/v1", SCRIPT, PACE) as process:
                assert process.stdout is not None
                said = next((line for line in process.stdout if line.startswith("Job ")), "")
                process.kill()
            assert said
        ran = Ran(folder, process.returncode, said, started.lines)
    assert len(ran.created) == 1
    assert ran.jobs[0] in said  # of the second run
    assert sum(1 for line in ran.lines if line.get("file_uploaded")) == 1


@pytest.mark.parametrize(
    ("scenario", "told"),
    [
        ("job-fails", "The job failed due to an internal error."),
        ("bad-file", "Invalid file format"),
        ("moderation", "failed moderation safety checks"),
    ],
)
def test_a_job_that_fails_ends_it_with_the_reason(
    serve: Serve, tmp_path: Path, scenario: str, told: str
) -> None:
    ran = tuning(serve, tmp_path, scenario)
    assert ran.code == 1
    assert told in ran.said.splitlines()[-1]
    assert len(ran.created) == len(ran.jobs) == 1
    assert ran.lines[-1]["path"].startswith(f"{JOBS}/{ran.jobs[0]}")
    assert len(ran.looks(ran.jobs[0])) <= 10
    assert not ran.asked
    assert not (ran.folder / "openai_results.json").exists()


@pytest.mark.parametrize(
    ("scenario", "told", "requests"),
    [
        ("expired-key", "HTTP 401", {401: 1}),
        ("quota", "HTTP 429): You exceeded your current quota", {200: 3, 429: 1}),
        ("model-retired", "HTTP 400", {200: 3, 400: 1}),
    ],
)
def test_what_waiting_does_not_mend_is_asked_once(
    serve: Serve, tmp_path: Path, scenario: str, told: str, requests: dict[int, int]
) -> None:
    ran = tuning(serve, tmp_path, scenario)
    assert ran.code == 1
    assert told in ran.said
    assert "Traceback" not in ran.said
    assert Counter(line["status"] for line in ran.lines) == requests


def test_where_no_job_can_be_had_it_simulates_and_says_so(serve: Serve, tmp_path: Path) -> None:
    ran = tuning(serve, tmp_path, "sunset")
    assert ran.code == 0, ran.said
    assert [line["status"] for line in ran.created] == [403]
    assert "winding down the fine-tuning platform" in ran.said
    assert "SIMULATION" in ran.said
    assert ran.asked == {MODEL: FEW}  # the base really answers; only what comes after is made up
    results = ran.results
    assert results["simulated"] is True
    assert results["job"] is results["model"] is None
    assert results["after"]["exact_match"] > results["before"]["exact_match"]


def test_the_same_data_is_not_trained_twice(happy: Ran, tmp_path: Path, trainings: Path) -> None:
    """Run again after all went well, it only asks."""
    shutil.copytree(happy.folder.parent, tmp_path / "again")
    with serving(tmp_path / "again" / "home", trainings) as started:
        again = against(started, tmp_path / "again" / "me", SCRIPT, PACE)
    assert again.code == 0, again.said
    assert again.jobs == happy.jobs
    assert sum(1 for line in again.lines if line.get("file_uploaded")) == 1


QUESTION = {"role": "user", "content": "What is the atomic number of radium?"}
NO_ANSWER = json.dumps({"messages": [QUESTION]})


@pytest.mark.parametrize(
    ("name", "spoil", "told"),
    [
        ("openai_train.jsonl", lambda lines: [*lines[:4], "{", *lines[5:]], "line 5"),
        ("openai_train.jsonl", lambda lines: [NO_ANSWER, *lines[1:]], "line 1"),
        ("openai_train.jsonl", lambda lines: lines[:9], "9 examples; at least 10"),
        ("openai_train.jsonl", lambda _: [], "no chat, or none"),
        ("openai_test.jsonl", lambda lines: (SOLUTION / "openai_train.jsonl").read_text()
            .splitlines()[:1], "also in the training data"),
    ],
)  # fmt: skip
def test_bad_data_is_told_before_anything_is_sent(
    tmp_path: Path, name: str, spoil: Any, told: str
) -> None:
    folder = student(tmp_path / "me")
    lines = (folder / name).read_text("utf-8").splitlines()
    (folder / name).write_text("".join(f"{line}\n" for line in spoil(lines)), "utf-8")
    done = alone(folder, SCRIPT)
    assert done.code == 1
    assert told in done.said
    assert "Traceback" not in done.said


def alone(folder: Path, script: str) -> Ran:
    """Run a script with no service to send anything to."""
    with command(folder, "http://127.0.0.1:9/v1", script) as process:
        said, _ = process.communicate(timeout=PATIENCE)
    return Ran(folder, process.returncode, said, [])


def test_the_starter_says_what_to_write(tmp_path: Path) -> None:
    write_kit("llm-methods", "educational-qa", tmp_path / "kit")
    done = alone(tmp_path / "kit", SCRIPT)
    assert done.code == 1
    assert done.said == "openai_train.jsonl is not there. Write it first: README.md says how.\n"
    for name in ("openai_train.jsonl", "openai_test.jsonl"):
        shutil.copy(SOLUTION / name, tmp_path / "kit")
    done = alone(tmp_path / "kit", SCRIPT)
    assert done.code == 1
    (told,) = done.said.splitlines()
    assert told.startswith(f"{SCRIPT}, still to write: ")


def test_the_example_runs_as_it_is_and_with_its_section_taken_in(
    serve: Serve, tmp_path: Path
) -> None:
    kit = tmp_path / "kit"
    write_kit("llm-methods", "educational-qa", kit)
    as_is = alone(kit, "openai_finetune.py")
    assert as_is.code == 0, as_is.said
    assert "Nothing was sent" in as_is.said
    script = kit / "openai_finetune.py"
    head, section = script.read_text("utf-8").split("# --- begin\n")
    code = [line.removeprefix("#").removeprefix(" ") for line in section.splitlines()[:-1]]
    faster = head.replace("POLL_SECONDS = 10", f"POLL_SECONDS = {POLL}")
    script.write_text(faster + "\n".join(code) + "\n", "utf-8")
    with serve() as started:
        ran = against(started, kit, "openai_finetune.py")
    assert ran.code == 0, ran.said
    (job,) = ran.jobs
    assert [model.startswith(f"ft:{MODEL}:") for model in ran.asked] == [True]
    assert ran.looks(job)
