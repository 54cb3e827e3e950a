"""What people decide: it counts, it is never lost, and it never counts for other work."""

from __future__ import annotations

import csv
import io
import sqlite3
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.documents import drawn_pdf
from support.reviews import ANNA, BERT, CARL, DORA, RUBRIC, grade_works, write_works

from grader.core.errors import AssignmentError, UsageError
from grader.core.nouns import Result, Status
from grader.core.review import Level
from grader.course.decisions import State
from grader.course.output import STORE_NAME, read_results
from grader.course.release import release
from grader.course.rescore import remember, rescore
from grader.course.review import ClassReview, Judgement, as_kept, reviewing
from grader.course.review_progress import progress_of
from grader.course.review_table import Imported, export_table, import_table
from grader.evidence.review import Conflict, Place, Review
from grader.evidence.store import open_store

Table = list[dict[str, str]]
NAMES = ("student", "criterion", "item", "level")
DEPTH = (ANNA, "essay", "depth")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_works(tmp_path / "class")


@pytest.fixture
def out(folder: Path, tmp_path: Path) -> Path:
    grade_works(folder, tmp_path / "out")
    return tmp_path / "out"


def exported(out: Path) -> Table:
    with reviewing(out) as review:
        text = export_table(review).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def saved(table: Sequence[Mapping[str, str]], path: Path, **form: str) -> Path:
    """The table as a spreadsheet may save it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]), **form)
        writer.writeheader()
        writer.writerows(table)
    return path


def imported(out: Path, table: Path, grader: str = "ta") -> Imported:
    with reviewing(out) as review:
        return import_table(review, table, grader, named=True)


def filled(table: Table, level: str = "full", **where: str) -> Table:
    """The rows where these columns say so, with this level; others as they are."""
    return [
        {**row, "level": level} if all(row[c] == value for c, value in where.items()) else row
        for row in table
    ]


def row_of(table: Table, place: tuple[str, str, str]) -> dict[str, str]:
    (row,) = (r for r in table if (r["student"], r["criterion"], r["item"]) == place)
    return row


def decide(review: ClassReview, place: tuple[str, str, str], level: Level | None, **more) -> object:
    (row,) = (row for row in review.rows() if row.place == place)
    position = 0 if row.review is None else row.review.position
    given = {"comment": "", "grader": "ta", "seen": position} | more
    return review.decide([Judgement(row, level, **given)])[0]


def finished(out: Path, tmp_path: Path) -> dict[str, Result]:
    imported(out, saved(filled(exported(out)), tmp_path / "all.csv"))
    return {result.student: result for result in rescore(out).after}


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


def test_two_people_fill_in_parts_of_one_table(out: Path, tmp_path: Path) -> None:
    table = exported(out)
    first = saved(filled(table, criterion="essay"), tmp_path / "first.csv")
    second = saved(filled(table, "half", criterion="code"), tmp_path / "second.csv")
    assert imported(out, first, "first").taken == 7
    done = imported(out, second, "second")
    assert (done.taken, done.unchanged, done.refused) == (4, len(table) - 4, ())
    with reviewing(out) as review:
        assert progress_of(review)["by_grader"] == {"first": 7, "second": 4}


def test_a_decision_made_meanwhile_is_not_overwritten(out: Path, tmp_path: Path) -> None:
    table = exported(out)
    with reviewing(out) as review:
        decide(review, DEPTH, Level.HALF, grader="other")
    done = imported(out, saved(filled(table, item="depth"), tmp_path / "t.csv"))
    assert done.taken == 2
    (refused,) = done.refused
    line = 2 + table.index(row_of(table, DEPTH))
    assert (refused.line, refused.row) == (line, " / ".join(DEPTH))
    assert "other decided half" in refused.reason
    again = saved(filled(exported(out), item="depth"), tmp_path / "t.csv")
    assert imported(out, again).taken == 1


def test_work_that_changed_since_the_export_is_not_judged_unseen(
    folder: Path, out: Path, tmp_path: Path
) -> None:
    table = saved(filled(exported(out)), tmp_path / "t.csv")
    (folder / ANNA / "reflection.md").write_text("Something else.\n")
    grade_works(folder, out)
    (refused,) = imported(out, table).refused
    assert refused.row == f"{ANNA} / thoughts / honest"
    assert "changed since" in refused.reason


def test_each_row_that_cannot_be_placed_is_named_and_the_rest_is_taken(
    out: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "Level;item;criterion;student;remark\r\n"
        "full;depth;essay;anna;by hand\r\n"
        "full;depth;essay;nobody;\r\n"
        "full;depth;essays;anna;\r\n"
        "full;length;essay;anna;\r\n"
        "half;clarity;essay;anna;\r\n"
        "2;depth;essay;bert;\r\n"
        "none;depth;essay;anna;\r\n"
        "full;honest;thoughts;dora;\r\n"
        " HALF ;readable;code;anna;\r\n",
        encoding="utf-8-sig",
    )
    done = imported(out, path)
    assert done.taken == 2
    reasons = {row.line: row.reason for row in done.refused}
    assert {line: word for line, word in (
        (3, "no student 'nobody'"), (4, "no criterion 'essays'"), (5, "it has depth, clarity"),
        (6, "'half' is none of full, none"), (7, "'2' is none of full, half, none"),
        (8, "is on line 2"), (9, "checks did"),
    ) if word not in reasons.get(line, "")} == {}  # fmt: skip
    assert len(reasons) == 7


def test_a_number_as_name_is_known_without_its_zeros(folder: Path, tmp_path: Path) -> None:
    (folder / ANNA).rename(folder / "0012")
    out = tmp_path / "out"
    grade_works(folder, out)
    table = [
        {**row, "student": row["student"].lstrip("0")}
        for row in filled(exported(out), item="heard")
    ]
    assert imported(out, saved(table, tmp_path / "t.csv")).taken == 4


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


def test_a_table_by_hand_does_not_replace_what_another_decided(out: Path, tmp_path: Path) -> None:
    mine = [dict(zip(NAMES, (*DEPTH, "half"), strict=True))]
    path = saved(mine, tmp_path / "mine.csv")
    assert imported(out, path, "first").taken == 1
    assert imported(out, path, "second").unchanged == 1
    path = saved([{**mine[0], "level": "full"}], path)
    (refused,) = imported(out, path, "second").refused
    assert "first decided half" in refused.reason
    assert imported(out, path, "first").taken == 1
    path = saved([{**mine[0], "level": ""}], path)
    assert imported(out, path, "first").unchanged == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"student,level\nanna,full\n", "must name the columns"),
        (b"", "must name the columns"),
        ("student,criterion,item,level\nänne,a,b,full\n".encode("cp1252"), "CSV UTF-8"),
        (b'student,criterion,item,level\nanna,"essay,depth,full\n', "line 2: this is no CSV"),
        (b"student,criterion,item,level,level\n", "'level' twice"),
    ],
)
def test_what_is_no_review_table_is_refused_whole(
    out: Path, tmp_path: Path, data: bytes, words: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=words):
        imported(out, path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read_as_spreadsheets_save_it(
    out: Path, tmp_path: Path, encoding: str, delimiter: str
) -> None:
    table = [{**row, "max_points": "7,5"} for row in filled(exported(out), item="heard")]
    path = saved([dict(reversed(row.items())) for row in table], tmp_path / "t.csv",
                 delimiter=delimiter)  # fmt: skip
    path.write_bytes(path.read_text("utf-8").encode(encoding))
    assert imported(out, path).taken == 4


def test_students_stand_in_another_order_for_each_criterion(out: Path) -> None:
    table = exported(out)
    assert table == exported(out)
    orders = {
        criterion: tuple(dict.fromkeys(r["student"] for r in table if r["criterion"] == criterion))
        for criterion in ("code", "talk", "thoughts")
    }
    assert {frozenset(orders["code"]), frozenset(orders["talk"])} == {
        frozenset((ANNA, BERT, CARL, DORA))
    }
    assert len({tuple(s for s in order if s != DORA) for order in orders.values()}) > 1


def test_the_table_says_where_the_text_lies_and_what_is_known(out: Path) -> None:
    table = exported(out)
    row = row_of(table, DEPTH)
    assert row["link"] == "staff/anna/analysis.txt"
    assert (out / row["link"]).read_text("utf-8-sig") == "# Analysis\n\nAs anna sees it.\n"
    assert row["facts"].startswith("DOC010 (holds)")
    code = row_of(table, (BERT, "code", "readable"))
    assert "The program of bert" in (out / code["link"]).read_text("utf-8-sig")


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40) | st.from_regex(
    r"\A[\s\"',;=+@'-]{1,12}x?\Z"
)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("lasting")
    grade_works(write_works(work / "class"), work / "out")
    return work / "out"


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), separator=st.sampled_from([",", ";", "\t"]))
def test_nothing_is_lost_on_the_way_out_and_back(
    lasting: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, separator: str
) -> None:
    """What was decided comes out, comes back in another class, and comes out the same."""
    with reviewing(lasting) as review:
        held = [
            (
                Judgement(
                    row,
                    data.draw(st.sampled_from([None, *row.item.levels])),
                    data.draw(TEXT),
                    "ta",
                    0 if row.review is None else row.review.position,
                )
            )
            for row in review.rows()
        ]
        assert not any(isinstance(done, Conflict) for done in review.decide(held))
    table = exported(lasting)
    for row in table:
        for cell in row.values():
            assert cell.strip(" \t\r\n\"'\ufeff")[:1] not in ("=", "+", "@") or "'" in cell
    path = saved(table, tmp_path_factory.mktemp("t") / "t.csv", delimiter=separator)
    done = imported(lasting, path, "second")
    assert (done.taken, done.unchanged, done.refused) == (0, len(table), ())
    blank = saved(
        [{k: v for k, v in row.items() if k not in ("log", "revision")} for row in table], path
    )
    with reviewing(lasting) as review:
        for one in held:
            again = {row.place: row for row in review.rows()}[one.row.place]
            review.decide([Judgement(again, None, "", "ta", 10**9)])
    imported(lasting, blank, "ta")
    with reviewing(lasting) as review:
        now = {row.place: row for row in review.rows()}
    for one in held:
        if one.level is not None:
            assert (now[one.row.place].level, now[one.row.place].comment) == (
                one.level,
                as_kept(one.comment),
            )


def test_an_entry_is_a_conflict_only_with_what_came_later(out: Path) -> None:
    with reviewing(out) as review:
        first = decide(review, DEPTH, Level.FULL)
        assert isinstance(first, Review)
        assert decide(review, DEPTH, Level.FULL, seen=0) is None
        assert isinstance(decide(review, DEPTH, Level.HALF, seen=0), Conflict)
        assert isinstance(decide(review, DEPTH, Level.HALF, seen=first.position), Review)
        assert isinstance(decide(review, DEPTH, None), Review)
    assert replace(first, at="") != first
