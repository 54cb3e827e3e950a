"""The review table: filled in by anybody in any spreadsheet, and nothing is lost or overwritten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.review_pages import site
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
    grade_works,
    imported,
    row_of,
    saved,
    write_works,
)

from grader.core.errors import UsageError
from grader.core.review import Level
from grader.course import grade
from grader.course.output import read_results, write_student
from grader.course.review import Judgement, as_kept, reviewing
from grader.course.review_progress import progress_of
from grader.evidence.review import Conflict


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


def test_the_table_is_anonymous_with_the_ids_of_the_page_and_comes_back(
    folder: Path, out: Path, tmp_path: Path
) -> None:
    result = read_results(out, "judged")[0]
    findings = tuple(replace(f, note="As in the work of zoe") for f in result.findings)
    write_student(out, grade.load(RUBRIC), replace(result, findings=findings))
    table = exported(out, names=False)
    with site(out) as here:
        ids = {here.alias(student): student for student in (ANNA, BERT, CARL, DORA)}
    assert {row["student"] for row in table} == set(ids)
    own = ("student", "link", "facts", "grader", "revision", "log")
    for name in (*ids.values(), "zoe"):
        assert not any(name in row[column] for row in table for column in own)
    named = exported(out)
    assert [{**row, "student": ids[row["student"]]}["student"] for row in table] == [
        row["student"] for row in named
    ]
    assert "work of zoe" in row_of(named, DEPTH)["facts"]
    (alias,) = (alias for alias, student in ids.items() if student == ANNA)
    link = row_of(table, (alias, *DEPTH[1:]))["link"]
    assert link == f"anonymous/{alias}/analysis.txt"
    assert (out / link).read_bytes() == (out / "staff" / ANNA / "analysis.txt").read_bytes()
    done = imported(out, saved(filled(table), tmp_path / "t.csv"))
    assert (done.taken, done.refused) == (19, ())
    assert imported(out, saved(filled(named), tmp_path / "t.csv")).unchanged == 19


def test_ids_of_another_class_place_nothing(out: Path, tmp_path: Path) -> None:
    with site(out) as here:
        alias = here.alias(ANNA)
    grade_works(write_works(tmp_path / "other"), tmp_path / "other-out")
    table = saved(filled(exported(out, names=False)), tmp_path / "t.csv")
    done = imported(tmp_path / "other-out", table)
    assert (done.taken, len(done.refused)) == (0, 19)
    assert "by name or by the anonymous ids of this OUT" in done.refused[0].reason
    with reviewing(tmp_path / "other-out") as review:
        assert (review.student(ANNA), review.student(alias)) == (ANNA, None)


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


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
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
