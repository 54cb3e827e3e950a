"""Perturbed answers say something else, and can be read as before."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from grader.model_service.perturb import Perturbed, other_word, perturbed

SAID = "[[ ## reasoning ## ]]\nThe symbol is Rn.\n\n[[ ## answer ## ]]\nRn\n\n[[ ## completed ## ]]"


def test_markers_stay_and_words_go() -> None:
    said = perturbed(SAID)
    lines, before = said.splitlines(), SAID.splitlines()
    assert [line for line in lines if "##" in line] == [line for line in before if "##" in line]
    assert lines[4] != before[4]
    assert lines[1].rstrip(".").endswith(lines[4])  # the same word is the same other word


def test_json_keeps_its_keys_and_kinds() -> None:
    given_value = {"answer": "Rn", "steps": ["look up", {"n": 3}], "sure": True, "none": None}
    value = json.loads(perturbed(json.dumps(given_value)))
    assert value.keys() == given_value.keys()
    assert value["answer"] != "Rn"
    assert value["steps"][1]["n"] != 3
    assert (value["sure"], value["none"]) == (True, None)


@given(st.from_regex(r"[^\W_]+", fullmatch=True))
def test_every_word_becomes_another_one_of_its_kind(word: str) -> None:
    other = other_word(word)
    assert other != word
    assert len(other) == len(word)
    assert [c.isdigit() for c in other] == [c.isdigit() for c in word]
    assert other == other_word(word)


@given(st.text())
def test_whatever_is_said_can_be_perturbed(text: str) -> None:
    assert isinstance(perturbed(text), str)


async def _chat(request: Request) -> Response:
    body: Any = await request.json() if request.method == "POST" else {}
    if body.get("stream"):
        event = json.dumps({"choices": [{"delta": {"content": "Lima"}}]})
        return PlainTextResponse(f"data: {event}\n\ndata: [DONE]\n\n")
    return JSONResponse(
        {"id": "x1", "choices": [{"message": {"content": "Lima"}}], "usage": {"n": 1}}
    )


CLIENT = TestClient(Perturbed(Starlette(routes=[Route("/c", _chat, methods=["GET", "POST"])])))


def test_only_what_the_model_said_changes() -> None:
    told = CLIENT.post("/c", json={}).json()
    assert told["choices"][0]["message"]["content"] == other_word("Lima")
    assert (told["id"], told["usage"]) == ("x1", {"n": 1})


def test_a_stream_says_something_else_too() -> None:
    text = CLIENT.post("/c", json={"stream": True}).text
    assert "Lima" not in text
    assert text.endswith("data: [DONE]\n\n")


def test_what_is_no_answer_of_a_model_stays() -> None:
    assert CLIENT.get("/c").json()["choices"][0]["message"]["content"] == "Lima"
