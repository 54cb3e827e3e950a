"""Whatever goes wrong, the answer is the envelope, with the headers that every answer has."""

from __future__ import annotations

from pathlib import Path

import httpx
import openai
import pytest
from support.sim_services import Service, service

from grader.openai_sim.store.parameters import BODY_MAX_BYTES

KEY = {"Authorization": "Bearer sk-x"}
MEMBERS = {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "unknown_url"),
        ("POST", "/v1/uploads", 404, "unknown_url"),
        ("PUT", "/v1/files", 405, "method_not_supported"),
        ("DELETE", "/v1/fine_tuning/jobs", 405, "method_not_supported"),
        ("GET", "/v1/files?limit=0", 400, "invalid_value"),
        ("GET", "/v1/files?limit=many", 400, "invalid_value"),
        ("GET", "/v1/files?order=sideways", 400, "invalid_value"),
        ("GET", "/v1/models/none", 404, "model_not_found"),
        ("GET", "/nothing", 404, "unknown_url"),
    ],
)
def test_errors_have_the_envelope_and_the_headers(
    running: Service, method: str, path: str, status: int, code: str
) -> None:
    answer = httpx.request(method, running.url + path, headers=KEY)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == MEMBERS
    assert answer.json()["error"]["code"] == code
    assert answer.headers["openai-version"] == "2020-10-01"
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["openai-processing-ms"].isdecimal()
    assert answer.headers["openai-organization"]


def test_the_client_knows_the_request_id(client: openai.OpenAI) -> None:
    assert client.models.retrieve("gpt-4o")._request_id.startswith("req_")
    with pytest.raises(openai.NotFoundError) as refused:
        client.files.retrieve("file-none")
    assert refused.value.request_id.startswith("req_")


def test_without_a_key_nothing_is_answered_but_the_health_page(running: Service) -> None:
    answer = httpx.get(f"{running.url}/v1/models")
    assert answer.status_code == 401
    assert set(answer.json()["error"]) == MEMBERS
    assert httpx.get(f"{running.url}/health").json()["status"] == "ok"


def test_with_a_key_set_only_that_key_opens(tmp_path: Path) -> None:
    with service(tmp_path, key="sk-right-and-long") as started:
        with started.client(key="sk-right-and-long") as client:
            assert client.models.list().data
        with (
            started.client(key="sk-wrong-and-long") as client,
            pytest.raises(openai.AuthenticationError) as refused,
        ):
            client.models.list()
        assert refused.value.code == "invalid_api_key"
        for path in ("/", "/journal"):
            asked = httpx.get(started.url + path)
            assert (asked.status_code, asked.headers["www-authenticate"][:5]) == (401, "Basic")
            assert httpx.get(started.url + path, auth=("", "sk-right-and-long")).status_code == 200
        bare = httpx.get(f"{started.url}/v1/models", headers={"Authorization": "Basic ÿ".encode()})
        assert bare.status_code == 401


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}]
)
def test_a_web_page_elsewhere_cannot_reach_the_service(
    running: Service, headers: dict[str, str]
) -> None:
    answer = httpx.get(f"{running.url}/v1/models", headers=KEY | headers)
    assert answer.status_code == 403
    assert set(answer.json()["error"]) == MEMBERS


def test_a_body_beyond_the_limit_is_refused(running: Service) -> None:
    answer = httpx.post(
        f"{running.url}/v1/fine_tuning/jobs", content=b" " * (BODY_MAX_BYTES + 1), headers=KEY
    )
    assert answer.status_code == 413
    assert set(answer.json()["error"]) == MEMBERS


def test_our_own_fault_is_told_in_the_envelope_and_hides_its_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service(tmp_path) as started, started.client() as client:
        monkeypatch.setattr(started.store, "list_models", lambda: 1 / 0)
        with pytest.raises(openai.InternalServerError) as failed:
            client.models.list()
        assert failed.value.type == "server_error"
        assert "Zero" not in failed.value.response.text
        assert failed.value.request_id.startswith("req_")
        assert started.lines[-1]["service_fault"] == "ZeroDivisionError"
