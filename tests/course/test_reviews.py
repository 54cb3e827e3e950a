"""What people decide: it counts, it is never lost, and it never counts for other work."""

from __future__ import annotations

import csv
import sqlite3
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from support.documents import drawn_pdf
from support.reviews import (
    ANNA,
    BERT,
    CARL,
    DEPTH,
    DORA,
    NAMES,
    RUBRIC,
    decide,
    exported,
    filled,
    finished,
    grade_works,
    imported,
    row_of,
    saved,
)

from grader.core.errors import AssignmentError, UsageError
from grader.core.nouns import Status
from grader.core.review import Level
from grader.course.decisions import State
from grader.course.output import STORE_NAME, read_results
from grader.course.release import release
from grader.course.rescore import remember, rescore
from grader.course.review import reviewing
from grader.course.review_progress import progress_of
from grader.evidence.review import Conflict, Place, Review
from grader.evidence.store import open_store


def test_a_class_is_finished_by_its_table(out: Path, tmp_path: Path) -> None:
    results = finished(out, tmp_path)
    points = {student: result.total.points for student, result in results.items()}
    assert points == {ANNA: 100, BERT: 100, CARL: 100, DORA: 30}
    assert {result.status for result in results.values()} == {Status.FULLY_GRADED}
    assert read_results(out, "judged") == tuple(results.values())
    with reviewing(out) as review:
        assert progress_of(review)["open"] == 0
    rows = list(csv.DictReader((out / "gradebook.csv").read_text().splitlines()))
    assert [row["points"] for row in rows] == ["100", "100", "100", "30"]


def test_points_follow_from_levels_alone(out: Path, tmp_path: Path) -> None:
    table = filled(filled(exported(out)), "half", item="depth", student=ANNA)
    table = [{**row, "points": "1000"} for row in table]
    imported(out, saved(table, tmp_path / "t.csv"))
    anna = rescore(out).after[0]
    assert anna.total.points == 85
    essay = next(score for score in anna.scores if score.id == "essay")
    assert [(item.id, item.level, item.points) for item in essay.items] == [
        ("depth", Level.HALF, 15.0),
        ("clarity", Level.FULL, 10.0),
    ]


def test_what_a_check_left_open_is_a_row_and_missing_work_is_none(out: Path) -> None:
    """Carl's PDF was not read: whether it can be is asked wherever points hang on it."""
    table = exported(out)
    of = {student: [r for r in table if r["student"] == student] for student in (CARL, DORA)}
    codes = {(r["criterion"], r["item"], r["max_points"]) for r in of[CARL] if r["item"].isupper()}
    assert codes == {("essay", "DOC001", "0"), ("readable_analysis", "DOC001", "10")}
    assert {r["criterion"] for r in of[DORA]} == {"code", "talk"}


def test_a_requirement_that_a_person_refuses_costs_its_criterion(out: Path) -> None:
    with reviewing(out) as review:
        decide(review, (CARL, "essay", "DOC001"), Level.NONE)
        decide(review, (CARL, "readable_analysis", "DOC001"), Level.HALF)
    carl = {score.id: score for score in rescore(out).after[2].scores}
    assert (carl["essay"].points, carl["essay"].because) == (0, ("DOC001",))
    assert carl["readable_analysis"].points == 5
    with reviewing(out) as review, pytest.raises(UsageError, match="full, none"):
        decide(review, (CARL, "essay", "DOC001"), Level.HALF)


def test_grading_again_changes_no_decision(folder: Path, out: Path, tmp_path: Path) -> None:
    before = finished(out, tmp_path)
    assert grade_works(folder, out) == before
    assert rescore(out).after == tuple(before.values())


def test_after_a_resubmission_exactly_its_decisions_are_stale(
    folder: Path, out: Path, tmp_path: Path
) -> None:
    finished(out, tmp_path)
    (folder / ANNA / "analysis.md").write_text("# Analysis\n\nAs Anna sees it now.\n")
    results = grade_works(folder, out)
    with reviewing(out) as review:
        stale = {row.place for row in review.rows() if row.state is State.STALE}
        assert stale == {DEPTH, (ANNA, "essay", "clarity")}
        shown = progress_of(review)["stale"][0]
        assert shown["was"] == "full"
        assert "-As anna sees it." in shown["difference"]
        assert "+As Anna sees it now." in shown["difference"]
    assert results[ANNA].status is Status.PENDING_MANUAL
    assert (results[ANNA].total.lower, results[ANNA].total.upper) == (60, 100)
    assert results[BERT].total.points == 100
    row = row_of(exported(out), DEPTH)
    assert (row["level"], row["was"], row["state"]) == ("", "full", "stale")
    with reviewing(out) as review:
        decide(review, DEPTH, Level.HALF)
        history = review.store.reviews.history(Place(*DEPTH))
    assert [entry.level for entry in history] == [Level.FULL, Level.HALF]


def test_what_cannot_be_compared_is_said(folder: Path, out: Path, tmp_path: Path) -> None:
    finished(out, tmp_path)
    (folder / ANNA / "analysis.md").write_text("a\n" * 3_000)
    (folder / BERT / "reflection.md").unlink()
    (folder / BERT / "reflection.md").write_bytes(b"\xff\xfe\xff")
    (folder / CARL / "analysis.pdf").write_bytes(drawn_pdf("Another sentence."))
    grade_works(folder, out)
    with reviewing(out) as review:
        shown = {row["student"]: row["difference"] for row in progress_of(review)["stale"]}
    assert shown == {
        ANNA: "judged/analysis.md and now/analysis.md differ, and are too long to compare",
        CARL: "judged/analysis.pdf and now/analysis.pdf differ, and have no text to compare",
    }  # of Bert's reflection nothing can be read, so nothing is to be decided


def test_a_decision_that_no_page_shows_yet_is_released(out: Path, tmp_path: Path) -> None:
    imported(out, saved(filled(exported(out)), tmp_path / "all.csv"))
    with reviewing(out) as review:
        assert progress_of(review)["open"] == 0
    assert len(release(out, [], ready=False).new) == 4


def test_the_work_as_it_was_makes_its_decisions_count_again(
    folder: Path, out: Path, tmp_path: Path
) -> None:
    finished(out, tmp_path)
    program = folder / BERT / "program.py"
    first = program.read_text()
    program.write_text("print('new')\n")
    assert grade_works(folder, out)[BERT].total.points is None
    program.write_text(first)
    assert grade_works(folder, out)[BERT].total.points == 100


def test_live_work_is_judged_and_never_stale(folder: Path, out: Path) -> None:
    with reviewing(out) as review:
        decide(review, (DORA, "talk", "heard"), Level.HALF, comment="Too fast.")
    (folder / DORA / "program.py").write_text("print('new')\n")
    dora = {score.id: score for score in grade_works(folder, out)[DORA].scores}
    assert (dora["talk"].points, dora["talk"].items[0].comment) == (5, "Too fast.")


def test_the_log_refuses_to_be_changed(out: Path, tmp_path: Path) -> None:
    finished(out, tmp_path)
    with sqlite3.connect(out / STORE_NAME) as store:
        for statement in ("UPDATE review SET level = 'none'", "DELETE FROM review"):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                store.execute(statement)
        held = store.execute("SELECT count(*) FROM review").fetchone()
    store.close()
    assert held[0] > 10


def test_a_rubric_stays_until_another_is_given(folder: Path, out: Path, tmp_path: Path) -> None:
    before = finished(out, tmp_path)
    changed = tmp_path / "changed.yaml"
    text = RUBRIC.read_text()
    for old, new in (
        ("points: 40", "points: 30"),
        ("It goes deep, points: 30", "It goes really deep, points: 20"),
        ("The talk\n    points: 10", "The talk\n    points: 20"),
        ("was understood, points: 10", "was understood, points: 20"),
    ):
        assert old in text
        text = text.replace(old, new)
    changed.write_text(text)
    with reviewing(out) as review:
        decide(review, DEPTH, Level.NONE)
    assert rescore(out).after[0].total.points == 70
    done = rescore(out, changed)
    assert done.after[0].total.points == 80
    changed.unlink()
    assert rescore(out).after == done.after
    with reviewing(out) as review:
        reworded = progress_of(review)["reworded"]
    assert {(row["student"], row["item"]) for row in reworded} == {
        (student, "depth") for student in (ANNA, BERT, CARL)
    }
    assert rescore(out, RUBRIC).after[1:] == tuple(before.values())[1:]


def test_a_submission_that_waits_for_the_instructor_has_no_rows_and_says_what_to_do(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with zipfile.ZipFile(folder / f"{ANNA}.zip", "w") as archive:
        archive.writestr("program.py", "print()\n")
    assert grade_works(folder, out)[ANNA].status is Status.PENDING_MANUAL
    with reviewing(out) as review:
        assert not [row for row in review.rows() if row.student == ANNA]
        (waiting,) = progress_of(review)["not_taken_in"]
    assert waiting["student"] == ANNA
    assert waiting["hint"]
    path = saved([dict(zip(NAMES, (*DEPTH, "full"), strict=True))], tmp_path / "mine.csv")
    assert "was not taken in" in imported(out, path).refused[0].reason


def test_results_of_another_set_of_checks_are_refused_in_one_line(
    out: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more.yaml"
    more.write_text(RUBRIC.read_text().replace("  - LAY001\n", "  - LAY001\n  - LAY003\n"))
    with open_store(out / STORE_NAME) as store:
        remember(store, str(more))
    with reviewing(out) as review, pytest.raises(AssignmentError, match="have no LAY003"):
        review.rows()


def test_an_entry_is_a_conflict_only_with_what_came_later(out: Path) -> None:
    with reviewing(out) as review:
        first = decide(review, DEPTH, Level.FULL)
        assert isinstance(first, Review)
        assert decide(review, DEPTH, Level.FULL, seen=0) is None
        assert isinstance(decide(review, DEPTH, Level.HALF, seen=0), Conflict)
        assert isinstance(decide(review, DEPTH, Level.HALF, seen=first.position), Review)
        assert isinstance(decide(review, DEPTH, None), Review)
    assert replace(first, at="") != first
