"""What a grading leaves on disk: pages for students here, everything else there."""

from __future__ import annotations

import base64
import html
import json
import platform
import shutil
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from support.benchmarks import answered
from support.classes import Silent
from support.classes import write_student as write_submission
from support.paths import ROOT
from support.predictions import evidence

from grader.assignment.questions import QuestionSet, make_hidden
from grader.core.nouns import Assignment
from grader.course import grade
from grader.course.output import (
    STORE_NAME,
    part_files,
    prepare,
    read_results,
    recordings,
    write_class,
    write_student,
)
from grader.evidence.store import open_store
from grader.intake.find import Extent
from grader.report.result_json import to_json


def test_the_questions_of_students_benchmarks_are_not_the_classs(tmp_path: Path) -> None:
    """Each has its own, by the same ids: together they would be one question with two texts."""
    assignment = grade.load("llm-methods")
    (tmp_path / "s01").mkdir()
    (tmp_path / "s01" / "notes.md").write_text("n\n")
    out = tmp_path / "out"
    out.mkdir()
    graded = grade.grade(
        [tmp_path / "s01"], assignment, None, out / STORE_NAME, Silent(), extent=Extent.ONE
    )
    hidden = replace(evidence(40), kind="predictions", key="of hidden")
    own = replace(answered(), kind="predictions", key="of own")
    with open_store(out / STORE_NAME) as store:
        store.put(hidden)
        store.put(own)
    (result,) = graded.results
    keys = {"before": "of hidden", "after": "of hidden", "bench_lora": "of own"}
    write_student(out, assignment, replace(result, provenance={"evidence": keys}))
    write_class(out, assignment)
    page = (out / "class.html").read_text()
    assert "question 99" in page
    assert "Which nickname has element" not in page


JUDGED = ("comparative_analysis", "lora_script", "inference_script")
ANNA, BERT, CARL = "anna-quarrybank", "bert-of-zennor", "carl-ibsenhof"


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return grade.load("llm-methods")


@pytest.fixture(scope="module")
def questions() -> QuestionSet:
    return make_hidden("educational-qa", 5, 12)


@pytest.fixture(scope="module")
def out(
    assignment: Assignment, questions: QuestionSet, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A graded class: Anna, Bert who copies her and trains on hidden questions, and Carl's bomb."""
    work = tmp_path_factory.mktemp("machine-of-the-instructor")
    for student in (ANNA, BERT):
        home = write_submission(work / "class" / student, 1)
        (home / "comparative_analysis.md").write_text(f"The analysis of {student}. " * 100)
    lines = [{"messages": [{"role": "user", "content": q.messages[-1][1]},
                           {"role": "assistant", "content": questions.answers[q.id]}]}
             for q in questions.questions]  # fmt: skip
    (work / "class" / BERT / "openai_train.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines)
    )
    with zipfile.ZipFile(work / "class" / f"{CARL}.zip", "w") as archive:
        archive.writestr("../../outside.txt", "no")
    out = work / "out"
    graded = grade.grade([work / "class"], assignment, questions, prepare(out), Silent())
    for result in graded.results:
        write_student(out, assignment, result)
    write_class(out, assignment)
    return out


def _forms(text: str) -> Iterator[str]:
    """A text as it may stand in a file: plain, percent-encoded, as base64 at any place, in hex."""
    yield text.casefold()
    yield quote(text, safe="").casefold()
    body = text.encode()
    if len(body) < 8:  # its code is so short that it stands anywhere
        return
    yield body.hex()
    for before in range(3):  # without the characters that depend on what stands around it
        coded = base64.b64encode(b"\0" * before + body).decode()
        yield coded[(0, 2, 3)[before] : len(coded) - 4].casefold()


def _views(text: str) -> list[str]:
    """A file's text as it is, without HTML's escapes, and without percent-encoding."""
    return [view.casefold() for view in (text, html.unescape(text), unquote(html.unescape(text)))]


def _found(canary: str, text: str) -> bool:
    return any(form in view for form in _forms(canary) for view in _views(text))


@pytest.mark.parametrize(
    "hiding",
    [
        "<p>{}</p>",
        "<p>{}</p>".replace("{}", "{html}"),
        '<a href="{url}">',
        "data:text/plain;base64,{base64}",
        "x{hex}y",
    ],
)
@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_canary_is_found_wherever_it_hides(hiding: str, before: str) -> None:
    canary = 'Which "city" lies at <Kōr & Sons>?'
    said = f"{before}{canary}{before}"
    text = hiding.format(
        said,
        html=html.escape(said),
        url=quote(said, safe=""),
        base64=base64.b64encode(said.encode()).decode(),
        hex=said.encode().hex(),
    )
    assert _found(canary, text)
    assert not _found(canary, text[: len(text) // 2])


def test_students_holds_pages_alone_and_staff_the_rest(out: Path) -> None:
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert {name for name in files if name.startswith("students/")} == {
        f"students/{student}/feedback.html" for student in (ANNA, BERT, CARL)
    }
    assert {name for name in files if name.startswith("staff/")} == {
        *(f"staff/{student}/result.json" for student in (ANNA, BERT, CARL)),
        *(f"staff/{student}/{judged}.txt" for student in (ANNA, BERT) for judged in JUDGED),
    }
    assert (out / "staff").stat().st_mode & 0o777 == 0o700
    page = (out / "class.html").read_text()
    assert f'href="students/{ANNA}/feedback.html"' in page
    assert f'href="staff/{ANNA}/comparative_analysis.txt"' in page


def test_no_canary_is_in_what_is_handed_out(
    out: Path, assignment: Assignment, questions: QuestionSet
) -> None:
    results = {result.student: result for result in read_results(out, assignment.id)}
    secrets = {q.messages[-1][1] for q in questions.questions}
    secrets |= {answer for answer in questions.answers.values() if len(answer) > 6}
    secrets |= {questions.digest}
    secrets |= {str(place) for place in (out, out.parent, ROOT, Path.home(), sys.prefix)}
    secrets |= {name for name in (platform.node(), STORE_NAME, "result.json") if len(name) > 4}
    notes = {f.note for r in results.values() for f in r.findings if f.note}
    assert any(ANNA in note or BERT in note for note in notes)  # who copied from whom
    assert any("hidden questions stand in" in note for note in notes)
    keys = {str(key) for r in results.values() for key in r.provenance["evidence"].values()}
    for path in sorted((out / "students").rglob("*")):
        if path.is_dir():
            continue
        text = path.read_bytes().decode("utf-8")
        others = {ANNA, BERT, CARL} - {path.parent.name}
        for canary in secrets | notes | keys | others:
            assert not _found(canary, text), (path, canary)


def _as_before(out: Path) -> None:
    """OUT as finegrade 0.1 left it: all of a student's files in one folder."""
    for file in sorted((out / "staff").glob("*/*")):
        shutil.move(file, out / "students" / file.parent.name / file.name)
    shutil.rmtree(out / "staff")


def test_an_earlier_layout_is_read_and_put_right(
    out: Path, assignment: Assignment, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(out, old)
    _as_before(old)
    half = old / "students" / ANNA / ".result.json.x1.tmp"
    half.write_text("{")
    now = [to_json(result) for result in read_results(out, assignment.id)]
    assert [to_json(result) for result in read_results(old, assignment.id)] == now
    assert recordings(old, tmp_path / "new", assignment.id).registered
    assert half.exists()  # who only reads changes nothing
    assert part_files(old) == 3
    assert part_files(old) == 0
    assert [to_json(result) for result in read_results(old, assignment.id)] == now
    for part in ("students", "staff"):
        files = {path.relative_to(old) for path in (old / part).rglob("*")}
        assert files == {path.relative_to(out) for path in (out / part).rglob("*")}


def test_what_the_earlier_version_wrote_last_counts(
    out: Path, assignment: Assignment, tmp_path: Path
) -> None:
    """Grading went back to the earlier version for a while."""
    both = tmp_path / "both"
    shutil.copytree(out, both)
    newer = json.loads((both / "staff" / ANNA / "result.json").read_text())
    newer["submission"]["digest"] = "0" * 64
    (both / "students" / ANNA / "result.json").write_text(json.dumps(newer))
    comment = both / "students" / BERT / "comment.txt"
    comment.write_text("Well done.")  # an instructor's own: nothing of ours lies beside it
    assert part_files(both) == 1
    digests = {r.student: r.digest for r in read_results(both, assignment.id)}
    assert digests[ANNA] == "0" * 64
    assert len(digests) == 3
    assert comment.exists()
