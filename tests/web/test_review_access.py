"""Who comes in, who does not, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.review_pages import BOSS, ESSAY, Site, site, small_class
from support.reviews import ANNA, BERT, CARL, DORA

from grader.core.constants import WEB_LOGIN_FAILURES
from grader.core.errors import UsageError
from grader.web.access import ACCESS_NAME, Role, Viewer


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_class(tmp_path_factory.mktemp("class"))


@pytest.fixture
def here(out: Path) -> Iterator[Site]:
    with site(out) as opened:
        yield opened


def test_nobody_comes_in_without_a_link(here: Site) -> None:
    stranger = here.visitor(None)
    alias = here.alias(ANNA)
    pages = ("/", "/criterion/essay", f"/criterion/essay/{alias}", f"/student/{alias}")
    for path in (*pages, f"/facts/{alias}/0", f"/text/{alias}/0", "/changes?after=0"):
        answer = stranger.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/enter"), path
        assert stranger.get(path, accept="*/*").status_code == 401
    assert stranger.decide(ESSAY, "full").status_code == 401
    assert stranger.post("/names", {"show": True}).status_code == 401
    assert "Open the link" in stranger.get("/enter").text


def test_a_one_time_link_works_once(here: Site) -> None:
    token = here.access.once(BOSS)
    first, second = here.visitor(None), here.visitor(None)
    answer = first.post("/enter", {"token": token})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert token not in cookie
    assert first.get("/").status_code == 200
    answer = second.post("/enter", {"token": token})
    assert (answer.status_code, "used already" in answer.text) == (401, True)
    assert second.get("/").status_code == 303


def test_an_invitation_works_until_it_is_revoked(here: Site) -> None:
    token = here.access.invite("tina", Role.TA)
    visitors = [here.visitor(None) for _ in range(3)]
    for one in visitors[:2]:
        assert one.post("/enter", {"token": token}).status_code == 204
        assert "You are tina (ta)" in one.get("/").text
    assert here.access.revoke("tina")
    assert [one.get("/").status_code for one in visitors[:2]] == [303, 303]
    assert visitors[2].post("/enter", {"token": token}).status_code == 401
    assert not here.access.revoke("tina")
    with pytest.raises(UsageError, match="printable"):
        here.access.invite("a\nb", Role.TA)


def test_secrets_are_kept_as_digests_alone(here: Site, out: Path) -> None:
    token = here.access.invite("tina", Role.TA)
    visitor = here.visitor(None)
    visitor.post("/enter", {"token": token})
    (session,) = (cookie.value for cookie in visitor.cookies.jar)
    kept = b"".join(path.read_bytes() for path in out.glob(f"{ACCESS_NAME}*"))
    assert token.encode() not in kept
    assert session.encode() not in kept
    assert b"tina" in kept
    assert (out / ACCESS_NAME).stat().st_mode & 0o077 == 0


def test_guessing_is_slowed_down(here: Site) -> None:
    visitor = here.visitor(None)
    codes = [
        visitor.post("/enter", {"token": f"guess-{n}"}).status_code
        for n in range(WEB_LOGIN_FAILURES + 2)
    ]
    assert codes == [401] * WEB_LOGIN_FAILURES + [429, 429]
    token = here.access.once(BOSS)
    assert visitor.post("/enter", {"token": token}).status_code == 429


def test_a_session_ends_when_its_owner_leaves(here: Site) -> None:
    one, other = here.visitor(), here.visitor()
    assert one.post("/leave", {}).status_code == 303
    assert (one.get("/").status_code, other.get("/").status_code) == (303, 200)


def test_the_audit_log_says_who_came_and_saw_names(out: Path) -> None:
    with site(out) as here:
        before = len(here.access.audit())
        here.access.invite("vera", Role.TA, ("A", "B"))
        visitor = here.visitor(Viewer("uwe", Role.TA))
        visitor.post("/names", {"show": True})
        visitor.post("/enter", {"token": "wrong"})
        said = [(who, what) for _, who, what in here.access.audit()[before:]]
    assert said == [
        ("vera", "invited as ta, sections: A, B"),
        ("uwe", "came in from 127.0.0.1"),
        ("uwe", "names shown"),
        ("127.0.0.1", "refused: an unknown or used link"),
    ]


def test_a_ta_sees_their_sections_alone(tmp_path: Path) -> None:
    out = small_class(tmp_path)
    rows = [f"{ANNA},,A", f"{BERT},,B", f"{CARL},,B"]
    text = "\n".join(["student,submitted_at,section", *rows])
    (tmp_path / "class" / "submissions.csv").write_text(text, encoding="utf-8-sig")
    with site(out) as here:
        tina = here.visitor(Viewer("tina", Role.TA, ("B",)))
        boss = here.visitor()
        pages = {s: f"/student/{here.alias(s)}" for s in (ANNA, BERT, CARL, DORA)}
        assert [tina.get(p).status_code for p in pages.values()] == [404, 200, 200, 404]
        assert [boss.get(p).status_code for p in pages.values()] == [200] * 4
        start = tina.get("/").text
        assert [here.alias(s) in start for s in (ANNA, BERT, CARL, DORA)] == [
            False,
            True,
            True,
            False,
        ]
        assert here.alias(ANNA) not in tina.get("/criterion/essay").text
        assert tina.get(f"/facts/{here.alias(ANNA)}/0").status_code == 404
        assert tina.get(f"/text/{here.alias(ANNA)}/0").status_code == 404
        assert tina.decide(ESSAY, "full").status_code == 410
        assert boss.decide(ESSAY, "full", comment="For Anna").status_code == 200
        assert tina.get("/changes?after=0").json()["entries"] == []
        assert len(boss.get("/changes?after=0").json()["entries"]) == 1
        page = tina.get(f"/criterion/essay/{here.alias(BERT)}").text
        assert "For Anna" not in page


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://127.0.0.1:8500"}, 200),
        ({"origin": "http://127.0.0.1:8501"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
    ],
)
def test_another_site_decides_nothing(here: Site, headers: dict[str, str], code: int) -> None:
    visitor = here.visitor()
    row = here.desk.rows(*ESSAY[:1])[0]
    value = dict(zip(("student", "criterion", "item"), row.place, strict=True)) | {
        "student": here.alias(ANNA), "level": "full", "comment": "", "revision": row.revision,
        "seen": row.review.position if row.review else 0,
    }  # fmt: skip
    answer = visitor._send("POST", "/decide", json=value, headers=headers)
    assert answer.status_code == code


@pytest.mark.parametrize(
    ("host", "loopback", "code"),
    [
        ("127.0.0.1:8500", True, 200),
        ("localhost", True, 200),
        ("[::1]:8500", True, 200),
        ("evil.example", True, 421),
        ("192.0.2.7", True, 421),
        ("192.0.2.7:8500", False, 200),
        ("evil.example", False, 421),
        ("[broken", False, 421),
    ],
)
def test_only_names_of_this_machine_are_served(
    out: Path, host: str, loopback: bool, code: int
) -> None:
    with site(out, loopback=loopback) as here:
        assert here.visitor(None).get("/enter", host=host).status_code == code


def test_every_answer_is_guarded(here: Site) -> None:
    visitor = here.visitor()
    paths = ("/", "/enter", "/nowhere", "/static/review.js", "/changes?after=0", "/static/x")
    for path in paths:
        headers = visitor.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in policy
        assert ("no-store" in headers["cache-control"]) == ("review.js" not in path)
    assert visitor.get("/openapi.json").status_code == 404
    assert visitor._send("PUT", "/decide").status_code == 405
    long = visitor.post("/decide", {"comment": "x" * 200_000})
    assert long.status_code == 413
    assert visitor.post("/decide", {"comment": "x"}).status_code == 422
