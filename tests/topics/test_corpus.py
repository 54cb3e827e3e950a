"""The pre-training text follows from its seed and never answers a hidden question in a quiz."""

from __future__ import annotations

import random

from grader.topics import get_topic
from grader.topics.corpus import ANSWER, COMPLETED, Corpus, dspy_reply, dspy_request


def text(corpus: Corpus, make: str, count: int) -> list[str]:
    documents = [getattr(corpus, make)() for _ in range(count)]
    return ["".join(part.text for part in document) for document in documents]


def test_the_same_seed_gives_the_same_documents() -> None:
    for make in ("prose", "drill", "reading"):
        first, second = (text(Corpus(random.Random(3)), make, 50) for _ in range(2))
        assert first == second


def test_quizzes_name_no_hidden_subject() -> None:
    corpus = Corpus(random.Random(0))
    for topic in (get_topic("educational-qa"), get_topic("iot-diagnostics")):
        hidden = {f" {s}{end}" for s in topic.subjects("hidden") for end in " ?."}
        for _ in range(300):
            quiz = "".join(part.text for part in corpus.quiz(topic))
            assert not [s for s in hidden if s in f" {quiz}"]


def test_reading_learns_replies_only() -> None:
    corpus = Corpus(random.Random(1))
    for _ in range(100):
        for part in corpus.reading():
            assert part.learned == (COMPLETED in part.text and "<|user|>" not in part.text)


def test_the_request_and_reply_have_dspys_markers() -> None:
    request = dspy_request("Why?", None, reasoning=False)
    assert request.startswith("[[ ## question ## ]]\nWhy?\n\nRespond with the corresponding output")
    assert request.endswith("ending with the marker for `[[ ## completed ## ]]`.")
    assert dspy_reply("so", None) == f"{ANSWER}\nso\n\n{COMPLETED}"
    assert dspy_reply("so", "it is").startswith("[[ ## reasoning ## ]]\nit is\n\n")
