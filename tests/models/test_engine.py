"""The engine answers as peft does, one student's answers depend on nobody else, and no adapter
leaves a trace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.adapters import config, pair, safetensors, write_adapter

from grader.assignment.load import load_assignment
from grader.assignment.questions import QuestionSet, chat, make_hidden
from grader.core.errors import GraderFault
from grader.intake.find import submission_at
from grader.intake.submission import take_in
from grader.models.adapter_files import AdapterFiles, read_adapter
from grader.models.base_model import base_folder, load_base
from grader.models.engine import Engine

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
BASE = load_assignment("llm-methods").base
NEW_TOKENS = 8


@pytest.fixture(scope="module")
def questions() -> QuestionSet:
    return make_hidden("educational-qa", 3, 12)


@pytest.fixture(scope="module")
def engine(questions: QuestionSet) -> Engine:
    return Engine(load_base(BASE), questions, NEW_TOKENS)


def strong_adapter(folder: Path, seed: int) -> AdapterFiles:
    """A random adapter that changes nearly every answer."""
    rng = np.random.default_rng(seed)
    layer = "model.layers.0.self_attn.v_proj"
    a = rng.normal(0, 0.3, (2, 128)).astype(np.float32)
    b = rng.normal(0, 0.3, (128, 2)).astype(np.float32)
    home = folder / f"s{seed}"
    weights = safetensors(pair(a, b, layer), {"format": "pt"})
    write_adapter(home / "adapter", weights=weights, settings=config(target_modules=[layer]))
    (home / "notes.txt").write_text("so that the adapter is a folder in a submission")
    found = submission_at(home)
    return read_adapter(take_in(found, folder), "adapter")


def texts(engine: Engine, adapter: AdapterFiles | None) -> list[str]:
    return [answer.text for answer in engine.predict(adapter).answers]


def test_answers_equal_those_of_peft_one_question_at_a_time(
    engine: Engine, questions: QuestionSet, tmp_path: Path
) -> None:
    from peft import PeftModel

    ours = texts(engine, strong_adapter(tmp_path, 1))
    plain = load_base(BASE)
    model = PeftModel.from_pretrained(plain.model, tmp_path / "s1" / "adapter").eval()
    theirs = []
    for question in questions.questions:
        prompt = plain.tokenizer.apply_chat_template(
            list(chat(question.messages)), tokenize=False, add_generation_prompt=True
        )
        inputs = plain.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        output = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
        )
        new = output[0, inputs["input_ids"].shape[1] :]
        theirs.append(plain.tokenizer.decode(new, skip_special_tokens=True).strip())
    assert ours == theirs
    assert ours != texts(engine, None)


def test_an_adapter_answers_the_same_after_any_neighbour(engine: Engine, tmp_path: Path) -> None:
    one, other = strong_adapter(tmp_path, 1), strong_adapter(tmp_path, 2)
    alone = engine.predict(one).answers
    bare = engine.predict(None).answers
    engine.predict(other)
    assert engine.predict(one).answers == alone
    engine.predict(other)
    assert engine.predict(None).answers == bare


def test_loglik_is_the_mean_log_probability_of_the_reference_answer(
    engine: Engine, questions: QuestionSet, tmp_path: Path
) -> None:
    predictions = engine.predict(None)
    plain = load_base(BASE)
    for question, answer in list(zip(questions.questions, predictions.answers, strict=True))[:5]:
        prompt = plain.tokenizer.apply_chat_template(
            list(chat(question.messages)), tokenize=False, add_generation_prompt=True
        )
        ids = plain.tokenizer(prompt + questions.answers[question.id], add_special_tokens=False)
        start = len(plain.tokenizer(prompt, add_special_tokens=False)["input_ids"])
        row = torch.tensor([ids["input_ids"]])
        with torch.inference_mode():
            scores = torch.log_softmax(plain.model(row).logits[0, :-1], dim=-1)
        wanted = scores.gather(-1, row[0, 1:, None])[start - 1 :, 0].mean()
        assert answer.loglik == pytest.approx(float(wanted), abs=2e-3)


def test_an_answer_does_not_depend_on_the_other_questions(questions: QuestionSet) -> None:
    """The same question in a set of 12 and in a set of 3."""
    few = QuestionSet(questions.questions[:3], questions.answers, questions.guesses)
    whole = Engine(load_base(BASE), questions, NEW_TOKENS).predict(None).answers[:3]
    assert [a.text for a in Engine(load_base(BASE), few, NEW_TOKENS).predict(None).answers] == [
        a.text for a in whole
    ]


def test_other_questions_are_answered_on_the_same_base(
    engine: Engine, questions: QuestionSet, tmp_path: Path
) -> None:
    other, adapter = make_hidden("educational-qa", 4, 5), strong_adapter(tmp_path, 1)
    before = texts(engine, adapter)
    alone = texts(Engine(load_base(BASE), other, NEW_TOKENS), adapter)
    assert texts(engine.asking(other), adapter) == alone
    assert texts(engine, adapter) == before
    assert engine.asking(questions).predict(None).answers == engine.predict(None).answers


def test_the_base_lies_in_the_package_and_is_pinned() -> None:
    sums = (base_folder(BASE) / "SHA256SUMS").read_text()
    assert "model.safetensors" in sums


def test_other_weights_than_the_assignment_pins_are_refused() -> None:
    with pytest.raises(GraderFault, match="pins"):
        base_folder(replace(BASE, revision="0" * 64))


def test_peak_memory_is_not_that_of_whoever_came_before(engine: Engine) -> None:
    engine.predict(None)  # what is loaded once is loaded now
    ballast = np.ones(64 * 1024 * 1024)  # 512 MiB
    with_ballast = engine.predict(None).peak_memory_mib
    del ballast
    fell = engine.predict(None).peak_memory_mib < with_ballast - 256
    # A kernel that cannot reset it has only the peak of the whole process.
    assert fell is Path("/proc/self/clear_refs").exists()
