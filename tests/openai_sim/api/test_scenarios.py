"""Each scenario as the unmodified client meets it."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from support.sim_services import MODEL, chat_file, create, ended, service, upload
from support.waiting import wait_for

from grader.core.errors import UsageError
from grader.core.openai_wire import RESULTS_PURPOSE
from grader.openai_sim.api.app import create_app
from grader.openai_sim.api.middleware import ServiceMiddleware
from grader.openai_sim.store.records import FileRow
from grader.openai_sim.store.scenarios import SCENARIOS, FaultInjector, ScenarioCall

CHAT = "/v1/chat/completions"


def jobs_of(started: Any) -> int:
    return len(started.store.list_jobs())


def failure(call: Callable[[], Any]) -> Any:
    """What a call raises, or None."""
    try:
        call()
    except Exception as error:
        return error
    return None


def test_ok_changes_nothing(tmp_path: Path) -> None:
    with service(tmp_path, scenarios=["ok"]) as started, started.client() as client:
        create(client, upload(client))
        assert all("scenario" not in line for line in started.lines)


def test_sunset_refuses_new_jobs_and_nothing_else(tmp_path: Path) -> None:
    with service(tmp_path, scenarios=["sunset"]) as started, started.client() as client:
        file_id = upload(client)
        with pytest.raises(openai.PermissionDeniedError) as refused:
            create(client, file_id)
        assert refused.value.code == "training_not_available"
        assert refused.value.body["message"] == (
            "OpenAI is winding down the fine-tuning platform and your organization is no longer "
            "able to create new fine-tuning training jobs."
        )
        assert client.fine_tuning.jobs.list().data == []


def test_rate_limits_say_when_to_come_again_and_the_library_does(tmp_path: Path) -> None:
    with service(tmp_path, scenarios=["rate-limited"]) as started, started.client() as client:
        file_id = upload(client)
        seen = [failure(client.fine_tuning.jobs.list) for _ in range(6)]
        assert seen[:3].count(None) == seen[3:].count(None) == 2
        for refused in filter(None, seen):
            assert isinstance(refused, openai.RateLimitError)
            assert (refused.code, refused.type) == ("rate_limit_exceeded", "requests")
            assert int(refused.response.headers["retry-after"]) >= 1
        patient = client.with_options(max_retries=2)
        for _ in range(3):
            create(patient, file_id)
        assert jobs_of(started) == 3


def test_flaky_fails_and_a_retry_gets_through(tmp_path: Path) -> None:
    with service(tmp_path, scenarios=["flaky"]) as started, started.client() as client:
        failures = [one for _ in range(9) if (one := failure(client.files.list))]
        assert [(type(one), one.type) for one in failures] == [
            (openai.InternalServerError, "server_error")
        ] * 3
        for _ in range(3):
            client.with_options(max_retries=2).files.list()
        assert {line["scenario"] for line in started.lines if line["status"] == 500} == {"flaky"}


def test_a_timeout_after_accept_makes_a_retrying_client_pay_twice(tmp_path: Path) -> None:
    names = ["timeout-after-accept"]
    with service(tmp_path, scenarios=names) as started, started.client() as client:
        file_id = upload(client)
        hasty = client.with_options(timeout=3.0)  # for all but what the scenario holds back
        with pytest.raises(openai.APITimeoutError):
            create(hasty, file_id, suffix="once")
        assert jobs_of(started) == 1  # accepted, though the client never heard of it
        create(hasty.with_options(max_retries=1), file_id, suffix="twice")
        assert jobs_of(started) == 3
        lost = wait_for(lambda: [line for line in started.lines if line["status"] == 499])
        assert lost[0]["job_created"]


def test_a_slow_queue_keeps_jobs_waiting(tmp_path: Path) -> None:
    names = ["slow-queue"]
    with service(tmp_path, scenarios=names, time_scale=0.01) as started:
        client = started.client()
        job = create(client, upload(client))
        wait_for(lambda: client.fine_tuning.jobs.retrieve(job.id).status == "queued")
        assert started.store.next_queued(time.time()) is None
        row = started.store.get_job(job.id)
        assert 0 < row.not_before - time.time() <= 1.2
        wait_for(lambda: started.store.next_queued(time.time()))
        client.close()


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("job-fails", "internal_error", "internal error"),
        ("bad-file", "invalid_training_file", "is missing key 'messages'"),
        ("moderation", "invalid_training_file", "failed moderation safety checks"),
    ],
)
def test_staged_failures_end_the_job(tmp_path: Path, name: str, code: str, words: str) -> None:
    with service(tmp_path, scenarios=[name]) as started, started.client() as client:
        job = ended(client, create(client, upload(client)).id)
        assert (job.status, job.error.code) == ("failed", code)
        assert words in job.error.message
        events = [event.message for event in client.fine_tuning.jobs.list_events(job.id)]
        assert ("Fine-tuning job started" in events) == (name == "job-fails")
        assert wait_for(lambda: started.lines)[-1]["status"] == 200
        assert [line["job_fate"] for line in started.lines if "job_fate" in line] == [name]


def test_a_job_that_will_fail_can_be_cancelled_and_paused(tmp_path: Path) -> None:
    with service(tmp_path, scenarios=["job-fails"], time_scale=0.3) as started:
        client = started.client()
        jobs = client.fine_tuning.jobs
        first, second = (create(client, upload(client)).id for _ in range(2))
        wait_for(lambda: jobs.retrieve(first).status == "running")
        jobs.cancel(first)
        assert ended(client, first).status == "cancelled"
        wait_for(lambda: jobs.retrieve(second).status == "running")
        jobs.pause(second)
        wait_for(lambda: jobs.retrieve(second).status == "paused")
        client.close()


def test_moderation_names_the_same_lines_for_the_same_seed(tmp_path: Path) -> None:
    said = []
    for run, seed in enumerate((1, 1, 2)):
        with service(tmp_path / str(run), scenarios=["moderation"], seed=seed) as started:
            client = started.client()
            message = ended(client, create(client, upload(client, chat_file(40))).id).error.message
            said.append(message.partition("Flagged lines: ")[2])
            client.close()
    assert said[0] == said[1] != said[2]


def test_no_quota_is_not_worth_waiting_for(tmp_path: Path) -> None:
    with service(tmp_path, scenarios=["quota"]) as started, started.client() as client:
        file_id = upload(client)
        with pytest.raises(openai.RateLimitError) as refused:
            create(client, file_id)
        assert (refused.value.code, refused.value.type) == (
            "insufficient_quota",
            "insufficient_quota",
        )
        assert "retry-after" not in refused.value.response.headers


def test_truncated_answers_are_no_json(tmp_path: Path) -> None:
    with service(tmp_path, scenarios=["truncated"]) as started, started.client() as client:
        upload(client)
        failures = [one for _ in range(3) if (one := failure(client.files.list))]
        assert [type(one) for one in failures] == [json.JSONDecodeError]
        assert [line["status"] for line in started.lines if "scenario" in line] == [200]


def test_a_truncated_stream_ends_in_the_middle_of_its_text(tmp_path: Path) -> None:
    pieces = [f"data: {number}\n\n".encode() for number in range(9)]
    sent: list[bytes] = []

    async def streams(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("body", b""))

    used = create_app(tmp_path, scenarios=["truncated"]).services
    gate = ServiceMiddleware(streams, used, None)
    headers = [(b"host", b"localhost"), (b"authorization", b"Bearer x")]
    scope = {"type": "http", "method": "POST", "path": CHAT, "headers": headers}
    cut = []
    for _ in range(3):
        sent.clear()
        asyncio.run(gate(dict(scope), receive, send))
        cut.append(b"".join(sent))
    assert sorted(cut, key=len) == [b"".join(pieces[:3]), *[b"".join(pieces)] * 2]


def test_an_expired_key_opens_nothing(tmp_path: Path) -> None:
    with service(tmp_path, scenarios=["expired-key"]) as started:
        client = started.client(key="sk-abcdefghijklmnop1234")
        with pytest.raises(openai.AuthenticationError) as refused:
            client.files.list()
        assert refused.value.code == "invalid_api_key"
        assert "sk-********1234" in refused.value.body["message"]
        assert "efghij" not in (started.store.home / "journal.jsonl").read_text()
        client.close()


def test_a_retired_model_neither_answers_nor_trains(tmp_path: Path) -> None:
    with service(tmp_path, scenarios=["model-retired"]) as started, started.client() as client:
        with pytest.raises(openai.NotFoundError) as refused:
            client.chat.completions.create(model=MODEL, messages=[])
        assert refused.value.code == "model_not_found"
        assert "has been deprecated" in refused.value.body["message"]
        with pytest.raises(openai.BadRequestError) as untrained:
            create(client, upload(client))
        assert untrained.value.code == "model_not_available"


def test_an_empty_error_is_no_failure(tmp_path: Path) -> None:
    for name in ("ok", "empty-error"):
        with service(tmp_path / name, scenarios=[name]) as started, started.client() as client:
            job = create(client, upload(client))
            assert (job.error is None) == (name == "ok")
            assert client.fine_tuning.jobs.list().data[0].error == job.error
    assert json.loads(job.to_json())["error"] == {}


def test_result_files_may_be_plain(tmp_path: Path) -> None:
    table = b"step,train_loss\n1,2.5\n"
    for name in ("ok", "plain-results"):
        with service(tmp_path / name, scenarios=[name]) as started, started.client() as client:
            kept = base64.b64encode(table)
            started.store.file_path("file-a").write_bytes(kept)
            started.store.add_file(FileRow("file-a", len(kept), 0, "a.csv", RESULTS_PURPOSE))
            told = client.files.content("file-a").read()
            assert told == (kept if name == "ok" else table)
            assert client.files.content(upload(client)).read() == chat_file()


def test_scenarios_combine(tmp_path: Path) -> None:
    names = ["sunset", "truncated"]
    with service(tmp_path, scenarios=names) as started, started.client() as client:
        with pytest.raises(openai.PermissionDeniedError):
            create(client, upload(client))
        assert any(failure(client.files.list) for _ in range(3))


def test_every_scenario_is_tested_here_or_in_a_file_of_its_own() -> None:
    files = (Path(__file__), Path(__file__).with_name("test_azure.py"))
    tested = "".join(file.read_text(encoding="utf-8") for file in files)
    assert all(f'"{name}"' in tested for name in SCENARIOS)


def test_the_same_seed_gives_the_same_faults() -> None:
    def faults(seed: int) -> list[bool]:
        staged = FaultInjector(["flaky"], seed)
        return [staged.on(ScenarioCall("GET", "/v1/files")) is not None for _ in range(60)]

    assert faults(1) == faults(1) != faults(2)
    assert sum(faults(1)) == 20
    assert all(sum(faults(1)[at : at + 3]) < 3 for at in range(58))


def test_an_unknown_scenario_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sunset"):
        FaultInjector(["sunrise"], 0)
