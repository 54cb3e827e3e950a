"""What the pages show, and what becomes of a decision."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from support.paths import ROOT
from support.review_pages import (
    BOSS,
    ESSAY,
    Site,
    comparing_rubric,
    decide_elsewhere,
    large_class,
    site,
    small_class,
)
from support.reviews import ANNA, BERT, CARL, DORA, exported, grade_works, row_of, write_works

from grader.core.constants import WEB_SHOWN_CHARACTERS
from grader.core.review import Level
from grader.course.output import write_class, write_student
from grader.course.rescore import rescore
from grader.course.review import reviewing
from grader.evidence.review import Place
from grader.web.access import Role, Viewer

SOLUTION = ROOT / "solutions" / "llm-methods"
OTHER = Viewer("other", Role.TA)
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return small_class(tmp_path)


@pytest.fixture
def here(out: Path) -> Iterator[Site]:
    with site(out) as opened:
        yield opened


def test_the_start_page_counts_what_is_open_done_and_stale(here: Site, tmp_path: Path) -> None:
    visitor = here.visitor()
    assert "<strong>19</strong> of 19 items are open for you" in visitor.get("/").text
    assert visitor.decide(ESSAY, "full").status_code == 200
    assert visitor.decide((BERT, "code", "readable"), "none").status_code == 200
    page = visitor.get("/").text
    assert "<strong>17</strong> of 19" in page
    assert "<strong>2</strong> items decided by <bdi>boss</bdi>" in page
    (tmp_path / "class" / ANNA / "analysis.md").write_text("Something else.\n")
    grade_works(tmp_path / "class", tmp_path / "out")
    page = visitor.get("/").text
    assert "<strong>18</strong> of 19" in page
    assert '<td class="num" data-label="Stale">1</td>' in page
    work = visitor.get(f"/criterion/essay/{here.alias(ANNA)}").text
    assert "Stale: <bdi>boss</bdi> decided full, and the work changed since." in work
    assert "-As anna sees it." in unescape(work)


def test_students_are_anonymous_until_names_are_shown(here: Site) -> None:
    visitor = here.visitor()
    alias = here.alias(ANNA)
    paths = ("/", "/criterion/essay", f"/criterion/essay/{alias}", f"/student/{alias}")
    named = (f">{ANNA}<", f"/{ANNA}", f'"{ANNA}"')
    for path in paths:
        page = visitor.get(path).text
        assert alias in page
        assert not any(text in page for text in named), path
    assert visitor.post("/names", {"show": True}).status_code == 204
    for path in paths:
        assert f'<bdi class="soft">{ANNA}</bdi>' in visitor.get(path).text
    assert f">{ANNA}<" not in here.visitor().get("/").text  # of this session alone
    visitor.post("/names", {"show": False})
    assert f">{ANNA}<" not in visitor.get("/").text


def test_anonymous_ids_stay_and_differ_by_class(out: Path, tmp_path: Path) -> None:
    with site(out) as here:
        first = {student: here.alias(student) for student in (ANNA, BERT, CARL, DORA)}
    with site(out) as here:
        assert {student: here.alias(student) for student in first} == first
    with site(small_class(tmp_path / "again")) as here:
        assert not {here.alias(student) for student in first} & set(first.values())
    assert len(set(first.values())) == 4


def test_a_criterion_has_an_order_of_its_own(here: Site) -> None:
    visitor = here.visitor()
    aliases = {s: here.alias(s) for s in (ANNA, BERT, CARL, DORA)}
    orders = set()
    for criterion in ("code", "talk"):
        page = visitor.get(f"/criterion/{criterion}").text
        order = sorted(aliases, key=lambda s: page.index(f'/{criterion}/{aliases[s]}">'))
        with reviewing(here.desk.out) as review:
            rows = [row.student for row in review.rows() if row.criterion.id == criterion]
        assert order == list(dict.fromkeys(rows))
        orders.add(tuple(order))
    assert len(orders) == 2


def test_a_decision_is_in_the_log_when_it_is_answered(here: Site, out: Path) -> None:
    visitor = here.visitor()
    answer = visitor.decide(ESSAY, "half", comment="More.\r\nReasons.")
    entry = answer.json()["entry"]
    assert (entry["level"], entry["grader"], entry["comment"]) == (
        "half",
        "boss",
        "More.\nReasons.",
    )
    with reviewing(out) as review:
        held = review.log[Place(*ESSAY)]
    assert (held.level, held.grader, held.position) == (Level.HALF, "boss", entry["seen"])
    again = visitor.decide(ESSAY, "half", comment="More.\nReasons.").json()["entry"]
    assert again["seen"] == entry["seen"]
    assert here.desk.decided == 1
    essay = next(s for s in rescore(out).after[0].scores if s.id == "essay")
    assert (essay.items[0].points, essay.items[0].comment) == (15, "More.\nReasons.")


def test_what_somebody_else_decided_is_not_overwritten_unknowingly(here: Site) -> None:
    boss, other = here.visitor(), here.visitor(OTHER)
    first = other.decide(ESSAY, "half", comment="Theirs").json()["entry"]
    answer = boss.decide(ESSAY, "full", seen=0)
    assert answer.status_code == 409
    assert answer.json()["entry"] == first
    assert here.desk.held[Place(*ESSAY)].level is Level.HALF
    assert boss.decide(ESSAY, "full", seen=first["seen"]).status_code == 200
    assert here.desk.held[Place(*ESSAY)].level is Level.FULL


def test_work_that_changed_since_is_not_judged_unseen(here: Site, tmp_path: Path) -> None:
    visitor = here.visitor()
    revision = here.desk.rows(ANNA)[0].revision
    (tmp_path / "class" / ANNA / "analysis.md").write_text("Something else.\n")
    grade_works(tmp_path / "class", tmp_path / "out")
    answer = visitor.decide(ESSAY, "full", revision=revision)
    assert (answer.status_code, "changed" in answer.text) == (410, True)
    assert visitor.decide(ESSAY, "full").status_code == 200


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"level": "half", "item": "clarity"}, "its levels are full, none"),
        ({"comment": "x" * 10_001}, "at most 10,000"),
        ({"level": "much"}, "not one that the page sends"),
        ({"more": 1}, "not one that the page sends"),
        ({"item": "depths"}, "no such item"),
        ({"student": ANNA}, "no such item"),
    ],
)
def test_what_cannot_be_decided_is_refused(here: Site, wrong: dict[str, str], words: str) -> None:
    answer = here.visitor().decide(ESSAY, "full", **wrong)
    assert answer.status_code in (410, 422)
    assert words in answer.json()["detail"]
    assert here.desk.decided == 0


def test_others_work_is_seen_by_the_position_of_the_log(here: Site, out: Path) -> None:
    boss, other = here.visitor(), here.visitor(OTHER)
    assert boss.get("/changes?after=0").json() == {"position": 0, "entries": []}
    other.decide(ESSAY, "half")
    decide_elsewhere(out, (BERT, "essay", "depth"), "full", "By table")
    seen = boss.get("/changes?after=0").json()
    assert [(e["student"], e["level"], e["grader"]) for e in seen["entries"]] == [
        (here.alias(ANNA), "half", "other"),
        (here.alias(BERT), "full", "table"),
    ]
    assert boss.get(f"/changes?after={seen['position']}").json()["entries"] == []


def test_comments_that_others_got_are_offered_with_their_number(here: Site) -> None:
    visitor = here.visitor()
    for student in (BERT, CARL):
        visitor.decide((student, "essay", "depth"), "half", comment="Say why.")
    page = visitor.get(f"/criterion/essay/{here.alias(ANNA)}").text
    assert 'data-comment="Say why."' in page
    assert "2 others" in page
    assert "Others: full 0, half 2, none 0" in page
    assert "1 other<" in visitor.get(f"/criterion/essay/{here.alias(BERT)}").text


def test_the_next_student_is_one_with_something_open(here: Site) -> None:
    visitor = here.visitor()
    order = here.desk.order(here.desk.criterion("thoughts"), BOSS)
    visitor.decide((order[1], "thoughts", "honest"), "full")
    page = visitor.get(f"/criterion/thoughts/{here.alias(order[0])}").text
    assert f'id="go" href="/criterion/thoughts/{here.alias(order[2])}"' in page
    for student in (order[0], order[2]):
        visitor.decide((student, "thoughts", "honest"), "full")
    page = visitor.get(f"/criterion/thoughts/{here.alias(order[0])}").text
    assert 'id="go" href="/"' in page


def test_live_work_has_no_file(here: Site) -> None:
    page = here.visitor().get(f"/criterion/talk/{here.alias(DORA)}").text
    assert "There is no file to read for this" in page


def test_hostile_work_is_only_text(tmp_path: Path) -> None:
    out = small_class(tmp_path)
    text = f"{EVIL}\u202eturned\u202c\x07\n" + "x" * 5_000 + "\n" + "line\n" * 20_000
    (tmp_path / "class" / ANNA / "analysis.md").write_text(text)
    (tmp_path / "class" / ANNA / "program.py").write_text(f"# {EVIL}\n")
    grade_works(tmp_path / "class", out)
    with site(out) as here:
        visitor = here.visitor()
        visitor.decide((BERT, "essay", "depth"), "half", comment=f'"{EVIL}')
        alias = here.alias(ANNA)
        paths = (f"/student/{alias}", f"/criterion/essay/{alias}", f"/facts/{alias}/0")
        for path in paths:
            page = visitor.get(path)
            assert page.headers["content-type"].startswith("text/html")
            assert "<img" not in page.text
            assert page.text.count("<script") == (0 if "facts" in path else 1)
            assert "\u202e" not in page.text
            assert "\x07" not in page.text
        assert unescape(visitor.get(paths[1]).text).count(EVIL) == 3  # text, comment, shortened
        whole = visitor.get(f"/text/{alias}/0")
        of = len(whole.text)
        note = f"Only the first {WEB_SHOWN_CHARACTERS:,} of {of:,} characters are shown"
        assert note in visitor.get(paths[1]).text
        assert whole.headers["content-type"].startswith("text/plain")
        assert whole.text.startswith(EVIL)
        assert whole.text.count("line\n") == 20_000


def test_facts_come_also_when_the_submission_is_gone_or_changed(here: Site, tmp_path: Path) -> None:
    visitor = here.visitor()
    path = f"/facts/{here.alias(ANNA)}/0"
    page = visitor.get(path).text
    assert "As anna sees it." in page
    assert "LIX" in page
    assert "none found" not in page  # it is judged as a text, and not by aspects
    (tmp_path / "class" / BERT / "analysis.md").write_text("Changed since.\n")
    assert "As bert sees it." in visitor.get(f"/facts/{here.alias(BERT)}/0").text
    shutil.rmtree(tmp_path / "class")
    with site(here.desk.out) as anew:
        assert "As anna sees it." in anew.visitor().get(path).text


def test_names_of_files_are_only_text(tmp_path: Path) -> None:
    out = small_class(tmp_path)
    name = "<img src=x onerror=alert(1)>.txt"
    (tmp_path / "class" / CARL / name).write_text("x")
    grade_works(tmp_path / "class", out)
    with site(out) as here:
        page = here.visitor().get(f"/criterion/readable_analysis/{here.alias(CARL)}").text
    assert "&lt;img src=x onerror=alert(1)&gt;.txt" in page
    assert "<img" not in page


def test_a_comparison_is_read_by_its_aspects(tmp_path: Path) -> None:
    with site(large_class(tmp_path, 1)) as here:
        page = here.visitor().get(f"/facts/{here.alias('student-0')}/0").text
        assert "Performance on identical test questions: none found" in page
        assert "agree with what was measured" in page


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_costs_are_held_against_the_students_own_numbers_however_they_came(
    tmp_path: Path, form: str
) -> None:
    work, rubric = write_works(tmp_path / "class"), comparing_rubric(tmp_path)
    shutil.copy(SOLUTION / "cost_analysis.json", work / ANNA)
    (work / ANNA / "analysis.md").write_text(
        "DSPy and OpenAI.\n\n# Costs\n\nThe job cost 0.143 USD."
    )
    if form == "zip":
        shutil.make_archive(str(work / ANNA), "zip", work / ANNA)
        shutil.rmtree(work / ANNA)
    grade_works(work, tmp_path / "out", rubric)
    shutil.rmtree(work)  # and where the class lies by then does not matter
    with site(tmp_path / "out") as here:
        page = here.visitor().get(f"/facts/{here.alias(ANNA)}/0").text
    assert "openai training cost in USD was measured as 0.01432" in page


COMMON = "Half of the wrong answers name the right country and the wrong currency."


def test_passages_of_classmates_stand_side_by_side_without_names(tmp_path: Path) -> None:
    work, out = write_works(tmp_path / "class"), tmp_path / "out"
    (work / ANNA / "analysis.md").write_text(f"# Analysis\n\nI looked. {COMMON}\n")
    (work / BERT / "reflection.md").write_text(f"{COMMON.upper()} So I stopped.\n")
    rows = [(ANNA, "A"), (BERT, "B"), (CARL, "A"), (DORA, "A")]
    (work / "submissions.csv").write_text(
        "student,submitted_at,section\n"
        + "".join(f"{name},2026-03-01T12:00:00+00:00,{section}\n" for name, section in rows)
    )
    grade_works(work, out)
    with site(out) as here:
        path = f"/facts/{here.alias(ANNA)}/0"
        boss = here.visitor()
        page = unescape(boss.get(path).text)
        assert "13 words</span> stand in classmates' texts, too" in page
        assert f"<q>{COMMON.rstrip('.')}</q>" in page
        assert f"<q>{COMMON.upper().rstrip('.')}</q>" in page
        assert f'<span class="who">{here.alias(BERT)}</span>: Reflection</span>' in page
        assert f'class="shared" title="13 words as in a classmate\'s text">{COMMON[:-1]}<' in page
        assert BERT not in page
        boss.post("/names", {"show": True})
        assert f'<bdi class="soft">{BERT}</bdi>' in boss.get(path).text
        tina = here.visitor(Viewer("tina", Role.TA, ("A",)))
        page = tina.get(path).text
        assert "A student of another section" in page
        assert here.alias(BERT) not in page
        alone = boss.get(f"/facts/{here.alias(CARL)}/1").text
        assert "classmates" not in alone
    facts = row_of(exported(out, names=False), (here.alias(ANNA), "essay", "depth"))["facts"]
    assert facts.startswith(f"13 words stand in work of {here.alias(BERT)}, too / DOC010")


def test_code_of_classmates_stands_side_by_side(tmp_path: Path) -> None:
    work, out = write_works(tmp_path / "class"), tmp_path / "out"
    code = "def halves(values):\n    return [value / 2 for value in values if value > 3]\n"
    for student, start in ((ANNA, ""), (BERT, "import os\n")):
        (work / student / "program.py").write_text(f"{start}{code}")
    grade_works(work, out)
    with site(out) as here:
        boss = here.visitor()
        page = boss.get(f"/criterion/code/{here.alias(ANNA)}").text
        (path,) = re.findall(r'data-facts="(/shared/[^"]+)"', page)
        page = unescape(boss.get(path).text)
        assert "13 words</span> stand in classmates' programs, too" in page
        assert f'<span class="who">{here.alias(BERT)}</span>: Program</span>' in page
        assert page.count("def halves(values):\n    return [value / 2") == 2
        of_carl = here.alias(CARL)
        assert boss.get(f"/shared/{of_carl}/2").text.strip() == ""
        assert boss.get(f"/shared/{of_carl}/1").status_code == 404  # no program


def test_findings_stand_beside_the_items_and_notes_only_with_names(here: Site, out: Path) -> None:
    visitor = here.visitor()
    page = visitor.get(f"/criterion/essay/{here.alias(CARL)}").text
    assert "DOC001" in page
    assert "a requirement" in page
    assert "This file has no text to show here" in page
    result = here.desk.results[ANNA]
    findings = tuple(replace(f, note="As in the work of zoe") for f in result.findings)
    write_student(out, here.desk.assignment, replace(result, findings=findings))
    write_class(out, here.desk.assignment)
    path = f"/criterion/essay/{here.alias(ANNA)}"
    assert "work of zoe" not in visitor.get(path).text
    visitor.post("/names", {"show": True})
    assert "work of zoe" in visitor.get(path).text


def test_a_page_that_is_not_there_says_so(here: Site) -> None:
    visitor = here.visitor()
    for path in ("/criterion/none", "/student/anna", f"/criterion/essay/{here.alias(DORA)}",
                 f"/facts/{here.alias(ANNA)}/9", "/nowhere"):  # fmt: skip
        answer = visitor.get(path)
        assert (answer.status_code, "nothing here for you" in answer.text) == (404, True), path
