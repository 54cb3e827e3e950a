"""The questions that a tuned model is asked: its student's own, and hidden ones on its domain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.part2 import PART2, context
from support.transcripts import TEST, TRAIN, chat_line

from grader.assignment.domain_questions import domain_questions, own_test_questions
from grader.assignment.load import load_assignment
from grader.assignment.questions import QuestionSet, make_hidden, public_test
from grader.core.constants import DOMAIN_MAX_PROMPT_BYTES, DOMAIN_QUESTIONS
from grader.core.errors import FileRefused
from grader.core.nouns import Submission
from grader.topics import get_topic

TOPIC = load_assignment(PART2).topic
HIDDEN = make_hidden(TOPIC, 3, 10)
CAPITALS = [e for e in get_topic(TOPIC).public("train") if e.kind == "capital"][:18]
ON_CAPITALS = "".join(chat_line(e.question, e.answer) for e in CAPITALS)


def submitted(folder: Path, train: str, test: str = TEST) -> Submission:
    return context(folder, train, test).submission


def domain(folder: Path, train: str, hidden: QuestionSet = HIDDEN) -> QuestionSet | None:
    return domain_questions(submitted(folder, train), TOPIC, "openai_data", hidden)


def own(folder: Path, test: str, train: str = ON_CAPITALS) -> QuestionSet | None:
    return own_test_questions(submitted(folder, train, test), TOPIC, "openai_test", "openai_data")


def texts(questions: QuestionSet) -> list[str]:
    return [question.messages[-1][1] for question in questions.questions]


def test_hidden_questions_follow_from_the_data_and_the_class(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abcd"]
    for folder in folders:
        folder.mkdir()
    one = domain(folders[0], ON_CAPITALS)
    same = domain(folders[1], "".join(reversed(ON_CAPITALS.splitlines(keepends=True))))
    other = domain(folders[2], ON_CAPITALS, make_hidden(TOPIC, 4, 10))
    public = domain(folders[3], ON_CAPITALS, public_test(TOPIC))
    assert one is not None
    assert same is not None
    assert other is not None
    assert public is not None
    assert one.digest == same.digest != other.digest
    assert (one.public, public.public) == (False, True)
    assert set(one.answers.values()) <= {f["capital"] for f in facts()}
    assert not set(texts(one)) & {e.question for e in get_topic(TOPIC).public("train")}


def facts() -> list[dict[str, str]]:
    return [dict(f) for f in get_topic(TOPIC).facts.values() if "capital" in f]


def test_no_fact_of_the_data_is_asked(tmp_path: Path) -> None:
    topic = get_topic(TOPIC)
    hidden = [s for s in topic.subjects("hidden") if "capital" in topic.facts[s]]
    mine = "".join(
        chat_line(f"What's the capital of {s}?", topic.facts[s]["capital"]) for s in hidden[:20]
    )
    found = domain(tmp_path, mine)
    assert found is not None
    assert not any(s in text for s in hidden[:20] for text in texts(found))


@pytest.mark.parametrize("train", [TEST[:0], "no JSON\n", TRAIN])
def test_data_on_nothing_of_the_topic_gets_no_hidden_questions(train: str, tmp_path: Path) -> None:
    assert domain(tmp_path, train) is None


def with_system(system: str) -> str:
    lines = [json.loads(line) for line in ON_CAPITALS.splitlines()]
    for line in lines:
        line["messages"].insert(0, {"role": "system", "content": system})
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.mark.parametrize(
    ("system", "kept"), [("Be brief.", True), (" ", False), ("x" * DOMAIN_MAX_PROMPT_BYTES, False)]
)
def test_hidden_questions_come_in_the_form_of_the_data(
    system: str, kept: bool, tmp_path: Path
) -> None:
    found = domain(tmp_path, with_system(system))
    assert found is not None
    roles = {tuple(role for role, _ in q.messages) for q in found.questions}
    assert roles == {("system", "user") if kept else ("user",)}


def test_the_own_test_set_is_asked_as_it_stands(tmp_path: Path) -> None:
    test = TEST + TEST.splitlines(keepends=True)[0] + chat_line("Long? " * 200, "yes")
    found = own(tmp_path, test, ON_CAPITALS + chat_line("What else?", CAPITALS[0].answer))
    assert found is not None
    assert len(found.questions) == len(TEST.splitlines())
    first = json.loads(TEST.splitlines()[0])["messages"][-1]["content"]
    assert next(iter(found.answers.values())) == first
    assert set(found.guesses.values()) == {CAPITALS[0].answer}
    assert found.public


def test_of_a_large_test_set_the_first_questions_are_asked(tmp_path: Path) -> None:
    found = own(tmp_path, "".join(chat_line(f"What is {n}?", "n") for n in range(3_000)))
    assert found is not None
    assert len(found.questions) == DOMAIN_QUESTIONS


def test_without_questions_nothing_is_asked(tmp_path: Path) -> None:
    assert own(tmp_path, "no JSON\n") is None


def test_data_that_is_too_large_is_refused(tmp_path: Path) -> None:
    big = chat_line("What?", "x" * 1_000) * 9_000
    with pytest.raises(FileRefused):
        domain(tmp_path, big)
