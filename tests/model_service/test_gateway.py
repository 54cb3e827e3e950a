"""A run's model service: identity by socket, limits, its record, and its end."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

import pytest
from starlette.responses import JSONResponse
from support.gateways import Echo, ask, never, served
from support.waiting import PATIENCE, wait_for

from grader.core.constants import MIB
from grader.model_service.gateway import Gateway
from grader.model_service.metering import GatewayLimits
from grader.model_service.record import CLIENT_LEFT


def test_a_run_is_told_by_its_socket_whatever_it_claims_to_be(gateway: Gateway) -> None:
    with served(gateway, Echo("mine")) as (mine, my), served(gateway, Echo("other")) as (_, others):
        status, answer = ask(mine, b"{}", authorization="Bearer other", host="other")
        assert (status, answer["name"]) == (200, "mine")
        assert len(my.exchanges) == 1
        assert not others.exchanges


def test_the_record_has_what_was_asked_and_answered(gateway: Gateway) -> None:
    with served(gateway, Echo()) as (port, record):
        ask(port, b'{"a": 1}', "/v1/x?limit=2", **{"x-stainless-retry-count": "1"})
    (exchange,) = record.exchanges
    assert (exchange.method, exchange.path, exchange.query) == ("POST", "/v1/x", "limit=2")
    assert base64.b64decode(exchange.request or "") == b'{"a": 1}'
    assert json.loads(base64.b64decode(exchange.reply or ""))["bytes"] == 8
    assert (exchange.status, exchange.retry_count) == (200, 1)


@pytest.mark.parametrize(
    ("limits", "bodies", "refused", "status"),
    [
        (GatewayLimits(requests=2), [b"x"] * 4, "requests", 429),
        (GatewayLimits(tokens=10), [b"x"] * 4, "tokens", 429),
        (GatewayLimits(body_bytes=10), [b"x" * 11], "body", 413),
        (GatewayLimits(total_bytes=10), [b"x" * 6, b"x" * 6], "bytes", 413),
    ],
)
def test_each_limit_refuses_in_the_services_envelope(
    gateway: Gateway, limits: GatewayLimits, bodies: list[bytes], refused: str, status: int
) -> None:
    with served(gateway, Echo(tokens=6), limits) as (port, record):
        answers = [ask(port, body) for body in bodies]
    assert answers[-1][0] == status
    assert answers[-1][1]["error"]["code"] == "run_limit_reached"
    seen = [e.refused for e in record.exchanges]
    assert refused in seen or record.refused_requests


def test_a_flood_is_counted_and_does_not_fill_the_record(gateway: Gateway) -> None:
    with served(gateway, Echo(), GatewayLimits(requests=5)) as (port, record):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        for _ in range(300):
            connection.request("GET", "/v1/x")
            connection.getresponse().read()
        connection.close()
    assert len(record.exchanges) == 5
    assert record.refused_requests == 295


def test_a_body_without_an_announced_length_is_limited_too(gateway: Gateway) -> None:
    with served(gateway, Echo(), GatewayLimits(body_bytes=1000)) as (port, record):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        pieces = (b"x" * 100 for _ in range(50))
        with closing(connection), suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", "/v1/x", pieces, encode_chunked=True)
            assert connection.getresponse().status == 413
    assert record.exchanges[-1].refused == "body"


def test_slow_and_many_connections_of_one_run_leave_another_alone(gateway: Gateway) -> None:
    limits = GatewayLimits(connections=8)
    with (
        served(gateway, Echo(), limits) as (slow, record),
        served(gateway, Echo("other")) as (other, _),
    ):
        held = [socket.create_connection(("127.0.0.1", slow)) for _ in range(30)]
        for connection in held:
            connection.sendall(b"POST /v1/x HTTP/1.1\r\nhost: x\r\n")  # and no more
        assert ask(other)[1]["name"] == "other"
        wait_for(lambda: record.refused_connections)
        for connection in held:
            connection.close()


def test_who_leaves_before_the_answer_is_noted_as_gone(gateway: Gateway) -> None:
    with served(gateway, never) as (port, record):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.2)
        connection.request("POST", "/v1/x", b"{}")
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()
        wait_for(lambda: record.exchanges)
    assert record.exchanges[0].status == CLIENT_LEFT


def test_closing_breaks_off_what_is_under_way_and_stops_listening(gateway: Gateway) -> None:
    with ThreadPoolExecutor(1) as pool:
        with served(gateway, never) as (port, record):
            asked = pool.submit(ask, port, b"{}")
            time.sleep(0.1)
            assert not asked.done()
        with pytest.raises((http.client.HTTPException, OSError)):
            asked.result(timeout=PATIENCE)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    assert record.exchanges[0].status == CLIENT_LEFT


def test_bytes_that_are_no_http_hurt_nobody(gateway: Gateway) -> None:
    with served(gateway, Echo()) as (port, record):
        for junk in (
            b"\x00" * 4096,
            b"GET / HTTP/9.9\r\n\r\n",
            b"POST /v1/x HTTP/1.1\r\n\xff\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
                connection.sendall(junk)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
        assert ask(port)[0] == 200
    assert all(e.path == "/v1/x" or e.status >= 400 or e.path == "/" for e in record.exchanges)


def test_an_endless_body_is_broken_off_and_not_read_to_its_end(gateway: Gateway) -> None:
    with served(gateway, Echo(), GatewayLimits(body_bytes=1000)) as (port, _):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(
                b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000000\r\n\r\n"
            )
            sent = 0
            with suppress(BrokenPipeError, ConnectionResetError):
                while sent < 256 * MIB:
                    sent += connection.send(b"x" * MIB)
        assert sent < 64 * MIB, "no more than what lay in buffers"


def test_broken_requests_write_nothing_on_the_graders_terminal(
    gateway: Gateway, capfd: pytest.CaptureFixture[str]
) -> None:
    with served(gateway, never) as (port, _):
        for junk in (
            b"\x00junk\r\n\r\n",
            b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
                connection.sendall(junk)
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(b"GET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n")
            time.sleep(0.1)
    assert capfd.readouterr() == ("", "")


def sent_until_closed(port: int, piece: bytes, times: int) -> tuple[int, bytes]:
    """How many bytes were taken before the connection was closed, and what came back."""
    sent, back = 0, b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        with suppress(OSError):
            for _ in range(times):
                connection.sendall(piece)
                sent += len(piece)
        with suppress(OSError):
            while more := connection.recv(65536):
                back += more
    return sent, back


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET / HTTP/1.1\r\nX: ", b"a" * 65_536),
        (b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 10_000),
        (b"GET /", b"a" * 65_536),
    ],
    ids=["one header", "many headers", "a path"],
)
def test_a_head_without_end_is_broken_off(gateway: Gateway, start: bytes, piece: bytes) -> None:
    with served(gateway, Echo()) as (port, record):
        sent, _ = sent_until_closed(port, start + piece, 1000)
        assert sent < 16 * MIB, "no more than what lay in buffers"
        assert ask(port)[0] == 200
    assert record.refused_connections or not record.exchanges[0].path.startswith("/a")


def test_thousands_of_requests_in_one_packet_are_not_kept_waiting(gateway: Gateway) -> None:
    with served(gateway, never) as (port, record):
        _, back = sent_until_closed(port, b"GET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n" * 5000, 1)
        assert b"400 Bad Request" in back
    assert len(record.exchanges) < 50


def test_values_of_requests_under_way_are_limited_together(gateway: Gateway) -> None:
    body = b"[" + b"0," * 60_000 + b"0]"
    with ThreadPoolExecutor(1) as pool, served(gateway, never) as (port, record):
        first = pool.submit(ask, port, body)
        wait_for(lambda: record.clock._under_way)
        status, answer = ask(port, body)
        assert (status, answer["error"]["code"]) == (429, "run_limit_reached")
        assert ask(port, b"[" + b"0," * 200_000 + b"0]")[0] == 413
    with pytest.raises((http.client.HTTPException, OSError)):
        first.result(timeout=PATIENCE)


def test_bytes_of_requests_under_way_are_limited_together(gateway: Gateway) -> None:
    body = b"x" * (10 * MIB)
    read: list[str] = []

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        read.append(scope["path"])  # the whole body is there by now
        await never(scope, receive, send)

    with ThreadPoolExecutor(2) as pool, served(gateway, noted) as (port, _):
        held = [pool.submit(ask, port, body) for _ in range(2)]
        wait_for(lambda: len(read) == len(held))
        assert ask(port, body)[0] == 429
    for one in held:
        with pytest.raises((http.client.HTTPException, OSError)):
            one.result(timeout=PATIENCE)


def test_what_is_answered_makes_room_again(gateway: Gateway) -> None:
    body = b"[" + b"0," * 60_000 + b"0]"
    with served(gateway, Echo()) as (port, _):
        assert [ask(port, body)[0] for _ in range(4)] == [200] * 4


def test_responses_that_nobody_reads_do_not_pile_up(gateway: Gateway) -> None:
    async def large(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse("x" * 16 * MIB)(scope, receive, send)

    with served(gateway, large) as (port, record):
        held = []
        for _ in range(8):
            connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            connection.sendall(b"GET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n")
            held.append(connection)
        wait_for(lambda: record.refused_connections)
        for connection in held:
            connection.close()


def test_a_long_response_is_sent_whole_and_not_kept(gateway: Gateway) -> None:
    async def large(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse("x" * 6 * MIB)(scope, receive, send)

    with served(gateway, large) as (port, record):
        assert len(ask(port)[1]) == 6 * MIB
    assert record.exchanges[0].reply is None
