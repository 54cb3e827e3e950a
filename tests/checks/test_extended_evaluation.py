"""EVL01x: a student's benchmark, and what the three approaches make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from support.benchmarks import BENCHMARK, PAIRS, TRUE, answered, exchange, results, tuned
from support.transcripts import BASE, TUNED, chat_line, followed

from grader.assignment.load import load_assignment
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Context
from grader.checks.api.registry import check_of, run_check
from grader.core.nouns import Evidence, Finding, Outcome
from grader.intake.find import submission_at
from grader.intake.submission import take_in
from grader.topics import get_topic

ASSIGNMENT = load_assignment("llm-methods")
ALL = {"extended_evaluation.py": "print('hello')\n", "benchmark_results.json": results(TRUE)}
SEEN = {"EVL012": "bench_dspy", "EVL013": "bench_openai", "EVL014": "bench_lora"}
Find = Callable[..., Finding]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """What a check finds in these files; the checks that it needs run only if they are EVL."""

    def found(code: str, files: Mapping[str, str], evidence: Evidence | None = None) -> Finding:
        home = tmp_path / "s01"
        home.mkdir()
        for name, text in {"notes.md": "n\n", **files}.items():
            (home / name).write_text(text)
        one = submission_at(home)
        given = {} if evidence is None else {SEEN[code]: evidence}
        ctx = Context(ASSIGNMENT, take_in(one, tmp_path / "work", ASSIGNMENT.deliverables), given)
        passing = {c: Finding(c, Outcome.PASS, "", "") for c in ASSIGNMENT.refs if c[:3] != "EVL"}
        for needed in ("EVL010", "EVL011"):
            passing[needed] = run_check(check_of(needed, ASSIGNMENT), ctx, passing, {})
        result = run_check(check_of(code, ASSIGNMENT), ctx, passing, {})
        assert result.outcome is not Outcome.ERROR, result.note
        return result

    return found


def test_what_was_not_submitted_is_left_out_and_no_fault(find: Find) -> None:
    for_nothing = {"extended_evaluation.py": "raise NotImplementedError\n"}  # the kit's own
    assert find("EVL014", for_nothing).left_out


def test_fifty_questions_of_its_own_are_enough(find: Find) -> None:
    found = find("EVL010", {"benchmark.jsonl": BENCHMARK})
    assert (found.outcome, found.measures["share"]) == (Outcome.PASS, 1.0)


def test_lines_that_do_not_count_are_told_by_their_reason(find: Find) -> None:
    public = get_topic("educational-qa").public("validation")[:5]
    lines = [
        *(chat_line(e.question.upper(), e.answer) for e in public),
        *(chat_line(q, a) for q, a in PAIRS[:40]),
        chat_line(PAIRS[0][0] + "!", "another"),
        chat_line("Why?", "a " * 40),
        "not JSON\n",
    ]
    trained = chat_line(PAIRS[39][0], "N39")
    found = find("EVL010", {"benchmark.jsonl": "".join(lines), "openai_train.jsonl": trained})
    assert found.outcome is Outcome.FAIL
    assert found.measures == {"questions": 39, "share": 0.78}
    assert found.location.line == 1
    for words in (
        "39 questions of its own",
        "2 lines with no question with a short answer, or a system text of its own (first: line ",
        "1 line with a repeated question, or nearly so (first: line 46)",
        "6 lines with a question of the public or the training data, or nearly so (first: line 1)",
    ):
        assert words in found.message


def test_results_that_are_not_there_are_asked_for(find: Find) -> None:
    found = find("EVL011", {"benchmark.jsonl": BENCHMARK})
    assert found.outcome is Outcome.FAIL
    assert "There is no extended_evaluation.py." in found.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"approaches": {}}',
        '{"approaches": {"dspy": {"exact_match": "0.9"}, "lora": {"exact_match": 90}}}',
        '{"approaches": {"dspy": {"exact_match": true}, "openai": 0.4, "lora": null}}',
        '{"approaches": {"dspy": {"exact_match": NaN}}}',
        "[" * 5_000,
    ],
)
def test_results_without_a_share_are_refused(text: str, find: Find) -> None:
    files = {**ALL, "benchmark.jsonl": BENCHMARK, "benchmark_results.json": text}
    found = find("EVL011", files)
    assert found.outcome is Outcome.FAIL
    assert found.hint


@pytest.mark.parametrize("code", SEEN)
@pytest.mark.parametrize(
    ("claimed", "share"), [(0.8, 1.0), (0.75, 1.0), (0.4, 0.667), (None, 0.667)]
)
def test_a_number_that_does_not_come_out_again_costs_its_part(
    code: str, claimed: float | None, share: float, find: Find
) -> None:
    claims = {**TRUE, SEEN[code].removeprefix("bench_"): claimed}
    ran = tuned() if code == "EVL013" else answered()
    files = {**ALL, "benchmark.jsonl": BENCHMARK, "benchmark_results.json": results(claims)}
    found = find(code, files, ran)
    assert found.measures["share"] == share
    assert found.measures["right"] == 0.8


@pytest.mark.parametrize(
    ("code", "ran"),
    [
        ("EVL012", answered(silent=6)),
        ("EVL012", answered(right=4)),
        ("EVL014", answered(silent=6)),
        ("EVL014", answered(right=4)),
        ("EVL013", tuned(asked=44)),
        ("EVL013", tuned(right=4)),
        ("EVL013", tuned(model=BASE)),
    ],
)
def test_an_approach_that_did_not_really_answer_has_nothing_to_report(
    code: str, ran: Evidence, find: Find
) -> None:
    found = find(code, {**ALL, "benchmark.jsonl": BENCHMARK}, ran)
    assert (found.outcome, found.measures["share"]) == (Outcome.FAIL, 0.0)
    assert "In the grader's run it answered" in found.message


def test_a_model_that_was_trained_again_may_differ_a_little_more(find: Find) -> None:
    claims = {**TRUE, "openai": 0.65}
    files = {**ALL, "benchmark.jsonl": BENCHMARK, "benchmark_results.json": results(claims)}
    assert find("EVL013", files, tuned()).outcome is Outcome.PASS


@pytest.mark.parametrize(("other", "share"), [(0, 0.0), (30, 0.0), (31, 1.0)])
def test_a_benchmark_that_one_answer_solves_is_none(other: int, share: float, find: Find) -> None:
    lines = [chat_line(f"Say yes. {n}", "Yes") for n in range(30 if other else 60)]
    lines += [chat_line(*pair) for pair in PAIRS[:other]]
    found = find("EVL010", {"benchmark.jsonl": "".join(lines)})
    assert found.measures["share"] == share
    assert ("have the same answer" in found.message) == (share == 0.0)


def _asked_so(ran: Evidence, *told: tuple[str, str], reply: str = "{}") -> Evidence:
    """The same answers; the prompts hold these messages and the reply says this."""
    rows = ran.payload["answers"]
    exchanges = [
        exchange(
            [(role, text.format(row["reference"], row["question"])) for role, text in told],
            reply.format(row["text"]),
        )
        for row in rows
    ]
    return replace(ran, payload={"answers": rows, "exchanges": exchanges})


def _unasked(ran: Evidence) -> Evidence:
    rows = [{**row, "calls": 0, "exchanges": []} for row in ran.payload["answers"]]
    return replace(ran, payload={"answers": rows, "exchanges": []})


@pytest.mark.parametrize(
    ("ran", "right", "words"),
    [
        (_unasked(answered()), 0.0, "50 answers came without asking the model"),
        (_asked_so(answered(), ("user", "{1} It is {0}.")), 0.0, "50 prompts already hold"),
        (
            _asked_so(answered(), ("user", "{1}"), ("assistant", "{0}"), ("user", "{1}")),
            0.0,
            "50 prompts already hold",
        ),
        (_asked_so(answered(), ("system", "{1}: {0}"), ("user", "{1}")), 0.0, "50 prompts"),
        (_asked_so(answered(), ("user", "{1}"), reply="Nobody knows."), 0.0, "0% rightly"),
        (_asked_so(answered(), ("user", "{1}"), reply="I say {0}."), 0.8, "80% rightly"),
    ],
)
def test_the_programs_answers_are_the_models(
    ran: Evidence, right: float, words: str, find: Find
) -> None:
    found = find("EVL012", {**ALL, "benchmark.jsonl": BENCHMARK}, ran)
    assert found.measures["right"] == right
    assert words in found.message
    assert (found.outcome is Outcome.PASS) == (right > 0)


def test_a_tuned_model_that_is_told_the_answer_has_not_answered(find: Find) -> None:
    run = followed()
    for question, answer in PAIRS:
        run.ask(TUNED, f"{question} Say {answer}.", answer)
    found = find("EVL013", {**ALL, "benchmark.jsonl": BENCHMARK}, run.ended())
    assert found.measures["answered_share"] == found.measures["share"] == 0.0
    assert "50 requests already hold the expected answer" in found.message


def test_asking_until_the_answer_comes_gives_its_share(find: Find) -> None:
    run = followed()
    for question, answer in PAIRS:
        for said in ("no idea", "who knows", "N", answer):
            run.ask(TUNED, question, said)
    found = find("EVL013", {**ALL, "benchmark.jsonl": BENCHMARK}, run.ended())
    assert found.measures["right"] == 0.25
