"""Question sets: the hidden one of a class, the public test set, an instructor's own JSONL.

A hidden set is a folder of two files, so that answers can be kept apart from whatever runs
questions: `questions.jsonl` with {"id", "kind", "messages"} and `answers.jsonl` with {"id",
"answer", "guess"}. `guess` is what always giving the most frequent public answer for that kind of
question would say. `hidden.json` records the topic and the seed, for the instructor.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.core.constants import HIDDEN_MIN_QUESTIONS, QUESTION_FILE_MAX_BYTES
from grader.core.errors import UsageError
from grader.topics import get_topic
from grader.training_data.read.lines import LineError, UnreadableFile, decode, lines, open_data

Messages = tuple[tuple[str, str], ...]
"""(role, content) pairs, the last one from the user."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked. `id` is stable within its set."""

    id: str
    messages: Messages


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions with their answers and guesses by id; `digest` covers all three.

    Whether they are `public` decides what a student may read of a run that saw them.
    """

    questions: tuple[Question, ...]
    answers: Mapping[str, str]
    guesses: Mapping[str, str]
    public: bool = False

    @property
    def digest(self) -> str:
        """sha256 over questions, answers and guesses in order."""
        rows = [[q.id, q.messages, self.answers[q.id], self.guesses[q.id]] for q in self.questions]
        return hashlib.sha256(json.dumps(rows, ensure_ascii=True).encode()).hexdigest()


def make_hidden(topic_name: str, seed: int, n: int) -> QuestionSet:
    """n fresh questions of the topic, disjoint from every public one; the same for a seed."""
    topic = get_topic(topic_name)
    width = len(str(n))
    examples = topic.hidden(seed, n)
    ids = [f"q{i:0{width}d}" for i in range(1, n + 1)]
    return QuestionSet(
        questions=tuple(
            Question(id, (("system", topic.system), ("user", example.question)))
            for id, example in zip(ids, examples, strict=True)
        ),
        answers={id: example.answer for id, example in zip(ids, examples, strict=True)},
        guesses={id: topic.guess(e.kind) for id, e in zip(ids, examples, strict=True)},
    )


def write_hidden(questions: QuestionSet, topic: str, seed: int, out: Path) -> None:
    """Write the set into a new folder that only its owner may read (0700, files 0600)."""
    try:
        out.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise UsageError(f"{out} exists. Choose a new folder: a hidden set is never replaced.")  # noqa: B904
    rows = [
        {"id": q.id, "messages": [{"role": r, "content": c} for r, c in q.messages]}
        for q in questions.questions
    ]
    answers = [
        {"id": q.id, "answer": questions.answers[q.id], "guess": questions.guesses[q.id]}
        for q in questions.questions
    ]
    about = {"schema": "finegrade/hidden/v1", "topic": topic, "seed": seed, "n": len(rows)}
    for name, written in (
        ("questions.jsonl", rows),
        ("answers.jsonl", answers),
        ("hidden.json", [about]),
    ):
        path = out / name
        path.touch(mode=0o600)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in written)
        path.write_text(text, encoding="utf-8")


def load_questions(path: Path, topic_name: str) -> QuestionSet:
    """A hidden set's folder, or a JSONL file of chat or {"question", "answer"} lines.

    For an instructor's own file the guess is the topic's most frequent public answer. Raises
    UsageError naming file and line.
    """
    if path.is_dir():
        questions_file, answers_file = path / "questions.jsonl", path / "answers.jsonl"
        if not questions_file.is_file() or not answers_file.is_file():
            raise UsageError(
                f"{path} holds no hidden set: questions.jsonl and answers.jsonl are expected. "
                "Make one with `finegrade hidden make`."
            )
        return _from_folder(questions_file, answers_file)
    guess = public_guess(topic_name)
    examples = [_example(line, f"{path}:{n}") for n, line in _lines(path)]
    asked = [messages for messages, _ in examples]
    if len(set(asked)) < len(asked):
        raise UsageError(f"{path}: the same question stands there twice; each may count once.")
    if len(asked) < HIDDEN_MIN_QUESTIONS:
        raise UsageError(
            f"{path}: {len(asked)} questions; at least {HIDDEN_MIN_QUESTIONS} are needed."
        )
    width = len(str(len(examples)))
    ids = [f"q{i:0{width}d}" for i in range(1, len(examples) + 1)]
    return QuestionSet(
        questions=tuple(Question(id, m) for id, (m, _) in zip(ids, examples, strict=True)),
        answers={id: answer for id, (_, answer) in zip(ids, examples, strict=True)},
        guesses=dict.fromkeys(ids, guess),
    )


def public_test(topic_name: str) -> QuestionSet:
    """The topic's public test set, for students who check their own work."""
    topic = get_topic(topic_name)
    examples = topic.public("test")
    ids = [f"public-{i}" for i in range(1, len(examples) + 1)]
    return QuestionSet(
        questions=tuple(
            Question(id, (("system", topic.system), ("user", e.question)))
            for id, e in zip(ids, examples, strict=True)
        ),
        answers={id: e.answer for id, e in zip(ids, examples, strict=True)},
        guesses={id: topic.guess(e.kind) for id, e in zip(ids, examples, strict=True)},
        public=True,
    )


def public_guess(topic_name: str) -> str:
    """The most frequent answer of the topic's public training set (ties: the first by name)."""
    answers = Counter(e.answer for e in get_topic(topic_name).public("train"))
    return min(answers, key=lambda answer: (-answers[answer], answer))


def _from_folder(questions_file: Path, answers_file: Path) -> QuestionSet:
    questions = []
    for n, line in _lines(questions_file):
        where = f"{questions_file}:{n}"
        _need(isinstance(line.get("id"), str), where, 'a string "id"')
        questions.append(Question(line["id"], _messages(line.get("messages"), where)))
    answers: dict[str, str] = {}
    guesses: dict[str, str] = {}
    for n, line in _lines(answers_file):
        texts = [line.get(key) for key in ("id", "answer", "guess")]
        where = f"{answers_file}:{n}"
        _need(all(isinstance(t, str) for t in texts), where, 'strings "id", "answer" and "guess"')
        _need(bool(line["answer"].strip()), where, "an answer that is not empty")
        answers[line["id"]], guesses[line["id"]] = line["answer"], line["guess"]
    ids = [q.id for q in questions]
    if len(set(ids)) != len(ids) or set(ids) != set(answers):
        raise UsageError(f"{answers_file}: its ids are not exactly those of {questions_file.name}.")
    return QuestionSet(tuple(questions), answers, guesses)


def _lines(path: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    """(1-based line number, object) of each non-blank line."""
    try:
        with open_data(path) as file:
            size = file.seek(0, 2)
    except UnreadableFile as error:
        raise UsageError(f"{path}: {error}.") from error
    if size > QUESTION_FILE_MAX_BYTES:
        raise UsageError(f"{path}: {size} bytes; at most {QUESTION_FILE_MAX_BYTES} are read.")
    found = False
    for n, raw in lines(path):
        if not raw.strip():
            continue
        try:
            line = decode(raw)
        except LineError as error:
            raise UsageError(f"{path}:{n}: {error.message}") from error
        _need(isinstance(line, dict), f"{path}:{n}", "a JSON object")
        found = True
        yield n, line
    if not found:
        raise UsageError(f"{path}: no questions in it.")


def _example(line: Mapping[str, Any], where: str) -> tuple[Messages, str]:
    """(prompt messages, reference answer) of a chat line or a question/answer line."""
    if "messages" in line:
        messages = line["messages"]
        _need(isinstance(messages, list) and len(messages) >= 2, where, "two messages or more")
        last = messages[-1]
        _need(
            isinstance(last, dict)
            and last.get("role") == "assistant"
            and isinstance(last.get("content"), str),
            where,
            "an assistant message with text at the end",
        )
        _need(bool(last["content"].strip()), where, "an answer that is not empty")
        return _messages(messages[:-1], where), last["content"]
    question, answer = line.get("question"), line.get("answer")
    both = isinstance(question, str) and isinstance(answer, str)
    _need(both, where, '"messages", or strings "question" and "answer"')
    _need(bool(str(answer).strip()), where, "an answer that is not empty")
    return (("user", str(question)),), str(answer)


def _messages(value: Any, where: str) -> Messages:
    _need(isinstance(value, list) and bool(value), where, 'a list "messages"')
    for message in value:
        _need(
            isinstance(message, dict)
            and message.get("role") in ("system", "user", "assistant")
            and isinstance(message.get("content"), str),
            where,
            'messages with "role" (system, user or assistant) and text "content"',
        )
    _need(value[-1]["role"] == "user", where, "a user message last before the answer")
    return tuple((m["role"], m["content"]) for m in value)


def _need(holds: bool, where: str, expected: str) -> None:
    if not holds:
        raise UsageError(f"{where}: expected {expected}.")


def chat(messages: Messages) -> Sequence[dict[str, str]]:
    """Messages as the list of dicts that chat templates take."""
    return [{"role": role, "content": content} for role, content in messages]
