"""The pages as a client without a browser gets them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import httpx
import openai
import pytest
from support.sim_services import Service, chat_file, create, service, upload

from grader.core.text import clean_lines
from grader.openai_sim.pages.pages import loss, size, span

_PAGES = ("/", "/try", "/journal")


@pytest.mark.parametrize("path", _PAGES)
def test_a_browser_may_run_and_style_by_the_pages_own_text_alone(
    running: Service, path: str
) -> None:
    page = httpx.get(running.url + path)
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        [text] = re.findall(f"<{tag}>(.*?)</{tag}>", page.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert not re.search(r"\s(style|on\w+)=", page.text)
    assert page.headers["referrer-policy"] == "no-referrer"


def test_pages_without_anything_say_what_to_do_next(tmp_path: Path) -> None:
    with service(tmp_path) as started:
        for path in ("/", "/journal"):
            page = httpx.get(started.url + path).text
            assert f"export OPENAI_BASE_URL={started.url}/v1" in page
            assert "export OPENAI_API_KEY=sk-finegrade-local" in page
        assert "Create a job" in httpx.get(f"{started.url}/try").text


def test_a_key_that_is_asked_for_is_not_shown(tmp_path: Path) -> None:
    with service(tmp_path, key="sk-secret") as started:
        page = httpx.get(started.url, auth=("anybody", "sk-secret"))
        assert page.status_code == 200
        assert "sk-secret" not in page.text
        assert httpx.get(started.url).status_code == 401


def test_a_job_that_waits_or_failed_says_why(tmp_path: Path) -> None:
    with service(tmp_path, scenarios=["bad-file"]) as started, started.client() as client:
        create(client, upload(client))
        page = httpx.get(started.url).text
        assert "What goes wrong on purpose" in page
        assert "bad-file" in page
    with service(tmp_path / "other", time_scale=1e6) as started, started.client() as client:
        create(client, upload(client))
        page = httpx.get(started.url).text
        assert "The service is checking its files." in page
        assert "<noscript><meta" in page  # also without scripts it comes up to date


def test_a_file_shows_all_that_was_found_in_it(running: Service, client: openai.OpenAI) -> None:
    bad = {2: {"messages": [{"role": "human", "content": "<b>Hello</b>"}]}, 5: {"prompt": "<b>"}}
    file_id = upload(client, chat_file(12, bad=bad), name="mine.jsonl")
    page = httpx.get(f"{running.url}/files/{file_id}")
    found = httpx.get(
        f"{running.url}/v1/files/{file_id}/findings", headers={"authorization": "Bearer x"}
    )
    codes = {finding["code"] for finding in found.json()["files"][0]["findings"]}
    assert codes
    assert all(code in page.text for code in codes)
    assert "<b>" not in page.text
    assert re.search(
        rf'href="/files/{file_id}">\s*<span class="chip failed">', httpx.get(running.url).text
    )
    assert httpx.get(f"{running.url}/files/file-none").status_code == 404


def test_texts_that_no_browser_can_be_sent_do_not_break_a_page(tmp_path: Path) -> None:
    lone = json.dumps({"model": "\ud800 \u202e \x1b[31m", "messages": []})
    with service(tmp_path) as started:
        httpx.post(
            f"{started.url}/v1/chat/completions",
            content=lone,
            headers={"authorization": "Bearer x", "content-type": "application/json"},
        )
        page = httpx.get(f"{started.url}/journal")
    assert page.status_code == 200
    assert not {"\u202e", "\x1b"} & set(page.text)


def test_only_the_requests_of_clients_are_in_the_journal(tmp_path: Path) -> None:
    with service(tmp_path) as started, started.client() as client:
        client.models.list()
        for path in (*_PAGES, "/health", "/try?model=gpt-4o&question=Why"):
            httpx.get(started.url + path)
        page = httpx.get(f"{started.url}/journal").text
    assert "<strong>1</strong> requests" in page
    assert "POST /v1/chat/completions" not in page


def test_a_run_is_chosen_by_its_number(tmp_path: Path) -> None:
    line = {"method": "GET", "status": 200, "ms": 1.0, "user_agent": "", "retry_count": None}
    lines = [line | {"time": 1e9 * at, "path": f"/v1/models/m{at}"} for at in (1, 2)]
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    with service(tmp_path) as started:

        def shown(run: str) -> set[str]:
            return set(
                re.findall(r"/v1/models/(m\d)", httpx.get(f"{started.url}/journal?run={run}").text)
            )

        assert shown("") == shown("2") == shown("9") == shown("none") == {"m2"}
        assert shown("1") == {"m1"}
        assert shown("all") == {"m1", "m2"}


def test_lengths_and_sizes_are_said_for_people() -> None:
    said = [span(seconds) for seconds in (0, 0.345, 9.99, 59.7, 61, 3700)]
    assert said == ["0 s", "0.34 s", "10 s", "1 min 0 s", "1 min 1 s", "1 h 1 min"]
    assert [loss(value) for value in (3, 0.01, 0.00043, 0)] == [
        "3.000",
        "0.010",
        "0.00043",
        "0.000",
    ]
    assert [size(n) for n in (999, 1000, 2_500_000)] == ["999 B", "1.0 kB", "2.5 MB"]


def test_letters_of_all_languages_stay_as_they_are() -> None:
    for text in ("fürs Üben", "می‌خواهم", "👩‍🚀", "two\nlines"):
        assert clean_lines(text) == text
