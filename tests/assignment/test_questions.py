"""Hidden sets are fresh, private and disjoint; an instructor's own file works unchanged."""

import contextlib
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import DATASETS

from grader.assignment.questions import (
    load_questions,
    make_hidden,
    public_guess,
    public_test,
    write_hidden,
)
from grader.core.errors import UsageError
from grader.topics import TOPICS, get_topic


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_no_hidden_question_is_public(topic: str) -> None:
    public = {
        line["messages"][1]["content"].casefold()
        for split in ("train", "validation", "test")
        for line in map(json.loads, _public_file(topic, split).read_text().splitlines())
    }
    for seed in range(5):
        hidden = make_hidden(topic, seed, 150)
        asked = {q.messages[-1][1].casefold() for q in hidden.questions}
        assert len(asked) == 150
        assert not asked & public


def _public_file(topic: str, split: str) -> Path:
    return DATASETS / topic / f"{split}.jsonl"


def test_a_seed_always_gives_the_same_set_and_another_seed_another() -> None:
    assert (
        make_hidden("educational-qa", 5, 150).digest == make_hidden("educational-qa", 5, 150).digest
    )
    assert (
        make_hidden("educational-qa", 5, 150).digest != make_hidden("educational-qa", 6, 150).digest
    )


def test_a_written_set_reads_back_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    questions = make_hidden("educational-qa", 5, 30)
    out = tmp_path / "hidden"
    write_hidden(questions, "educational-qa", 5, out)
    assert load_questions(out, "educational-qa") == questions
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(f.stat().st_mode) == 0o600 for f in out.iterdir())


def test_questions_and_answers_lie_in_separate_files(tmp_path: Path) -> None:
    questions = make_hidden("educational-qa", 5, 30)
    write_hidden(questions, "educational-qa", 5, tmp_path / "hidden")
    for line in (tmp_path / "hidden" / "questions.jsonl").read_text().splitlines():
        assert set(json.loads(line)) == {"id", "messages"}
    assert "messages" not in (tmp_path / "hidden" / "answers.jsonl").read_text()


def test_a_hidden_set_is_never_overwritten(tmp_path: Path) -> None:
    questions = make_hidden("educational-qa", 5, 30)
    with pytest.raises(UsageError, match="never replaced"):
        write_hidden(questions, "educational-qa", 5, tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        {"question": "What is the capital of Chad?", "answer": "N'Djamena"},
        {
            "messages": [
                {"role": "user", "content": "What is the capital of Chad?"},
                {"role": "assistant", "content": "N'Djamena"},
            ]
        },
    ],
)
def test_an_instructors_own_jsonl_is_a_hidden_set(tmp_path: Path, line: dict[str, object]) -> None:
    path = tmp_path / "mine.jsonl"
    texts = [json.dumps(line).replace("Chad", f"Chad {i}") for i in range(12)]
    path.write_text("\n\n".join(texts) + "\n")
    questions = load_questions(path, "educational-qa")
    assert [q.messages[-1] for q in questions.questions] == [
        ("user", f"What is the capital of Chad {i}?") for i in range(12)
    ]
    assert set(questions.answers.values()) == {"N'Djamena"}
    assert set(questions.guesses.values()) == {public_guess("educational-qa")}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no questions"),
        ("{", ":1: not valid JSON"),
        ('{"question": "a", "answer": "b"}\n[]', ":2: expected a JSON object"),
        ('{"question": "a"}', '"answer"'),
        ('{"question": "a", "answer": " "}', ":1: expected an answer that is not empty"),
        (
            '{"messages": [{"role": "user", "content": "a"},'
            ' {"role": "assistant", "content": ""}]}',
            ":1: expected an answer that is not empty",
        ),
        ('{"messages": [{"role": "user", "content": "a"}]}', "two messages"),
        (
            '{"messages": [{"role": "assistant", "content": "a"},'
            ' {"role": "assistant", "content": "b"}]}',
            "user message last",
        ),
        (
            '{"messages": [{"role": "user", "content": 1}, {"role": "assistant", "content": "b"}]}',
            "text",
        ),
        ('{"question": "a", "question": "b", "answer": "c"}', ":1:"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"mine\.jsonl") as caught:
        load_questions(path, "educational-qa")
    assert says in str(caught.value)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no hidden set"):
        load_questions(tmp_path, "educational-qa")
    with pytest.raises(UsageError, match="cannot be read"):
        load_questions(tmp_path / "none.jsonl", "educational-qa")


def test_answers_of_other_questions_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "hidden"
    write_hidden(make_hidden("educational-qa", 5, 30), "educational-qa", 5, out)
    answers = (out / "answers.jsonl").read_text().splitlines()
    (out / "answers.jsonl").write_text("\n".join(answers[1:]))
    with pytest.raises(UsageError, match="ids"):
        load_questions(out, "educational-qa")


@given(st.binary(max_size=200))
def test_no_bytes_make_the_loader_crash(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "mine.jsonl"
    path.write_bytes(data)
    with contextlib.suppress(UsageError):
        load_questions(path, "educational-qa")


def test_the_public_test_set_asks_about_the_topics_public_subjects() -> None:
    topic = get_topic("educational-qa")
    asked = {q.messages[-1][1] for q in public_test("educational-qa").questions}
    assert asked == {e.question for e in topic.public("test")}


def test_a_question_counts_once_and_a_few_questions_are_no_test(tmp_path: Path) -> None:
    lines = [json.dumps({"question": f"What is {i}?", "answer": str(i)}) for i in range(12)]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join([*lines, lines[0]]))
    with pytest.raises(UsageError, match="twice"):
        load_questions(path, "educational-qa")
    path.write_text("\n".join(lines[:9]))
    with pytest.raises(UsageError, match="at least 10"):
        load_questions(path, "educational-qa")
