"""`finegrade review --serve` and its invitations, as instructors meet them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from support.review_pages import serve, small_class
from support.sim_apps import environment


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_class(tmp_path_factory.mktemp("class"))


def review(*arguments: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "grader.cli.main", "review", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == expect, done.stderr + done.stdout
    return done


def test_a_grader_is_invited_comes_in_and_is_revoked(out: Path) -> None:
    done = review(out, "--invite", "tina", "--sections", "A, B", "--port", "8600")
    link, token = done.stdout.strip(), done.stdout.strip().partition("#")[2]
    assert link.startswith("http://127.0.0.1:8600/enter#")
    assert "for tina (ta, sections: A, B)" in done.stderr
    with serve(out, "--grader", "boss") as served:
        same = {"origin": served.url}
        with httpx.Client(base_url=served.url) as client:
            assert client.post("/enter", json={"token": token}, headers=same).status_code == 204
            assert "You are tina (ta, A, B)" in client.get("/").text
            review(out, "--revoke", "tina")
            assert client.get("/").status_code == 401
            assert client.post("/enter", json={"token": token}, headers=same).status_code == 401
        with httpx.Client(base_url=served.url) as client:
            once = served.link.partition("#")[2]
            assert client.post("/enter", json={"token": once}, headers=same).status_code == 204
            assert "You are boss (instructor)" in client.get("/").text
            assert client.post("/enter", json={"token": once}, headers=same).status_code == 401


def test_elsewhere_only_who_is_invited_comes_in(out: Path) -> None:
    with serve(out, "--host", "0.0.0.0") as served:
        assert "#" not in served.link
        port = served.link.rpartition(":")[2].partition("/")[0]
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 401
    assert "--invite NAME" in out.with_name("out.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--serve", "--invite", "tina"], "--serve and --invite are steps of their own"),
        (["--invite", "tina", "--revoke", "tina"], "steps of their own"),
        (["--revoke", "nobody"], "Nobody of the name nobody is invited"),
        (["--invite", " "], "needs a name"),
        (["--serve", "--second-opinion", "2"], "less than or equal to 1"),
    ],
)
def test_wrong_usage_is_said(out: Path, arguments: list[str], words: str) -> None:
    assert words in review(out, *arguments, expect=2).stderr


def test_nothing_is_made_in_a_folder_that_is_no_out(tmp_path: Path) -> None:
    for step in (["--serve"], ["--invite", "tina"], ["--revoke", "tina"]):
        assert "holds no results" in review(tmp_path, *step, expect=2).stderr
    assert list(tmp_path.iterdir()) == []
