"""Programs of submissions run in a real sandbox against the real simulator."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.classes import Silent
from support.notebooks import notebook
from support.providers import endpoint_at, provider
from support.sandboxes import need_sandbox

from grader.assignment.load import load_assignment
from grader.assignment.questions import make_hidden
from grader.core.nouns import Deliverable, Evidence, Submission, SubmittedFile
from grader.core.payloads import SERVICE_FAULT
from grader.evidence.kind import Candidate, EvidenceRequest, Grading
from grader.evidence.program_runs import ProgramRunner, ServedRun
from grader.evidence.store import open_store
from grader.evidence.transcript import KIND, TranscriptSpec
from grader.intake.find import submission_at
from grader.intake.submission import take_in
from grader.model_service.forward import Endpoint
from grader.model_service.simulated import Simulator
from grader.sandbox.api import Sandbox
from grader.sandbox.unsandboxed import Unsandboxed

WHOLE = load_assignment("llm-methods")
SCRIPT = Deliverable("script", "Script", ("main.py", "main.ipynb"))
ASSIGNMENT = replace(WHOLE, deliverables=(*WHOLE.deliverables, SCRIPT))
BASE = ASSIGNMENT.base

POLLS = """
import json, time
from openai import OpenAI

client = OpenAI()
asked = [{"role": "user", "content": f"What is {n}?"} for n in range(10)]
told = {"role": "assistant", "content": "It is a number."}
lines = [{"messages": [message, told]} for message in asked]
with open("train.jsonl", "w") as file:
    file.writelines(json.dumps(line) + "\\n" for line in lines)
file = client.files.create(file=open("train.jsonl", "rb"), purpose="fine-tune")
job = client.fine_tuning.jobs.create(
    model="gpt-4.1-mini",
    training_file=file.id,
    method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 1}}},
)
while job.status not in ("succeeded", "failed", "cancelled"):
    time.sleep(60)
    job = client.fine_tuning.jobs.retrieve(job.id)
with open("openai_results.json", "w") as file:
    json.dump({"status": job.status}, file)
"""
FAILS = """
from openai import OpenAI
try:
    OpenAI().models.list()
except Exception as error:
    print(type(error).__name__)
    raise SystemExit(4)
"""


Request = EvidenceRequest[ServedRun]


def grading_of(folder: Path, sandbox: Sandbox) -> Grading:
    return Grading(ASSIGNMENT, make_hidden(WHOLE.topic, 3, 10), "cpu", folder, lambda: sandbox)


def request_of(
    submission: Submission, sandbox: Sandbox, scenarios: tuple[str, ...] = ("ok",), **more: Any
) -> Request | None:
    """The request to run this submission's script."""
    spec = TranscriptSpec("run", script="script", scenarios=scenarios, **more)
    candidate = Candidate(submission, lambda codes: True)
    return KIND.request(spec, candidate, grading_of(Path("/nowhere"), sandbox))


def want(folder: Path, student: str, code: str, *scenarios: str, **more: Any) -> Request:
    """A run of this code, submitted by this student."""
    home = folder / student
    home.mkdir(parents=True)
    (home / "main.py").write_text(code)
    files = (SubmittedFile("main.py", len(code), "0" * 64),)
    submission = Submission(
        student, home, f"digest of {student}", files, places={"script": "main.py"}
    )
    request = request_of(submission, need_sandbox(), scenarios or ("ok",), **more)
    assert request is not None
    return request


@dataclass
class Collected:
    """What runs showed, by (student, id), and of those that failed why."""

    evidence: dict[tuple[str, str], Evidence] = field(default_factory=dict)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)
    ran: int = 0


def collected(
    folder: Path,
    trainings: Path,
    *requests: Request,
    sandbox: Sandbox | None = None,
    endpoint: Endpoint | None = None,
) -> Collected:
    services = endpoint or Simulator(BASE, trainings, seed=1)
    found = Collected()
    with open_store(folder / "evidence.sqlite") as store:
        new = {r.key: r for r in requests if store.about(r.key) is None}
        runner = ProgramRunner(sandbox or need_sandbox(), services)
        failed = runner.produce(new, store.put, Silent()) if new else {}
        found.ran = len(new) - len(failed)
        for request in requests:
            if (evidence := store.get(request.key)) is not None:
                found.evidence[request.student, request.id] = evidence
            else:
                found.missing[request.student, request.id] = failed[request.key]
    return found


def payload(found: Collected, student: str) -> Mapping[str, Any]:
    return found.evidence[student, "run"].payload


def test_a_minute_of_polling_passes_in_a_second_and_its_spacing_is_known(
    tmp_path: Path, trainings: Path
) -> None:
    found = collected(tmp_path, trainings, want(tmp_path, "polls", POLLS, "slow-queue"))
    run = payload(found, "polls")
    assert (run["verdict"], run["exit_code"], run["stderr"]) == ("ok", 0, "")
    assert json.loads(base64.b64decode(run["files"]["openai_results.json"])) == {
        "status": "succeeded"
    }
    polls = [e["at"] for e in run["exchanges"] if e["path"].startswith("/v1/fine_tuning/jobs/")]
    # Two minutes in the queue, a second before and two minutes after it; each look takes one.
    assert [round(b - a, 1) for a, b in pairwise(polls)] == [60.0] * 3, "in the program's own time"
    assert sum("job_created" in e["notes"] for e in run["exchanges"]) == 1


def test_what_was_run_once_is_not_run_again(tmp_path: Path, trainings: Path) -> None:
    wanted = want(tmp_path, "fails", FAILS, "expired-key")
    first = collected(tmp_path, trainings, wanted)
    again = collected(tmp_path, trainings, wanted)
    assert (first.ran, again.ran) == (1, 0)
    assert payload(again, "fails") == payload(first, "fails")
    assert payload(again, "fails")["stdout"] == "AuthenticationError\n"
    assert payload(again, "fails")["exit_code"] == 4


def test_a_scenario_or_another_submission_is_another_run(tmp_path: Path) -> None:
    keys = {
        want(tmp_path / "1", "a", FAILS).key,
        want(tmp_path / "2", "a", FAILS, "flaky").key,
        want(tmp_path / "3", "b", FAILS).key,
        want(tmp_path / "4", "a", FAILS, arguments=("x",)).key,
        want(tmp_path / "5", "a", FAILS, clock_rate=2.0).key,
    }
    assert len(keys) == 5
    assert want(tmp_path / "6", "a", FAILS).key in keys


def test_the_assignment_says_how_much_processor_time_a_run_may_take(tmp_path: Path) -> None:
    default, shorter = (
        want(tmp_path / str(n), "a", FAILS, **more).work.spec.limits.cpu_seconds
        for n, more in enumerate(({}, {"processor_seconds": 5}))
    )
    assert (default, shorter) == (30, 5)


def test_neighbours_that_misbehave_change_nothing(tmp_path: Path, trainings: Path) -> None:
    honest = "print(sum(range(1000)))\nopen('made.txt', 'w').write('made')\n"
    wild = {
        "floods": "import sys\nwhile True: sys.stdout.write('x' * 65536)",
        "forks": "import os\nwhile True: os.fork()",
        "eats": "x = []\nwhile True: x.append(bytearray(1 << 20))",
        "crashes": "raise RuntimeError",
    }
    wants = [want(tmp_path, name, code, wall_seconds=3.0) for name, code in wild.items()]
    wants += [want(tmp_path, f"honest{n}", honest) for n in range(4)]
    found = collected(tmp_path, trainings, *wants)
    assert not found.missing
    runs = [payload(found, f"honest{n}") for n in range(4)]
    assert runs[1:] == runs[:-1]
    assert runs[0]["stdout"] == "499500\n"
    assert {payload(found, name)["verdict"] for name in wild} <= {
        *("timeout", "memory", "exit", "signal"),
    }


def test_many_runs_leave_nothing_open(tmp_path: Path, trainings: Path) -> None:
    def descriptors(name: str) -> int:
        wants = [want(tmp_path / name, f"{name}{n}", FAILS, "expired-key") for n in range(3)]
        assert not collected(tmp_path / name, trainings, *wants).missing
        return len(os.listdir("/proc/self/fd"))

    assert descriptors("first") == descriptors("second")


ASKS = FAILS.replace(
    "models.list()",
    "chat.completions.create(model='m', messages=[{'role': 'user', 'content': 'Hi?'}])",
)


def test_an_instructors_endpoint_that_is_away_is_nobodys_evidence(tmp_path: Path) -> None:
    wanted = want(tmp_path, "asks", ASKS)
    away = endpoint_at("http://127.0.0.1:9/v1", tmp_path)
    found = collected(tmp_path, tmp_path, wanted, endpoint=away)
    assert "the endpoint did not answer" in found.missing["asks", "run"]


def test_runs_that_the_budget_does_not_reach_are_collected_with_a_larger_one(
    tmp_path: Path,
) -> None:
    wants = [want(tmp_path / name, name, ASKS) for name in ("first", "second", "third")]
    with provider() as there:
        small = endpoint_at(there.url, tmp_path, usd=0.0)
        found = collected(tmp_path, tmp_path, *wants, endpoint=small)
        assert found.ran == 0
        assert all("used up" in why for why in found.missing.values())
        assert not there.seen
        larger = endpoint_at(there.url, tmp_path, usd=1.0)
        found = collected(tmp_path, tmp_path, *wants, endpoint=larger)
        assert (found.ran, found.missing) == (3, {})
        assert larger.budget.used == pytest.approx(3 * larger.cost(20, 5))
        again = collected(tmp_path, tmp_path, *wants, endpoint=larger)
    assert (again.ran, len(there.seen)) == (0, 3), "what is there is neither run nor paid again"


def notebook_request(folder: Path, sandbox: Sandbox, *cells: str, **more: Any) -> Request | None:
    """A run of a notebook of these cells."""
    home = folder / "book"
    home.mkdir()
    (home / "main.ipynb").write_bytes(notebook("md:Words.", "%pip install x", *cells))
    found = submission_at(home)
    submission = take_in(found, folder / "work", ASSIGNMENT.deliverables)
    return request_of(submission, sandbox, **more)


@pytest.mark.parametrize("open_sandbox", [need_sandbox, Unsandboxed], ids=["sandbox", "own code"])
def test_a_notebook_is_run_as_a_script_and_its_errors_are_told_in_cells(
    open_sandbox: Callable[[], Sandbox], tmp_path: Path, trainings: Path
) -> None:
    sandbox = open_sandbox()
    cells = ("import os\nprint(sorted(os.listdir()))", "def f(x):\n    return 1 / x", "\nf(0)")
    wanted = notebook_request(tmp_path, sandbox, *cells)
    assert wanted is not None
    found = collected(tmp_path, trainings, wanted, sandbox=sandbox)
    run = found.evidence["book", "run"].payload
    assert (run["verdict"], run["exit_code"]) == ("exit", 1)
    assert "'main.ipynb', 'main.py'" in run["stdout"]
    assert "cell 4, line 2, in <module>" in run["stderr"]
    assert "cell 3, line 2, in f" in run["stderr"]
    assert "main.py" not in run["stderr"]
    assert [path.name for path in (tmp_path / "book").iterdir()] == ["main.ipynb"]


def test_a_script_may_import_what_was_submitted_as_a_notebook(
    tmp_path: Path, trainings: Path
) -> None:
    home = tmp_path / "s1"
    home.mkdir()
    (home / "main.py").write_text(
        "from openai_domain_finetune import half\nprint(half(4), half(0))"
    )
    book = notebook("%pip install x", "def half(x):\n    return x / 2 if x else 1 / x")
    (home / "openai_domain_finetune.ipynb").write_bytes(book)
    (home / "inference.ipynb").write_text("{")  # refused: it is nobody else's fault
    found = submission_at(home)
    submission = take_in(found, tmp_path / "work", ASSIGNMENT.deliverables)
    wanted = request_of(submission, need_sandbox())
    assert wanted is not None
    run = payload(collected(tmp_path, trainings, wanted), "s1")
    assert "cell 2, line 2, in half" in run["stderr"]
    assert "ZeroDivisionError" in run["stderr"]
    assert 'main.py", line 2' in run["stderr"]


def test_a_notebook_without_end_is_stopped(tmp_path: Path, trainings: Path) -> None:
    cells = ("n = 0", "while True:\n    n += 1")
    wanted = notebook_request(tmp_path, need_sandbox(), *cells, wall_seconds=2.0)
    assert wanted is not None
    run = collected(tmp_path, trainings, wanted).evidence["book", "run"].payload
    assert run["verdict"] == "timeout"


def test_another_cell_is_another_run_and_a_broken_notebook_none(tmp_path: Path) -> None:
    keys = set()
    for code in ("x = 1", "x = 2"):
        (tmp_path / code).mkdir()
        request = notebook_request(tmp_path / code, need_sandbox(), code)
        assert request is not None
        keys.add(request.key)
    assert len(keys) == 2
    (tmp_path / "await").mkdir()
    assert notebook_request(tmp_path / "await", need_sandbox(), "await f()") is None


def test_a_fault_of_the_service_that_comes_again_is_kept_with_its_run(
    tmp_path: Path, trainings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from grader.openai_sim.api import models

    def broken(*_: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(models, "_object", broken)
    found = collected(tmp_path, trainings, want(tmp_path, "asks", FAILS))
    assert not found.missing
    exchanges = payload(found, "asks")["exchanges"]
    assert {one["notes"].get(SERVICE_FAULT) for one in exchanges} == {"RuntimeError"}
