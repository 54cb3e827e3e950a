"""The view of a transcript: of use whatever a program sent."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.transcripts import (
    ANSWERS,
    FILE,
    JOBS,
    QUESTIONS,
    TUNED,
    Run,
    followed,
    multipart,
)

from grader.checks.api.context import Context
from grader.checks.api.registry import all_checks, check_of, run_check
from grader.checks.views.transcript import transcript
from grader.core.nouns import Evidence, Outcome


@given(st.binary(max_size=200), st.text(max_size=40), st.sampled_from([200, 400, 404, 429, 500]))
def test_nothing_that_a_program_sends_disturbs_the_view(
    body: bytes, text: str, status: int
) -> None:
    run = Run()
    for method, path in (("POST", "/v1/files"), ("POST", JOBS), ("GET", f"{JOBS}/{text}")):
        run.call(method, path, body=body, told=text, status=status)
    run.call("POST", "/v1/chat/completions", body=body, told={"choices": text}, status=status)
    run.call("POST", "/v1/responses", asked={"input": text, "model": body.hex()}, status=status)
    view = transcript(run.ended())
    assert not view.uploads
    assert not view.jobs
    assert len(view.calls) == 5
    assert all(isinstance(chat.said, str) for chat in view.chats)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_json_may_be_asked_of_a_model(value: Any) -> None:
    for name in ("messages", "input", "prompt"):
        run = Run().call("POST", "/v1/chat/completions", asked={"model": value, name: value})
        (chat,) = transcript(run.ended()).chats
        assert isinstance(chat.said, str)
        assert isinstance(chat.model, str)


def test_the_three_ways_of_asking_are_read_alike() -> None:
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    run = Run()
    run.call("POST", "/v1/responses", asked={"model": "m", "input": "a\nb"},
             told={"output": [{"content": [{"type": "output_text", "text": "c"}]}]})  # fmt: skip
    run.call("POST", "/v1/chat/completions",
             asked={"model": "m", "messages": [{"role": "user", "content": parts}]},
             told={"choices": [{"message": {"content": "c"}}]})  # fmt: skip
    run.call("POST", "/v1/completions", asked={"model": "m", "prompt": "a\nb"},
             told={"choices": [{"text": "c"}]})  # fmt: skip
    assert [(c.said, c.answer) for c in transcript(run.ended()).chats] == [("a\nb", "c")] * 3


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300), st.uuids())
def test_an_uploaded_file_is_read_whatever_is_in_it(content: str, boundary: object) -> None:
    run = Run()
    body = multipart({"purpose": "fine-tune", "file": content}, str(boundary))
    run.call("POST", "/v1/files", body=body, told={"id": FILE, "purpose": "fine-tune"},
             file_uploaded=True)  # fmt: skip
    (upload,) = transcript(run.ended()).uploads
    assert upload.content == content.encode()


def test_evidence_that_is_no_transcript_is_the_graders_fault(submitted: Context) -> None:
    broken = Evidence("transcript", "k", {"answers": []}, {})
    ctx = Context(submitted.assignment, submitted.submission, {"openai_ok": broken})
    earlier = {"LAY022": run_check(check_of("LAY022", ctx.assignment), ctx, {}, {})}
    assert run_check(all_checks()["API003"], ctx, earlier, {}).outcome is Outcome.ERROR


def test_answers_of_the_test_set_are_held_against_the_last_answer() -> None:
    run = followed().ask(TUNED, QUESTIONS[0], "wrong").ask(TUNED, QUESTIONS[0], ANSWERS[0])
    chats = transcript(run.ended()).chats
    assert [chat.answer for chat in chats] == ["wrong", ANSWERS[0]]
    assert (
        base64.b64decode(run.exchanges[-1]["request"])
        == json.dumps(
            {"model": TUNED, "messages": [{"role": "user", "content": QUESTIONS[0]}]}
        ).encode()
    )
