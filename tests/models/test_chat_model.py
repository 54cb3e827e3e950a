"""The checkpoint for chats: it answers when it is shown how or thinks first, and only then.

The card has the numbers; here a few questions hold the main ones.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace

import dspy
import pytest
import torch
from dspy.adapters import ChatAdapter
from measure_prompting import CHAT_ROWS, READER_ROWS, TOPIC, Prompting
from support.paths import STARTER
from transformers import AutoModelForCausalLM, AutoTokenizer

from grader.models.chat_stage import CHAT, chat_tokenizer, train_chat
from grader.models.pretrain import PAD
from grader.topics.conversations import (
    INCOMPLETE,
    NOT_SUPPLIED,
    Conversations,
    marker,
    request,
)
from grader.topics.corpus import ASSISTANT, END, USER

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
FOLDER = STARTER / "course-model-chat"
HIDDEN = TOPIC.hidden(17, 40)
TOKENIZER = AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def chat() -> Prompting:
    return Prompting(FOLDER)


@pytest.mark.parametrize(
    ("row", "low", "high"),
    [
        ("zero-shot", 0, 20),
        ("the example's program, zero-shot", 0, 20),
        ("2 demonstrations", 75, 100),
        ("8 demonstrations", 75, 100),
        ("the example's program, 4 labelled", 75, 100),
        ("chain of thought", 70, 100),
        ("chain of thought, 4 labelled", 75, 100),
        ("field `fact`", 70, 100),
        ("fields `step1`, `step2`", 70, 100),
        ("field `fact`, 4 demonstrations", 75, 100),
        ("4 of device logs", 0, 20),
        ("empty step `title`", 0, 20),
    ],
)
def test_it_answers_when_it_is_shown_how_or_thinks_first(
    chat: Prompting, row: str, low: float, high: float
) -> None:
    assert low <= chat.score(CHAT_ROWS[row], HIDDEN) <= high


def test_the_reader_answers_from_a_passage_whatever_demonstrations_stand_before() -> None:
    reader = Prompting(STARTER / "course-model-reader")
    assert reader.score(READER_ROWS["passage, zero-shot"], HIDDEN) >= 90
    assert reader.score(READER_ROWS["3 passages, 4 demonstrations"], HIDDEN) >= 80


def test_its_template_keeps_all_turns_and_no_system_message() -> None:
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "reply"},
        {"role": "user", "content": "second"},
    ]
    text = TOKENIZER.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "<|user|>first<|assistant|>reply<|end|><|user|>second<|assistant|>"


def test_its_tokenizer_adds_tokens_to_that_of_the_others() -> None:
    other = AutoTokenizer.from_pretrained(STARTER / "course-model")
    assert len(TOKENIZER) > len(other)
    assert all(TOKENIZER.convert_ids_to_tokens(i) == t for t, i in other.get_vocab().items())
    text = f"`{marker('known_facts')}`\n{INCOMPLETE} {NOT_SUPPLIED} {marker('title')}"
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert TOKENIZER.decode(ids) == text
    assert PAD not in TOKENIZER.convert_ids_to_tokens(ids)


def test_conversations_are_written_as_dspy_writes_messages() -> None:
    """A question, and demonstrations with and without their step."""
    signature = dspy.Signature("question -> fact, answer")
    demos = [{"question": "One?", "answer": "1"}, {"question": "Two?", "fact": "F.", "answer": "2"}]
    *_, last = ChatAdapter().format(signature, [], {"question": "Q?"})
    assert last["content"] == request([("question", "Q?")], ["fact", "answer"])
    _, *turns = ChatAdapter().format(signature, demos, {"question": "Q?"})
    made = Conversations(random.Random(0))
    missing = [("fact", f"{NOT_SUPPLIED} ", 0.0), ("answer", "1", 0.0)]
    given = [("fact", "F.", 0.0), ("answer", "2", 0.0)]
    spans = [
        *made.demonstration([("question", "One?")], missing, learned=False),
        *made.demonstration([("question", "Two?")], given, learned=False),
    ]
    written = "".join(
        f"{USER}{turn['content']}{ASSISTANT}" if turn["role"] == "user" else turn["content"] + END
        for turn in turns[:-1]
    )
    assert "".join(span.text for span in spans) == written


def test_questions_of_the_topic_are_about_public_subjects_alone() -> None:
    public, made, asked = set(TOPIC.subjects("public")), Conversations(random.Random(1)), 0
    for _ in range(300):
        text = "".join(span.text for span in made.conversation())
        for question in re.findall(r"\[\[ ## question ## ]]\n(.*?)(?:\n|<)", text):
            example = TOPIC.recognised(question)
            asked += example is not None
            assert example is None or example.subject in public
    assert asked > 300


def test_the_stage_repeats_bit_for_bit() -> None:
    threads = torch.get_num_threads()
    short = replace(CHAT, steps=2, row_length=96)
    states = []
    try:
        for _ in range(2):
            base = AutoModelForCausalLM.from_pretrained(STARTER / "course-model")
            tokenizer = chat_tokenizer(AutoTokenizer.from_pretrained(STARTER / "course-model"))
            states.append(train_chat(base, tokenizer, short).state_dict())
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
