"""The course's whole way, with a real service and each client that students have."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.clients import CLIENTS, Client, tell_story
from support.sandboxes import pending
from support.sim_apps import MODEL, ROOT, chat_lines, environment
from support.sim_processes import Simulate

from grader.assignment.questions import chat, make_hidden
from grader.core.metrics import exact_match

DATA = ROOT / "datasets" / "educational-qa"
PAGE = 20  # events
_TOLD = ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"]


@dataclass(frozen=True)
class Lesson:
    """What a job trains and what its model is asked; `gain` is a share of the questions."""

    train: Path
    validation: Path
    options: Mapping[str, Any]
    epochs: int
    questions: Sequence[Sequence[Mapping[str, str]]]
    references: Sequence[str]
    gain: float


@dataclass(frozen=True)
class Story:
    """A lesson, and what a client saw of it."""

    client: Client
    lesson: Lesson
    seen: Mapping[str, Any]

    @property
    def job(self) -> Any:
        return self.seen["job"]


@pytest.fixture(scope="session", params=CLIENTS, ids=str)
def story(
    request: pytest.FixtureRequest, simulated: Simulate, tmp_path_factory: pytest.TempPathFactory
) -> Story:
    if not request.param.is_installed:
        pending(f"{request.param} is not installed. Run scripts/setup.sh with a network.")
    folder = tmp_path_factory.mktemp("story")
    # One client takes the course's own way; of the others it is enough that they get through.
    lesson = _course() if request.param is CLIENTS[0] else _short(folder)
    task = {
        "model": MODEL,
        "train": str(lesson.train),
        "validation": str(lesson.validation),
        "options": {"suffix": "course", "seed": 7, **lesson.options},
        "questions": lesson.questions,
        "page": PAGE,
    }
    file = folder / "task.json"
    file.write_text(json.dumps(task))
    seen = tell_story(request.param, file, environment() | simulated.exports)
    return Story(request.param, lesson, seen)


def _course() -> Lesson:
    """All public examples with the service's own numbers, then questions that nobody has seen."""
    hidden = make_hidden("educational-qa", 11, 40)
    return Lesson(
        DATA / "train.jsonl",
        DATA / "validation.jsonl",
        {},
        3,
        [chat(question.messages) for question in hidden.questions],
        [hidden.answers[question.id] for question in hidden.questions],
        0.6,
    )


def _short(folder: Path) -> Lesson:
    """Ten examples learned by heart."""
    lines = chat_lines(10)
    file = folder / "train.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    numbers = {"n_epochs": 8, "batch_size": 5, "learning_rate_multiplier": 4}
    return Lesson(
        file,
        file,
        {"method": {"type": "supervised", "supervised": {"hyperparameters": numbers}}},
        8,
        [line["messages"][:-1] for line in lines],
        [line["messages"][-1]["content"] for line in lines],
        1.0,
    )


def test_the_client_is_the_one_that_was_meant(story: Story) -> None:
    assert int(story.seen["version"].partition(".")[0]) == story.client.major


def test_the_file_is_as_it_was_uploaded(story: Story) -> None:
    upload = story.seen["upload"]
    assert upload["id"] == story.job["training_file"]
    assert (upload["object"], upload["purpose"]) == ("file", "fine-tune")
    assert upload["filename"] == story.lesson.train.name
    assert upload["bytes"] == story.lesson.train.stat().st_size


def test_the_job_goes_through_the_states_of_the_service(story: Story) -> None:
    job = story.job
    assert story.seen["created"]["status"] == "validating_files"
    assert story.seen["polled"][-2:] == ["running", "succeeded"]
    assert story.seen["newest_job"] == job["id"] == story.seen["created"]["id"]
    assert job["object"] == "fine_tuning.job"
    assert job.get("error") is None
    assert job["hyperparameters"]["n_epochs"] == story.lesson.epochs
    assert job["trained_tokens"] > 0
    assert job["fine_tuned_model"].startswith(f"ft:{MODEL}:finegrade:course:")


def test_its_events_tell_every_step_in_the_words_of_the_service(story: Story) -> None:
    job, pages = story.job, story.seen["pages"]
    events = story.seen["events"][::-1]
    assert len(pages) > 1
    assert set(pages[:-1]) == {PAGE}
    assert len({event["id"] for event in events}) == len(events) == sum(pages)
    told = [event["message"] for event in events]
    assert told[:4] == [
        f"Created fine-tuning job: {job['id']}",
        f"Validating training file: {job['training_file']} "
        f"and validation file: {job['validation_file']}",
        "Files validated, moving job to queued state",
        "Fine-tuning job started",
    ]
    assert told[-2:] == [
        f"New fine-tuned model created: {job['fine_tuned_model']}",
        "The job has successfully completed",
    ]
    steps = [event["data"] for event in events if event["type"] == "metrics"]
    total = steps[0]["total_steps"]
    assert [step["step"] for step in steps] == list(range(1, total + 1))
    tenth = total // 10
    losses = [step["train_loss"] for step in steps]
    assert sum(losses[-tenth:]) < sum(losses[:tenth]) / 2
    assert steps[-1]["full_valid_loss"] < losses[0] / 2


def test_the_last_epochs_leave_checkpoints_that_answer(story: Story) -> None:
    checkpoints = story.seen["checkpoints"]
    assert len(checkpoints) == 3
    names = [checkpoint["fine_tuned_model_checkpoint"] for checkpoint in checkpoints]
    assert names[0] == story.job["fine_tuned_model"]
    assert names[1] == f"{names[0]}:ckpt-step-{checkpoints[1]['step_number']}"
    assert {*names, MODEL} <= set(story.seen["models"])
    assert story.seen["checkpoint_says"]["model"] == names[2]


def test_the_result_file_is_a_table_with_a_line_a_step(story: Story) -> None:
    assert story.seen["result_file"]["purpose"] == "fine-tune-results"
    text = base64.b64decode(story.seen["result"], validate=True).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == _TOLD
    assert [int(row["step"]) for row in rows] == list(range(1, len(rows) + 1))
    assert all(float(row["train_loss"]) >= 0 for row in rows)
    assert 0 <= float(rows[-1]["valid_mean_token_accuracy"]) <= 1


def test_the_tuned_model_knows_what_the_base_does_not(story: Story) -> None:
    assert _right(story, "tuned_answers") - _right(story, "base_answers") >= story.lesson.gain


def test_a_streamed_answer_comes_in_pieces_and_is_the_same(story: Story) -> None:
    pieces, usage = story.seen["streamed"], story.seen["streamed_usage"]
    assert len(pieces) > 2
    assert "".join(pieces) == story.seen["tuned_answers"][0]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] > 0


def test_refusals_are_the_errors_that_the_client_has_for_them(story: Story) -> None:
    refused = {
        what: (error["name"], error["status"], error["code"])
        for what, error in story.seen["refused"].items()
    }
    assert refused == {
        "no such job": ("NotFoundError", 404, "fine_tune_not_found"),
        "no such model": ("NotFoundError", 404, "model_not_found"),
        "wrong key": ("AuthenticationError", 401, "invalid_api_key"),
        "bad request": ("BadRequestError", 400, None),
    }


def _right(story: Story, which: str) -> float:
    """The share of the questions that are answered with the very reference."""
    lesson = story.lesson
    said = zip(story.seen[which], lesson.references, strict=True)
    return sum(exact_match(answer or "", right) for answer, right in said) / len(lesson.references)
