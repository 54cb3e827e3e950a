"""What a hostile program may send to its run's model service, and what comes of it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.gateways import served
from support.waiting import PATIENCE, wait_for

from grader.assignment.load import load_assignment
from grader.core.openai_wire import CHAT
from grader.core.payloads import SERVICE_FAULT
from grader.model_service import metering
from grader.model_service.gateway import Gateway
from grader.model_service.metering import GatewayLimits
from grader.model_service.record import ServiceRecord
from grader.model_service.simulated import Simulator
from grader.openai_sim.decoding import grammar_program
from grader.openai_sim.store import errors
from grader.openai_sim.store.clock import ProgramClock
from grader.openai_sim.store.errors import ApiError

MODEL = "gpt-4.1-nano-2025-04-14"
QUESTION = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "What is neon?"}],
    "temperature": 0,
    "max_tokens": 8,
}
POSTS = (
    CHAT,
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/fine_tuning/jobs",
    "/v1/fine_tuning/jobs/ftjob-1/cancel",
    "/v1/files",
)


class Run:
    """A run's service: its port and its record."""

    def __init__(self, port: int, record: ServiceRecord) -> None:
        self.port, self.record = port, record

    def send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """(status, the JSON that came back, None for none); no answer is of a fault of ours."""
        sent = {"authorization": "Bearer run", "content-type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as line:
            line.putrequest(method, path, skip_host=True)
            for name, value in {"host": "localhost", **sent, **(headers or {})}.items():
                line.putheader(name, value)
            line.putheader("content-length", str(len(body)))
            line.endheaders(body)
            response = line.getresponse()
            said = response.read()
        assert response.status < 500, said
        assert not any(SERVICE_FAULT in one.notes for one in self.record.exchanges[-1:])
        try:
            return response.status, json.loads(said)
        except ValueError:
            return response.status, None

    def ask(self, **body: Any) -> tuple[int, Any]:
        return self.send("POST", CHAT, json.dumps({**QUESTION, **body}).encode())

    def says(self) -> str:
        status, said = self.ask()
        assert status == 200
        return str(said["choices"][0]["message"]["content"])


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    base = load_assignment("llm-methods").base
    with Simulator(base, tmp_path_factory.mktemp("trainings"), seed=1) as opened:
        yield opened


@contextmanager
def a_run(simulator: Simulator, gateway: Gateway) -> Iterator[Run]:
    record = ServiceRecord(ProgramClock(60.0))
    limits = GatewayLimits(requests=10**6)
    with (
        simulator.service(("ok",), record.clock) as app,
        served(gateway, app, limits, record) as (port, _),
    ):
        yield Run(port, record)


@pytest.fixture(scope="module")
def run(simulator: Simulator, gateway: Gateway) -> Iterator[Run]:
    with a_run(simulator, gateway) as opened:
        yield opened


# --- texts that no answer can hold, and bodies of any form -------------------------------------

TEXTS = st.one_of(
    st.sampled_from(
        [MODEL, "\ud800", "a\udfffb", "\0", "x" * 3000, "", "user", "json", "..", "ft:"]
    ),
    st.text(st.characters(codec=None), max_size=8),
)
NUMBERS = st.sampled_from([0, -1, 1, 2, 128, 2**31, 2**64, 10**40, 1e308, -0.5, float("nan")])
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
MESSAGES = st.lists(st.fixed_dictionaries({"role": TEXTS, "content": VALUES}), max_size=3)
FORMATS = st.fixed_dictionaries(
    {"type": st.sampled_from(["json_schema", "json_object", "text", "\ud800"])},
    optional={"json_schema": st.fixed_dictionaries({"name": TEXTS, "schema": VALUES})},
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "model": st.one_of(st.just(MODEL), TEXTS),
        "messages": st.one_of(st.just(QUESTION["messages"]), MESSAGES, VALUES),
        "response_format": st.one_of(FORMATS, VALUES),
        "training_file": VALUES,
        "validation_file": VALUES,
        "suffix": VALUES,
        "metadata": VALUES,
        "method": VALUES,
        "hyperparameters": VALUES,
        "instructions": VALUES,
        **dict.fromkeys(("prompt", "input", "n", "stop", "stream", "seed", "tools"), VALUES),
        **dict.fromkeys(("logit_bias", "logprobs", "top_logprobs", "text", "user"), VALUES),
    },
)
JOB = {"model": MODEL, "training_file": "file-1"}
BODIES = st.one_of(
    VALUES,
    st.builds(
        lambda *parts: {key: value for part in parts for key, value in part.items()},
        st.sampled_from([{}, QUESTION, QUESTION, JOB]),
        st.one_of(st.just({}), FIELDS),
        st.dictionaries(TEXTS, VALUES, max_size=1),
    ),
)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(POSTS), BODIES)
def test_no_body_makes_the_service_fail(run: Run, path: str, body: Any) -> None:
    if isinstance(body, dict) and body.get("model") == MODEL:
        body = {**body, "max_tokens": 2}
    status, said = run.send("POST", path, json.dumps(body).encode())
    assert status == 200 or said["error"]["message"]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(POSTS), st.binary(max_size=60))
def test_no_bytes_make_the_service_fail(run: Run, path: str, body: bytes) -> None:
    run.send("POST", path, body)
    run.send("POST", path, body, {"content-type": "multipart/form-data; boundary=b"})


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "HEAD"]),
    st.sampled_from(["/", "/v1/", "/v1/models/", "/v1/files/", "/v1/fine_tuning/jobs/"]),
    st.text("/%.?&=[]{}<>\"'@:0aDF8\\~", max_size=24),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=12),
)
def test_no_path_and_no_header_makes_the_service_fail(
    run: Run, method: str, prefix: str, rest: str, header: str
) -> None:
    run.send(method, prefix + rest, headers={"authorization": f"Bearer {header}"})
    run.send(
        method, prefix + rest, headers={"user-agent": header, "x-stainless-retry-count": header}
    )


@pytest.mark.parametrize("name", ["a\ud800.jsonl", "\0.jsonl", "x" * 5000 + ".jsonl", "../x.jsonl"])
def test_a_file_of_any_name_is_taken_or_refused(run: Run, name: str) -> None:
    line = json.dumps({"messages": [{"role": "user", "content": "a"}]}).encode()
    written = name.encode("utf-8", "surrogatepass")
    body = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--b\r\n'
        b'Content-Disposition: form-data; name="file"; filename="' + written + b'"\r\n\r\n'
    ) + line + b"\r\n--b--\r\n"  # fmt: skip
    run.send("POST", "/v1/files", body, {"content-type": "multipart/form-data; boundary=b"})
    status, _ = run.send("GET", "/v1/files")
    assert status == 200


@pytest.mark.parametrize("charset", ["unicode_escape", "utf-7", "nonsense", "zlib", "punycode"])
def test_a_client_does_not_choose_pythons_codec(run: Run, charset: str) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n\\ud800+2AA-\r\n--b--\r\n'
    kind = {"content-type": f"multipart/form-data; boundary=b; charset={charset}"}
    status, said = run.send("POST", "/v1/files", body, kind)
    assert (status, "charset" in said["error"]["message"]) == (400, True)


def test_whatever_an_error_quotes_can_be_sent() -> None:
    for text in ("a\ud800b", "\udfff", "\0", "x" * 10**6):
        made = errors.response(ApiError(400, text, param=text))
        said = json.loads(made.body)["error"]
        assert len(said["message"]) <= 2000
        assert said["param"] == said["message"]


# --- schemas -----------------------------------------------------------------------------------


def a_format(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def objects(number: int) -> list[dict[str, Any]]:
    return [{"type": "object", "properties": {f"k{n}": {"type": "string"}}} for n in range(number)]


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


REFUSED: Mapping[str, tuple[Any, int]] = {
    "a reference to itself": ({"$ref": "#"}, 1),
    "two references to each other": (
        {
            "$ref": "#/$defs/a",
            "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
        },
        1,
    ),
    "a reference to nowhere": ({"$ref": "#/$defs/none"}, 1),
    "a reference to another machine": ({"$ref": "http://127.0.0.1:1/schema"}, 1),
    "no value": ({"enum": []}, 1),
    "nothing that is allowed": ({"type": "string", "minLength": 3, "maxLength": 1}, 1),
    "a pattern with half a surrogate pair": ({"type": "string", "pattern": "\ud800"}, 1),
    "a pattern of many brackets": ({"type": "string", "pattern": "(" * 50_000}, 1),
    "a pattern that looks back": ({"type": "string", "pattern": r"(a)\1"}, 1),
    "too many properties": (
        {"type": "object", "properties": {f"k{n}": {} for n in range(5001)}},
        1,
    ),
    "too many levels": (nested(11), 1),
    "too many enum values": ({"enum": [f"v{n}" for n in range(1001)]}, 1),
    "too long names": ({"enum": ["x" * 1000 + str(n) for n in range(121)]}, 1),
    "too large for its choices": ({"anyOf": objects(3000)}, 128),
    "too many combinations": ({"allOf": [{"anyOf": objects(60)} for _ in range(4)]}, 1),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_schema_that_cannot_be_followed_is_refused_before_the_first_token(
    simulator: Simulator, gateway: Gateway, what: str
) -> None:
    schema, number = REFUSED[what]
    with a_run(simulator, gateway) as run:
        before = run.says()
        status, said = run.ask(response_format=a_format(schema), n=number)
        assert (status, said["error"]["param"]) == (400, "response_format")
        assert said["error"]["code"] == "invalid_json_schema"
        assert run.says() == before


FOLLOWED: Mapping[str, Any] = {
    "never complete": {"type": "array", "minItems": 10**6, "items": {"type": "string"}},
    "endless in itself": {"type": "array", "minItems": 1, "items": {"$ref": "#"}},
    "an expensive pattern": {"type": "string", "pattern": "^(a?){300}a{300}$"},
    "at the documented levels": nested(10),
}


@pytest.mark.parametrize("what", FOLLOWED)
def test_one_that_never_ends_fails_or_ends_with_its_tokens(run: Run, what: str) -> None:
    before = run.says()
    status, _ = run.ask(response_format=a_format(FOLLOWED[what]), max_tokens=60)
    assert status in (200, 400)
    assert run.says() == before


def processes() -> list[psutil.Process]:
    """Those that follow grammars."""
    found = []
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ends, or has ended
            if grammar_program.__file__ in one.cmdline():
                found.append(one)
    return found


def test_what_schemas_cause_ends_with_the_run(simulator: Simulator, gateway: Gateway) -> None:
    before = len(processes())
    with a_run(simulator, gateway) as run:
        assert run.ask(response_format=a_format({"type": "integer"}))[0] == 200
        assert len(processes()) == before + 1
    wait_for(lambda: len(processes()) == before)


def test_a_run_gets_a_second_process_and_not_any_number(
    simulator: Simulator, gateway: Gateway
) -> None:
    with a_run(simulator, gateway) as run:
        before = run.says()
        statuses = []
        for _ in range(4):
            statuses.append(run.ask(response_format=a_format({"type": "integer"}))[0])
            for one in processes():
                one.kill()
                one.wait(PATIENCE)
        assert statuses[0] == 200
        assert statuses[-1] == 400
        assert run.says() == before


def test_dspys_types_are_no_way_around_the_limits(run: Run) -> None:
    options = "; ".join("x" * 200 + str(n) for n in range(2000))
    asked = [
        {"role": "system", "content": f"{{a}}    # note: the value you produce one of: {options}"},
        {
            "role": "user",
            "content": "Respond with the corresponding output fields, starting with the field "
            "`[[ ## a ## ]]`, and then ending with the marker for `[[ ## completed ## ]]`.",
        },
    ]
    status, _ = run.ask(messages=asked)
    assert status == 200


# --- sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"n": 129}, 400),
        ({"n": 128, "logprobs": True, "top_logprobs": 20, "max_tokens": 500}, 400),
        ({"max_tokens": 10**30}, 200),
        ({"messages": [{"role": "user", "content": "x"}] * 513}, 400),
        ({"messages": [{"role": "user", "content": "x" * 100_000}]}, 400),
        ({"logit_bias": {str(n): 1 for n in range(100)}}, 400),
        ({"tools": [{"type": "function", "function": {"name": "f"}}] * 200}, 400),
        ({"metadata": {"a": [0] * 60_000}}, 400),
        ({"metadata": {"a": [0] * 200_000}}, 413),
        ({"user": "x" * 3 * 2**20}, 413),
    ],
)
def test_a_request_that_is_too_large_is_refused_in_words(
    run: Run, body: dict[str, Any], status: int
) -> None:
    found, said = run.ask(**body)
    assert found == status
    assert status == 200 or said["error"]["message"]


def test_lists_of_prompts_are_limited_together(run: Run) -> None:
    for more in ({"prompt": ["x" * 60_000] * 5}, {"prompt": ["x"] * 100, "n": 100}):
        body = json.dumps({"model": MODEL, "max_tokens": 1, **more}).encode()
        assert run.send("POST", "/v1/completions", body)[0] == 400


def test_a_line_of_a_file_that_would_fill_the_memory_is_refused(run: Run, tmp_path: Path) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--b\r\n'
        b'Content-Disposition: form-data; name="file"; filename="x.jsonl"\r\n\r\n'
    ) + b"[" + b"[]," * 200_000 + b"1]\r\n--b--\r\n"  # fmt: skip
    kind = {"content-type": "multipart/form-data; boundary=b"}
    status, said = run.send("POST", "/v1/files", body, kind)
    assert (status, "JSON values" in said["error"]["message"]) == (400, True)


def test_all_files_of_a_run_have_a_size_together(
    simulator: Simulator, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "_FILE_BYTES", 1_000)
    body = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--b\r\n'
        b'Content-Disposition: form-data; name="file"; filename="x.jsonl"\r\n\r\n'
    ) + b"{}\n" * 100 + b"\r\n--b--\r\n"  # fmt: skip
    kind = {"content-type": "multipart/form-data; boundary=b"}
    with a_run(simulator, gateway) as run:
        answers = [run.send("POST", "/v1/files", body, kind)[0] for _ in range(3)]
        assert answers == [200, 200, 413]
        assert run.ask()[0] == 200
