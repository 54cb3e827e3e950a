"""Every assignment that ships: consistent, worth 100 points, its starter fails kindly and its
solution earns all that is automatic."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.classes import Silent
from support.paths import ROOT
from support.recorded import Family

from grader.assignment.kit import write_kit
from grader.assignment.load import assignment_ids, load_assignment
from grader.assignment.questions import make_hidden
from grader.core.constants import HIDDEN_MIN_QUESTIONS
from grader.core.errors import AssignmentError
from grader.core.nouns import Assignment, Outcome
from grader.core.result import Result
from grader.course import grade
from grader.intake.find import Extent
from grader.sandbox.api import Sandbox
from grader.sandbox.choose import NoSandbox

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(params=assignment_ids())
def assignment(request: pytest.FixtureRequest) -> Assignment:
    return grade.load(request.param)


def test_it_is_worth_one_hundred_points(assignment: Assignment) -> None:
    assert assignment.max_points == 100


def _graded(assignment: Assignment, home: Path, work: Path, *, run: bool = False) -> Result:
    """Graded without a sandbox: a program that is to be run makes its checks an error."""
    questions = make_hidden(assignment.topic, 11, HIDDEN_MIN_QUESTIONS) if run else None
    done = grade.grade(
        [home],
        assignment,
        questions,
        work / "e.sqlite",
        Silent(),
        open_sandbox=_refused,
        extent=Extent.ONE,
    )
    (result,) = done.results
    return result


def _refused() -> Sandbox:
    raise NoSandbox("no program may be run")


def test_the_untouched_kit_earns_nothing_and_says_so_once(
    assignment: Assignment, tmp_path: Path
) -> None:
    """Also where programs are run: there is none to run."""
    write_kit(assignment.id, assignment.topic, tmp_path / "me", assignment)
    result = _graded(assignment, tmp_path / "me", tmp_path, run=True)
    assert not [f.code for f in result.findings if f.outcome is Outcome.ERROR]
    assert (result.total.lower, result.total.upper) == (0, 0)
    (failed,) = [f for f in result.findings if f.outcome is Outcome.FAIL]
    assert failed.code == "LAY001"
    assert "Nothing in it is yours yet" in failed.message


def _untouched_scripts(assignment: Assignment) -> list[Path]:
    names = {path for d in assignment.deliverables for path in d.paths if not d.optional}
    return [path for path in (ROOT / "starter" / assignment.id).iterdir() if path.name in names]


def test_any_file_of_the_kit_earns_nothing(assignment: Assignment, tmp_path: Path) -> None:
    """With comments, docstrings and layout changed, and stubs taken out: no work either."""
    for path in _untouched_scripts(assignment):
        home = tmp_path / path.stem / "me"
        home.mkdir(parents=True)
        text = path.read_text("utf-8")
        if path.suffix == ".py":
            text = f'"""Mine."""\n# Mine.\n\n{text}\n# The end.\n'
        (home / path.name).write_text(text)
        result = _graded(assignment, home, tmp_path / path.stem)
        assert (result.total.lower, result.total.upper) == (0, 0), path.name


def test_a_text_of_ones_own_makes_nothing_of_the_kit_count(
    assignment: Assignment, tmp_path: Path
) -> None:
    home = tmp_path / "me"
    write_kit(assignment.id, assignment.topic, home, assignment)
    texts = {"reflection": 6, "dspy_report": 0}
    for name in texts:
        stub = re.compile("_Write here: .*_")
        text = (home / f"{name}.md").read_text()
        (home / f"{name}.md").write_text(stub.sub("I expected more and got less.", text))
    result = _graded(assignment, home, tmp_path, run=True)
    assert not [f.code for f in result.findings if f.outcome is Outcome.ERROR]
    assert (result.total.lower, result.total.upper) == (0, 6)
    of_part = [f for f in result.findings if f.outcome is Outcome.FAIL and f.code == "LAY010"]
    assert "is the kit's own file" in of_part[0].message


def _solution(assignment: Assignment, home: Path) -> Path:
    shutil.copytree(ROOT / "solutions" / assignment.id, home)
    shutil.copytree(ROOT / "datasets" / assignment.topic, home / "data")
    return home


def _nothing_lost(result: Result) -> None:
    lost = [
        (s.id, s.points, s.because)
        for s in result.scores
        if s.points is not None and s.points < s.max_points
    ]
    assert lost == []


def test_the_solution_earns_all_that_is_automatic(
    assignment: Assignment, family: Family, tmp_path: Path
) -> None:
    home = _solution(assignment, tmp_path / "me")
    shutil.copytree(family.folder(assignment.id), home, dirs_exist_ok=True)
    questions = make_hidden(assignment.topic, 11, 150)
    _nothing_lost(family.recorded([home], assignment, questions)["me"])


@pytest.mark.live
def test_the_solution_trained_by_its_own_script_now_earns_it_too(
    assignment: Assignment, family: Family, tmp_path: Path
) -> None:
    home = _solution(assignment, tmp_path / "me")
    shutil.copytree(ROOT / "starter" / "course-model", home / "course-model")
    given = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    subprocess.run(
        [sys.executable, "huggingface_custom_lora.py", "--seed", "7"],
        cwd=home,
        check=True,
        capture_output=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    shutil.rmtree(home / "course-model")
    made = [path for path in home.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    for path in made:
        if given.get(path) != path.read_bytes():
            family.keep(f"{assignment.id}/{path.relative_to(home)}", path.read_bytes())
    questions = make_hidden(assignment.topic, 11, 150)
    _nothing_lost(family.live([home], assignment, questions)["me"])


def broken(**changes: object) -> dict[str, object]:
    document = yaml.safe_load((ROOT / "rubrics" / "llm-methods.yaml").read_text())
    return document | changes


OPTIONAL_PART = {"id": "x", "title": "X", "paths": ["x"], "part": "lora", "optional": True}
ITEM = {"id": "i", "claim": "It holds", "points": 15, "full": "It does", "none": "It does not"}
CRITERION = {"id": "x", "title": "X", "category": "innovation", "points": 15}
REVIEWED = CRITERION | {"from": "review", "judges": [], "items": [ITEM]}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"points": 3}, "points"),
        ({"checks": ["ADP999"]}, "ADP001"),
        ({"topic": "No Such"}, "topic"),
        ({"base": {"name": "Qwen/Qwen2.5-0.5B-Instruct"}}, "revision"),
        ({"parts": []}, "not in parts"),
        ({"criteria": [CRITERION | {"from": "review"}]}, "add up to"),
        ({"criteria": [CRITERION | {"from": "review"}]}, "items and 'from: review' go together"),
        ({"criteria": [REVIEWED | {"from": "LAY001"}]}, "items and 'from: review' go together"),
        ({"criteria": [REVIEWED | {"items": [ITEM | {"points": 9}]}]}, "its items add up to 9"),
        ({"criteria": [REVIEWED | {"items": [ITEM, ITEM]}]}, "appears twice"),
        ({"criteria": [REVIEWED | {"judges": ["nothing"]}]}, "'nothing', which is not a deliver"),
        ({"criteria": [CRITERION | {"from": "review", "items": [ITEM]}]}, "judges"),
        ({"criteria": [REVIEWED | {"facts": ["DOC999"]}]}, "DOC999, which is not in checks"),
        ({"criteria": [CRITERION | {"from": "EVL001.delta"}]}, "bands"),
        ({"criteria": [CRITERION | {"from": "JSL001"}]}, "not in checks"),
        ({"categories": [{"id": "a", "title": "A", "points": 50}]}, "not 100"),
        ({"categories": [{"id": "a", "title": "A", "points": 100, "extra": True}]}, "not 100"),
        ({"deliverables": [OPTIONAL_PART]}, "'x' is optional, so it belongs to no part"),
    ],
)
def test_a_wrong_assignment_is_refused_with_the_place(
    changes: dict[str, object], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(broken(**changes)))
    with pytest.raises(AssignmentError, match=r"mine\.yaml") as caught:
        load_assignment(path)
    assert says in str(caught.value)


def test_a_measure_that_no_check_has_is_refused(tmp_path: Path) -> None:
    document = broken()
    for criterion in document["criteria"]:  # type: ignore[attr-defined]
        if criterion["id"] == "lora_improvement":
            criterion["from"] = "EVL001.no_such"
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(AssignmentError, match="delta_low95"):
        grade.load(path)


def test_a_rule_on_data_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    data = {"deliverable": "openai_data", "kind": "chat", "min_examples": 15, "errors": ["JSL999"]}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(broken(data=data)))
    with pytest.raises(AssignmentError, match="there is no rule JSL999"):
        grade.load(path)


@pytest.mark.parametrize("text", ["", "[]", "a: [", "\t", "id: 1"])
def test_what_is_no_assignment_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(AssignmentError, match=r"mine\.yaml"):
        load_assignment(path)
