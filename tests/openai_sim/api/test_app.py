"""The service as a whole: it keeps everything over a restart, and describes itself truly."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from support.paths import ROOT
from support.sim_services import Service, chat_file, create, service, upload
from support.waiting import PATIENCE, wait_for

from grader.openai_sim.store.store import CheckpointRow, ModelRow


class Waiting:
    """A runner that trains nothing and says whether it runs."""

    running = False

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False


def test_files_jobs_and_models_are_there_after_a_restart(tmp_path: Path) -> None:
    with service(tmp_path) as started, started.client() as client:
        file_id = upload(client)
        job = create(client, file_id)
        started.store.add_model(ModelRow("ft:a:b::c", 1, "finegrade", "x", job.id))
    with service(tmp_path) as started, started.client() as client:
        assert client.files.content(file_id).read() == chat_file()
        assert client.fine_tuning.jobs.retrieve(job.id).status in ("validating_files", "queued")
        assert "ft:a:b::c" in [model.id for model in client.models.list()]


def test_a_job_that_was_being_validated_goes_on_after_a_restart(tmp_path: Path) -> None:
    with service(tmp_path, time_scale=1e6) as started, started.client() as client:
        job = create(client, upload(client))
    with service(tmp_path) as started, started.client() as client:
        wait_for(lambda: client.fine_tuning.jobs.retrieve(job.id).status == "queued")


def test_the_runner_starts_and_stops_with_the_service(tmp_path: Path) -> None:
    runner = Waiting()
    with service(tmp_path, runner=runner):
        assert runner.running
    assert not runner.running


def test_models_say_that_a_local_base_answers(client: openai.OpenAI) -> None:
    model = client.models.retrieve("gpt-4o-mini")
    assert "local" in model.owned_by
    assert "gpt-4.1-mini-2025-04-14" in [one.id for one in client.models.list()]
    with pytest.raises(openai.PermissionDeniedError):
        client.models.delete("gpt-4o-mini")


def test_a_tuned_model_can_be_deleted_with_its_adapter(
    running: Service, client: openai.OpenAI
) -> None:
    name = "ft:gpt-4o:finegrade::abcdefgh"
    folder = running.store.adapters_folder / "some"
    folder.mkdir()
    running.store.add_model(ModelRow(name, 1, "finegrade", "some"))
    assert client.models.retrieve(name).id == name
    assert client.models.delete(name).deleted
    assert not folder.exists()
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(name)


def test_the_overview_shows_files_jobs_losses_and_models(
    running: Service, client: openai.OpenAI
) -> None:
    file_id = upload(client, name="<b>.jsonl")
    job = create(client, file_id)
    for step in range(1, 30):
        running.store.add_event(job.id, "Step", type="metrics", data={"train_loss": 3 / step})
    running.store.add_checkpoint(CheckpointRow("ftckpt-a", job.id, 1, 29, "ft:x", {}))
    page = httpx.get(running.url)
    assert page.status_code == 200
    assert "<polyline" in page.text
    assert "from 3.000 to 0.103" in page.text
    assert job.id in page.text
    assert "<b>" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_page_to_try_models_asks_as_any_client_does(running: Service) -> None:
    asked = {"model": "<i>", "question": "<b>Why?</b>"}
    page = httpx.get(f"{running.url}/try", params=asked)
    assert page.status_code == 200
    assert "404: Invalid URL (POST /v1/chat/completions)" in page.text  # no model answers here
    assert "<i>" not in page.text
    assert "<b>Why" not in page.text


def test_many_requests_at_once_are_all_answered(running: Service) -> None:
    async def ask() -> list[Any]:
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(limits=limits, timeout=PATIENCE) as client:
            one = {"Authorization": "Bearer x"}
            calls = [client.get(f"{running.url}/v1/models", headers=one) for _ in range(64)]
            return await asyncio.gather(*calls)

    assert {answer.status_code for answer in asyncio.run(ask())} == {200}


def test_the_description_names_no_status_that_is_never_sent(running: Service) -> None:
    described = httpx.get(f"{running.url}/openapi.json", headers={"Authorization": "Bearer x"})
    for path, operations in described.json()["paths"].items():
        for operation in operations.values():
            assert "422" not in operation["responses"], path
            assert "4XX" in operation["responses"], path


def test_a_service_that_is_killed_finds_its_jobs_again(tmp_path: Path) -> None:
    program = (
        "import sys, uvicorn; from pathlib import Path; from grader.openai_sim.api.app import *\n"
        "import socket; line = socket.create_server(('127.0.0.1', 0))\n"
        "print(line.getsockname()[1], flush=True)\n"
        f"home = Path({str(tmp_path)!r})\n"
        "app = create_app(home, clock=MachineClock(1e6), journal=Journal(home))\n"
        "uvicorn.Server(uvicorn.Config(app, log_level='error')).run(sockets=[line])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        with openai.OpenAI(base_url=url, api_key="sk-x") as client:
            file_id = upload(client)
            job = create(client, file_id)
        process.kill()
    with service(tmp_path) as started, started.client() as client:
        assert client.files.content(file_id).read() == chat_file()
        wait_for(lambda: client.fine_tuning.jobs.retrieve(job.id).status == "queued")
        assert [line["path"] for line in started.lines[:2]] == ["/v1/files", "/v1/fine_tuning/jobs"]
