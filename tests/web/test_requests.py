"""Regrade requests on the page: entered by staff, answered once, and never gone."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from support.review_pages import Site, site, small_class
from support.reviews import ANNA, BERT, CARL, DORA, finished, grade_works

from grader.course.regrade_requests import import_requests
from grader.course.release import release
from grader.course.review import reviewing
from grader.evidence.marks import RequestState
from grader.web.access import Role, Viewer

ASKED = {"student": ANNA, "criterion": "essay", "text": "I gave two reasons."}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return small_class(tmp_path)


@pytest.fixture
def here(out: Path) -> Iterator[Site]:
    with site(out) as opened:
        yield opened


def test_staff_enter_a_request_and_its_answer_stays_beside_it(here: Site, out: Path) -> None:
    boss = here.visitor()
    assert "There are none." in boss.get("/requests").text
    assert boss.post("/requests", ASKED).status_code == 204
    page = boss.get("/requests").text
    assert "<strong>1</strong> of 1 request is open" in page
    assert "I gave two reasons." in page
    assert "The mark is pending of 40." in page
    assert here.alias(ANNA) in page
    assert "Requests (1 open)" in boss.get("/").text
    work = boss.get(f"/criterion/essay/{here.alias(ANNA)}").text
    assert "A regrade request is open: <q>I gave two reasons.</q>" in work
    assert "A regrade request" not in boss.get(f"/criterion/code/{here.alias(ANNA)}").text
    answer = {"number": 0, "seen": "open", "state": "declined", "reason": "Both are one."}
    assert boss.post("/requests/answer", answer).status_code == 204
    page = boss.get("/requests").text
    assert "None is open: 1 answered." in page
    assert "Both are one." in page
    assert '<option value="declined" selected>' in page
    assert here.desk.decided == 2  # the class page is written again when the server ends
    said = [what for _, who, what in here.access.audit() if who == "boss"]
    assert said[-2:] == [
        "entered a regrade request on essay",
        "set regrade request 1 to declined",
    ]
    with reviewing(out) as review:
        (request,) = review.store.marks.requests()
    assert (request.state, request.reason) == (RequestState.DECLINED, "Both are one.")


def test_a_request_is_about_a_mark_that_was_given(here: Site, out: Path, tmp_path: Path) -> None:
    finished(out, tmp_path)
    release(out, [], ready=False)
    boss = here.visitor()
    boss.post("/requests", {**ASKED, "student": here.alias(ANNA)})
    boss.post("/requests", {**ASKED, "criterion": "readable_analysis"})
    assert "The mark is 40 of 40; released was 40." in boss.get("/requests").text
    boss.decide((ANNA, "essay", "depth"), "half")
    page = boss.get("/requests").text
    assert "The mark is 25 of 40; released was 40." in page
    assert "Checks decided it, not a person." in page


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"student": "zoe"}, "no student 'zoe'"),
        ({"criterion": "essays"}, "no criterion 'essays'"),
        ({"text": " \n"}, "its text is blank"),
        ({"text": "x" * 10_001}, "longer than 10,000"),
        ({}, "there already"),
    ],
)
def test_what_is_no_request_is_refused(here: Site, wrong: dict[str, str], words: str) -> None:
    boss = here.visitor()
    assert boss.post("/requests", ASKED).status_code == 204
    answer = boss.post("/requests", ASKED | wrong)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert len(here.store.marks.requests()) == 1


def test_a_request_is_declined_with_a_reason_and_answered_by_one_person(here: Site) -> None:
    boss, other = here.visitor(), here.visitor(Viewer("other", Role.TA))
    boss.post("/requests", ASKED)
    answer = {"number": 0, "seen": "open", "state": "declined", "reason": ""}
    refused = boss.post("/requests/answer", answer)
    assert "declined without a reason" in refused.json()["detail"]
    assert other.post("/requests/answer", answer | {"state": "withdrawn"}).status_code == 204
    late = boss.post("/requests/answer", answer | {"state": "changed"})
    assert (late.status_code, "somebody set it to withdrawn" in late.text) == (409, True)
    again = boss.post("/requests/answer", answer | {"seen": "withdrawn", "state": "open"})
    assert again.status_code == 204
    assert boss.post("/requests/answer", answer | {"number": 1}).status_code == 410
    assert boss.post("/requests/answer", answer | {"state": "lost"}).status_code == 422


def test_tables_and_the_page_hold_the_same_requests(here: Site, out: Path, tmp_path: Path) -> None:
    boss = here.visitor()
    boss.post("/requests", ASKED)
    table = tmp_path / "r.csv"
    alias = here.alias(BERT)
    table.write_text(f"student,criterion,text\n{alias},talk,Please listen again\n")
    with reviewing(out) as review:
        assert import_requests(review, table).taken == 1
    page = boss.get("/requests").text
    assert page.index("I gave two reasons.") < page.index("Please listen again")
    answer = {"number": 1, "seen": "open", "state": "changed", "reason": ""}
    boss.post("/requests/answer", answer)
    with reviewing(out) as review:
        assert import_requests(review, table).unchanged == 1
        assert [r.state for r in review.store.marks.requests()] == ["open", "changed"]


def test_requests_of_other_sections_are_not_seen_and_texts_stay_text(tmp_path: Path) -> None:
    out = small_class(tmp_path)
    rows = [(ANNA, "A"), (BERT, "B"), (CARL, "A"), (DORA, "A")]
    (tmp_path / "class" / "submissions.csv").write_text(
        "student,submitted_at,section\n"
        + "".join(f"{name},2026-03-01T12:00:00+00:00,{section}\n" for name, section in rows)
    )
    grade_works(tmp_path / "class", out)
    evil = "<script>alert(1)</script>\u202e"
    with site(out) as here:
        boss, tina = here.visitor(), here.visitor(Viewer("tina", Role.TA, ("A",)))
        boss.post("/requests", ASKED | {"student": BERT, "text": "Of section B"})
        boss.post("/requests", ASKED | {"text": evil})
        page = tina.get("/requests").text
        assert "Of section B" not in page
        assert here.alias(BERT) not in page
        assert "<strong>1</strong> of 1 request is open" in page
        assert page.count("<script") == 1
        assert "&lt;script&gt;alert(1)" in page
        assert "\u202e" not in unescape(page)
        answer = {"number": 0, "seen": "open", "state": "withdrawn", "reason": ""}
        assert tina.post("/requests/answer", answer).status_code == 410
        assert tina.post("/requests/answer", answer | {"number": 1}).status_code == 204
        refused = tina.post("/requests", ASKED | {"student": BERT, "text": "x"})
        assert "another section" in refused.json()["detail"]
        assert here.visitor(None).get("/requests").status_code == 303
