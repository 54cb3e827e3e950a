"""Scenario `azure`: Azure's client and paths, names of models, and a deployment before chat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from support.sim_services import Service, chat_file, create, service, upload

from grader.openai_sim.decoding.model_names import tuned_name
from grader.openai_sim.store.records import JobRow, ModelRow, azure_job_id

ASK: list[Any] = [{"role": "user", "content": "Hi"}]
TUNED = "gpt-4o-mini-2024-07-18.ft-0e208cf33a6a466994aff31a08aba678"
MANAGEMENT = (
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/a/deployments"
)


managed = httpx.Client(headers={"authorization": "Bearer an-entra-token"})
"""Deployments are managed with a token of the directory, not with the resource's key."""


def azure(started: Service, **options: Any) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(
        azure_endpoint=started.url,
        api_key="k",
        api_version="2024-10-21",
        max_retries=0,
        **options,
    )


def test_the_client_of_azure_uploads_and_creates_jobs(tmp_path: Path) -> None:
    with service(tmp_path, scenarios=["azure"]) as started, azure(started) as client:
        job = create(client, upload(client))
        assert client.fine_tuning.jobs.retrieve(job.id).id == job.id
        row = started.store.get_job(job.id)
        assert row is not None
        assert tuned_name(row) == f"{row.model}.ft-{job.id.removeprefix('ftjob-')}"


@pytest.mark.parametrize("base", ["/openai/v1", "/v1"])
def test_the_newer_paths_and_our_own_are_served_too(tmp_path: Path, base: str) -> None:
    with service(tmp_path, scenarios=["azure"]) as started:
        client = openai.OpenAI(base_url=started.url + base, api_key="k", max_retries=0)
        assert upload(client).startswith("file-")


def test_a_model_answers_once_it_is_deployed(tmp_path: Path) -> None:
    with service(tmp_path, scenarios=["azure"]) as started, azure(started) as client:
        started.store.add_model(ModelRow(TUNED, 0, "me", adapter="a"))

        def refused(model: str) -> str | None:
            """The code of the refusal; this service has no model, so one that is let in, too."""
            with pytest.raises(openai.NotFoundError) as caught:
                client.chat.completions.create(model=model, messages=ASK)
            return caught.value.code

        deployment = f"{started.url}{MANAGEMENT}/mine?api-version=2024-10-01"
        assert refused(TUNED) == refused("mine") == "DeploymentNotFound"
        assert refused("gpt-4o-mini") == "unknown_url"
        body = {"properties": {"model": {"format": "OpenAI", "name": TUNED, "version": "1"}}}
        assert managed.put(deployment, json=body).status_code == 201
        state = managed.get(deployment).json()["properties"]
        assert (state["model"]["name"], state["provisioningState"]) == (TUNED, "Succeeded")
        assert refused("mine") == "unknown_url"
        managed.delete(deployment)
        assert refused("mine") == "DeploymentNotFound"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"properties": {"model": {"name": 3}}}, 400),
        ({"properties": {"model": {"name": "gpt-9"}}}, 404),
        ([], 400),
    ],
)
def test_a_deployment_of_nothing_is_refused(tmp_path: Path, body: Any, status: int) -> None:
    with service(tmp_path, scenarios=["azure"]) as started:
        answer = managed.put(f"{started.url}{MANAGEMENT}/mine", json=body)
        assert (answer.status_code, "error" in answer.json()) == (status, True)


def test_deployments_outlive_the_service(tmp_path: Path) -> None:
    body = {"properties": {"model": {"name": "gpt-4o-mini"}}}
    with service(tmp_path, scenarios=["azure"]) as started:
        managed.put(f"{started.url}{MANAGEMENT}/mine", json=body)
    with service(tmp_path, scenarios=["azure"]) as started:
        assert managed.get(f"{started.url}{MANAGEMENT}/mine").status_code == 200


def test_the_older_paths_need_a_version(tmp_path: Path) -> None:
    with service(tmp_path, scenarios=["azure"]) as started:
        headers = {"api-key": "k"}
        assert httpx.get(f"{started.url}/openai/files", headers=headers).status_code == 404
        older = f"{started.url}/openai/files?api-version=2024-10-21"
        assert httpx.get(older, headers=headers).status_code == 200


def test_without_the_scenario_the_refusal_says_how(tmp_path: Path) -> None:
    with (
        service(tmp_path) as started,
        azure(started) as client,
        pytest.raises(openai.NotFoundError, match="--scenario azure"),
    ):
        client.files.create(file=("t.jsonl", chat_file()), purpose="fine-tune")


def test_a_job_that_goes_on_from_a_tuned_model_names_its_base() -> None:
    job = JobRow(azure_job_id(), TUNED, 0, "file-a", 1, suffix="Two")
    assert tuned_name(job) == f"gpt-4o-mini-2024-07-18.ft-{job.id.removeprefix('ftjob-')}-two"
