"""The instructor's endpoint: what reaches it, what that may cost, and whose fault a fault is."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.gateways import ask, served
from support.providers import (
    Reply,
    completion,
    endpoint_at,
    forwarded,
    provider,
)

from grader.core.errors import GraderFault
from grader.core.openai_wire import CHAT
from grader.model_service.endpoint_request import MAX_ANSWER_TOKENS, MAX_CHOICES, endpoint_request
from grader.model_service.forward import Forwarder
from grader.model_service.gateway import Gateway
from grader.model_service.record import ServiceRecord
from grader.model_service.spending import Allowance

SECRET = "What is the capital of the hidden question?"
SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}}


def test_our_own_request_reaches_the_endpoint_with_the_instructors_key(
    gateway: Gateway, tmp_path: Path
) -> None:
    with provider() as there:
        endpoint = endpoint_at(there.url, tmp_path)
        with forwarded(gateway, endpoint) as (send, record):
            parts = [{"type": "text", "text": "Is it "}, {"type": "text", "text": "so?"}]
            status, said = send(
                messages=[
                    {"role": "system", "content": "Be brief.", "name": SECRET},
                    {"role": "user", "content": parts},
                ],
                temperature=0.5,
                stop="END",
                seed=7,
                max_tokens=300,
                n=2,
                user=SECRET,
                metadata={"question": SECRET},
                store=True,
                service_tier="priority",
                prompt_cache_key=SECRET,
            )
    assert (status, said["choices"][0]["message"]["content"]) == (200, "Paris")
    [(path, headers, body)] = there.seen
    assert path == CHAT
    assert headers["authorization"] == "Bearer sk-instructor"
    assert body == {
        "model": "the-model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Is it so?"},
        ],
        "temperature": 0.5,
        "stop": ["END"],
        "seed": 7,
        "max_completion_tokens": 300,
        "n": 2,
    }
    assert "sk-instructor" not in str(record.exchanges) + repr(endpoint)


def test_headers_of_the_program_and_of_the_endpoint_go_no_further(
    gateway: Gateway, tmp_path: Path
) -> None:
    def reply(_: Mapping[str, Any]) -> Reply:
        return 200, {"x-secret": "internal", "set-cookie": "a=b"}, completion()

    with provider(reply) as there:
        record = ServiceRecord()
        app = Forwarder(endpoint_at(there.url, tmp_path))
        with served(gateway, app, record=record) as (port, _):
            body = {"model": "m", "messages": [{"role": "user", "content": "Hi?"}]}
            names = {"x-note": SECRET, "openai-organization": "mine", "cookie": "c=d"}
            assert ask(port, json.dumps(body).encode(), CHAT, **names)[0] == 200
    headers = there.seen[0][1]
    assert not {"x-note", "openai-organization", "cookie"} & set(headers)
    assert SECRET not in str(headers)
    assert "internal" not in str(record.exchanges)


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "mcp", "server_url": f"https://evil.example/{SECRET}"}]},
        {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto"},
        {"functions": [{"name": "f"}]},
        {"web_search_options": {"search_context_size": "high"}},
        {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
        {"background": True},
        {"previous_response_id": "resp_1"},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"logprobs": True, "top_logprobs": 20},
        {"prediction": {"type": "content", "content": "x"}},
        {"n": 128},
        {"n": MAX_CHOICES + 1},
        {"n": 10**400},
        {"n": -1},
        {"temperature": 1e308},
        {"max_completion_tokens": 0},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "See."},
                        {"type": "image_url", "image_url": {"url": f"https://evil/?q={SECRET}"}},
                    ],
                }
            ]
        },
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "data": "x"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
        {"messages": []},
        {"messages": "Hi?"},
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]},
        {"messages": [{"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}]},
        {"messages": [{"role": "user", "content": "x" * 100_001}]},
        {"stop": ["x" * 201]},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"response_format": {"type": "grammar", "grammar": "x"}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": {"$ref": f"https://evil.example/{SECRET}"}},
            }
        },
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "a",
                    "schema": {"anyOf": [{"items": {"$dynamicRef": "file:///etc/passwd"}}]},
                },
            }
        },
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": {"enum": ["x" * 20_000]}},
            }
        },
    ],
    ids=lambda fields: "-".join(fields)[:40],
)
def test_what_is_more_than_a_text_is_refused_as_the_programs_own(
    gateway: Gateway, tmp_path: Path, fields: dict[str, Any]
) -> None:
    with (
        provider() as there,
        forwarded(gateway, endpoint_at(there.url, tmp_path)) as (send, record),
    ):
        status, said = send(**fields)
    assert (status, there.seen) == (400, [])
    assert said["error"]["message"]
    assert "fault" not in record.exchanges[0].notes


@pytest.mark.parametrize(
    "path",
    [
        "/v1/responses",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/files",
        "/v1/fine_tuning/jobs",
        "/v1/batches",
        "/v1/../v1/responses",
        "/v1/chat/completions/",
        "/v1/chat%2fcompletions/x",
        "//evil.example/v1/chat/completions",
    ],
)
def test_every_other_route_is_refused_as_the_programs_own(
    gateway: Gateway, tmp_path: Path, path: str
) -> None:
    with (
        provider() as there,
        forwarded(gateway, endpoint_at(there.url, tmp_path)) as (send, record),
    ):
        status, said = send(path)
    assert (status, there.seen) == (404, [])
    assert CHAT in said["error"]["message"]
    assert "fault" not in record.exchanges[0].notes


def test_a_body_that_is_no_request_is_the_programs_own(gateway: Gateway, tmp_path: Path) -> None:
    bodies = [b"", b"[]", b"{", b'{"messages": [], "messages": []}', b"[" * 100_000, b"\xff"]
    bodies.append(b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}')
    bodies.append(b'{"\\ud800": 1, "model": "m", "messages": [{"role": "user", "content": "x"}]}')
    with provider() as there:
        endpoint = endpoint_at(there.url, tmp_path)
        record = ServiceRecord()
        with (
            endpoint.service((), record.clock) as app,
            served(gateway, app, record=record) as (port, _),
        ):
            statuses = {ask(port, body, CHAT)[0] for body in bodies}
    assert (statuses, there.seen) == ({400}, [])
    assert not any("fault" in exchange.notes for exchange in record.exchanges)


def test_the_answer_is_cut_where_the_program_names_no_length(gateway: Gateway) -> None:
    for asked in ({}, {"max_tokens": 100_000}, {"max_completion_tokens": 100_000}):
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi?"}], **asked}
        made = endpoint_request(json.dumps(body).encode(), "the-model")
        assert made.body["max_completion_tokens"] == MAX_ANSWER_TOKENS


def test_a_schema_goes_on_without_the_programs_words_around_it(
    gateway: Gateway, tmp_path: Path
) -> None:
    inner = {"name": "leak", "description": SECRET, "schema": SCHEMA, "strict": True}
    with provider() as there, forwarded(gateway, endpoint_at(there.url, tmp_path)) as (send, _):
        assert send(response_format={"type": "json_schema", "json_schema": inner})[0] == 200
    sent = there.bodies[0]["response_format"]
    assert sent["json_schema"] == {"name": "answer", "schema": SCHEMA, "strict": True}


def test_many_requests_at_once_stay_within_the_tokens_of_a_run(
    gateway: Gateway, tmp_path: Path
) -> None:
    """What is under way counts with the most that it can take, not with what it took so far."""
    together = threading.Semaphore(0)

    def reply(body: Mapping[str, Any]) -> Reply:
        together.release()
        time.sleep(0.05)
        return 200, {}, completion("x" * 100, prompt=60, answer=1_000)

    with provider(reply) as there:
        endpoint = endpoint_at(there.url, tmp_path, usd=100.0)
        record = ServiceRecord()
        with endpoint.service((), record.clock) as app:
            assert isinstance(app, Forwarder)
            app._tokens = Allowance(10_000)
            with served(gateway, app, record=record) as (port, _):
                body = {"model": "m", "messages": [{"role": "user", "content": "x" * 50}]}
                content = json.dumps({**body, "max_tokens": 1_000}).encode()
                with ThreadPoolExecutor(64) as pool:
                    sent = list(pool.map(lambda _: ask(port, content, CHAT), range(64)))
    statuses = [status for status, _ in sent]
    # 1,060 tokens each: nine fit into 10,000.
    assert (statuses.count(200), statuses.count(429)) == (9, 55)
    assert len(there.seen) == 9
    assert not any("fault" in exchange.notes for exchange in record.exchanges)
    [said] = {json.dumps(said["error"]["code"]) for status, said in sent if status == 429}
    assert said == '"run_limit_reached"'


def test_a_budget_that_is_used_up_stops_every_run_and_is_remembered(
    gateway: Gateway, tmp_path: Path
) -> None:
    """A prompt token costs a millionth of a dollar here, one of an answer ten."""

    def reply(_: Mapping[str, Any]) -> Reply:
        return 200, {}, completion("x" * 1_000, prompt=100, answer=990)

    with provider(reply) as there:
        first = endpoint_at(there.url, tmp_path, usd=0.025)
        with forwarded(gateway, first) as (send, record):
            statuses = [send(max_tokens=1_000)[0] for _ in range(4)]
        assert statuses == [200, 200, 502, 502]
        assert len(there.seen) == 2
        assert first.budget.used == pytest.approx(2 * 0.01)
        assert record.exchanges[-1].notes["fault"] == first.stop_reason()
        assert "USD 0.03 for the-model is used up" in first.stop_reason()
        with pytest.raises(GraderFault, match="used up"), forwarded(gateway, first):
            pass
        again = endpoint_at(there.url, tmp_path, usd=0.035)
        assert again.budget.used == pytest.approx(0.02)
        with forwarded(gateway, again) as (send, _):
            assert [send(max_tokens=1_000)[0] for _ in range(2)] == [200, 502]
    assert len(there.seen) == 3


def test_two_gradings_at_once_share_a_budget(gateway: Gateway, tmp_path: Path) -> None:
    with provider() as there:
        ours = [endpoint_at(there.url, tmp_path, usd=0.0125) for _ in range(2)]
        with (
            forwarded(gateway, ours[0]) as (one, _),
            forwarded(gateway, ours[1]) as (other, _),
            ThreadPoolExecutor(8) as pool,
        ):
            sends = [pool.submit(send, max_tokens=1_000) for send in (one, other) * 20]
            statuses = [send.result()[0] for send in sends]
    assert 1 <= statuses.count(200) == len(there.seen) < 40
    assert ours[0].budget.used <= 0.0125


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"usage": None},
        {"usage": []},
        {"usage": {"prompt_tokens": 0, "completion_tokens": 0}},
        {"usage": {"prompt_tokens": -5, "completion_tokens": -(10**9)}},
        {"usage": {"prompt_tokens": "20", "completion_tokens": 5.5}},
        {"usage": {"prompt_tokens": True, "completion_tokens": True}},
    ],
)
def test_without_a_usage_that_can_be_true_all_that_was_reserved_is_used(
    gateway: Gateway, tmp_path: Path, usage: dict[str, Any]
) -> None:
    said = {k: v for k, v in completion("a long answer " * 20).items() if k != "usage"} | usage
    with provider(lambda _: (200, {}, said)) as there:
        endpoint = endpoint_at(there.url, tmp_path)
        with forwarded(gateway, endpoint) as (send, _):
            assert send(max_tokens=1_000)[0] == 200
    assert endpoint.budget.used == pytest.approx(0.01, rel=0.05)


def test_a_bill_above_the_reservation_counts_in_full(gateway: Gateway, tmp_path: Path) -> None:
    with provider(lambda _: (200, {}, completion(answer=50_000))) as there:
        endpoint = endpoint_at(there.url, tmp_path, usd=0.3)
        with forwarded(gateway, endpoint) as (send, _):
            assert [send(max_tokens=10)[0] for _ in range(2)] == [200, 502]
    assert endpoint.budget.used == pytest.approx(0.5, rel=0.01)


def test_a_run_that_ends_while_the_endpoint_works_has_used_what_it_reserved(
    gateway: Gateway, tmp_path: Path
) -> None:
    asked, free = threading.Event(), threading.Event()

    def reply(_: Mapping[str, Any]) -> Reply:
        asked.set()
        free.wait(20)
        return 200, {}, completion()

    with provider(reply) as there:
        endpoint = endpoint_at(there.url, tmp_path)
        with ThreadPoolExecutor(1) as pool, forwarded(gateway, endpoint) as (send, _):
            pool.submit(send, max_tokens=1_000)
            assert asked.wait(20)
        free.set()
        assert endpoint.budget.used == pytest.approx(0.01, rel=0.05)


def test_wall_time_stands_still_while_the_endpoint_works(gateway: Gateway, tmp_path: Path) -> None:
    def reply(_: Mapping[str, Any]) -> Reply:
        time.sleep(0.4)
        return 200, {}, completion()

    with (
        provider(reply) as there,
        forwarded(gateway, endpoint_at(there.url, tmp_path)) as (send, record),
    ):
        assert send()[0] == 200
    assert record.clock.held_seconds > 0.2


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_endpoint_that_is_busy_is_asked_again(
    gateway: Gateway, tmp_path: Path, status: int
) -> None:
    turns = iter([(status, {"retry-after": "0"}, {"error": {"code": "busy"}})] * 2)

    def reply(_: Mapping[str, Any]) -> Reply:
        return next(turns, (200, {}, completion()))

    with provider(reply) as there:
        endpoint = endpoint_at(there.url, tmp_path)
        with forwarded(gateway, endpoint) as (send, record):
            assert send()[0] == 200
    assert len(there.seen) == 3
    assert endpoint.budget.used == pytest.approx(endpoint.cost(20, 5))
    assert "fault" not in record.exchanges[0].notes


@pytest.mark.parametrize(
    ("status", "value"),
    [
        (401, {}),
        (403, {}),
        (404, {"error": {"code": "model_not_found"}}),
        (400, {"error": {"code": "model_not_found"}}),
        (429, {"error": {"code": "insufficient_quota"}}),
        (429, {}),
        (500, b"<html>"),
        (302, {}),
        (200, b"no json"),
        (200, b"[" * 100_000),
        (200, {"choices": "none"}),
    ],
)
def test_what_fails_at_the_endpoint_costs_the_program_nothing(
    gateway: Gateway, tmp_path: Path, status: int, value: Any
) -> None:
    with (
        provider(lambda _: (status, {"location": "http://127.0.0.1:9/"}, value)) as there,
        forwarded(gateway, endpoint_at(there.url, tmp_path)) as (send, record),
    ):
        got, said = send()
        seen = len(there.seen)
        assert send()[0] == 502, "the run is lost, so it spends nothing more"
    assert got == 502
    assert len(there.seen) == seen
    assert "127.0.0.1" not in said["error"]["message"]
    assert "endpoint" in record.exchanges[0].notes["fault"]


def test_an_endpoint_that_is_away_is_a_fault_that_costs_nothing(
    gateway: Gateway, tmp_path: Path
) -> None:
    endpoint = endpoint_at("http://127.0.0.1:9/v1", tmp_path)
    with forwarded(gateway, endpoint) as (send, record):
        assert send()[0] == 502
    assert "did not answer" in record.exchanges[0].notes["fault"]
    assert endpoint.budget.used == 0


def test_what_the_model_refuses_is_the_programs_own_and_tells_nothing(
    gateway: Gateway, tmp_path: Path
) -> None:
    refused = {"error": {"message": "org-instructor: too long", "code": "context_length_exceeded"}}
    with provider(lambda _: (400, {}, refused)) as there:
        endpoint = endpoint_at(there.url, tmp_path)
        with forwarded(gateway, endpoint) as (send, record):
            status, said = send()
    assert (status, endpoint.budget.used) == (400, 0)
    assert "instructor" not in str(said)
    assert "fault" not in record.exchanges[0].notes


@pytest.mark.parametrize(
    ("field", "error", "sent"),
    [
        ("temperature", {"param": "temperature", "code": "unsupported_value"}, None),
        ("seed", {"param": "seed"}, None),
        ("max_completion_tokens", {"message": "unknown field max_completion_tokens"}, "max_tokens"),
    ],
)
def test_a_field_that_the_endpoint_does_not_know_is_left_out_in_that_run_alone(
    gateway: Gateway, tmp_path: Path, field: str, error: dict[str, str], sent: str | None
) -> None:
    """Otherwise every program would lose its marks to the instructor's choice of a model."""

    def reply(body: Mapping[str, Any]) -> Reply:
        return (400, {}, {"error": error}) if field in body else (200, {}, completion())

    with provider(reply) as there:
        endpoint = endpoint_at(there.url, tmp_path)
        for _ in range(2):
            with forwarded(gateway, endpoint) as (send, _):
                assert send(temperature=0.0, seed=1, max_tokens=9)[0] == 200
                assert send(temperature=0.0, seed=1, max_tokens=9)[0] == 200
    first, second, third = there.bodies[:3]
    assert field in first
    assert second == third
    assert set(first) - set(second) == {field}
    assert sent is None or second[sent] == 9
    assert there.bodies[3] == first
