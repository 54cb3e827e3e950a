"""What goes into a run of answers or scores, and what is believed of what comes out."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.classes import Silent
from support.notebooks import notebook
from support.paths import EXPERTS
from support.sandboxes import need_sandbox

from grader.assignment.load import load_assignment
from grader.assignment.questions import make_hidden
from grader.core.constants import ANSWER_MAX_CHARACTERS
from grader.core.errors import AssignmentError
from grader.core.nouns import Assignment, Evidence, Submission, SubmittedFile
from grader.core.payloads import Answers, ProgramRun, read
from grader.course import grade
from grader.evidence.kind import Candidate, EvidenceRequest, Grading
from grader.evidence.kinds import KINDS
from grader.evidence.metric_scores import metric_cases
from grader.evidence.module_run import ModuleRun, ModuleRunner
from grader.evidence.program_runs import ProgramRunner
from grader.intake.find import submission_at
from grader.intake.notebooks import read_notebook
from grader.intake.submission import take_in
from grader.model_service.simulated import Simulator

QUESTIONS = make_hidden("educational-qa", 3, 30)
OUT = "finegrade_found.jsonl"
SCRIPT = "openai_script"
PLACES = {"dspy_script": "dspy_enhanced.py"}


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return load_assignment(EXPERTS / "part1.yaml")


Request = EvidenceRequest[ModuleRun]


def request_of(id: str, submission: Submission, grading: Grading, **changes: Any) -> Request:
    """The request for the evidence of this id, with other fields in its spec."""
    (spec,) = (spec for spec in grading.assignment.evidence if spec.id == id)
    kind = KINDS[spec.kind]
    candidate = Candidate(submission, lambda codes: True)
    request = kind.request(replace(kind.spec.of(spec), **changes), candidate, grading)
    assert request is not None
    return request


@pytest.fixture(scope="module")
def grading(assignment: Assignment) -> Grading:
    return Grading(assignment, QUESTIONS, "cpu", Path("/nowhere"), need_sandbox)


@pytest.fixture(scope="module")
def want(grading: Grading) -> Callable[..., Request]:
    """The request for one evidence id, for a student of this name."""

    @cache
    def wanted(id: str, student: str = "s1", **changes: Any) -> Request:
        files = (SubmittedFile("dspy_enhanced.py", 1, "0" * 64),)
        submission = Submission(
            student, Path("/nowhere"), f"digest of {student}", files, places=PLACES
        )
        return request_of(id, submission, grading, **changes)

    return wanted


def _completed(want: Request, lines: list[Any], **payload: Any) -> dict[str, Any]:
    """The evidence of a run that left these lines, JSON values or raw bytes."""
    body = b"\n".join(x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines)
    fields: dict[str, Any] = {
        "script": "s",
        "clock_rate": 60.0,
        "verdict": "ok",
        "exit_code": 0,
        "signal": None,
        "stdout": "",
        "stderr": "",
        "exchanges": [],
        "files": {OUT: base64.b64encode(body).decode()},
    }
    run = ProgramRun(**{**fields, **payload})
    kept: list[Evidence] = []

    class Ran:
        def produce(self, new: Any, put: Any, progress: Any) -> dict[str, str]:
            with new[want.key].opened():
                pass
            put(Evidence(want.kind, want.key, run.to_json(), {}))
            return {}

    ModuleRunner(Ran()).produce({want.key: want}, kept.append, Silent())
    return dict(kept[0].payload)


@pytest.mark.parametrize("id", ["dspy_original", "dspy_metric_original"])
def test_the_kits_own_module_runs_once_for_a_class(want: Callable[..., Request], id: str) -> None:
    one, other = want(id, "s1"), want(id, "s2")
    assert one.key == other.key
    assert not one.work.run.spec.files


@pytest.mark.parametrize("id", ["dspy_enhanced", "dspy_metric"])
def test_each_student_has_a_run(want: Callable[..., Request], id: str) -> None:
    assert want(id, "s1").key != want(id, "s2").key


def test_a_perturbed_run_and_another_number_of_questions_are_other_runs(
    want: Callable[..., Request],
) -> None:
    wants = [
        want("dspy_enhanced"),
        want("dspy_enhanced", perturb=True),
        want("dspy_enhanced", questions=5),
        want("dspy_enhanced", program="EnhancedQAModel"),
        want("dspy_enhanced", also=()),
    ]
    assert len({one.key for one in wants}) == 5


def test_questions_go_in_and_no_label_does(want: Callable[..., Request]) -> None:
    launch = want("dspy_enhanced").work.run.spec
    task = json.loads(launch.inputs["finegrade_task.json"])
    asked = QUESTIONS.questions[:20]
    assert task["questions"] == {q.id: q.messages[-1][1] for q in asked}
    assert set(task) == {"questions", "extra", "module", "name", "models", "out"}
    ours = b"".join(body for name, body in launch.inputs.items() if name.startswith("finegrade"))
    assert not any(f'"{QUESTIONS.answers[q.id]}"'.encode() in ours for q in asked)


def test_no_judgement_goes_in(want: Callable[..., Request]) -> None:
    launch = want("dspy_metric").work.run.spec
    cases = json.loads(launch.inputs["finegrade_task.json"])["cases"]
    assert len(cases) == len(metric_cases("educational-qa"))
    assert all(set(case) == {"question", "reference", "given"} for case in cases.values())
    ids = [case["given"] for case in cases.values()]
    assert ids != [case.given for case in metric_cases("educational-qa")]  # the order tells nothing


def test_the_first_answer_to_a_question_counts(want: Callable[..., Request]) -> None:
    lines = [
        {"kind": "answer", "id": "q01", "answer": "Lima"},
        {"kind": "answer", "id": "q01", "answer": "Quito"},
        {"kind": "done"},
    ]
    found = _completed(want("dspy_enhanced"), lines)["answers"]
    assert (found[0]["text"], found[0]["error"]) == ("Lima", None)
    assert (found[1]["text"], found[1]["error"]) == ("", "it gave no answer")
    assert found[0]["reference"] == QUESTIONS.answers["q01"]


READER, CHAT = "course-model-reader", "course-model-chat"


def _call(model: str, question: str, at: float) -> dict[str, Any]:
    """An exchange with this model about a question."""

    def body(value: Any) -> str:
        return base64.b64encode(json.dumps(value).encode()).decode()

    request = {"model": model, "messages": [{"role": "user", "content": question}]}
    reply = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}
    path = "/v1/chat/completions"
    return {"at": at, "path": path, "status": 200, "request": body(request), "reply": body(reply)}


def test_each_model_has_its_own_answers_and_its_own_requests(want: Callable[..., Request]) -> None:
    first, second = (q.messages[-1][1] for q in QUESTIONS.questions[:2])
    lines = [
        {"kind": "answer", "id": "q01", "model": READER, "answer": "Lima"},
        {"kind": "extra", "model": READER, "question": "Why?", "expected": "x", "answer": "y"},
        {"kind": "answer", "id": "q01", "model": CHAT, "answer": "Quito"},
        {"kind": "done"},
    ]
    exchanges = [_call(READER, first, 0), _call(CHAT, first, 1), _call(CHAT, second, 2)]
    payload = _completed(want("dspy_enhanced"), lines, exchanges=exchanges)
    found = {(row["model"], row["id"]): row for row in payload["answers"]}
    assert found[READER, "q01"]["text"] == "Lima"
    assert found[CHAT, "q01"]["text"] == "Quito"
    assert found[READER, "q01"]["exchanges"] == [0]
    assert found[CHAT, "q01"]["exchanges"] == [1]
    assert (found[READER, "q02"]["calls"], found[CHAT, "q02"]["calls"]) == (0, 1)
    assert [row["model"] for row in payload["extra"]] == [READER]


@pytest.mark.parametrize(
    ("lines", "payload", "fault"),
    [
        ([{"kind": "fault", "error": "ImportError: no"}], {}, "ImportError: no"),
        ([], {"verdict": "timeout"}, "the run was ended (timeout)"),
        ([], {"exit_code": 0}, "it ended the run itself, with exit code 0"),
        ([{"kind": "done"}], {}, None),
    ],
)
def test_why_nothing_was_asked_is_told(
    want: Callable[..., Request],
    lines: list[Any],
    payload: dict[str, Any],
    fault: str | None,
) -> None:
    assert _completed(want("dspy_enhanced"), lines, **payload)["fault"] == fault


def test_errors_of_a_notebook_are_told_in_cells(want: Callable[..., Request]) -> None:
    plain = want("dspy_enhanced")
    book = read_notebook(notebook("x = 1", "y = 2\nls -la"), "dspy_enhanced.ipynb")
    run = replace(plain.work.run, notebooks={"dspy_enhanced.py": book})
    wanted = replace(plain, work=replace(plain.work, run=run))
    error = "SyntaxError: invalid syntax (dspy_enhanced.py, line 6)"
    payload = _completed(wanted, [{"kind": "fault", "error": error}])
    assert payload["fault"] == "SyntaxError: invalid syntax (cell 2, line 2)"


def test_a_module_may_import_what_was_submitted_as_a_notebook(
    assignment: Assignment, tmp_path: Path
) -> None:
    home = tmp_path / "s1"
    home.mkdir()
    (home / "dspy_enhanced.py").write_text("import openai_domain_finetune")
    (home / "openai_domain_finetune.ipynb").write_bytes(notebook("x = 1"))
    (deliverable,) = (d for d in load_assignment("llm-methods").deliverables if d.id == SCRIPT)
    both = replace(assignment, deliverables=(*assignment.deliverables, deliverable))
    entry = submission_at(home)
    submission = take_in(entry, tmp_path / "work", both.deliverables)
    grading = Grading(both, QUESTIONS, "cpu", tmp_path, need_sandbox)
    one = request_of("dspy_enhanced", submission, grading)
    assert b"x = 1" in one.work.run.spec.inputs["openai_domain_finetune.py"]


def test_junk_is_counted_and_long_answers_are_cut(want: Callable[..., Request]) -> None:
    lines = [
        b"\xff\xfe",
        b'{"kind": "answer", "id": "q01", "answer": NaN}',
        b"[" * 70_000,
        [],
        {"kind": "answer", "id": ["q01"], "answer": "x"},
        {"kind": "answer", "id": "q01", "answer": "x" * 60_000},
        {"kind": "extra", "question": 3, "aliases": [1, "a"]},
    ]
    payload = _completed(want("dspy_enhanced"), lines)
    assert payload["unread"] == 4
    assert payload["answers"][0]["text"] == "x" * ANSWER_MAX_CHARACTERS
    assert (payload["extra"][0]["question"], payload["extra"][0]["aliases"]) == ("", ["a"])
    assert OUT not in payload["files"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
_LINE = st.fixed_dictionaries(
    {"kind": st.sampled_from(["answer", "extra", "score", "fault", "done"]) | _JSON},
    optional={
        "id": st.sampled_from(["q01", "c001"]) | _JSON,
        "turn": st.sampled_from([0, 1]) | _JSON,
        **dict.fromkeys(("answer", "error", "score", "question", "aliases"), _JSON),
    },
)


@given(st.lists(_LINE, max_size=6), st.sampled_from(["dspy_enhanced", "dspy_metric"]))
def test_whatever_a_run_says_its_evidence_has_one_form(
    want: Callable[..., Request], lines: list[Any], id: str
) -> None:
    payload = _completed(want(id), lines)
    json.dumps(payload, allow_nan=False)
    if id == "dspy_enhanced":
        asked = [q.id for q in QUESTIONS.questions[:20]]
        assert [row["id"] for row in payload["answers"]] == asked * 2  # on each of two models
        assert all(isinstance(row["text"], str) for row in payload["answers"])
    else:
        assert len(payload["cases"]) == len(metric_cases("educational-qa"))
        assert all(len(row["scores"]) == 2 for row in payload["cases"])


def test_a_kit_that_does_not_run_is_our_fault(want: Callable[..., Request]) -> None:
    """Nobody loses a point for it: there is no evidence."""
    with pytest.raises(Exception, match="the kit's own s failed: it ended the run itself"):
        _completed(want("dspy_original"), [])


HOSTILE = """
import dspy, os, sys
for name in os.listdir("."):
    if name.endswith("found.jsonl"):
        with open(name, "a") as out:
            out.write('{"kind": "answer", "id": "q01", "answer": "forged"}\\n' + "junk\\n" * 5000)


class Program(dspy.Module):
    def forward(self, question):
        if question.startswith("N"):
            sys.exit(0)
        return dspy.Prediction(answer=7)


def build_program():
    return Program()
"""


def test_a_hostile_module_hurts_only_itself(assignment: Assignment, tmp_path: Path) -> None:
    """For real, in the sandbox: its forged lines are its own answers, its junk is not read."""
    (tmp_path / "dspy_enhanced.py").write_text(HOSTILE)
    size = (tmp_path / "dspy_enhanced.py").stat().st_size
    files = (SubmittedFile("dspy_enhanced.py", size, "0" * 64),)
    grading = Grading(assignment, QUESTIONS, "cpu", tmp_path / "trainings", need_sandbox)
    one = request_of(
        "dspy_enhanced", Submission("s1", tmp_path, "d", files, places=PLACES), grading
    )
    kept: list[Evidence] = []
    simulator = Simulator(assignment.base, tmp_path / "trainings", seed=1)

    answers = ModuleRunner(ProgramRunner(grading.sandbox, simulator))
    assert answers.produce({one.key: one}, kept.append, Silent()) == {}
    payload = kept[0].payload
    assert payload["unread"] > 0
    assert payload["exchanges"] == []
    texts = {row["text"] for row in payload["answers"]}
    assert texts <= {"7", "", "forged"}


STOPS: dict[str, tuple[str, dict[str, str], str]] = {
    "a package that is not there": (
        "import nowhere_to_be_found\n",
        {},
        "ModuleNotFoundError: No module named 'nowhere_to_be_found' (dspy_enhanced.py, line 1)",
    ),
    "a helper that fails": (
        "import helper\n",
        {"helper.py": "\nraise ValueError('no')\n"},
        "ValueError: no (helper.py, line 2)",
    ),
    "a helper with a wrong line": (
        "import helper\n",
        {"helper.py": "\nx = (\n"},
        "SyntaxError: '(' was never closed (helper.py, line 2)",
    ),
    "a file that is not there": (
        "x = 1\nopen('data.csv')\n",
        {},
        "FileNotFoundError: [Errno 2] No such file or directory: 'data.csv' (dspy_enhanced.py, "
        "line 2)",
    ),
    "an end at import": (
        "import sys\nsys.exit(3)\n",
        {},
        "SystemExit: 3 (dspy_enhanced.py, line 2)",
    ),
    "no such name": (
        "x = 1\n",
        {},
        "AttributeError: module 'dspy_enhanced' has no attribute 'build_program'",
    ),
    "a killed process": (
        "import os\nos._exit(0)\n",
        {},
        "it ended the run itself, with exit code 0",
    ),
}
TELLS_A_QUESTION = """
import json, sys
raise ValueError(next(iter(json.load(open(sys.argv[1]))["questions"].values()), "none"))
"""


def _stopped(source: str, beside: dict[str, str], assignment: Assignment, tmp: Path) -> Answers:
    """What a run that sees hidden questions says of a program that stops, in the sandbox."""
    texts = {"dspy_enhanced.py": source, **beside}
    for name, text in texts.items():
        (tmp / name).write_text(text)
    files = tuple(SubmittedFile(name, len(text), "0" * 64) for name, text in texts.items())
    grading = Grading(assignment, QUESTIONS, "cpu", tmp / "trainings", need_sandbox)
    submission = Submission("s1", tmp, "d", files, places=PLACES)
    one = request_of("dspy_enhanced", submission, grading)
    kept: list[Evidence] = []
    simulator = Simulator(assignment.base, tmp / "trainings", seed=1)
    runner = ModuleRunner(ProgramRunner(grading.sandbox, simulator), QUESTIONS)
    assert runner.produce({one.key: one}, kept.append, Silent()) == {}
    return read(kept[0], Answers)


@pytest.mark.live(sample=1)
@pytest.mark.parametrize("why", STOPS)
def test_why_a_program_stops_is_told_with_its_place(
    why: str, assignment: Assignment, tmp_path: Path
) -> None:
    """The run is repeated without questions: what it says then has none in it."""
    source, beside, fault = STOPS[why]
    run = _stopped(source, beside, assignment, tmp_path)
    assert run.stopped
    assert run.fault == run.told == fault


def test_a_fault_that_depends_on_the_questions_is_told_to_nobody(
    assignment: Assignment, tmp_path: Path
) -> None:
    run = _stopped(TELLS_A_QUESTION, {}, assignment, tmp_path)
    assert run.stopped
    assert run.fault is not None
    assert QUESTIONS.questions[0].messages[-1][1] in run.fault
    assert run.told is None


ASKED = {"id": "x", "kind": "answers", "given": "kit/a.py", "program": "p", "model": "m"}


@pytest.mark.parametrize(
    ("evidence", "says"),
    [
        ({name: value for name, value in ASKED.items() if name != "program"}, "evidence"),
        (ASKED | {"given": "../a.py"}, "evidence"),
        (ASKED | {"given": "kit/a-b.py"}, "evidence"),  # no name that can be imported
        (ASKED | {"program": "p()"}, "evidence"),
        (ASKED | {"kind": "metric_scores", "perturb": True}, "evidence"),
        (ASKED | {"kind": "predictions"}, "evidence"),
        (ASKED | {"module": "nothing"}, "names module 'nothing', which is not a deliverable"),
    ],
)
def test_an_assignment_that_asks_for_what_cannot_be_is_refused(
    evidence: dict[str, Any], says: str, tmp_path: Path
) -> None:
    document = yaml.safe_load((EXPERTS / "part1.yaml").read_text())
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(document | {"evidence": [evidence]}))
    with pytest.raises(AssignmentError, match=says):
        grade.load(path)
