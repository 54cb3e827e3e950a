"""The service keeps to its own description, whatever is sent to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from support.sim_services import Service, create, service, upload
from support.waiting import PATIENCE

from grader.openai_sim.decoding.serving import NamedServer, open_bases
from grader.openai_sim.store.store import CheckpointRow, SimulatorStore, new_id

_EXAMPLES = 25  # a route; enough for every kind of wrong value
_KEY = "sk-test"
_HEADERS = {"Authorization": f"Bearer {_KEY}"}
_MODEL = "course-model"
# What a description cannot say: which bytes are a training file, and which files there are.
_BEYOND = [positive_data_acceptance]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home: Path = tmp_path_factory.mktemp("contract")
    server = NamedServer(open_bases(None), SimulatorStore.open(home))
    try:
        with service(home, server=server, key=_KEY) as started:
            yield started
    finally:
        server.close()


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_as_described(running: Service, mode: GenerationMode) -> None:
    """To requests that keep to the description, and to such as do not."""
    address = f"{running.url}/openapi.json"
    described = schemathesis.openapi.from_url(address, config=_config(), headers=_HEADERS)
    operations = [found.ok() for found in described.get_all_operations()]
    assert {"/v1/files", "/v1/fine_tuning/jobs", "/v1/chat/completions"} <= {
        operation.path for operation in operations
    }
    for operation in operations:
        if mode is GenerationMode.POSITIVE:
            _holds(operation, mode, _there(running))
        elif operation.query or operation.body:  # of the others nothing can be wrong
            _holds(operation, mode, {})


@pytest.mark.parametrize(
    ("path", "item"),
    [
        ("/v1/files", "FileObject"),
        ("/v1/models", "Model"),
        ("/v1/fine_tuning/jobs", "Job"),
        ("/v1/fine_tuning/jobs/{job_id}/events", "FineTuningJobEvent"),
        ("/v1/fine_tuning/jobs/{job_id}/checkpoints", "FineTuningJobCheckpoint"),
    ],
)
def test_lists_are_described_with_their_items(running: Service, path: str, item: str) -> None:
    described = httpx.get(f"{running.url}/openapi.json", headers=_HEADERS).json()
    schemas = described["components"]["schemas"]
    answer = described["paths"][path]["get"]["responses"]["200"]
    reference = answer["content"]["application/json"]["schema"]["$ref"]
    page = schemas[reference.rpartition("/")[2]]
    assert {"object", "data"} <= set(page["required"])
    assert page["properties"]["data"]["items"] == {"$ref": f"#/components/schemas/{item}"}
    assert "id" in schemas[item]["required"]


def _config() -> schemathesis.Config:
    """Made up is all but the key, which is in `_HEADERS`, and parameters that are not described.

    The service passes over those in an address, as the real one does.
    """
    config = schemathesis.Config()
    config.projects.default.generation.allow_extra_parameters = False
    config.projects.default.generation.with_security_parameters = False
    return config


def _there(running: Service) -> dict[str, str]:
    """Names of a file, a job with a checkpoint, and a model that there are."""
    with running.client(_KEY) as client:
        file = upload(client)
        job = create(client, file).id
    saved = CheckpointRow(new_id("ftckpt"), job, 1, 5, "ft:x", {"step": 5, "train_loss": 0.5})
    running.store.add_checkpoint(saved)
    return {"file_id": file, "training_file": file, "job_id": job, "model": _MODEL}


def _holds(operation: Any, mode: GenerationMode, there: dict[str, str]) -> None:
    """What is in `there` replaces what is made up: it would name nothing."""

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def holds(case: schemathesis.Case) -> None:
        for made_up in (case.path_parameters, case.body):
            if isinstance(made_up, dict):
                made_up.update({name: there[name] for name in made_up if name in there})
        case.call_and_validate(headers=_HEADERS, excluded_checks=_BEYOND, timeout=PATIENCE)

    holds()
