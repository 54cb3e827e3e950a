"""The sample class: real trainings are ranked right, and each broken one has its own code."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.classes import Silent

from grader.assignment.questions import make_hidden
from grader.cli.demo import Demo, quality_agreement, run_demo
from grader.cli.demo_class import FULL, SMALL
from grader.core.errors import UsageError
from grader.core.nouns import Finding, Outcome, Status
from grader.core.result import Result, Score
from grader.course import grade
from grader.intake.find import Extent

pytestmark = [
    pytest.mark.live,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "demo"


@pytest.fixture(scope="module")
def demo(out: Path) -> Demo:
    return run_demo(out, Silent(), FULL, hidden_seed=100, programs=False)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    out = tmp_path_factory.mktemp("small") / "demo"
    return run_demo(out, Silent(), SMALL, hidden_seed=100, programs=False)


def by_student(demo: Demo) -> dict[str, Result]:
    return {result.student: result for result in demo.results}


def improvement(result: Result) -> Score:
    return next(s for s in result.scores if s.id == "lora_improvement")


def finding(result: Result, code: str) -> Finding:
    return next(f for f in result.findings if f.code == code)


def test_a_class_has_eight_students_or_twenty_three_and_each_a_result(
    demo: Demo, small: Demo
) -> None:
    assert set(by_student(demo)) == FULL.students
    assert set(by_student(small)) == SMALL.students
    assert (len(SMALL.students), len(FULL.students)) == (8, 23)


def test_the_small_class_tells_the_whole_story(small: Demo) -> None:
    results = by_student(small)
    excellent, weak = (improvement(results[s]).points for s in ("s01-excellent", "s02-weak"))
    assert excellent is not None
    assert weak is not None
    assert excellent >= 9
    assert 1 <= weak <= 5
    assert small.spearman >= 0.9
    for student, code in (
        ("s03-no-op", "ADP010"),
        ("s04-shuffled", "EVL001"),
        ("s05-broken", "ADP003"),
        ("s06-copied", "INT001"),
    ):
        assert improvement(results[student]).points == 0
        assert finding(results[student], code).outcome is Outcome.FAIL
    assert all(f.outcome is not Outcome.ERROR for r in small.results for f in r.findings)
    assert all(r.status is Status.FULLY_GRADED and r.total.points for r in small.results)


def test_another_class_in_the_same_folder_is_refused(demo: Demo, out: Path) -> None:
    with pytest.raises(UsageError, match="another sample class"):
        run_demo(out, Silent(), SMALL)


def test_students_are_ranked_by_the_known_quality_of_their_adapters(demo: Demo) -> None:
    assert demo.compared == len(FULL.recipes)
    assert demo.spearman >= 0.9


@pytest.mark.parametrize("seed", [101, 102])
def test_the_ranking_holds_on_other_hidden_questions(
    demo: Demo, out: Path, tmp_path: Path, seed: int
) -> None:
    assignment = grade.load("llm-methods")
    questions = make_hidden(assignment.topic, seed, 150)
    folders = [out / "class" / recipe.student for recipe in FULL.recipes]
    done = grade.grade(
        folders, assignment, questions, tmp_path / "e.sqlite", Silent(), extent=Extent.ONE
    )
    rho, compared = quality_agreement(done.results, FULL)
    assert compared == len(FULL.recipes)
    assert rho >= 0.9


@pytest.mark.parametrize(
    ("student", "code"),
    [("s14-no-op", "ADP010"), ("s11-shuffled", "EVL001"), ("s15-copied", "INT001")],
)
def test_what_improved_nothing_earns_nothing_for_it_and_says_why(
    demo: Demo, student: str, code: str
) -> None:
    result = by_student(demo)[student]
    score = improvement(result)
    assert score.points == 0
    assert code in score.because
    assert finding(result, code).outcome is Outcome.FAIL
    assert finding(result, code).hint


def test_every_broken_submission_has_a_clear_code_of_its_own(demo: Demo) -> None:
    results = by_student(demo)
    codes = {
        "s16-pickle": "ADP001",
        "s17-not-a-number": "ADP007",
        "s18-wrong-base": "ADP008",
        "s19-rank-bomb": "ADP006",
        "s20-wrong-shape": "ADP005",
        "s21-no-adapter": "LAY030",
        "s22-bad-zip": "LAY103",
        "s23-untouched-kit": "LAY030",
    }
    assert set(codes) == set(FULL.broken)
    for student, code in codes.items():
        failed = [f for f in results[student].findings if f.outcome is Outcome.FAIL]
        assert code in [f.code for f in failed], student
        assert all(f.message and f.hint for f in failed)
    adapters = [c for c in codes.values() if c.startswith("ADP")]
    for student in ("s16-pickle", "s17-not-a-number", "s18-wrong-base", "s20-wrong-shape"):
        found = {f.code for f in results[student].findings if f.outcome is Outcome.FAIL}
        assert len(found & set(adapters)) == 1, "one fault, one failed check"


def test_no_one_is_in_error_and_only_the_bad_archive_was_refused(demo: Demo) -> None:
    for student, result in by_student(demo).items():
        assert not [f for f in result.findings if f.outcome is Outcome.ERROR]
        assert (result.status is Status.FAILED) == (student == "s22-bad-zip")


def test_run_again_it_trains_and_collects_nothing(
    demo: Demo, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the class was made again")

    monkeypatch.setattr("grader.cli.demo.make_class", refuse)
    monkeypatch.setattr("grader.models.base_model.load_base", refuse)
    before = {p: p.read_bytes() for p in (out / "results").glob("st*/*/*")}
    assert {p.parts[-3] for p in before} == {"students", "staff"}
    again = run_demo(out, Silent(), FULL)
    assert again.results == demo.results
    assert {p: p.read_bytes() for p in before} == before
