"""chat/completions, completions and responses, asked by the clients that courses use."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Literal

import httpx
import openai
import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from support.sim_engines import tuned, write_adapter
from support.waiting import wait_for

from grader.openai_sim.api import chat
from grader.openai_sim.decoding.serving import READER, Server, open_bases
from grader.openai_sim.store import error_handlers

BASE = "course-model"
ASK = [{"role": "user", "content": "What is the chemical symbol of neon?"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    adapters = {tuned(1): write_adapter(tmp_path_factory.mktemp("home") / "1", 1)}
    server = Server(open_bases(), adapters.get)
    yield server
    server.close()


@pytest.fixture(scope="module")
def url(server: Server) -> Iterator[str]:
    app = FastAPI()
    error_handlers.install(app)
    app.include_router(chat.router(server), prefix="/v1")
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    wait_for(lambda: running.started)
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}/v1"
    running.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="sk-test", max_retries=0) as client:
        yield client


def test_base_and_tuned_answer_differently(client) -> None:
    base, other = (
        client.chat.completions.create(model=name, messages=ASK, temperature=0)
        for name in (BASE, tuned(1))
    )
    assert base.choices[0].message.content
    assert base.choices[0].message.content != other.choices[0].message.content
    assert base.system_fingerprint != other.system_fingerprint
    assert base.model == BASE
    assert base.usage.total_tokens == base.usage.prompt_tokens + base.usage.completion_tokens


def test_a_stream_has_the_same_answer_and_the_usage_last(client) -> None:
    asked = {"model": BASE, "messages": ASK, "temperature": 0}
    whole = client.chat.completions.create(**asked)
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options=options))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert {c.id for c in chunks} == {chunks[0].id}


def test_a_seed_gives_the_same_n_answers_again(client) -> None:
    asked = {"model": BASE, "messages": ASK, "temperature": 1.5, "n": 3, "seed": 5}
    first, again = (client.chat.completions.create(**asked) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in again.choices]
    assert len(set(texts)) > 1


def test_max_tokens_cuts_and_says_so(client) -> None:
    for limit in ("max_tokens", "max_completion_tokens"):
        cut = client.chat.completions.create(model=BASE, messages=ASK, **{limit: 2}, temperature=0)
        assert cut.choices[0].finish_reason == "length"
        assert cut.usage.completion_tokens == 2


def test_logprobs_are_those_of_the_tokens(client) -> None:
    scored = client.chat.completions.create(
        model=BASE, messages=ASK, temperature=0, logprobs=True, top_logprobs=3
    )
    tokens = scored.choices[0].logprobs.content
    assert "".join(t.token for t in tokens).strip() == scored.choices[0].message.content
    assert all(t.logprob == t.top_logprobs[0].logprob <= 0 for t in tokens)
    assert all(len(t.top_logprobs) == 3 for t in tokens)


class Reply(BaseModel):
    answer: str
    number: int
    kind: Literal["metal", "gas"]


def test_a_pydantic_class_as_response_format_is_followed(client) -> None:
    parsed = client.chat.completions.parse(model=BASE, messages=ASK, response_format=Reply, seed=1)
    assert isinstance(parsed.choices[0].message.parsed, Reply)


def test_the_form_is_told_in_a_header(client) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=BASE,
        messages=[{"role": "user", "content": "Say something as JSON."}],
        response_format={"type": "json_object"},
    )
    assert raw.headers["x-finegrade-constrained"] == "json_object"
    assert isinstance(json.loads(raw.parse().choices[0].message.content), dict)


IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
TOOL = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"tools": TOOL}, "tools", "unsupported_parameter"),
        (
            {"messages": [{"role": "user", "content": IMAGE}]},
            "messages[0].content[0].type",
            "unsupported_parameter",
        ),
        (
            {"messages": [{"role": "wizard", "content": "x"}]},
            "messages[0].role",
            "invalid_value",
        ),
        (
            {"messages": [{"role": "tool", "content": "x", "tool_call_id": "y"}]},
            "messages[0].role",
            "unsupported_parameter",
        ),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages", None),
        (
            {"messages": [{"role": "user", "content": "word " * 2000}]},
            "messages",
            "context_length_exceeded",
        ),
        ({"temperature": 3}, "temperature", "integer_above_max_value"),
        ({"temperature": -0.5}, "temperature", "decimal_below_min_value"),
        ({"n": 10**400}, "n", "integer_above_max_value"),
        ({"extra_body": {"tempereture": 1}}, None, "unknown_parameter"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a"}
                    | {"schema": {"type": "object", "properties": {"a": {"type": "nonsense"}}}},
                }
            },
            "response_format",
            "invalid_json_schema",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(client, changes, param, code) -> None:
    asked = {"model": BASE, "messages": ASK} | changes
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**asked)
    assert (refused.value.param, refused.value.code) == (param, code)


INTEGER, DECIMAL, BOOLEAN, TEXT = "an integer", "a decimal", "a boolean", "a string"


@pytest.mark.parametrize(
    ("name", "value", "expected", "found"),
    [
        *((name, "3", INTEGER, TEXT) for name in ("max_tokens", "n", "seed", "top_logprobs")),
        *((name, 3.0, INTEGER, DECIMAL) for name in ("max_completion_tokens", "n", "seed")),
        *((name, True, INTEGER, BOOLEAN) for name in ("max_tokens", "n", "seed", "top_logprobs")),
        *((name, "1", DECIMAL, TEXT) for name in ("temperature", "top_p", "presence_penalty")),
        *((name, True, DECIMAL, BOOLEAN) for name in ("temperature", "frequency_penalty")),
        *((name, "false", BOOLEAN, TEXT) for name in ("stream", "logprobs")),
        *((name, 1, BOOLEAN, INTEGER) for name in ("stream", "logprobs")),
        ("stop", 5, "a string or an array", INTEGER),
        ("stop", {}, "a string or an array", "an object"),
        ("messages", "Hi", "an array", TEXT),
        ("model", 4, TEXT, INTEGER),
        ("stream_options", {"include_usage": "yes"}, BOOLEAN, TEXT),
    ],
)
def test_a_value_of_another_type_is_refused_in_the_services_words(
    client, name, value, expected, found
) -> None:
    body = {"model": BASE, "messages": ASK, name: value}
    place = "stream_options.include_usage" if name == "stream_options" else name
    with pytest.raises(openai.BadRequestError) as refused:
        client.post("/chat/completions", body=body, cast_to=object)
    said = f"Invalid type for '{place}': expected {expected}, but got {found} instead."
    assert said in str(refused.value)
    assert (refused.value.param, refused.value.code) == (place, "invalid_type")


def test_a_whole_number_is_a_decimal_too(client) -> None:
    assert client.chat.completions.create(model=BASE, messages=ASK, temperature=0, max_tokens=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "\ud800"}]}]},
        {"messages": [{"role": "\ud800", "content": ""}]},
        {"\ud800": 1},
        {"stop": "\ud800"},
        {"response_format": {"type": "\ud800"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": 1}}},
    ],
)
def test_half_a_character_is_refused_and_breaks_nothing(url, changes) -> None:
    # ASCII JSON can carry what no client library sends.
    body = json.dumps({"model": BASE, "messages": ASK} | changes)
    refused = httpx.post(f"{url}/chat/completions", content=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["type"] == "invalid_request_error"


def test_when_the_client_goes_away_nothing_is_written_for_it(url, server) -> None:
    impatient = openai.OpenAI(base_url=url, api_key="k", max_retries=0, timeout=0.5)
    endless = {"model": BASE, "messages": ASK, "temperature": 2, "n": 64, "seed": 1}
    endless["frequency_penalty"] = -2  # says the same for ever
    endless["logprobs"] = True
    with pytest.raises(openai.APITimeoutError):
        impatient.chat.completions.create(**endless)
    wait_for(lambda: server.waiting == 0)
    with openai.OpenAI(base_url=url, api_key="k").chat.completions.create(
        **endless, stream=True
    ) as stream:
        next(iter(stream))
    wait_for(lambda: server.waiting == 0)


def test_an_unknown_model_is_not_found(client) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="gpt-4o", messages=ASK)
    assert refused.value.code == "model_not_found"


def test_completions_go_on_with_each_text(client) -> None:
    done = client.completions.create(
        model=BASE, prompt=["The chemical symbol of", "The young of"], temperature=0, logprobs=1
    )
    assert [choice.index for choice in done.choices] == [0, 1]
    assert all(len(choice.logprobs.tokens) <= 16 for choice in done.choices)
    streamed = client.completions.create(
        model=BASE, prompt="The chemical symbol of", temperature=0, stream=True
    )
    assert "".join(chunk.choices[0].text for chunk in streamed) == done.choices[0].text


def test_responses_take_text_and_give_text(client) -> None:
    told = client.responses.create(model=BASE, input=ASK[0]["content"], temperature=0)
    chatted = client.chat.completions.create(model=BASE, messages=ASK, temperature=0)
    assert told.output_text == chatted.choices[0].message.content
    assert told.status == "completed"
    with pytest.raises(openai.BadRequestError, match="stream"):
        client.responses.create(model=BASE, input="Hello!", stream=True)


def test_embeddings_say_what_to_use_instead(client) -> None:
    with pytest.raises(openai.NotFoundError, match="TfidfVectorizer"):
        client.embeddings.create(model="text-embedding-3-small", input="x")


@pytest.mark.filterwarnings("ignore")
def test_dspy_gets_every_field_of_a_signature(url, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DSPY_CACHEDIR", str(tmp_path))
    import dspy

    class Facts(dspy.Signature):
        """Answer from the context."""

        context: list[str] = dspy.InputField()
        question: str = dspy.InputField()
        answer: str = dspy.OutputField()

    class Typed(dspy.Signature):
        """Answer in full."""

        question: str = dspy.InputField()
        answer: str = dspy.OutputField()
        number: int = dspy.OutputField()
        share: float = dspy.OutputField()
        sure: bool = dspy.OutputField()
        kind: Literal["metal", "noble gas", "it's (x)"] = dspy.OutputField()
        tags: list[str] = dspy.OutputField()

    lm = dspy.LM(f"openai/{READER}", api_base=url, api_key="k", temperature=0, cache=False)
    question = "What is the chemical symbol of neon?"
    with dspy.context(lm=lm):
        facts = ["The chemical symbol of neon is Ne."]
        assert dspy.Predict(Facts)(context=facts, question=question).answer == "Ne"
        assert dspy.ChainOfThought(Facts)(context=facts, question=question).answer == "Ne"
        for adapter in (dspy.ChatAdapter(), dspy.JSONAdapter()):
            with dspy.context(adapter=adapter):
                typed = dspy.Predict(Typed)(question=question)
            assert isinstance(typed.number, int)
            assert isinstance(typed.share, float)
            assert isinstance(typed.sure, bool)
            assert typed.kind in ("metal", "noble gas", "it's (x)")
            assert all(isinstance(tag, str) for tag in typed.tags)
    assert len(lm.history) == 4  # none was asked twice
