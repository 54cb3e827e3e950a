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
from class_builder import Silent
from hypothesis import given
from hypothesis import strategies as st
from notebook_builder import notebook

from grader.assignment.load import load_assignment
from grader.assignment.questions import make_hidden
from grader.core.constants import ANSWER_MAX_CHARACTERS
from grader.core.errors import AssignmentError
from grader.core.nouns import Assignment, Evidence, EvidenceSpec, Submission
from grader.evidence.answers import AnswersProducer, answers_want
from grader.evidence.metric_scores import MetricScoresProducer, metric_cases, scores_want
from grader.evidence.module_run import ModuleRun
from grader.evidence.store import EvidenceRequest
from grader.evidence.transcripts import TranscriptRunner
from grader.intake.find import find_submissions, take_in
from grader.intake.notebooks import read_notebook
from grader.model_service.simulated import Simulator
from grader.sandbox.choose import choose_sandbox

QUESTIONS = make_hidden("educational-qa", 3, 30)
OUT = "finegrade_found.jsonl"
SCRIPT = "openai_script"


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return load_assignment(Path(__file__).parents[1] / "part1.yaml")


@pytest.fixture(scope="module")
def want(assignment: Assignment) -> Callable[..., EvidenceRequest]:
    """The want of one evidence id, for a student of this name."""
    sandbox = choose_sandbox()
    specs = {spec.id: spec for spec in assignment.evidence}

    @cache
    def wanted(id: str, student: str = "s1", **changes: Any) -> EvidenceRequest:
        spec: EvidenceSpec = replace(specs[id], **changes)
        submission = Submission(student, Path("/nowhere"), f"digest of {student}", ())
        module = "dspy_enhanced.py" if spec.module is not None else None
        if spec.kind == "answers":
            return answers_want(submission, spec, module, assignment, QUESTIONS, sandbox)
        return scores_want(submission, spec, module, assignment, sandbox)

    return wanted


def _completed(want: EvidenceRequest, lines: list[Any], **payload: Any) -> dict[str, Any]:
    """The evidence of a run that left these lines, JSON values or raw bytes."""
    body = b"\n".join(x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines)
    told = {
        "verdict": "ok",
        "exit_code": 0,
        "script": "s",
        "exchanges": [],
        "files": {OUT: base64.b64encode(body).decode()},
        **payload,
    }
    kept: list[Evidence] = []

    class Ran:
        def produce(self, new: Any, put: Any, progress: Any) -> dict[str, str]:
            put(Evidence(want.kind, want.key, told, {}))
            return {}

    producer = {"answers": AnswersProducer, "metric_scores": MetricScoresProducer}[want.kind]
    producer(Ran()).produce({want.key: want}, kept.append, None)  # type: ignore[arg-type]
    return dict(kept[0].payload)


@pytest.mark.parametrize("id", ["dspy_original", "dspy_metric_original"])
def test_the_kits_own_module_runs_once_for_a_class(
    want: Callable[..., EvidenceRequest], id: str
) -> None:
    one, other = want(id, "s1"), want(id, "s2")
    assert one.key == other.key
    assert not one.work.run.launch.files


@pytest.mark.parametrize("id", ["dspy_enhanced", "dspy_metric"])
def test_each_student_has_a_run(want: Callable[..., EvidenceRequest], id: str) -> None:
    assert want(id, "s1").key != want(id, "s2").key


def test_a_perturbed_run_and_another_number_of_questions_are_other_runs(
    want: Callable[..., EvidenceRequest],
) -> None:
    wants = [
        want("dspy_enhanced"),
        want("dspy_enhanced", perturb=True),
        want("dspy_enhanced", questions=5),
        want("dspy_enhanced", program="EnhancedQAModel"),
    ]
    assert len({one.key for one in wants}) == 4


def test_questions_go_in_and_no_label_does(want: Callable[..., EvidenceRequest]) -> None:
    launch = want("dspy_enhanced").work.run.launch
    task = json.loads(launch.inputs["finegrade_task.json"])
    asked = QUESTIONS.questions[:20]
    assert task["questions"] == {q.id: q.messages[-1][1] for q in asked}
    assert set(task) == {"questions", "extra", "module", "name", "model", "out"}
    ours = b"".join(body for name, body in launch.inputs.items() if name.startswith("finegrade"))
    assert not any(f'"{QUESTIONS.answers[q.id]}"'.encode() in ours for q in asked)


def test_no_judgement_goes_in(want: Callable[..., EvidenceRequest]) -> None:
    launch = want("dspy_metric").work.run.launch
    cases = json.loads(launch.inputs["finegrade_task.json"])["cases"]
    assert len(cases) == len(metric_cases("educational-qa"))
    assert all(set(case) == {"question", "reference", "given"} for case in cases.values())
    ids = [case["given"] for case in cases.values()]
    assert ids != [case.given for case in metric_cases("educational-qa")]  # the order tells nothing


def test_the_first_answer_to_a_question_counts(want: Callable[..., EvidenceRequest]) -> None:
    lines = [
        {"kind": "answer", "id": "q01", "answer": "Lima"},
        {"kind": "answer", "id": "q01", "answer": "Quito"},
        {"kind": "done"},
    ]
    found = _completed(want("dspy_enhanced"), lines)["answers"]
    assert (found[0]["text"], found[0]["error"]) == ("Lima", None)
    assert (found[1]["text"], found[1]["error"]) == ("", "it gave no answer")
    assert found[0]["reference"] == QUESTIONS.answers["q01"]


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
    want: Callable[..., EvidenceRequest],
    lines: list[Any],
    payload: dict[str, Any],
    fault: str | None,
) -> None:
    assert _completed(want("dspy_enhanced"), lines, **payload)["fault"] == fault


def test_errors_of_a_notebook_are_told_in_cells(want: Callable[..., EvidenceRequest]) -> None:
    plain = want("dspy_enhanced")
    book = read_notebook(notebook("x = 1", "y = 2\nls -la"), "dspy_enhanced.ipynb")
    run = replace(plain.work.run, notebooks={"dspy_enhanced.py": book})
    wanted = replace(plain, work=replace(plain.work, run=run))
    error = "SyntaxError: invalid syntax (dspy_enhanced.py, line 6)"
    payload = _completed(wanted, [{"kind": "fault", "error": error}])
    assert payload["fault"] == "SyntaxError: invalid syntax (cell 2, line 2)"


def test_a_module_may_import_what_was_handed_in_as_a_notebook(
    assignment: Assignment, tmp_path: Path
) -> None:
    home = tmp_path / "s1"
    home.mkdir()
    (home / "dspy_enhanced.py").write_text("import openai_domain_finetune")
    (home / "openai_domain_finetune.ipynb").write_bytes(notebook("x = 1"))
    submission = take_in(find_submissions([home])[0], tmp_path / "work")
    (deliverable,) = (d for d in load_assignment("llm-methods").deliverables if d.id == SCRIPT)
    both = replace(assignment, deliverables=(*assignment.deliverables, deliverable))
    spec = next(spec for spec in assignment.evidence if spec.id == "dspy_enhanced")
    one = answers_want(submission, spec, "dspy_enhanced.py", both, QUESTIONS, choose_sandbox())
    assert b"x = 1" in one.work.run.launch.inputs["openai_domain_finetune.py"]


def test_junk_is_counted_and_long_answers_are_cut(want: Callable[..., EvidenceRequest]) -> None:
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
    want: Callable[..., EvidenceRequest], lines: list[Any], id: str
) -> None:
    payload = _completed(want(id), lines)
    json.dumps(payload, allow_nan=False)
    if id == "dspy_enhanced":
        assert [row["id"] for row in payload["answers"]] == [q.id for q in QUESTIONS.questions[:20]]
        assert all(isinstance(row["text"], str) for row in payload["answers"])
    else:
        assert len(payload["cases"]) == len(metric_cases("educational-qa"))
        assert all(len(row["scores"]) == 2 for row in payload["cases"])


def test_a_kit_that_does_not_run_is_our_fault(want: Callable[..., EvidenceRequest]) -> None:
    """Nobody loses a point for it: there is no evidence."""
    with pytest.raises(Exception, match="the kit's own s failed: it ended the run itself"):
        _completed(want("dspy_original"), [])


def test_evidence_without_a_program_is_a_mistake_in_the_assignment(
    want: Callable[..., EvidenceRequest],
) -> None:
    with pytest.raises(AssignmentError, match="needs given, program and model"):
        want("dspy_enhanced", program=None)


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
    submission = Submission("s1", tmp_path, "d", ())
    sandbox = choose_sandbox()
    spec = next(spec for spec in assignment.evidence if spec.id == "dspy_enhanced")
    one = answers_want(submission, spec, "dspy_enhanced.py", assignment, QUESTIONS, sandbox)
    assert isinstance(one.work, ModuleRun)
    kept: list[Evidence] = []
    simulator = Simulator(assignment.base, tmp_path / "trainings", seed=1)

    answers = AnswersProducer(TranscriptRunner(sandbox, simulator))
    assert answers.produce({one.key: one}, kept.append, Silent()) == {}
    payload = kept[0].payload
    assert payload["unread"] > 0
    assert payload["exchanges"] == []
    texts = {row["text"] for row in payload["answers"]}
    assert texts <= {"7", "", "forged"}


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
    document = yaml.safe_load((Path(__file__).parents[1] / "part1.yaml").read_text())
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(document | {"evidence": [evidence]}))
    with pytest.raises(AssignmentError, match=says):
        load_assignment(path)
