"""Grading on other bases, and checking without them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.adapters import config, write_adapter
from support.bases import adapted, saved
from support.classes import Silent, write_student

from grader.assignment.questions import make_hidden
from grader.core.errors import GraderFault
from grader.core.nouns import Assignment, BaseModel, Finding, Outcome
from grader.core.result import Result
from grader.course import grade
from grader.evidence.store import read_store
from grader.intake.find import Extent
from grader.models.base_profile import profile_for

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
ABSENT = BaseModel("nobody/no-such-model", "0" * 40)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINEGRADE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    profile_for.cache_clear()


def on(base: BaseModel) -> Assignment:
    return replace(grade.load("llm-methods"), base=base)


def submission(folder: Path, base: BaseModel) -> Path:
    write_adapter(folder / "adapter", settings=config(base_model_name_or_path=base.name))
    (folder / "readme.md").write_text("An adapter.\n")
    return folder


def found(result: Result, code: str) -> Finding:
    return next(finding for finding in result.findings if finding.code == code)


def test_a_check_of_files_needs_nothing_of_a_hub_model(tmp_path: Path) -> None:
    home = submission(tmp_path / "me", ABSENT)
    (result,) = grade.grade(
        [home], on(ABSENT), None, tmp_path / "e.sqlite", Silent(), extent=Extent.ONE
    ).results
    assert not [f.code for f in result.findings if f.outcome is Outcome.ERROR]
    fits = found(result, "ADP005")
    assert fits.outcome is Outcome.REVIEW
    assert fits.message.startswith("Not checked here: whether the adapted layers are layers of")
    assert "hf download nobody/no-such-model" in fits.note
    others = {f.code: f.outcome for f in result.findings if "ADP" < f.code < "ADP020"}
    del others["ADP005"]
    assert set(others.values()) == {Outcome.PASS}


def test_grading_without_the_base_says_at_once_how_to_fetch_it(tmp_path: Path) -> None:
    home = submission(tmp_path / "me", ABSENT)
    questions = make_hidden("educational-qa", 1, 4)
    with pytest.raises(GraderFault, match="hf download nobody/no-such-model --revision 0000"):
        grade.grade(
            [home], on(ABSENT), questions, tmp_path / "e.sqlite", Silent(), extent=Extent.ONE
        )


@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning")
def test_a_model_in_a_folder_is_graded_like_any_other(tmp_path: Path) -> None:
    base = saved("gpt2", tmp_path / "models" / "small-gpt2")
    adapted(base, tmp_path / "me" / "adapter")
    (tmp_path / "me" / "readme.md").write_text("An adapter.\n")
    questions = make_hidden("educational-qa", 1, 4)
    (result,) = grade.grade(
        [tmp_path / "me"],
        on(base),
        questions,
        tmp_path / "e.sqlite",
        Silent(),
        extent=Extent.ONE,
    ).results
    assert found(result, "ADP005").outcome is Outcome.PASS
    assert found(result, "EVL001").outcome is Outcome.FAIL  # random weights know nothing
    shown = " ".join(f"{finding.message} {finding.hint}" for finding in result.findings)
    assert "small-gpt2" in shown
    assert str(tmp_path) not in shown


@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning")
def test_students_choose_among_the_bases_of_an_assignment(tmp_path: Path) -> None:
    small = saved("gpt2", tmp_path / "models" / "small-gpt2")
    whole = grade.load("llm-methods")
    adapter = replace(whole.deliverable("adapter"), other_bases=("small",))
    evidence = [spec for spec in whole.evidence if spec.id in ("before", "after")]
    assignment = replace(
        whole,
        bases={"small": small},
        deliverables=tuple(adapter if d.id == "adapter" else d for d in whole.deliverables),
        evidence=(replace(evidence[0], settings={"base_of": "adapter"}), evidence[1]),
        checks=tuple(c for c in whole.checks if c.code.startswith(("ADP00", "LAY00"))),
        criteria=(),
    )
    adapted(small, tmp_path / "class" / "chose" / "adapter")
    write_student(tmp_path / "class" / "course", 1)
    write_student(tmp_path / "class" / "third", 1)
    config = tmp_path / "class" / "third" / "adapter" / "adapter_config.json"
    config.write_text(config.read_text().replace("course-model", "another-model"))
    questions = make_hidden("educational-qa", 1, 4)
    store = tmp_path / "e.sqlite"
    results = {
        result.student: result
        for result in grade.grade(
            [tmp_path / "class"], assignment, questions, store, Silent(), extent=Extent.CLASS
        ).results
    }
    fits = {name: found(result, "ADP005") for name, result in results.items()}
    assert "small-gpt2" in fits["chose"].message
    assert "course-model" in fits["course"].message
    assert {name: found(result, "ADP008").outcome for name, result in results.items()} == {
        "chose": Outcome.PASS,
        "course": Outcome.PASS,
        "third": Outcome.FAIL,
    }
    keys = {name: results[name].provenance["evidence"] for name in ("chose", "course")}
    assert keys["chose"].keys() == keys["course"].keys() == {"before", "after"}
    assert keys["chose"]["before"] != keys["course"]["before"]
    with read_store(store) as opened:
        for ids in keys.values():
            before, after = (opened.get(ids[id]) for id in ("before", "after"))
            assert before is not None
            assert after is not None
            assert before.payload["answers"] != after.payload["answers"]
