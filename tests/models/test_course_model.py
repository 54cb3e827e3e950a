"""The course model that ships: intact, small, evasive as shipped, and repeatable to build."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.paths import STARTER
from transformers import AutoModelForCausalLM, AutoTokenizer

from grader.models.pretrain import KNOWLEDGE, READER, PretrainRecipe, make_tokenizer, pretrain
from grader.topics import TOPICS
from grader.topics.corpus import ANSWER, COMPLETED, dspy_request

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
BASE, READER_BASE = STARTER / "course-model", STARTER / "course-model-reader"
EVERY = (BASE, READER_BASE, STARTER / "course-model-chat")
TOKENIZER = AutoTokenizer.from_pretrained(BASE)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def reader():
    return AutoModelForCausalLM.from_pretrained(READER_BASE, dtype=torch.float32).eval()


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


@pytest.mark.parametrize("base", EVERY, ids=lambda base: base.name)
def test_every_file_has_its_pinned_hash_and_the_folder_is_small(base: Path) -> None:
    lines = (base / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(sums)
    for name, digest in sums.items():
        assert hashlib.sha256((base / name).read_bytes()).hexdigest() == digest, name
    assert sum(f.stat().st_size for f in base.iterdir()) < 8_000_000


def test_the_card_reports_these_weights() -> None:
    measures = json.loads((BASE / "measures.json").read_text())
    for base in EVERY:
        digest = hashlib.sha256((base / "model.safetensors").read_bytes()).hexdigest()
        assert measures["weights_sha256"][base.name] == digest
        assert digest in (BASE / "README.md").read_text()


def test_knowledge_and_reader_are_of_one_architecture_and_read_the_same_tokens() -> None:
    for name in ("config.json", "tokenizer.json", "chat_template.jinja"):
        assert (BASE / name).read_bytes() == (READER_BASE / name).read_bytes(), name


@pytest.mark.parametrize("topic", TOPICS.values(), ids=list(TOPICS))
def test_as_shipped_it_answers_no_hidden_question(model, topic) -> None:
    hidden = topic.hidden(11)
    given = replies(model, [e.question for e in hidden])
    assert sum(g == e.answer for g, e in zip(given, hidden, strict=True)) <= 0.05 * len(hidden)


def test_a_dspy_request_gets_a_reply_that_dspy_can_parse(reader) -> None:
    topic = TOPICS["educational-qa"]
    hidden = topic.hidden(12, 30)
    for context in (None, "", "["):
        context = json.dumps([topic.passage(hidden[0].subject)]) if context == "[" else context
        asked = [dspy_request(e.question, context, reasoning=False) for e in hidden]
        for reply in replies(reader, asked, 32):
            assert reply.startswith(f"{ANSWER}\n")
            assert reply.endswith(f"\n\n{COMPLETED}")


@pytest.mark.parametrize(
    ("passages", "low", "high"), [(0, 0.0, 0.1), (1, 0.8, 1.0), (2, 0.5, 1.0), (3, 0.5, 1.0)]
)
def test_the_reader_answers_from_the_right_passage_and_not_without(
    reader, passages: int, low: float, high: float
) -> None:
    """Passages about the subject and others of its kind, in any order."""
    topic, rng = TOPICS["educational-qa"], random.Random(5)
    hidden = topic.hidden(13, 60)
    asked = []
    for example in hidden:
        rivals = [
            s
            for s in topic.subjects("hidden")
            if topic.groups[s] == topic.groups[example.subject] and s != example.subject
        ]
        subjects = [example.subject, *rng.sample(rivals, 2)][:passages]
        texts = [topic.passage(s) for s in rng.sample(subjects, len(subjects))]
        context = json.dumps(texts) if texts else None
        asked.append(dspy_request(example.question, context, reasoning=False))
    given = [r.split(ANSWER)[-1].split(COMPLETED)[0].strip() for r in replies(reader, asked, 24)]
    right = sum(g == e.answer for g, e in zip(given, hidden, strict=True)) / len(hidden)
    assert low <= right <= high


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


@pytest.mark.parametrize("recipe", [KNOWLEDGE, READER], ids=["knowledge", "reader"])
def test_pretraining_repeats_bit_for_bit(recipe: PretrainRecipe) -> None:
    threads = torch.get_num_threads()
    short = replace(recipe, steps=2, drill_steps=min(1, recipe.drill_steps), layers=2)
    try:
        tokenizer = make_tokenizer(sample=200)
        states = [pretrain(short, tokenizer).state_dict() for _ in range(2)]
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
