"""What runs of Part 3's scripts are taken to show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.examples.writers import with_files
from support.predictions import evidence
from support.script_runs import (
    ASKED,
    LOADED,
    METRICS,
    TRAIN,
    TRAINED_ON,
    WEIGHTS,
    inference,
    state,
    training,
)

from grader.assignment.load import load_assignment
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Context
from grader.checks.api.registry import check_of
from grader.core.nouns import Evidence, Finding, Outcome
from grader.intake.find import submission_at
from grader.intake.submission import take_in

ASSIGNMENT = load_assignment("llm-methods")
FILES = (TRAIN, "inference.py", "metrics.json")
OWN_LOOP = """
import torch
from peft import LoraConfig, get_peft_model

model = get_peft_model(base, LoraConfig(r=4))
best, bad = 9.0, 0
for epoch in range(20):
    for batch in batches:
        model(**batch).loss.backward()
    loss = validate(model)
    bad = 0 if loss < best else bad + 1
    best = min(best, loss)
    model.save_pretrained(f"checkpoints/{epoch}")
    if bad > 2:
        break
"""


def judged(
    code: str,
    home: Path,
    evidence: Mapping[str, Evidence],
    *,
    script: str = "",
    more: Mapping[str, str] | None = None,
    hidden: bool = True,
) -> Finding:
    with_files(*FILES)(home)
    for name, text in {TRAIN: script, **(more or {})}.items():
        place = home / "s01" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    found = submission_at(home / "s01")
    submission = take_in(found, home / "work", ASSIGNMENT.deliverables)
    context = Context(ASSIGNMENT, submission, evidence, hidden=hidden)
    return check_of(code, ASSIGNMENT).judge(context)


def trained(code: str, home: Path, *, script: str = "", **changes: Any) -> Finding:
    return judged(code, home, {"lora_training": training(**changes)}, script=script)


# --- the training ------------------------------------------------------------------------------


def test_a_script_that_fails_is_told_its_last_words(tmp_path: Path) -> None:
    lines = "Traceback (most recent call last):\n  x\nKeyError: 'answer'\n\n"
    found = trained("ADP020", tmp_path, verdict="exit", exit_code=1, stderr=lines)
    assert (found.outcome, found.measures) == (Outcome.FAIL, {"share": 0.0})
    assert "exit code 1" in found.message
    assert "KeyError: 'answer'" in found.message


def test_a_training_that_fails_behind_its_end_left_its_checkpoints(tmp_path: Path) -> None:
    found = trained("ADP021", tmp_path, verdict="exit", exit_code=1)
    assert found.measures == {"share": 1.0}
    killed = trained("ADP021", tmp_path / "b", verdict="timeout", exit_code=None, signal=9)
    assert killed.measures == {"share": 0.5}


@pytest.mark.parametrize(
    ("changes", "share", "said"),
    [
        ({"metrics": None}, 0.5, "no metrics.json"),
        ({"metrics": {"score": 1}}, 0.5, "no metrics.json"),
        ({"made_bytes": {"metrics.json": 500}}, 0.0, "no weights"),
        ({"opened": {TRAIN: 1, "data/train.jsonl": 1}}, 0.0, "weights of the base"),
        ({"opened": {TRAIN: 1, "course-model/model.safetensors": 2}}, 0.0, "training data"),
    ],
)
def test_a_training_reads_trains_and_measures(
    changes: dict[str, Any], share: float, said: str, tmp_path: Path
) -> None:
    found = trained("ADP020", tmp_path, **changes)
    assert (found.outcome, found.measures) == (Outcome.FAIL, {"share": share})
    assert said in found.message


def test_where_no_file_is_reported_nothing_is_held_against_a_script(tmp_path: Path) -> None:
    assert trained("ADP020", tmp_path, opened=None).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("states", "stdout", "share"),
    [
        (state(), "", 1.0),
        (state(60, 60, stop=True), "", 1.0),  # early stopping had nothing to stop
        (state(60, 60, (), watched=True), "", 0.5),  # it never saw a validation loss
        (state(60, 60, watched=False), "", 0.5),
        (state(20, 60, watched=False), "", 1.0),  # another callback stopped it
        (state(60, 60, (0.5, 0.4, 0.3), watched=False), "Not stopped: the loss falls.", 1.0),
        (state(60, 60, (0.3, 0.4, 0.5), watched=False), "Not stopped: the loss falls.", 0.5),
        (state(60, 60, (0.5, 0.4, 0.3), watched=False), "", 0.5),
    ],
)
def test_training_stops_early_or_says_why_not(
    states: dict[str, Any], stdout: str, share: float, tmp_path: Path
) -> None:
    found = trained("ADP021", tmp_path, states=states, stdout=stdout)
    assert found.measures == {"share": share}


@pytest.mark.parametrize(
    ("script", "outcome"),
    [(OWN_LOOP, Outcome.PASS), (OWN_LOOP.replace("break", "pass"), Outcome.FAIL)],
)
def test_a_loop_of_ones_own_is_read_in_the_source(
    script: str, outcome: Outcome, tmp_path: Path
) -> None:
    metrics = training().payload["files"]["metrics.json"]
    found = trained("ADP021", tmp_path, script=script, files={"metrics.json": metrics})
    assert found.outcome is outcome


def test_optimizers_and_the_adapter_are_no_checkpoints(tmp_path: Path) -> None:
    made = {
        "adapter/adapter_model.safetensors": WEIGHTS,
        "checkpoints/optimizer.pt": WEIGHTS,
        "checkpoints/tiny.pt": 20,
    }
    assert trained("ADP021", tmp_path, made_bytes=made).measures == {"share": 0.0}


def made(home: Path, right: int, submitted: int, **changes: Any) -> Finding:
    runs = {
        "lora_training": training(**changes.pop("run", {})),
        "lora_made": evidence(right),
        "after": evidence(submitted),
    }
    return judged("ADP022", home, runs, **changes)


@pytest.mark.parametrize(("right", "submitted"), [(90, 90), (80, 92), (100, 60)])
def test_an_adapter_that_another_seed_made_is_as_good(
    right: int, submitted: int, tmp_path: Path
) -> None:
    assert made(tmp_path, right, submitted).outcome is Outcome.PASS


def test_an_adapter_that_the_script_cannot_have_made_is_looked_at(tmp_path: Path) -> None:
    found = made(tmp_path, 40, 92)
    assert found.outcome is Outcome.REVIEW
    assert "40%" not in found.message  # staff read it
    assert "40% of the questions, the submitted one 92%" in found.note


@pytest.mark.parametrize(
    ("script", "more", "outcome"),
    [
        ("x = 1\n", {}, Outcome.PASS),
        (f"x = '{'A' * 200_000}'\n", {}, Outcome.REVIEW),
        ("x = 1\n", {"ready.json": "A" * 200_000}, Outcome.REVIEW),
        ("x = 1\n", {"data/train.jsonl": "A" * 200_000}, Outcome.PASS),  # the kit's own is there
        ("x = 1\n", {"unread.json": "A" * 200_000}, Outcome.PASS),
    ],
)
def test_an_adapter_that_is_carried_along_is_looked_at(
    script: str, more: Mapping[str, str], outcome: Outcome, tmp_path: Path
) -> None:
    run = {"opened": {**TRAINED_ON, "ready.json": 1}}
    assert made(tmp_path, 90, 90, run=run, script=script, more=more).outcome is outcome


# --- the inference -----------------------------------------------------------------------------


def answered(home: Path, *lines: str, hidden: bool = True, **changes: Any) -> Finding:
    runs = {"lora_inference": inference(*lines, **changes), "after": evidence(100)}
    return judged("ADP030", home, runs, hidden=hidden)


RIGHT = [question.replace("question", "answer") for question in ASKED]


@pytest.mark.parametrize(
    ("lines", "share"),
    [
        (RIGHT, 1.0),
        (["Loading the model", *RIGHT], 1.0),
        ([f"{q} -> {a}" for q, a in zip(ASKED, RIGHT, strict=True)], 1.0),
        ([line for q, a in zip(ASKED, RIGHT, strict=True) for line in (q, f"  A: {a}.", "")], 1.0),
        (["Paris"] * len(ASKED), 0.0),
        ([*RIGHT[:6], *["Paris"] * 4], 0.6),
        (RIGHT[:1], 0.1),
        (RIGHT[::-1], 0.0),
        ([f"answer {n}" for n in range(100)], 0.0),  # all answers there are
        ([" ".join(RIGHT)] * len(ASKED), 0.0),
    ],
)
def test_answers_stand_on_lines_of_their_own_in_order(
    lines: list[str], share: float, tmp_path: Path
) -> None:
    assert answered(tmp_path, *lines).measures["share"] == pytest.approx(share)


def test_nothing_of_a_hidden_run_is_told(tmp_path: Path) -> None:
    words = "ValueError: question 10 has 7 words\n"
    found = answered(tmp_path, "a", verdict="exit", exit_code=37, stderr=words)
    assert found.outcome is Outcome.FAIL
    assert "question 10" not in found.message
    assert "37" not in found.message
    assert words.strip() in found.note
    seen = answered(tmp_path, "a", verdict="exit", exit_code=37, stderr=words, hidden=False)
    assert words.strip() in seen.message


@pytest.mark.parametrize(
    ("opened", "problem"),
    [
        ({"data/train.jsonl": 1}, "opens data"),
        ({"more.csv": 1}, "opens data"),
        ({"checkpoints/9/adapter_model.safetensors": 1}, "other weights"),
        ({"other-model/model.safetensors": 2}, "other weights"),
        ({"course-model/model.safetensors": 0}, "no weights of the base"),
        ({"adapter/adapter_model.safetensors": 0}, "no weights of the adapter"),
    ],
)
def test_what_inference_opens_is_what_it_needs(
    opened: dict[str, int], problem: str, tmp_path: Path
) -> None:
    files = {path: count for path, count in {**LOADED, **opened}.items() if count}
    found = judged("ADP031", tmp_path, {"lora_inference": inference(opened=files)})
    assert found.outcome is Outcome.FAIL
    assert problem in found.note
    assert problem not in found.message  # a program that sees questions chose what it opens


LOAD = "base = AutoModelForCausalLM.from_pretrained(x)\n"


@pytest.mark.parametrize(
    ("source", "openings", "outcome"),
    [
        (LOAD, 1, Outcome.PASS),
        (LOAD, 2, Outcome.PASS),  # a library that opens the weights twice for one load
        (LOAD + LOAD, 2, Outcome.FAIL),
        (f"if False:\n    {LOAD}{LOAD}", 1, Outcome.PASS),  # one of them was never run
        (f"for question in x:\n    {LOAD}", 12, Outcome.FAIL),
    ],
)
def test_the_base_is_loaded_once(
    source: str, openings: int, outcome: Outcome, tmp_path: Path
) -> None:
    opened = {**LOADED, "course-model/model.safetensors": openings}
    script = f"from transformers import AutoModelForCausalLM\nx = ['a']\n{source}"
    run = {"lora_inference": inference(opened=opened)}
    found = judged("ADP031", tmp_path, run, more={"inference.py": script})
    assert found.outcome is outcome


def test_inference_within_its_memory(tmp_path: Path) -> None:
    run = inference(verdict="memory", exit_code=None, signal=9)
    found = judged("ADP031", tmp_path, {"lora_inference": run})
    assert found.outcome is Outcome.FAIL
    assert "more memory" in found.message


def test_reported_costs_stand_beside_measured_ones(tmp_path: Path) -> None:
    runs = {"lora_training": training(), "lora_inference": inference()}
    reported = {**METRICS, "tokens_per_second": 30, "train_seconds": "long"}
    found = judged("ADP032", tmp_path, runs, more={"metrics.json": json.dumps(reported)})
    assert found.outcome is Outcome.PASS
    assert found.measures == {
        "reported_tokens_per_second": 30.0,
        "reported_peak_memory_mb": 500.0,
        "run_tokens_per_second": 300.0,
        "run_peak_memory_mb": 500.0,
        "apart_tokens_per_second": 10.0,
        "apart_peak_memory_mb": 1.0,
        "inference_memory_mb": 400.0,
    }


# --- trials ------------------------------------------------------------------------------------

TRIALS = [
    {"settings": {"rank": 2, "lr": 0.005}, "validation_loss": 0.4, "seconds": 9},
    {
        "settings": {"rank": 8, "batch_size": 16, "resume": True},
        "validation_loss": 0.1,
        "seconds": 9,
    },
]


def tried(code: str, home: Path, trials: object = TRIALS, **changes: Any) -> Finding:
    lines = trials if isinstance(trials, list) else [trials]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    runs = {"lora_trial": training(**changes)}
    return judged(code, home, runs, more={"trials.jsonl": text})


def test_trials_are_read(tmp_path: Path) -> None:
    found = tried("ADP023", tmp_path)
    assert (found.outcome, found.measures) == (Outcome.PASS, {"trials": 2})
    assert "0.1 (rank 8, batch_size 16, resume True)" in found.message


def test_trials_are_voluntary(tmp_path: Path) -> None:
    assert judged("ADP023", tmp_path, {}).left_out


CHOSEN = ["--rank", "8", "--batch-size", "16", "--resume"]


@pytest.mark.parametrize(
    ("loss", "arguments", "outcome"),
    [
        (0.1, CHOSEN, Outcome.PASS),
        (0.17, CHOSEN, Outcome.PASS),
        (0.9, CHOSEN, Outcome.REVIEW),
        (0.1, ["--rank", "4"], Outcome.REVIEW),
    ],
)
def test_a_trial_that_is_run_again_gives_what_was_recorded(
    loss: float, arguments: list[str], outcome: Outcome, tmp_path: Path
) -> None:
    metrics = {**METRICS, "validation_loss": loss}
    found = tried("ADP024", tmp_path, metrics=metrics, arguments=arguments)
    assert found.outcome is outcome


def test_a_trainers_own_loss_stands_for_one_that_is_not_reported(tmp_path: Path) -> None:
    states = state(losses=(0.5, 0.11, 0.3))
    found = tried("ADP024", tmp_path, metrics={}, states=states, arguments=CHOSEN)
    assert found.outcome is Outcome.PASS
