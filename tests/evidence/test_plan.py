"""What an assignment wants: answers to a benchmark that is handed in, runs beside a kit's files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from support.benchmarks import BENCHMARK, PAIRS

from grader.assignment.load import load_assignment
from grader.assignment.questions import make_hidden
from grader.core.resources import resource
from grader.evidence.plan import EvidencePlan
from grader.evidence.predictions import AdapterRef
from grader.evidence.store import EvidenceRequest
from grader.intake.find import find_submissions, take_in
from grader.models.adapter_files import AdapterFiles
from grader.sandbox.unsandboxed import Unsandboxed

WHOLE = load_assignment("llm-methods")
BENCH = tuple(spec for spec in WHOLE.evidence if spec.id == "bench_lora")
ASSIGNMENT = replace(WHOLE, evidence=BENCH)


def _never_read() -> AdapterFiles:
    raise AssertionError("wanting something runs nothing")


def wants(home: Path, benchmark: str | None, *, passed: bool = True) -> list[EvidenceRequest]:
    """What is wanted of a submission with an adapter and this benchmark."""
    home.mkdir()
    (home / "notes.md").write_text("n\n")
    if benchmark is not None:
        (home / "benchmark.jsonl").write_text(benchmark)
    (found,) = find_submissions([home])
    hidden = make_hidden(ASSIGNMENT.topic, 3, 10)
    wanted = EvidencePlan(ASSIGNMENT, hidden, "cpu", None, home.parent / "trainings")

    def told(codes: Sequence[str]) -> bool:
        assert "EVL011" in codes
        return passed

    submission = take_in(found, home.parent / "work")
    return list(wanted.of(submission, AdapterRef("ab12", _never_read), told))


def test_a_benchmark_is_asked_in_the_place_of_the_hidden_questions(tmp_path: Path) -> None:
    (want,) = wants(tmp_path / "s01", BENCHMARK)
    asked = [q.messages[-1][1] for q in want.work.questions.questions]
    assert asked == [question for question, _ in PAIRS]


def test_another_benchmark_is_another_run_and_an_equal_one_is_not(tmp_path: Path) -> None:
    (one,) = wants(tmp_path / "s01", BENCHMARK)
    (same,) = wants(tmp_path / "s02", BENCHMARK)
    (other,) = wants(tmp_path / "s03", BENCHMARK.replace("N7", "N8"))
    assert one.key == same.key != other.key


def test_without_a_benchmark_that_passed_nothing_is_run(tmp_path: Path) -> None:
    assert wants(tmp_path / "s01", None) == []
    assert wants(tmp_path / "s02", BENCHMARK, passed=False) == []


def test_what_a_kit_gives_lies_beside_a_script_that_is_run(tmp_path: Path) -> None:
    home = tmp_path / "s01" / "bonus"
    home.mkdir(parents=True)
    (home / "distill.py").write_text("print('hello')\n")
    (home.parent / "notes.md").write_text("n\n")
    (found,) = find_submissions([home.parent])
    submission = take_in(found, tmp_path / "work")
    (spec,) = (spec for spec in WHOLE.evidence if spec.id == "distill_ok")
    hidden = make_hidden(WHOLE.topic, 3, 10)
    launches = {}
    for given in (spec.given, None):
        assignment = replace(WHOLE, evidence=(replace(spec, given=given),))
        wanted = EvidencePlan(assignment, hidden, "cpu", Unsandboxed, tmp_path / "trainings")
        (want,) = wanted.of(submission, None, lambda codes: True)
        launches[given] = want.work.launch
    assert launches[None].inputs == {}
    laid = launches[spec.given].inputs
    assert set(laid) >= {"bonus/dspy_example.py", "bonus/data/train.jsonl"}
    ours = resource("starter", "llm-methods", "dspy_example.py").read_bytes()
    assert laid["bonus/dspy_example.py"] == ours
