"""`finegrade review` as graders meet it: real processes, their output and exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.reviews import ANNA, BERT, RUBRIC, grade_works, write_works


def finegrade(*arguments: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "grader.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "160"},
        check=False,
    )
    assert done.returncode == expect, done.stderr + done.stdout
    return done


@pytest.fixture
def out(tmp_path: Path) -> Path:
    grade_works(write_works(tmp_path / "class"), tmp_path / "out")
    return tmp_path / "out"


def filled(out: Path, table: Path) -> Path:
    """The exported table with full in every row."""
    finegrade("review", out, "--export", table)
    rows = list(csv.DictReader(io.StringIO(table.read_text("utf-8-sig"), newline="")))
    with table.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "level": "full"} for row in rows)
    return table


@pytest.mark.live(sample=3, of="whole commands")
def test_a_class_goes_from_open_to_graded(out: Path, tmp_path: Path) -> None:
    said = finegrade("review", out).stdout
    assert "19 decisions open" in said
    assert "essay: The analysis is good" in said
    done = finegrade("review", out, "--import", filled(out, tmp_path / "t.csv"), "--grader", "Ta 1")
    assert "19 taken, 0 unchanged, 0 refused. 0 of 4 students are pending." in done.stdout
    assert "decided by a person" in done.stdout
    value = json.loads(finegrade("review", out, "--format", "json").stdout)
    assert (value["open"], value["by_grader"]) == (0, {"Ta 1": 19})
    book = csv.DictReader((out / "gradebook.csv").read_text().splitlines())
    assert {row["student"]: row["points"] for row in book}[ANNA] == "100"
    assert "no points changed" in finegrade("rescore", out).stdout
    assert "Ta 1" not in "".join(p.read_text() for p in (out / "students").rglob("*.html"))


def test_refused_rows_are_named_with_their_line_and_exit_one(out: Path, tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(f"student,criterion,item,level\n{ANNA},talk,heard,full\nnobody,a,b,full\n")
    done = finegrade("review", out, "--import", table, expect=1)
    assert "1 taken, 0 unchanged, 1 refused" in done.stdout
    assert (
        "line 3: nobody / a / b was not taken: there is no student 'nobody', by name or by"
        in done.stderr
    )
    value = json.loads(
        finegrade("review", out, "--import", table, "--format", "json", expect=1).stdout
    )
    assert (value["taken"], value["unchanged"], value["changes"]) == (0, 1, [])
    assert value["refused"][0]["line"] == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--export", "a.csv", "--import", "b.csv"), "give one"),
        (("--grader", "me"), "goes with --import"),
        (("--import", "a.csv", "--names"), "goes with --export"),
        (("--import", "nowhere.csv"), "is not there"),
        (("--export", "."), "is a folder"),
        (("--export", "/proc/none/t.csv"), "cannot be written"),
    ],
)
def test_wrong_usage_is_one_clear_line(out: Path, options: tuple[str, ...], words: str) -> None:
    done = finegrade("review", out, *options, expect=2)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_stale_decision_is_shown_with_what_changed(out: Path, tmp_path: Path) -> None:
    finegrade("review", out, "--import", filled(out, tmp_path / "t.csv"))
    (tmp_path / "class" / BERT / "reflection.md").write_text("Less than bert said before.\n")
    grade_works(tmp_path / "class", out)
    said = finegrade("review", out).stdout
    assert "Stale: bert / thoughts / honest, full by" in said
    assert "-What bert learned." in said
    assert "+Less than bert said before." in said


@pytest.mark.live(sample=3, of="whole commands")
def test_grading_again_by_id_keeps_the_rubric_that_was_given(out: Path, tmp_path: Path) -> None:
    changed = tmp_path / "mine.yaml"
    changed.write_text(RUBRIC.read_text().replace("title: The talk", "title: My talk"))
    finegrade("rescore", out, "--rubric", changed)
    changed.unlink()
    hidden = tmp_path / "hidden"
    finegrade("hidden", "make", "--seed", 4, "--questions", 12, "--out", hidden)
    (tmp_path / "class" / "carl" / "analysis.pdf").unlink()  # nothing needs a sandbox
    options = ("--hidden", hidden, "--out", out, "--assignment", "judged")
    done = finegrade("grade", tmp_path / "class", *options)
    assert "keeps the rubric that was given last, mine.yaml" in done.stderr
    result = json.loads((out / "staff" / ANNA / "result.json").read_text())
    assert "My talk" in {criterion["title"] for criterion in result["criteria"]}


@pytest.mark.live(sample=3, of="whole commands")
def test_a_replay_says_how_decisions_come_along(out: Path, tmp_path: Path) -> None:
    (tmp_path / "class" / "carl" / "analysis.pdf").unlink()  # nothing needs a sandbox
    grade_works(tmp_path / "class", out)
    table, again, hidden = tmp_path / "t.csv", tmp_path / "again", tmp_path / "hidden"
    finegrade("review", out, "--import", filled(out, table), "--grader", "Ta 1")
    finegrade("hidden", "make", "--seed", 4, "--questions", 12, "--out", hidden)
    options = ("--hidden", hidden, "--out", again, "--assignment", RUBRIC, "--replay", out)
    said = finegrade("grade", tmp_path / "class", *options).stderr
    assert "15 decisions of people in" in said
    export = said[said.index("review") : said.index(", then")].split()
    bring = said[said.index("then finegrade ") + 15 :].split()
    (tmp_path / "decided.csv").unlink(missing_ok=True)
    finegrade(*(tmp_path / a if a.endswith(".csv") else a for a in export))
    bring[-1] = str(tmp_path / bring[-1])
    done = finegrade(*bring)
    assert "15 taken, 0 unchanged, 0 refused. 0 of 4 students are pending." in done.stdout
    value = json.loads(finegrade("review", again, "--format", "json").stdout)
    assert value["by_grader"] == {"Ta 1": 15}
    assert "decisions of people" not in finegrade("grade", tmp_path / "class", *options).stderr


@pytest.mark.live(sample=3, of="whole commands")
def test_a_class_is_released_when_nothing_is_open(out: Path, tmp_path: Path) -> None:
    refused = finegrade("release", out, expect=2)
    assert "4 of 4 are pending" in refused.stderr
    finegrade("review", out, "--import", filled(out, tmp_path / "t.csv"))
    assert "4 released" in finegrade("release", out).stdout
    assert "0 released, 0 released again with other marks, 4 unchanged" in (
        finegrade("release", out).stdout
    )
    asked = tmp_path / "requests.csv"
    asked.write_text(f"student,criterion,text\n{ANNA},talk,Please listen again\n")
    assert "1 taken" in finegrade("review", out, "--requests", asked).stdout
    assert "Regrade request of anna / talk: Please listen" in finegrade("review", out).stdout
    words = "give one of them"
    assert words in finegrade("release", out, "--ready", "--student", ANNA, expect=2).stderr
