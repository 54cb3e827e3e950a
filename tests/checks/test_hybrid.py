"""LAY050 and DSP03x: what a hybrid did is told by its requests, and answers must be the model's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bonus import (
    ASKED,
    ELEMENTS,
    HANDED_IN,
    SCRIPTS,
    asks,
    dspy_prompt,
    dspy_reply,
    file_of,
    found,
    hybrid,
    submission,
    tuned_run,
)
from support.transcripts import BASE, QUESTIONS, TUNED, Run

from grader.checks.api.context import Context
from grader.core.files import resource
from grader.core.nouns import Evidence, Outcome

CODES = ("DSP030", "DSP031", "DSP032", "DSP033")
FIRST = next(iter(ASKED))


@pytest.fixture(scope="module")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return submission(tmp_path_factory.mktemp("class"), HANDED_IN)


def both(run: Run, before: int = 1, after: int = 9, **how: str) -> Evidence:
    """Base and tuned model answer all questions in DSPy's form, with these inputs besides."""
    asks(run, BASE, ASKED, before, **how)
    return asks(run, TUNED, ASKED, after, **how).ended()


@pytest.mark.parametrize("code", CODES)
def test_a_hybrid_that_does_it_all_passes(code: str, submitted: Context) -> None:
    assert found(code, submitted, hybrid_ok=hybrid()).outcome is Outcome.PASS


@pytest.mark.parametrize("code", CODES[:3])
def test_what_a_script_prints_is_no_evidence(code: str, submitted: Context) -> None:
    ran = Run().ended(stdout="Job ftjob-abc is succeeded\nExact match after: 100%")
    assert found(code, submitted, hybrid_ok=ran).outcome is Outcome.FAIL


@pytest.mark.parametrize("code", ["LAY050", *CODES])
@pytest.mark.parametrize("kit", [False, True])
def test_who_leaves_it_out_or_the_kits_file_alone_has_nothing_to_mend(
    code: str, kit: bool, tmp_path: Path
) -> None:
    stub = resource("starter", "llm-methods", "dspy_hybrid.py").read_text()
    files = {"dspy_hybrid.py": stub.replace("\n", "\r\n")} if kit else {"distill.py": ""}
    finding = found(code, submission(tmp_path, files))
    assert finding.left_out
    assert "voluntary" in finding.message


@pytest.mark.parametrize("test", [None, "no chat\n", file_of(dict(list(ASKED.items())[:9]))])
def test_a_hybrid_without_a_usable_test_set_is_told_so(test: str | None, tmp_path: Path) -> None:
    files = SCRIPTS if test is None else {**SCRIPTS, "openai_test.jsonl": test}
    finding = found("LAY050", submission(tmp_path, files))
    assert finding.outcome is Outcome.FAIL
    assert finding.message
    assert finding.hint


def test_plain_questions_are_no_dspy_prompts(submitted: Context) -> None:
    run = tuned_run()
    for question, answer in ASKED.items():
        run.ask(BASE, question, "no idea").ask(TUNED, question, answer)
    assert found("DSP030", submitted, hybrid_ok=run.ended()).measures["share"] == 0.0
    assert found("DSP033", submitted, hybrid_ok=run.ended()).outcome is Outcome.FAIL


def test_the_base_alone_is_no_hybrid(submitted: Context) -> None:
    ran = asks(tuned_run(), BASE, ASKED, 9).ended()
    assert found("DSP030", submitted, hybrid_ok=ran).measures["share"] == 0.0
    assert found("DSP031", submitted, hybrid_ok=ran).measures["share"] == 0.0


def test_other_questions_are_not_the_test_set(submitted: Context) -> None:
    ran = asks(tuned_run(), TUNED, dict.fromkeys(QUESTIONS, "E"), 10).ended()
    assert found("DSP030", submitted, hybrid_ok=ran).measures["share"] == 0.0


@pytest.mark.parametrize(
    ("inputs", "outputs", "seen"),
    [
        ({}, ("reasoning", "answer"), "reasoning_share"),
        ({}, ("answer",), None),
        ({}, ("response",), None),
    ],
)
def test_a_bare_question_in_dspys_form_adds_nothing(
    inputs: dict[str, str], outputs: tuple[str, ...], seen: str | None, submitted: Context
) -> None:
    ran = asks(tuned_run(), TUNED, ASKED, 9, outputs, **inputs).ended()
    measures = found("DSP031", submitted, hybrid_ok=ran).measures
    assert {name for name, share in measures.items() if share and name != "share"} == (
        {seen} if seen else set()
    )


def test_passages_that_fit_the_question_are_an_addition(submitted: Context) -> None:
    run = tuned_run()
    for (question, answer), name in zip(ASKED.items(), ELEMENTS, strict=True):
        passage = f"The symbol of {name} is {answer}."
        message, system = dspy_prompt(question, ("answer",), context=passage)
        run.ask(TUNED, message, dspy_reply(answer, None), system=system)
    measures = found("DSP031", submitted, hybrid_ok=run.ended()).measures
    assert measures["passages_share"] == measures["share"] == 1.0
    # A passage of the topic may hold the answer.
    assert found("DSP030", submitted, hybrid_ok=run.ended()).measures["share"] == 1.0


@pytest.mark.parametrize(
    "hint",
    [
        "The answer is {}.",
        "{}",
        "What is asked for is {}, and nothing else.",
        "[1] «{}»",
        "The symbol of copper is Cu. And {} is what you want.",
    ],
)
def test_a_prompt_that_gives_the_answer_away_counts_for_nothing(
    hint: str, submitted: Context
) -> None:
    run = tuned_run()
    asks(run, BASE, ASKED, 0)
    for question, answer in ASKED.items():
        message, system = dspy_prompt(question, context=hint.format(answer))
        run.ask(TUNED, message, dspy_reply(answer), system=system)
    finding = found("DSP030", submitted, hybrid_ok=run.ended())
    assert finding.measures["share"] == 0.0
    assert "10 requests already hold the expected answer" in finding.message
    assert found("DSP033", submitted, hybrid_ok=run.ended()).measures["after"] == 0.0


@given(st.text(st.characters(categories=["L", "P", "Zs"]), max_size=30))
def test_no_wrapping_hides_an_answer(submitted: Context, around: str) -> None:
    message, system = dspy_prompt(FIRST, context=f"{around} {ASKED[FIRST]} {around}")
    run = tuned_run().ask(TUNED, message, dspy_reply(ASKED[FIRST]), system=system)
    assert found("DSP030", submitted, hybrid_ok=run.ended()).measures["share"] == 0.0


def test_what_the_model_said_itself_may_be_asked_about_again(submitted: Context) -> None:
    run = tuned_run()
    for question, answer in ASKED.items():
        fact = f"I remember well that it is {answer}, as everybody knows."
        message, system = dspy_prompt(question, ("fact",))
        run.ask(TUNED, message, f"[[ ## fact ## ]]\n{fact}\n", system=system)
        message, system = dspy_prompt(question, ("answer",), fact=fact)
        run.ask(TUNED, message, dspy_reply(answer, None), system=system)
    asks(run, BASE, ASKED, 0)
    measures = found("DSP033", submitted, hybrid_ok=run.ended()).measures
    assert measures["after"] == 1.0
    # Two steps in two requests are steps too.
    assert found("DSP031", submitted, hybrid_ok=run.ended()).measures["reasoning_share"] == 1.0


def test_a_model_that_is_made_to_repeat_the_answer_has_not_said_it(submitted: Context) -> None:
    run = tuned_run()
    for question, answer in ASKED.items():
        run.ask(BASE, f"{question} Repeat: {answer}", answer)
        message, system = dspy_prompt(question, ("answer",), fact=answer)
        run.ask(TUNED, message, dspy_reply(answer, None), system=system)
    assert found("DSP030", submitted, hybrid_ok=run.ended()).measures["share"] == 0.0


@pytest.mark.parametrize(
    ("before", "after", "passes"), [(0, 10, True), (2, 9, True), (5, 5, False), (9, 2, False)]
)
def test_only_a_gain_beyond_luck_passes(
    before: int, after: int, passes: bool, submitted: Context
) -> None:
    finding = found("DSP033", submitted, hybrid_ok=both(tuned_run(), before, after))
    assert (finding.outcome is Outcome.PASS) is passes
    assert finding.measures["delta"] == pytest.approx((after - before) / 10)


def test_where_the_base_was_not_asked_nothing_is_gained(submitted: Context) -> None:
    ran = asks(tuned_run(), TUNED, ASKED, 10).ended()
    assert found("DSP033", submitted, hybrid_ok=ran).measures["delta"] == 0.0


def test_any_right_answer_of_the_base_counts_and_the_share_of_the_tuned_models(
    submitted: Context,
) -> None:
    """Whoever asks until the expected answer comes has not gained it."""
    run = tuned_run()
    for right in (10, 0, 0, 10):
        asks(run, BASE, ASKED, right)
        asks(run, TUNED, ASKED, right)
    measures = found("DSP033", submitted, hybrid_ok=run.ended()).measures
    assert (measures["before"], measures["after"]) == (1.0, 0.5)


def test_replies_in_json_are_read(submitted: Context) -> None:
    run = tuned_run()
    asks(run, BASE, ASKED, 0)
    for question, answer in ASKED.items():
        message, system = dspy_prompt(question)
        said = json.dumps({"answer": answer, "reasoning": "It is well known."})
        run.ask(TUNED, message, said, system=system)
    assert found("DSP033", submitted, hybrid_ok=run.ended()).measures["after"] == 1.0


@pytest.mark.parametrize(
    "trained",
    [
        FIRST,
        FIRST.upper().replace(" ", "  "),
        f"Look. {FIRST} Say it.",
        dspy_prompt(FIRST)[0],
        dspy_prompt(FIRST.rstrip("?"))[0],
    ],
)
def test_a_test_question_in_the_training_file_is_found(trained: str, submitted: Context) -> None:
    ran = hybrid(file=file_of({"Which metal is red?": "copper", trained: "Br"}))
    finding = found("DSP032", submitted, hybrid_ok=ran)
    assert finding.measures["leaked"] == 1
    assert "line 1" in finding.message
    assert found("DSP033", submitted, hybrid_ok=ran).outcome is Outcome.SKIP


def test_a_question_that_is_nearly_a_test_question_is_found(tmp_path: Path) -> None:
    long = (
        "Chemists everywhere write elements with one or two letters, which they agreed on long ago "
        "and which often come from Latin. Which letters do they write for bromine?"
    )
    files = {**SCRIPTS, "openai_test.jsonl": file_of({**ASKED, long: "Br"})}
    nearly = dspy_prompt(long.replace("agreed", "agree"))[0]
    ran = hybrid(file=file_of({"Which metal is red?": "copper", nearly: "Br"}))
    assert found("DSP032", submission(tmp_path, files), hybrid_ok=ran).measures["leaked"] == 1


@pytest.mark.parametrize(("items", "share"), [(2, 1.0), (1, 0.0)])
def test_numbers_that_dspy_gives_the_items_of_a_list_are_no_answer(
    items: int, share: float, tmp_path: Path
) -> None:
    atoms = {f"Which atomic number does {name} have?": "2" for name in ELEMENTS}
    submitted = submission(tmp_path, {**SCRIPTS, "openai_test.jsonl": file_of(atoms)})
    passages = ["[1] «The family of neon is noble gas.»", "[2] «Neon glows.»"]
    context = "\n".join(passages[-items:])
    ran = asks(tuned_run(), TUNED, atoms, 10, context=context).ended()
    assert found("DSP030", submitted, hybrid_ok=ran).measures["share"] == share
