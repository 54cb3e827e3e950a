"""What an expert would give for whole submissions of Part 2: good data and bad, honest and not.

The table was written by judgement before any of them was run, and before the bands of the gain
were known, by reading what the course asks for and not how it is graded. Each variant holds the
files that differ from the solution's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from scipy.stats import spearmanr
from support.experts import lay_out, narrowed
from support.paths import EXPERTS, SOLUTION
from support.recorded import Family

from grader.assignment.load import load_assignment
from grader.assignment.questions import make_hidden
from grader.core.nouns import Assignment, Outcome
from grader.core.result import Result

VARIANTS: Final = EXPERTS / "variants" / "part2"
QUESTIONS: Final = make_hidden("educational-qa", 7, 10)
FILES: Final = (
    "openai_domain_finetune.py",
    "openai_train.jsonl",
    "openai_test.jsonl",
    "cost_analysis.md",
    "cost_analysis.json",
)
OF: Final[Mapping[str, tuple[str, ...]]] = {
    "gain": ("openai_gain",),
    "own_test": ("openai_own_test",),
    "facts": ("openai_facts",),
    "rules": ("openai_rules",),
    "pairs": ("openai_pairs",),
    "ok": (
        "openai_upload",
        "openai_one_job",
        "openai_polling",
        "openai_end",
        "openai_events",
        "openai_model",
        "openai_evaluation",
        "openai_results",
    ),
    "trouble": (
        "openai_interruptions",
        "openai_failed_job",
        "openai_no_training",
        "openai_lost_answer",
        "openai_refusals",
    ),
    "cost": (
        "cost_tokens",
        "cost_epochs",
        "cost_training",
        "cost_prices",
        "cost_prompts",
        "cost_query",
        "cost_break_even",
        "cost_retirement",
    ),
}
"""The criteria that a column of the table stands for; a person reads the cost document beside."""


class Row(NamedTuple):
    """Points by column."""

    gain: float
    own_test: float
    facts: float
    rules: float
    pairs: float
    ok: float
    trouble: float
    cost: float


EXPERT: Final[Mapping[str, Row]] = {
    "good": Row(7, 1.5, 2.5, 1, 1, 2.25, 1.25, 2.5),
    # Four kinds of question and many rare names: the tuned model stays a bit lower.
    "geography18": Row(6, 1.5, 2.5, 1, 1, 2.25, 1.25, 2.5),
    "animals15": Row(6.25, 1.5, 2.5, 1, 1, 2.25, 1.25, 2.5),
    "elements15": Row(6.5, 1.5, 2.5, 1, 1, 2.25, 1.25, 2.5),
    "elements10": Row(4.5, 1, 2.5, 1, 0, 2.25, 1.25, 2.5),
    # The service refuses so few: no job, and no model.
    "elements6": Row(0, 0, 2.5, 0, 0, 0, 0, 2.5),
    # All answers moved by one, and a cost document that is the letter x.
    "shuffled": Row(0, 0, 0, 1, 1, 2.25, 1.25, 2.5),
    "same_answer": Row(0, 0, 0, 1, 1, 2.25, 1.25, 2.5),
    "third_wrong": Row(4.5, 1, 1, 1, 1, 2.25, 1.25, 2.5),
    # Right as far as one can see, and on nothing that the model has read.
    "cooking": Row(0, 0, 0.5, 1, 1, 2.25, 1.25, 2.5),
    "two_domains": Row(0, 1.5, 2.5, 1, 0, 2.25, 1.25, 2.5),
    "two_strays": Row(7, 1.5, 2.5, 1, 0.75, 2.25, 1.25, 2.5),
    # Half of the test questions stand in the training data.
    "leaking": Row(7, 0, 2.5, 1, 1, 2.25, 1.25, 2.5),
    "faulty_jsonl": Row(0, 0, 2, 0, 0.5, 0, 0, 1.5),
    "faulty_jsonl_sent": Row(0, 0, 2, 0, 0.5, 0.5, 0, 1.5),
    "rate_too_small": Row(0, 0, 2.5, 1, 1, 2.25, 1.25, 2.5),
    "rate_too_large": Row(0, 0, 2.5, 1, 1, 2.25, 1.25, 2.5),
    # The job is real; the tuned model's answers are the expected ones, copied.
    "never_asks_tuned": Row(7, 1.25, 2.5, 1, 1, 1.5, 1.25, 2.5),
    "cost_x": Row(7, 1.5, 2.5, 1, 1, 2.25, 1.25, 2.5),
    "cost_copied": Row(7, 1.5, 2.5, 1, 1, 2.25, 1.25, 0.25),
    "example_only": Row(7, 1.5, 2.5, 1, 1, 2, 0.25, 2.5),
    "invented_report": Row(0, 0, 2.5, 1, 1, 0, 0, 2.5),
    "simulation_only": Row(0, 0, 2.5, 1, 1, 0.25, 0.25, 2.5),
    # Three pairs, six times each.
    "copies": Row(1.5, 0.5, 2.5, 0.75, 0, 2.25, 1.25, 2.5),
    "wrong_test": Row(7, 0, 2.5, 1, 1, 2.25, 1.25, 2.5),
}
IN_TROUBLE: Final = frozenset(
    {
        "good",
        "elements6",
        "faulty_jsonl",
        "faulty_jsonl_sent",
        "example_only",
        "invented_report",
        "simulation_only",
    }
)
"""What is run in every scenario; other scripts differ from the solution's in what they train."""

MISSES: Final = {
    "elements10": "ten pairs teach the course model as much as eighteen: it answers 96 %",
    "cost_copied": "numbers that follow from each other are right, about whatever data",
}
"""Rows more than a point from the expert, and why."""

NOISE: Final = {"noise15": 0.15, "noise30": 0.3, "noise50": 0.5, "noise70": 0.7}
"""Shares of the solution's answers that change places among each other."""

EPOCHS: Final = {"one_epoch": 1, "two_epochs": 2}

# Scripts that differ in a few lines from that of `rate_too_small`: what stands there, and here.
_NUMBERS: Final = '"n_epochs": 1, "learning_rate_multiplier": 0.0001'
_PLAIN: Final = (
    """        model=model,
        training_file=file_id,
        suffix=SUFFIX,
        seed=1,
        metadata={"run": key},
        method={
            "type": "supervised",
            "supervised": {
                "hyperparameters": {"n_epochs": 1, "learning_rate_multiplier": 0.0001}
            },
        },
""",
    """        model=model, training_file=file_id, suffix=SUFFIX, seed=1, metadata={"run": key}
""",
)
_BOTH_ASKED: Final = """\
    before, after = (ask(client, model, test) for model in (args.model, job.fine_tuned_model))
"""
_LEAK_SOUGHT: Final = """    trained = {chat[-2]["content"].strip().lower() for chat in train}
    both = [chat[-2]["content"] for chat in test if chat[-2]["content"].strip().lower() in trained]
    if both:
        raise Stop(f"{TEST.name}: also in the training data, so that it tests nothing: {both[0]}")
"""
_JOB: Final = (
    """    try:
        job = tuned_job(client, args.model, args.poll_seconds)
    except openai.PermissionDeniedError as error:
        if error.code != "training_not_available":
            raise
        print(f"{said(error)}\\nWhat follows is a SIMULATION: the score after is made up.")
        before = ask(client, args.model, test)
        after = simulate_answers(before[0], test), {}
        facts = {"simulated": True, "assumed_gain": ASSUMED_GAIN, "base": args.model}
        write_results(test, before, after, **facts, job=None, model=None)
        return
"""
    + _BOTH_ASKED
    + '    facts = {"simulated": False, "base": args.model, "job": job.id, '
    + '"model": job.fine_tuned_model}\n'
    + """    write_results(test, before, after, **facts, trained_tokens=job.trained_tokens)
"""
)
EDITS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "rate_too_large": ((_NUMBERS, '"n_epochs": 50, "learning_rate_multiplier": 100'),),
    **{name: ((_NUMBERS, f'"n_epochs": {number}'),) for name, number in EPOCHS.items()},
    "leaking": (_PLAIN, (_LEAK_SOUGHT, "")),
    "never_asks_tuned": (
        _PLAIN,
        (
            _BOTH_ASKED,
            """    before = ask(client, args.model, test)
    # The job succeeded, so the tuned model knows the domain: its answers are the expected ones.
    after = [chat[-1]["content"] for chat in test], dict(before[1])
""",
        ),
    ),
    "simulation_only": (
        _PLAIN,
        (
            _JOB,
            """    print("No job is run. What follows is a SIMULATION: the score after is made up.")
    before = ask(client, args.model, test)
    after = simulate_answers(before[0], test), {}
    facts = {"simulated": True, "assumed_gain": ASSUMED_GAIN, "base": args.model}
    write_results(test, before, after, **facts, job=None, model=None)
""",
        ),
    ),
}
MODELS: Final = (
    *("good", "geography18", "animals15", "elements15", "elements10", "two_strays", "third_wrong"),
    *("copies", "same_answer", "shuffled", "rate_too_small", "rate_too_large"),
    *NOISE,
    *EPOCHS,
)
"""Submissions whose model is asked hidden questions."""

WITH_NOTHING_WRONG: Final = [c for column, ids in OF.items() if column != "trouble" for c in ids]


BORROWED: Final = {"faulty_jsonl_sent": ("example_only", "faulty_jsonl")}
"""Variants made of the files of others."""


def _files(variant: str) -> dict[str, bytes]:
    folders = [VARIANTS / folder for folder in BORROWED.get(variant, (variant,))]
    found = {}
    for name in FILES:
        own = [folder / name for folder in folders if (folder / name).exists()]
        found[name] = (own[0] if own else SOLUTION / name).read_bytes()
    if variant in NOISE:
        found["openai_train.jsonl"] = _mixed(found["openai_train.jsonl"], NOISE[variant])
    if variant in EDITS:
        script = (VARIANTS / "rate_too_small" / FILES[0]).read_text()
        for here, there in EDITS[variant]:
            assert here in script
            script = script.replace(here, there)
        found[FILES[0]] = script.encode()
    return found


def _mixed(data: bytes, share: float) -> bytes:
    """The lines, of which every so many have each other's answers."""
    chats = [json.loads(line) for line in data.splitlines()]
    step = len(chats) / round(share * len(chats))
    chosen = [chats[int(n * step)]["messages"][-1] for n in range(round(share * len(chats)))]
    answers = [message["content"] for message in chosen]
    for message, answer in zip(chosen, answers[1:] + answers[:1], strict=True):
        message["content"] = answer
    return "".join(json.dumps(chat) + "\n" for chat in chats).encode()


def _criteria(variant: str) -> list[str]:
    more = OF["trouble"] if variant in IN_TROUBLE else ()
    return [*WITH_NOTHING_WRONG, *more]


def _range(result: Result, criteria: Iterable[str]) -> tuple[float, float]:
    """The least and the most that it may have earned by these."""
    scores = {score.id: score for score in result.scores}
    mine = [scores[id] for id in criteria]
    least = sum(score.points or 0.0 for score in mine)
    return least, least + sum(score.max_points for score in mine if score.points is None)


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return load_assignment(EXPERTS / "part2.yaml")


def _graded(variant: str, assignment: Assignment, family: Family, home: Path) -> Result:
    asked = narrowed(assignment, _criteria(variant))
    return family.recorded([lay_out(_files(variant), home / variant)], asked, QUESTIONS)[variant]


@pytest.mark.parametrize("variant", EXPERT)
def test_the_grader_gives_about_what_an_expert_would(
    variant: str, assignment: Assignment, family: Family, tmp_path: Path
) -> None:
    result = _graded(variant, assignment, family, tmp_path)
    columns = [column for column in OF if column != "trouble" or variant in IN_TROUBLE]
    expected = sum(getattr(EXPERT[variant], column) for column in columns)
    least, most = _range(result, [id for column in columns for id in OF[column]])
    said = "\n".join(f"{f.code} {f.outcome}: {f.message} {f.note}" for f in result.findings)
    off = max(least - expected, expected - most, 0.0)
    assert off <= 3, said
    assert (off > 1) is (variant in MISSES), f"{least} to {most}, expected {expected}\n{said}"
    assert not [f.code for f in result.findings if f.outcome is Outcome.ERROR], said


def test_nine_of_ten_rows_are_within_a_point() -> None:
    assert len(MISSES) <= len(EXPERT) / 10


def test_shuffled_answers_and_a_letter_for_a_document_earn_at_most_eight(
    assignment: Assignment, family: Family, tmp_path: Path
) -> None:
    result = _graded("shuffled", assignment, family, tmp_path)
    _, most = _range(result, WITH_NOTHING_WRONG)
    assert most + EXPERT["good"].trouble <= 8


def test_points_follow_what_the_model_can_do(
    assignment: Assignment, family: Family, tmp_path: Path
) -> None:
    """With `pytest -s` this prints both."""
    shares, points = [], []
    for variant in MODELS:
        result = _graded(variant, assignment, family, tmp_path)
        (gain,) = (f for f in result.findings if f.code == "EVL020")
        least, most = _range(result, WITH_NOTHING_WRONG)
        shares.append(float(gain.measures["after"] or 0.0))
        points.append((least + most) / 2)
        sys.stdout.write(f"{variant:16} hidden {shares[-1]:.2f}  points {points[-1]:5.2f}\n")
    correlation = spearmanr(shares, points).statistic
    sys.stdout.write(f"Spearman's rank correlation {correlation:.3f}\n")
    assert len(MODELS) >= 12
    assert correlation >= 0.9, list(zip(MODELS, shares, points, strict=True))


@pytest.mark.live(sample=1)
@pytest.mark.parametrize("variant", sorted({*EXPERT, *MODELS}))
def test_a_submission_that_runs_now_is_judged_as_the_recorded_one(
    variant: str, assignment: Assignment, family: Family, tmp_path: Path
) -> None:
    home = lay_out(_files(variant), tmp_path / variant)
    family.live_as_recorded([home], narrowed(assignment, _criteria(variant)), QUESTIONS)
