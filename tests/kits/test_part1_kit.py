"""Part 1 really runs: example and solution against the simulator, and the solution's metric."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example as also
from hypothesis import given
from hypothesis import strategies as st
from support.paths import PROGRAMS, ROOT
from support.waiting import PATIENCE

from grader.assignment.kit import write_kit
from grader.assignment.questions import make_hidden
from grader.core.metrics import exact_match, mean, normalise
from grader.topics import get_topic

SOLUTION = ROOT / "solutions" / "llm-methods"
ASK = PROGRAMS / "ask.py"
TOPIC = "educational-qa"
HIDDEN = make_hidden(TOPIC, 29, 60)
PYTHON = sys.executable
FRANCE = "What is the capital of France?"


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a student's command, with no key and no service but what the command brings."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("OPENAI_", "FINEGRADE_"))}
    own = {"PYTHONPATH": str(ROOT), "DSPY_CACHEDIR": str(folder / "cache")}
    return subprocess.run(
        [PYTHON, *command],
        cwd=folder,
        env=kept | own | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("part1") / "kit"
    write_kit("llm-methods", TOPIC, folder)
    return folder


@pytest.fixture(scope="module")
def ran(kit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit after example, solution and hidden questions went through one service."""
    folder = tmp_path_factory.mktemp("ran") / "kit"
    shutil.copytree(kit, folder)
    for name in ("dspy_enhanced.py", "openai_domain_finetune.py", "extended_evaluation.py"):
        shutil.copy(SOLUTION / name, folder)
    few = (SOLUTION / "benchmark.jsonl").read_text().splitlines(keepends=True)[:4]
    (folder / "benchmark.jsonl").write_text("".join(few))
    asked = folder.parent / "questions.json"
    asked.write_text(json.dumps([q.messages[-1][1] for q in HIDDEN.questions]))
    script = (
        f"{PYTHON} dspy_example.py > example.txt && {PYTHON} dspy_enhanced.py > enhanced.txt "
        f"&& {PYTHON} {ASK} {asked} answers.json && {PYTHON} extended_evaluation.py dspy "
        f"&& {PYTHON} compare.py 2> compare.txt"
    )
    options = ("--port=0", f"--home={folder.parent / 'home'}", "--time-scale=0")
    done = run(folder, "-m", "grader.cli.main", "simulate", *options, "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def right(answers: list[str]) -> float:
    """The share of hidden questions that are answered."""
    expected = [HIDDEN.answers[q.id] for q in HIDDEN.questions]
    return mean([exact_match(a or "", e) for a, e in zip(answers, expected, strict=True)])


@pytest.mark.live
def test_the_bonus_evaluates_the_program_on_the_benchmark(ran: Path) -> None:
    found = json.loads((ran / "benchmark_results.json").read_text())
    assert found["questions"] == 4
    assert found["approaches"] == {"dspy": {"exact_match": 1.0}}


@pytest.mark.live
def test_the_example_runs_without_a_key_and_shows_its_reasoning(ran: Path) -> None:
    said = (ran / "example.txt").read_text()
    assert said.count("Question:") == said.count("Reasoning:") == said.count("Answer:") == 8
    assert "Simple match:" in said


@pytest.mark.live
def test_the_solution_gains_on_the_public_test_set(ran: Path) -> None:
    results = json.loads((ran / "dspy_results.json").read_text())
    scores = {name: row["test"]["exact_match"] for name, row in results["programs"].items()}
    assert scores["original"] < 0.3
    assert scores["enhanced"] > 0.95
    assert all(
        0 <= value <= 1 for row in results["programs"].values() for value in row["test"].values()
    )


@pytest.mark.live
def test_the_solution_gains_on_hidden_questions(ran: Path) -> None:
    answers = json.loads((ran / "answers.json").read_text())
    assert right(answers["original"]) < 0.2
    assert right(answers["enhanced"]) > 0.95


@pytest.mark.live
def test_the_comparison_asks_what_is_there_and_says_what_is_not(ran: Path) -> None:
    found = json.loads((ran / "comparison.json").read_text())
    results = json.loads((ran / "dspy_results.json").read_text())["programs"]
    assert found["questions"] == 56
    assert set(found["approaches"]) == {"dspy_original", "dspy_enhanced"}
    for name in ("original", "enhanced"):
        row = found["approaches"][f"dspy_{name}"]
        assert row["exact_match"] == results[name]["test"]["exact_match"]
        assert row["low95"] < row["exact_match"] <= row["high95"]
    said = (ran / "compare.txt").read_text()
    for name in ("openai_base", "openai_tuned", "lora_base", "lora_adapter"):
        assert f"{name}: skipped: no " in said
    assert (ran / "comparison_table.md").read_text().count("\n") == 4


@pytest.mark.live
def test_the_committed_numbers_are_those_of_a_run(ran: Path) -> None:
    committed = json.loads((SOLUTION / "dspy_results.json").read_text())
    measured = json.loads((ran / "dspy_results.json").read_text())
    assert list(committed["programs"]) == list(measured["programs"])
    for name, row in committed["programs"].items():
        for measure, value in row["test"].items():
            assert measured["programs"][name]["test"][measure] == pytest.approx(value, abs=0.04)


def test_the_report_says_what_was_measured() -> None:
    report = (SOLUTION / "dspy_report.md").read_text()
    rows = [line for line in report.splitlines() if line.startswith(("| original", "| enhanced"))]
    results = json.loads((SOLUTION / "dspy_results.json").read_text())["programs"]
    for line, row in zip(rows, results.values(), strict=True):
        told = [float(cell.strip(" %")) for cell in line.split("|")[2:6]]
        assert told == [round(100 * v, 1) for v in (*row["test"].values(), row["extra"]["metric"])]


def test_the_report_says_what_both_metrics_say(enhanced: Any) -> None:
    lines = (SOLUTION / "dspy_report.md").read_text().partition("| expected |")[2].splitlines()[2:]
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    questions = {"Paris": FRANCE, "26": "How many?", "He": "What is the symbol of helium?"}
    assert len(rows) == 9
    for expected, answer, simple, own in rows:
        example = enhanced.dspy.Example(answer=expected)
        assert enhanced.simple_match(example, enhanced.dspy.Prediction(answer=answer)) == float(
            simple
        )
        value = score(enhanced, answer, expected, questions[expected])
        assert value == pytest.approx(float(own), abs=0.006)


def test_without_a_service_the_example_says_what_to_do(kit: Path) -> None:
    done = run(kit, "dspy_example.py")
    assert done.returncode == 1
    assert "finegrade simulate --" in done.stderr


def test_the_starter_is_the_example_until_something_is_written(kit: Path) -> None:
    code = (
        "import dspy, dspy_enhanced as mine, dspy_example as example\n"
        "lm = dspy.utils.DummyLM([{'reasoning': 'r', 'answer': 'Windhoek'}] * 2)\n"
        "dspy.configure(lm=lm)\n"
        "for program in (mine.build_program(), example.EducationalQAModel()):\n"
        "    given = program(question='What is the capital of Namibia?')\n"
        "    print(mine.metric(example.EXAMPLES[0], given), mine.EXTRA_EXAMPLES)\n"
        "one, other = (call['messages'] for call in lm.history)\n"
        "assert one == other\n"
    )
    done = run(kit, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["1.0 []", "1.0 []"]


@pytest.fixture(scope="module")
def enhanced(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The solution's module; it imports the example beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSPY_CACHEDIR", str(tmp_path_factory.mktemp("cache")))
        patch.syspath_prepend(SOLUTION)
        yield importlib.import_module("dspy_enhanced")
        for name in ("dspy_enhanced", "dspy_example"):
            sys.modules.pop(name)


def score(enhanced: ModuleType, answer: str | None, expected: str, question: str = "") -> float:
    dspy = enhanced.dspy
    example = dspy.Example(question=question, answer=expected).with_inputs("question")
    value = enhanced.metric(example, dspy.Prediction(answer=answer))
    assert isinstance(value, float)
    return value


def test_the_five_new_pairs_are_new_and_can_be_looked_up(enhanced: Any) -> None:
    topic = get_topic(TOPIC)
    known = {subject.lower() for subject in topic.facts}
    questions = {normalise(e.question) for e in enhanced.EXTRA_EXAMPLES}
    assert len(questions) == len(enhanced.EXTRA_EXAMPLES) == 5
    for example in enhanced.EXTRA_EXAMPLES:
        assert not set(normalise(example.question).split()) & known
        assert any(example.answer in passage for passage in enhanced.EXTRA_PASSAGES)
        assert example.inputs().keys() == ["question"]


@pytest.mark.parametrize("kind", ["questions", "unseen"])
def test_retrieval_finds_the_passage_of_every_fact(enhanced: Any, kind: str) -> None:
    topic = get_topic(TOPIC)
    retriever = enhanced.Retriever([topic.passage(s) for s in topic.facts])
    for subject, facts in topic.facts.items():
        for relation in facts:
            for template in getattr(topic.relations[relation], kind):
                found = retriever.search(template.format(s=subject), 3)
                assert found[0] == topic.passage(subject)


FOOD = "How do plants make food?"
SUGAR = "Plants use sunlight to turn carbon dioxide and water into sugar."


@pytest.mark.parametrize(
    ("question", "expected", "answer"),
    [
        (FRANCE, "Paris", "paris."),
        (FRANCE, "Paris", "PARIS!!"),
        (FRANCE, "Paris", "The capital of France is Paris."),
        (FRANCE, "Paris", "It's Paris"),
        ("How many?", "26", "twenty-six"),
        ("How many?", "1,000", "1000"),
        ("What is the symbol of helium?", "He", "The symbol is He."),
        ("Is tin a metal or a gas?", "metal", "It is a metal."),
    ],
)
def test_the_same_answer_in_other_words_is_right(
    enhanced: Any, question: str, expected: str, answer: str
) -> None:
    assert score(enhanced, answer, expected, question) == 1


@pytest.mark.parametrize(
    "answer",
    ["", " ", "?!", None, "London", "capital of France", "I don't know", "Sorry, no idea.",
     "I do not know, maybe Paris", "The text does not say."],
)  # fmt: skip
def test_a_wrong_answer_silence_and_a_refusal_are_worth_nothing(
    enhanced: Any, answer: str | None
) -> None:
    assert score(enhanced, answer, "Paris", FRANCE) == 0


@pytest.mark.parametrize(
    "answer",
    ["Paris London Berlin", "capital France Paris London Berlin", "Paris or London",
     "It is not Paris.", "It isn't Paris", "not Paris but London", "Paris Paris Paris"],
)  # fmt: skip
def test_what_only_holds_the_word_scores_less_than_a_longer_right_answer(
    enhanced: Any, answer: str
) -> None:
    longer = score(enhanced, "It is Paris, on the Seine.", "Paris", FRANCE)
    assert score(enhanced, answer, "Paris", FRANCE) < longer / 2


@pytest.mark.parametrize(
    "answer",
    ["plants sunlight carbon dioxide water sugar", "sunlight sunlight sunlight plants plants",
     "Plants do not use sunlight to turn carbon dioxide and water into sugar.",
     "They take sugar from the soil.", "Animals eat other animals."],
)  # fmt: skip
def test_a_paraphrase_beats_keywords_and_the_contrary(enhanced: Any, answer: str) -> None:
    paraphrase = "Using light, a plant makes sugar from water and carbon dioxide."
    assert score(enhanced, answer, SUGAR, FOOD) < score(enhanced, paraphrase, SUGAR, FOOD)
    assert score(enhanced, SUGAR, SUGAR, FOOD) == 1


def test_a_wrong_number_is_not_nearly_right(enhanced: Any) -> None:
    assert score(enhanced, "27", "26") == 0
    assert score(enhanced, "26 27 28", "26") < 0.2


def test_each_accepted_answer_is_right(enhanced: Any) -> None:
    example = enhanced.dspy.Example(question="", answer="pup", aliases=["cub"])
    assert enhanced.metric(example, enhanced.dspy.Prediction(answer="a cub")) == 1


WORDS = st.lists(
    st.sampled_from(("red", "oak", "river", "stone", "seven", "iron", "lake", "cloud")),
    min_size=1,
    max_size=6,
    unique=True,
)


@given(
    answer=st.text(max_size=60),
    expected=st.text(min_size=1, max_size=30),
    question=st.text(max_size=40),
)
def test_any_text_scores_between_0_and_1_and_always_the_same(
    enhanced: Any, answer: str, expected: str, question: str
) -> None:
    value = score(enhanced, answer, expected, question)
    assert 0 <= value <= 1
    assert value == score(enhanced, answer, expected, question)


@given(found=WORDS, expected=WORDS, times=st.integers(2, 4))
@also(found=["oak", "red"], expected=["red", "oak", "river"], times=2)
def test_saying_it_again_never_pays(
    enhanced: Any, found: list[str], expected: list[str], times: int
) -> None:
    once = score(enhanced, " ".join(found), " ".join(expected))
    assert score(enhanced, " ".join(found * times), " ".join(expected)) <= once


@given(expected=WORDS, data=st.data())
def test_another_order_never_pays(enhanced: Any, expected: list[str], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(expected))
    value = score(enhanced, " ".join(shuffled), " ".join(expected))
    assert value < 1 or shuffled == expected


@given(expected=WORDS, shout=st.booleans(), mark=st.sampled_from(["!", ".", "?", " ...", '"']))
def test_case_and_punctuation_are_ignored(
    enhanced: Any, expected: list[str], shout: bool, mark: str
) -> None:
    text = " ".join(expected)
    assert score(enhanced, (text.upper() if shout else text.title()) + mark, text) == 1
