"""A chat becomes the same tokens for the engine, for training and for the service."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from grader.models.tokenization import (
    UnusableChat,
    message_text,
    prompt_text,
    tokenize_chat,
    tokens,
)
from grader.openai_sim.api.chat_requests import ChatMessage, plain_messages
from grader.openai_sim.api.generation import chat_prompt
from grader.openai_sim.jobs.training_set import tokenize_example
from grader.training_data.read.examples import examples_of
from grader.training_data.read.lines import Line

BASE = Path(__file__).resolve().parents[2] / "starter" / "course-model"
COURSE: Any = AutoTokenizer.from_pretrained(BASE)
ROLES = ("system", "developer", "user", "assistant")
LINES = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"


def merging_tokenizer(template: str) -> Any:
    """A byte-pair tokenizer that joins the end of a prompt, ":", with an answer that starts so."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*alphabet, "::", "<end>"]
    merges = models.BPE({word: i for i, word in enumerate(words)}, [(":", ":")])
    backend = Tokenizer(merges)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>")
    made.chat_template = template
    return made


MERGING = merging_tokenizer(LINES + "{% if add_generation_prompt %}assistant:{% endif %}")
SILENT = merging_tokenizer("{% if add_generation_prompt %}Answer:{% endif %}")

texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=20
) | st.sampled_from(
    ["::", ": a", "\nParis", " Paris", "<|end|>", "<|assistant|>", "[[ ## answer ## ]]\nParis"]
)
parts = st.lists(st.builds(lambda text: {"type": "text", "text": text}, texts), max_size=3)
turns = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(ROLES),
    texts | parts,
)
chats = st.builds(
    lambda before, question: [*before, {"role": "user", "content": question}],
    st.lists(turns, max_size=4),
    texts,
)


def trained(tokenizer: Any, messages: list[Any], answer: str) -> tuple[list[int], int]:
    """The last row of a training file's example."""
    turn = {"role": "assistant", "content": answer}
    raw = json.dumps({"messages": [*messages, turn]}).encode()
    [example] = examples_of([Line(1, raw)])
    ids, prompt = tokenize_example(tokenizer, example)[-1]
    return list(ids), prompt


def generated(tokenizer: Any, messages: list[Any]) -> list[int]:
    """The prompt that the service gives the model for a request with these messages."""
    config = SimpleNamespace(max_position_embeddings=10**6)
    base = SimpleNamespace(tokenizer=tokenizer)
    model: Any = SimpleNamespace(base=base, base_name="any", context=config.max_position_embeddings)
    return list(chat_prompt(model, plain_messages(map(ChatMessage.model_validate, messages))).ids)


@pytest.mark.parametrize(
    "tokenizer", [COURSE, MERGING, SILENT], ids=["course", "merging", "silent"]
)
@given(messages=chats, answer=texts)
def test_training_masks_exactly_the_tokens_that_generation_reads(
    tokenizer: Any, messages: list[Any], answer: str
) -> None:
    assume(answer)
    ids, prompt = trained(tokenizer, messages, answer)
    assert ids[:prompt] == generated(tokenizer, messages)
    learned = tokenizer.decode(ids[prompt:], clean_up_tokenization_spaces=False)
    whole = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert whole == tokenizer.decode(ids[:prompt], clean_up_tokenization_spaces=False) + learned
    assert len(ids) > prompt


@given(messages=chats, answer=texts)
def test_with_the_course_model_an_answer_has_the_same_tokens_apart_and_in_context(
    messages: list[Any], answer: str
) -> None:
    ids, prompt = tokenize_chat(COURSE, messages, answer)
    assert list(ids[prompt:]) == tokens(COURSE, f"{answer}<|end|>")


def test_where_prompt_and_answer_would_be_one_token_the_prompt_keeps_its_own() -> None:
    messages = [{"role": "user", "content": "?"}]
    joined = tokens(MERGING, prompt_text(MERGING, messages) + ": yes")
    ids, prompt = tokenize_chat(MERGING, messages, ": yes")
    assert MERGING.convert_tokens_to_ids("::") in joined
    assert list(ids[:prompt]) == tokens(MERGING, prompt_text(MERGING, messages))
    assert list(ids) != joined


def test_only_the_answer_and_the_end_of_its_turn_are_learned() -> None:
    messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Who?"}]
    ids, prompt = tokenize_chat(COURSE, messages, "nobody")
    assert COURSE.decode(ids[prompt:]) == " nobody<|end|>"
    assert COURSE.decode(ids[:prompt]).endswith("Who?<|assistant|>")


def test_an_answer_that_the_template_leaves_out_is_learned_all_the_same() -> None:
    ids, prompt = tokenize_chat(SILENT, [{"role": "user", "content": "Who?"}], "nobody")
    assert SILENT.decode(ids[prompt:]) == "nobody<end>"


def test_a_conversation_may_begin_with_the_answer() -> None:
    ids, prompt = tokenize_chat(MERGING, [], "Welcome")
    assert (MERGING.decode(ids), prompt) == ("assistant: Welcome\n", 0)


def test_a_template_that_refuses_a_conversation_says_why() -> None:
    strict = merging_tokenizer("{{ raise_exception('No system messages.') }}")
    with pytest.raises(UnusableChat, match="No system messages"):
        tokenize_chat(strict, [{"role": "system", "content": "Be short."}], "Yes.")


def test_a_message_is_its_content_or_its_refusal_and_its_calls() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    parted = [{"type": "text", "text": "Ma"}, {"type": "refusal", "refusal": "drid"}]
    assert message_text({"content": parted}) == "Madrid"
    assert message_text({"content": None, "refusal": "No."}) == "No."
    assert (
        message_text({"content": "Wait.", "tool_calls": [call]}) == f"Wait.\n{json.dumps([call])}"
    )
    assert message_text({"content": [{"type": "image_url"}]}) == ""
