"""The instructor's endpoint behind a run: the key stays outside, and only models are asked."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from support.gateways import ask, served

from grader.model_service.forward import Endpoint, Forwarder
from grader.model_service.gateway import Gateway


class Provider:
    """Stands for a provider: it remembers what it was asked and with which key."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        key = request.headers.get("authorization", "")
        self.seen.append((request.url.path, key, await request.json()))
        headers = {"x-secret": "internal"}
        await JSONResponse({"said": "yes"}, headers=headers)(scope, receive, send)


def test_a_request_goes_on_with_the_instructors_key(gateway: Gateway) -> None:
    endpoint = Provider()
    with (
        served(gateway, endpoint) as (there, _),
        served(gateway, Forwarder(f"http://127.0.0.1:{there}/v1", "sk-instructor")) as (
            port,
            record,
        ),
    ):
        path = "/v1/chat/completions"
        assert ask(port, b'{"q": 1}', path, authorization="Bearer run") == (200, {"said": "yes"})
    assert endpoint.seen == [(path, "Bearer sk-instructor", {"q": 1})]
    assert "sk-instructor" not in str(record.exchanges)
    assert "internal" not in str(record.exchanges)


def test_jobs_and_files_are_not_at_the_instructors_expense(gateway: Gateway) -> None:
    endpoint = Provider()
    with (
        served(gateway, endpoint) as (there, _),
        served(gateway, Forwarder(f"http://127.0.0.1:{there}/v1", "sk-instructor")) as (port, _),
    ):
        for path in ("/v1/files", "/v1/fine_tuning/jobs", "/v1/../v1/files", "/admin"):
            assert ask(port, b"{}", path)[0] == 404
    assert not endpoint.seen


def test_an_endpoint_that_is_away_is_a_502_that_names_nothing(gateway: Gateway) -> None:
    with served(gateway, Forwarder("http://127.0.0.1:9/v1", "sk-instructor")) as (port, record):
        status, answer = ask(port, b"{}", "/v1/chat/completions")
    assert status == 502
    assert "127.0.0.1" not in answer["error"]["message"]
    assert "did not answer" in record.exchanges[0].notes["fault"]


@pytest.mark.parametrize(("status", "ours"), [(200, False), (400, False), (401, True), (503, True)])
def test_a_refused_key_and_a_broken_endpoint_are_no_fault_of_the_program(
    gateway: Gateway, status: int, ours: bool
) -> None:
    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({}, status)(scope, receive, send)

    with (
        served(gateway, endpoint) as (there, _),
        served(gateway, Forwarder(f"http://127.0.0.1:{there}/v1", "sk-instructor")) as (
            port,
            record,
        ),
    ):
        assert ask(port, b"{}", "/v1/chat/completions")[0] == status
    assert ("fault" in record.exchanges[0].notes) is ours


def test_the_key_is_in_no_text_about_the_endpoint() -> None:
    assert "sk-instructor" not in repr(Endpoint("https://api.example.com/v1", "sk-instructor"))
