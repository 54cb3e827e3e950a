"""The journal: what a client did can be told from it afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import openai
import pytest
from support.sim_services import create, service, upload

from grader.openai_sim.store.journal import Journal, summary, summary_text


def test_each_request_is_a_line_with_what_it_touched(tmp_path: Path) -> None:
    with service(tmp_path) as started, started.client() as client:
        file_id = upload(client)
        job = create(client, file_id)
        client.fine_tuning.jobs.retrieve(job.id)
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve("file-none")
        up, made, poll, lost = started.lines
    assert (up["method"], up["path"], up["file"], up["file_uploaded"]) == (
        "POST",
        "/v1/files",
        file_id,
        True,
    )
    assert (made["job"], made["job_created"], made["file"]) == (job.id, True, file_id)
    assert made["model"] == "gpt-4.1-mini-2025-04-14"
    assert (poll["job"], poll["status"], poll["retry_count"]) == (job.id, 200, 0)
    assert (lost["file"], lost["status"]) == ("file-none", 404)
    assert all(line["user_agent"].startswith("OpenAI/Python") for line in (up, made, poll, lost))
    assert all(line["request"].startswith("req_") and line["ms"] >= 0 for line in (up, made))


def test_the_summary_tells_duplicates_polls_and_reactions(tmp_path: Path) -> None:
    with service(tmp_path, scenarios=["flaky"]) as started:
        client = started.client(max_retries=2)
        file_id = upload(client)
        first, again = create(client, file_id), create(client, file_id)
        other = create(client, file_id, suffix="other")
        for _ in range(4):
            client.fine_tuning.jobs.retrieve(first.id)
        client.close()
        found = summary(started.lines)
    assert found["files_uploaded"] == [file_id]
    assert found["jobs_created"] == [first.id, again.id, other.id]
    assert found["duplicate_jobs"] == 1
    assert found["polls"][first.id]["requests"] >= 4
    assert found["polls"][first.id]["median_seconds"] >= 0
    assert set(found["reactions"]) == {"retried by the client library"}
    assert found["faults"] == {"flaky": sum(found["reactions"].values())}
    assert found["library_retries"] > 0
    json.dumps(found)
    assert "duplicates" in summary_text(found)


def test_a_program_that_gives_up_is_told_from_one_that_tries_again(tmp_path: Path) -> None:
    with service(tmp_path, scenarios=["sunset"]) as started, started.client() as client:
        file_id = upload(client)
        for suffix in ("a", "b", "b"):
            with pytest.raises(openai.PermissionDeniedError):
                create(client, file_id, suffix=suffix)
        found = summary(started.lines)
    assert found["reactions"] == {"gave up": 2, "retried by the program": 1}


def test_the_journal_goes_on_after_a_restart_and_passes_over_a_cut_line(tmp_path: Path) -> None:
    with service(tmp_path) as started, started.client() as client:
        client.models.list()
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"time": 1, "pa\n')
    with service(tmp_path) as started, started.client() as client:
        client.models.list()
        assert [line["path"] for line in started.lines] == ["/v1/models"] * 2


def test_an_empty_journal_has_a_summary(tmp_path: Path) -> None:
    assert summary(Journal(tmp_path / "none").lines())["requests"] == 0


def test_no_key_and_no_text_of_a_client_acts_on_the_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    with service(tmp_path) as started:
        httpx.get(
            f"{started.url}/v1/files/{evil}",
            headers={"Authorization": "Bearer sk-secret-of-mine", "User-Agent": evil},
        )
        page = httpx.get(f"{started.url}/journal")
    assert page.status_code == 200
    assert evil not in page.text
    assert "sk-secret" not in (tmp_path / "journal.jsonl").read_text()


def test_turning_pages_is_no_poll() -> None:
    line = {"method": "GET", "path": "/v1/fine_tuning/jobs/j/events", "job": "j", "status": 200}
    pages = [line | {"time": float(t), "later_page": t > 0} for t in range(9)]
    assert summary([*pages, line | {"time": 60.0}])["polls"]["j"] == {
        "requests": 2,
        "median_seconds": 60.0,
        "least_seconds": 60.0,
    }
