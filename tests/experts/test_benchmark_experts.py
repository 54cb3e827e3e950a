"""What an expert would give for extended evaluations that do the work, part of it, or pretend to.

The table was written by judgement before any of them was run. All of them are one class: the
solution's program, workflow and data with an adapter trained here, each with its own benchmark,
script and results.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from support.paths import EXPERTS, ROOT, SOLUTION
from support.recorded import Family

from grader.assignment.questions import make_hidden
from grader.core.files import resource
from grader.core.nouns import Assignment, Outcome
from grader.core.result import Result
from grader.course import grade
from grader.models.training import train_lora
from grader.report.feedback import feedback_html
from grader.topics import get_topic

VARIANTS = EXPERTS / "variants" / "benchmark"
TOPIC = "educational-qa"
PROGRAMS = ("dspy_enhanced.py", "openai_domain_finetune.py")
DATA = ("openai_train.jsonl", "openai_test.jsonl")
NOTHING = (0, 0, 0, 0)
QUESTIONS = make_hidden(TOPIC, 3, 10)

EXPERT: Mapping[str, tuple[float, float, float, float]] = {
    # Points for the questions, and for the DSPy program, the tuned model and the adapter.
    "good": (0.75, 0.75, 0.75, 0.75),
    "two_approaches": (0.75, 0.75, 0, 0.75),
    # The runs are real, the numbers are not.
    "invented_numbers": (0.75, 0, 0.5, 0.5),  # and no Part 1
    "asks_the_base": (0.75, 0, 0, 0),  # and nothing of the other parts
    "copied_public": NOTHING,
    "padded_public": NOTHING,
    "looks_up": (0.75, 0, 0, 0),
    "one_question_fifty_times": NOTHING,
    "half_copied": (0.25, 0, 0, 0),
    # Nobody can answer these, so no approach is evaluated on them; the adapter is submitted.
    "nonsense": (0.75, 0, 0, 0),
    "no_results": (0.75, 0, 0, 0),
    "untouched_kit": NOTHING,
}


def _lines(pairs: list[tuple[str, str]]) -> str:
    system = {"role": "system", "content": get_topic(TOPIC).system}
    return "".join(
        json.dumps({"messages": [system, *_pair(question, answer)]}) + "\n"
        for question, answer in pairs
    )


def _pair(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _write(home: Path, benchmark: str | None = None, *, script: Path | None = None) -> Path:
    """What all of them have: the solution's Part 2, script, benchmark and results."""
    home.mkdir()
    for name in DATA + PROGRAMS[1:]:
        shutil.copyfile(SOLUTION / name, home / name)
    shutil.copyfile(script or SOLUTION / "extended_evaluation.py", home / "extended_evaluation.py")
    for name in ("benchmark.jsonl", "benchmark_results.json"):
        shutil.copyfile(SOLUTION / name, home / name)
    if benchmark is not None:
        (home / "benchmark.jsonl").write_text(benchmark)
    return home


def _program(home: Path) -> None:
    for name in PROGRAMS[:1]:
        shutil.copyfile(SOLUTION / name, home / name)


def _claim(home: Path, **shares: float) -> None:
    approaches = {name: {"exact_match": share} for name, share in shares.items()}
    (home / "benchmark_results.json").write_text(json.dumps({"approaches": approaches}))


def _write_class(folder: Path, adapter: Path) -> None:
    own = (SOLUTION / "benchmark.jsonl").read_text().splitlines(keepends=True)
    public = [(e.question, e.answer) for e in get_topic(TOPIC).public("test")]
    _program(_write(folder / "good"))
    two = _write(folder / "two_approaches", script=VARIANTS / "two_approaches.py")
    honest = json.loads((SOLUTION / "benchmark_results.json").read_text())["approaches"]
    _claim(two, **{name: honest[name]["exact_match"] for name in ("dspy", "lora")})
    _program(two)
    _claim(_write(folder / "invented_numbers"), dspy=0.45, openai=0.02, lora=0.45)
    _write(folder / "asks_the_base", script=VARIANTS / "asks_the_base.py")
    _write(folder / "copied_public", _lines(public))
    _write(folder / "padded_public", _lines([(f"{q} Thank you.", a) for q, a in public]))
    cheat = _write(folder / "looks_up", script=VARIANTS / "two_approaches.py")
    _claim(cheat, dspy=1.0)
    shutil.copyfile(VARIANTS / "looks_up.py", cheat / PROGRAMS[0])
    _write(folder / "one_question_fifty_times", own[0] * 50)
    _write(folder / "half_copied", "".join(own[:25]) + _lines(public[:25]))
    zorbs = [(f"What is the zorb of xx{n}?", f"q{n}") for n in range(50)]
    (_write(folder / "nonsense", _lines(zorbs)) / "openai_train.jsonl").unlink()
    for name in ("good", "two_approaches", "invented_numbers", "nonsense"):
        shutil.copytree(adapter, folder / name / "adapter")
    (_write(folder / "no_results") / "benchmark_results.json").unlink()
    shutil.copytree(resource("starter", "llm-methods"), folder / "untouched_kit")


def _train(folder: Path) -> None:
    topic = get_topic(TOPIC)
    system = {"role": "system", "content": topic.system}
    examples = topic.public("train")
    chats = [([system, *_pair(e.question, "")[:1]], e.answer) for e in examples]
    train_lora(resource("starter", "course-model"), chats, folder, seed=5, threads=1)


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return grade.load(EXPERTS / "benchmark.yaml")


@pytest.fixture(scope="module")
def folder(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the class is."""
    folder = tmp_path_factory.mktemp("class")
    _write_class(folder, family.folder("adapter", _train))
    return folder


@pytest.fixture(scope="module")
def results(family: Family, folder: Path, assignment: Assignment) -> Mapping[str, Result]:
    """The results of the class by student."""
    return family.recorded(sorted(folder.iterdir()), assignment, QUESTIONS)


def test_the_table_reads_the_rubric_that_ships() -> None:
    """The class is graded by the bonus alone; its criteria and evidence are the course's."""
    small, whole = (
        yaml.safe_load(path.read_text())
        for path in (EXPERTS / "benchmark.yaml", ROOT / "rubrics" / "llm-methods.yaml")
    )
    for key in ("criteria", "evidence"):
        mine = [one for one in small[key] if one["id"].startswith("bench")]
        assert len(mine) >= 3
        assert all(one in whole[key] for one in mine)


@pytest.mark.parametrize("variant", EXPERT)
def test_the_grader_gives_what_an_expert_would(variant: str, results: Mapping[str, Result]) -> None:
    result = results[variant]
    said = "\n".join(
        f"{f.code}: {f.outcome} {f.message} {dict(f.measures)} {f.note}" for f in result.findings
    )
    given = tuple(s.points for s in result.scores if s.category == "bonus")
    assert given == EXPERT[variant], said
    assert not [f.code for f in result.findings if f.outcome is Outcome.ERROR], said
    assert all(f.message and f.hint for f in result.findings if f.outcome is Outcome.FAIL)


@pytest.mark.live(sample=1)
@pytest.mark.parametrize("variant", EXPERT)
def test_an_evaluation_that_runs_now_is_judged_as_the_recorded_one(
    variant: str, family: Family, folder: Path, assignment: Assignment
) -> None:
    family.live_as_recorded([folder / variant], assignment, QUESTIONS)


def test_extra_points_lead_beyond_full_marks(results: Mapping[str, Result]) -> None:
    assert (results["good"].total.points, results["good"].total.max_points) == (103, 100)


def test_who_left_it_out_is_told_of_no_loss(
    results: Mapping[str, Result], assignment: Assignment
) -> None:
    page = feedback_html(assignment, results["untouched_kit"])
    assert "Bonus challenges: not attempted" in page
    assert "EVL01" not in page.split("What to fix first")[1].split("</section>")[0]
