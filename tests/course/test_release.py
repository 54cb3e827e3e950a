"""Released marks stay as students saw them, and regrade requests never vanish."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from support.reviews import ANNA, BERT, CARL, DORA, RUBRIC, grade_works

from grader.core.errors import UsageError
from grader.core.review import Level
from grader.course.output import STUDENTS
from grader.course.regrade_requests import import_requests
from grader.course.release import release
from grader.course.rescore import rescore
from grader.course.review import Judgement, reviewing
from grader.course.review_progress import progress_of
from grader.course.review_table import Imported


def judge(out: Path, level: Level = Level.FULL, comment: str = "", **where: str) -> None:
    """Give this level to every row of that student, criterion or item."""
    with reviewing(out) as review:
        rows = [
            r for r in review.rows() if all(r.place._asdict()[k] == v for k, v in where.items())
        ]
        review.decide(
            [
                Judgement(r, level, comment, "ta", 0 if r.review is None else r.review.position)
                for r in rows
            ]
        )
    rescore(out)


def page(out: Path, student: str) -> str:
    return " ".join((out / STUDENTS / student / "feedback.html").read_text().split())


def test_feedback_is_provisional_until_it_is_released(out: Path) -> None:
    judge(out, Level.HALF, "Say <b>why</b>,\nand where.", student=ANNA, item="depth")
    assert "Provisional" in page(out, ANNA)
    judge(out, item="heard")
    judge(out, item="clarity")
    judge(out, item="honest")
    judge(out, item="readable")
    done = release(out, [ANNA], ready=False)
    assert (done.new, done.unchanged, done.pending) == ((ANNA,), 0, ())
    said = page(out, ANNA)
    assert "Final" in said
    assert "Provisional" not in said
    assert "Half:</span> It goes deep" in said
    assert "Say &lt;b&gt;why&lt;/b&gt;," in said
    assert "<b>Next:</b> It does." in said
    assert "Provisional" in page(out, BERT)


def test_nothing_is_released_while_something_is_pending(out: Path) -> None:
    judge(out, student=DORA)
    with pytest.raises(UsageError, match="3 of 4 are pending, anna, bert, carl"):
        release(out, [], ready=False)
    with pytest.raises(UsageError, match="1 of 1 are pending"):
        release(out, [CARL], ready=False)
    with pytest.raises(UsageError, match="no student 'nobody'"):
        release(out, ["nobody"], ready=False)
    done = release(out, [], ready=True)
    assert (done.new, done.pending) == ((DORA,), (ANNA, BERT, CARL))


def test_what_changes_later_is_shown_to_students_when_it_is_released_again(
    out: Path, tmp_path: Path
) -> None:
    judge(out)
    assert len(release(out, [], ready=False).new) == 4
    before = page(out, ANNA)
    assert "4</b> released" in (out / "class.html").read_text()
    judge(out, Level.NONE, student=ANNA, criterion="talk")
    assert page(out, ANNA) == before
    board = " ".join((out / "class.html").read_text().split())
    assert "Changed since the release" in board
    changed = board.split("Changed since the release")[1].split("</table>")[0]
    assert '>100</td><td class="num" data-label="Now">90</td>' in changed
    assert BERT not in changed
    done = release(out, [], ready=False)
    assert (done.new, done.changed, done.unchanged) == ((), (ANNA,), 3)
    assert "90 <small>of 100" in page(out, ANNA)
    assert "Changed since the release" not in (out / "class.html").read_text()


def test_grading_again_leaves_released_pages_as_they_are(out: Path, tmp_path: Path) -> None:
    judge(out)
    release(out, [], ready=False)
    before = page(out, BERT)
    grade_works(tmp_path / "class", out)
    assert page(out, BERT) == before
    (tmp_path / "class" / BERT / "reflection.md").write_text("Another one.\n")
    grade_works(tmp_path / "class", out)
    assert page(out, BERT) == before
    with pytest.raises(UsageError, match="bert"):
        release(out, [], ready=False)


def requested(out: Path, table: Path, *rows: Mapping[str, str]) -> Imported:
    columns = ("student", "criterion", "text", "state", "reason")
    lines = [",".join(columns), *(",".join(row.get(c, "") for c in columns) for row in rows)]
    table.write_text("\n".join(lines) + "\n")
    with reviewing(out) as review:
        return import_requests(review, table)


def states(out: Path) -> list[tuple[str, str, str]]:
    with reviewing(out) as review:
        return [(r["student"], r["state"], r["reason"]) for r in progress_of(review)["requests"]]


def test_a_request_is_answered_and_never_vanishes(out: Path, tmp_path: Path) -> None:
    table = tmp_path / "requests.csv"
    mine = {"student": ANNA, "criterion": "essay", "text": "The depth is there"}
    other = {"student": BERT, "criterion": "talk", "text": "All understood me"}
    assert requested(out, table, mine, other).taken == 2
    assert requested(out, table, mine).unchanged == 1
    rescore(out)
    assert "2</b> regrade requests open" in (out / "class.html").read_text()
    done = requested(
        out,
        table,
        mine | {"state": "Declined"},
        other | {"state": "changed", "reason": "Right"},
        mine | {"state": "lost"},
        {"student": "nobody", "criterion": "essay", "text": "x"},
        {"student": ANNA, "criterion": "nothing", "text": "x"},
        {"student": ANNA, "criterion": "essay"},
    )
    assert done.taken == 1
    assert [row.line for row in done.refused] == [2, 4, 5, 6, 7]
    assert "without a reason" in done.refused[0].reason
    requested(out, table, mine | {"state": "declined", "reason": "Read again"})
    requested(out, table, mine)  # the same list of requests once more
    assert states(out) == [(ANNA, "declined", "Read again"), (BERT, "changed", "Right")]
    rescore(out, RUBRIC)
    assert "regrade request" not in (out / "class.html").read_text()
