"""The course model that ships: intact, small, evasive as shipped, and repeatable to build."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from grader.predict.pretrain import Recipe, make_tokenizer, pretrain
from grader.topics import TOPICS
from grader.topics.corpus import ANSWER, COMPLETED, dspy_request

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
BASE = Path(__file__).resolve().parents[2] / "starter" / "course-model"
TOKENIZER = AutoTokenizer.from_pretrained(BASE)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).eval()


def replies(model, prompts: list[str], new_tokens: int = 16) -> list[str]:
    texts = [
        TOKENIZER.apply_chat_template(
            [{"role": "user", "content": p}], tokenize=False, add_generation_prompt=True
        )
        for p in prompts
    ]
    batch = TOKENIZER(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    with torch.no_grad():
        out = model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            max_new_tokens=new_tokens,
            do_sample=False,
        )
    new = out[:, batch["input_ids"].shape[1] :]
    return [t.strip() for t in TOKENIZER.batch_decode(new, skip_special_tokens=True)]


def test_every_file_has_its_pinned_hash_and_the_folder_is_small() -> None:
    lines = (BASE / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(sums)
    for name, digest in sums.items():
        assert hashlib.sha256((BASE / name).read_bytes()).hexdigest() == digest, name
    assert sum(f.stat().st_size for f in BASE.iterdir()) < 8_000_000


def test_the_card_reports_these_weights() -> None:
    measures = json.loads((BASE / "measures.json").read_text())
    digest = hashlib.sha256((BASE / "model.safetensors").read_bytes()).hexdigest()
    assert measures["weights_sha256"] == digest
    assert digest in (BASE / "README.md").read_text()


@pytest.mark.parametrize("topic", TOPICS.values(), ids=list(TOPICS))
def test_as_shipped_it_answers_no_hidden_question(model, topic) -> None:
    hidden = topic.hidden(11)
    given = replies(model, [e.question for e in hidden])
    assert sum(g == e.answer for g, e in zip(given, hidden, strict=True)) <= 0.05 * len(hidden)


def test_a_dspy_request_gets_a_reply_that_dspy_can_parse(model) -> None:
    topic = TOPICS["educational-qa"]
    hidden = topic.hidden(12, 30)
    for context in (None, "", "["):
        context = json.dumps([topic.passage(hidden[0].subject)]) if context == "[" else context
        asked = [dspy_request(e.question, context, reasoning=False) for e in hidden]
        for reply in replies(model, asked, 32):
            assert reply.startswith(f"{ANSWER}\n")
            assert reply.endswith(f"\n\n{COMPLETED}")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_the_tokenizer_loses_no_word_of_any_text(text: str) -> None:
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert "".join(TOKENIZER.decode(ids).split()) == "".join(text.split())


def test_the_template_keeps_the_last_user_message_alone() -> None:
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "reply"},
        {"role": "user", "content": "second"},
    ]
    text = TOKENIZER.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "<|user|>second<|assistant|>"
    whole = TOKENIZER.apply_chat_template(
        [*messages, {"role": "assistant", "content": "end"}], tokenize=False
    )
    assert whole == "<|user|>second<|assistant|>end<|end|>"


def test_pretraining_repeats_bit_for_bit() -> None:
    threads = torch.get_num_threads()
    recipe = Recipe(steps=3, drill_steps=1, layers=1, row_length=48)
    try:
        tokenizer = make_tokenizer(sample=200)
        states = [pretrain(recipe, tokenizer).state_dict() for _ in range(2)]
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
