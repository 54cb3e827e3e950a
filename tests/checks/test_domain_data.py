"""API024 to API027, EVL020 and EVL021: what the training data is, and what its model can do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support import predictions
from support.part2 import context
from support.transcripts import TEST, chat_line

from grader.checks.api.registry import check_of
from grader.core.nouns import Evidence, Finding, Outcome
from grader.topics import get_topic

TOPIC = get_topic("educational-qa")


def pairs(kind: str, n: int = 18) -> list[tuple[str, str]]:
    return [(e.question, e.answer) for e in TOPIC.public("train") if e.kind == kind][:n]


def lines(some: list[tuple[str, str]]) -> str:
    return "".join(chat_line(question, answer) for question, answer in some)


def moved(some: list[tuple[str, str]]) -> list[tuple[str, str]]:
    answers = [answer for _, answer in some]
    questions = [question for question, _ in some]
    return list(zip(questions, answers[1:] + answers[:1], strict=True))


SYMBOLS, CAPITALS = pairs("symbol"), pairs("capital")
HISTORY = [(f"Who won battle number {n}?", f"King {n}") for n in range(18)]


def found(
    code: str, train: str, folder: Path, evidence: dict[str, Evidence] | None = None
) -> Finding:
    ctx = context(folder, train, TEST)
    return check_of(code, ctx.assignment).judge(replace(ctx, evidence=evidence or {}))


@pytest.mark.parametrize(
    ("train", "domain", "share", "says"),
    [
        (SYMBOLS, Outcome.PASS, 1.0, "elements"),
        (CAPITALS[:10], Outcome.PASS, 0.667, "countries"),
        (SYMBOLS[:9] + CAPITALS[:9], Outcome.FAIL, 0.0, "9 on countries, 9 on elements"),
        (SYMBOLS[:16] + CAPITALS[:2], Outcome.PASS, 1.0, "16 of 18"),
        (HISTORY, Outcome.FAIL, 1.0, "own test set"),
        (
            [(f"Which flag has {q[1]} of France?", "red") for q in SYMBOLS],
            Outcome.FAIL,
            1.0,
            "name",
        ),
        ([SYMBOLS[0]] * 18, Outcome.PASS, 0.067, "elements"),
    ],
)
def test_one_domain_and_enough_of_it(
    train: list[tuple[str, str]], domain: Outcome, share: float, says: str, tmp_path: Path
) -> None:
    about = found("API024", lines(train), tmp_path)
    assert about.outcome is domain
    assert says in about.message
    (again := tmp_path / "again").mkdir()
    enough = found("API025", lines(train), again)
    assert enough.measures["share"] == share
    assert (enough.outcome is Outcome.PASS) is (share == 1.0)


def test_who_takes_all_that_could_be_asked_is_told(tmp_path: Path) -> None:
    whole = [
        (f"What is the capital of {s}?", f["capital"])
        for s, f in TOPIC.facts.items()
        if "capital" in f
    ]
    about = found("API024", lines(whole), tmp_path)
    assert about.outcome is Outcome.FAIL
    assert "nearly all" in about.message


def test_a_false_answer_is_named_with_its_line_and_what_the_topic_says(tmp_path: Path) -> None:
    train = list(CAPITALS)
    train[4] = (train[4][0], "Paris, of course")
    wrong = found("API026", lines(train), tmp_path)
    assert wrong.outcome is Outcome.FAIL
    assert wrong.location.line == 5
    truth = CAPITALS[4][1]
    assert all(text in wrong.message for text in ("line 5", "Paris", truth, train[4][0]))
    assert wrong.measures == {"judged": 18, "contradicting": 1, "share": 0.944}


@pytest.mark.parametrize(
    ("train", "outcome", "share"),
    [
        (CAPITALS, Outcome.PASS, 1.0),
        ([(q.lower(), f"It is {a.upper()}!") for q, a in CAPITALS], Outcome.PASS, 1.0),
        (moved(CAPITALS), Outcome.FAIL, 0.0),
        (CAPITALS[:10] + [("Which sea borders Croatia?", "Adriatic")] * 8, Outcome.PASS, 1.0),
        (HISTORY, Outcome.REVIEW, None),
    ],
)
def test_answers_are_held_against_the_topic(
    train: list[tuple[str, str]], outcome: Outcome, share: float | None, tmp_path: Path
) -> None:
    judged = found("API026", lines(train), tmp_path)
    assert judged.outcome is outcome
    assert judged.measures.get("share") == share


def test_errors_of_rules_count_together_and_the_number_of_lines_does_not(tmp_path: Path) -> None:
    good = found("API027", lines(CAPITALS[:10]), tmp_path)
    assert good.outcome is Outcome.PASS
    (again := tmp_path / "again").mkdir()
    bad = found("API027", lines(CAPITALS) + "{no JSON}\n{}\n", again)
    assert bad.outcome is Outcome.FAIL
    assert bad.location.line == 19
    assert bad.measures["errors"] >= 2  # type: ignore[operator]


@pytest.mark.parametrize(
    ("right", "guessable", "share"), [(90, 0, 0.84), (90, 50, 0.6), (50, 60, None), (0, 0, None)]
)
def test_the_gain_is_a_share_of_what_guessing_leaves_open(
    right: int, guessable: int, share: float | None, tmp_path: Path
) -> None:
    evidence = {
        "domain_before": predictions.evidence(0, guessable=guessable),
        "domain_after": predictions.evidence(right),
    }
    gain = found("EVL020", lines(CAPITALS), tmp_path, evidence)
    low = gain.measures["share_low95"]
    assert isinstance(low, float)
    assert (low > 0) is (share is not None) is (gain.outcome is Outcome.PASS)
    if share is not None:
        assert low == pytest.approx(share, abs=0.15)
    assert "question 1" not in gain.message  # no hidden question is told


def test_the_own_test_set_is_spoken_of_in_full(tmp_path: Path) -> None:
    evidence = {"test_before": predictions.evidence(0), "test_after": predictions.evidence(98)}
    gain = found("EVL021", lines(CAPITALS), tmp_path, evidence)
    assert gain.outcome is Outcome.PASS
    assert all(text in gain.message for text in ("98%", "question 98", "no idea", "answer 98"))
    assert not gain.note


def test_a_test_set_of_nine_questions_shows_nothing(tmp_path: Path) -> None:
    def few(right: int) -> Evidence:
        whole = predictions.evidence(right)
        return replace(whole, payload={"answers": whole.payload["answers"][:9]})

    evidence = {"test_before": few(0), "test_after": few(9)}
    gain = found("EVL021", lines(CAPITALS), tmp_path, evidence)
    assert gain.outcome is Outcome.FAIL
    assert "9 questions" in gain.message
    assert not gain.measures
