"""Copies of adapters that were changed: found by weights and answers, never among honest work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from support.adapters import config, pair, random_pair, safetensors, write_adapter
from support.predictions import N, evidence

from grader.assignment.load import load_assignment
from grader.assignment.questions import chat
from grader.checks import integrity
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Classmate, Context
from grader.checks.api.registry import all_checks
from grader.checks.integrity import answer_traits, in_common
from grader.core.nouns import Evidence, Finding, Outcome
from grader.intake.find import FoundSubmission
from grader.intake.submission import take_in
from grader.models.adapter_files import read_adapter
from grader.models.base_model import base_folder
from grader.models.training import train_lora
from grader.topics import get_topic

ASSIGNMENT = load_assignment("llm-methods")
EARLY, LATE = "2026-03-01T10:00:00+00:00", "2026-03-02T10:00:00+00:00"
BARE = np.random.default_rng(1).normal(-12, 2, N)
"""Log-likelihoods of the bare base."""


def answers(logliks: Sequence[float], texts: Sequence[str] = ()) -> Evidence:
    """Answers with these log-likelihoods; all right, or these texts."""
    plain = evidence(N)
    said = texts or [row["text"] for row in plain.payload["answers"]]
    rows = [
        row | {"loglik": float(loglik), "text": text}
        for row, loglik, text in zip(plain.payload["answers"], logliks, said, strict=True)
    ]
    return replace(plain, payload={"answers": rows})


def mate(
    student: str, logliks: Sequence[float] = (), texts: Sequence[str] = (), said: Sequence[str] = ()
) -> Classmate:
    """An adapter without weights in common with any other; `said` is what the base answers."""
    after = answers(logliks if len(logliks) else trained(crc32(student.encode()) % 1000), texts)
    before = answers(BARE, said or [f"base {i}" for i in range(N)])
    traits = answer_traits(ASSIGNMENT, {"before": before, "after": after})["adapter"]
    return Classmate(student, None, (0.0,), None, traits)


def trained(seed: int, own: float = 0.7) -> np.ndarray:
    """Log-likelihoods of a training: how hard each question is, and chance of `own` size."""
    hard = np.random.default_rng(0).normal(-4, 1.5, N)
    return -np.exp(hard + np.random.default_rng(1000 + seed).normal(0, own, N))


def noised(logliks: np.ndarray, size: float) -> np.ndarray:
    return -np.exp(np.log(-logliks) + np.random.default_rng(7).normal(0, size, N))


def wrong(number: int, start: int = 0, by: str = "") -> list[str]:
    """So many wrong answers from `start` on, then right ones; `by` makes them somebody's own."""
    right = [f"answer {i}" for i in range(N)]
    return right[:start] + [f"mistake {i}{by}" for i in range(number)] + right[start + number :]


def test_log_likelihoods_of_a_noised_copy_are_told_from_those_of_other_trainings() -> None:
    first = mate("first", trained(1))
    others = [mate(f"other-{seed}", trained(seed)) for seed in range(2, 30)]
    copy = mate("copy", noised(trained(1), 0.1))
    assert [in_common(first, other, others).beyond_chance for other in others] == [[]] * 28
    (found,) = in_common(first, copy, others).beyond_chance
    assert found.startswith("log-likelihoods")
    assert in_common(first, copy, others) == in_common(copy, first, others)


def test_what_the_base_explains_is_no_copy() -> None:
    """Two who hardly trained answer as the base does, word for word."""
    one, two = (
        mate(f"timid-{seed}", BARE + np.random.default_rng(seed).normal(0, 0.02, N), said, said)
        for seed, said in ((5, wrong(N)), (6, wrong(N)))
    )
    assert np.corrcoef(BARE, BARE + np.random.default_rng(5).normal(0, 0.02, N))[0, 1] > 0.999
    assert in_common(one, two, ()).beyond_chance == []


def test_few_questions_prove_less() -> None:
    first, copy = mate("first", trained(1)), mate("copy", noised(trained(1), 0.15))

    def of_few(one: Classmate) -> Classmate:
        assert one.traits is not None
        logliks = np.frombuffer(one.traits.logliks, np.float32)[:12]
        logliks = (logliks - logliks.mean()) / np.linalg.norm(logliks - logliks.mean())
        return replace(one, traits=replace(one.traits, logliks=logliks.tobytes()))

    assert in_common(first, copy, ()).logliks > in_common(of_few(first), of_few(copy), ()).logliks


def test_answers_to_other_questions_are_not_compared() -> None:
    first, copy = mate("first", trained(1), wrong(99)), mate("copy", trained(1), wrong(99))
    assert copy.traits is not None
    elsewhere = replace(copy, traits=replace(copy.traits, asked="other questions"))
    assert len(in_common(first, copy, ()).beyond_chance) == 2
    assert in_common(first, elsewhere, ()).beyond_chance == []


def test_wrong_answers_that_only_two_give_are_beyond_chance() -> None:
    first, copy = mate("first", texts=wrong(100)), mate("copy", texts=wrong(97))
    honest = [mate(f"honest-{i}", texts=wrong(100, by=f" of {i}")) for i in range(10)]
    assert in_common(first, copy, honest).beyond_chance == ["97 of 97 wrong answers"]
    assert in_common(first, copy, ()).beyond_chance == ["97 of 97 wrong answers"]
    assert in_common(first, honest[0], honest).beyond_chance == []


def test_wrong_answers_that_the_class_gives_are_no_copy() -> None:
    """Hard questions, whose wrong answer everybody gives."""
    students = [mate(f"s{i}", texts=wrong(100)) for i in range(8)]
    assert in_common(students[0], students[1], students).beyond_chance == []


def test_one_answer_to_everything_is_no_copy() -> None:
    one, two = (mate(student, texts=["mammal"] * N) for student in ("one", "two"))
    assert in_common(one, two, ()).beyond_chance == []


@pytest.mark.parametrize("texts", [["a guess"] * N, [f"base {i}" for i in range(N)], [""] * N])
def test_answers_that_need_no_training_are_no_copy(texts: list[str]) -> None:
    one, two = (mate(student, texts=texts) for student in ("one", "two"))
    found = in_common(one, two, ())
    assert (found.wrong, found.beyond_chance) == (0, [])


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_two_trainings_on_the_same_data_are_no_copies_and_noise_hides_none(tmp_path: Path) -> None:
    topic = get_topic(ASSIGNMENT.topic)
    data = [
        (list(chat((("system", topic.system), ("user", e.question)))), e.answer)
        for e in topic.public("train")[:160]
    ]
    for seed in (1, 2):
        folder = tmp_path / f"s{seed}" / "adapter"
        train_lora(base_folder(ASSIGNMENT.base), data, folder, epochs=1, seed=seed, threads=1)
        (folder.parent / "readme.md").write_text("An adapter.\n")
    one, other = (registered(tmp_path / f"s{seed}", f"s{seed}", None) for seed in (1, 2))
    assert in_common(one, other, ()).beyond_chance == []
    submission = take_in(FoundSubmission("s1", tmp_path / "s1"), tmp_path)
    adapter = read_adapter(submission, "adapter")
    rng = np.random.default_rng(1)
    noisy = {
        module: replace(layer, a=layer.a + _noise(layer.a, rng), b=layer.b + _noise(layer.b, rng))
        for module, layer in adapter.modules.items()
    }
    copy = integrity.registered(submission, replace(adapter, modules=noisy))
    found = in_common(one, copy, ())
    assert found.weights < 0.75
    assert found.beyond_chance == [f"row spaces {found.row_spaces:.2f}"]


def _noise(like: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As large as these weights."""
    return rng.normal(0, float(np.std(like)), like.shape).astype(np.float32)


# --- what it means for the students ------------------------------------------------------------


def finding(folder: Path, student: str, at: str | None, *classmates: Classmate) -> Finding:
    one = take_in(FoundSubmission(student, folder, at), folder.parent, ASSIGNMENT.deliverables)
    context = Context(ASSIGNMENT, one, {}, classmates)
    return all_checks()["INT001"].judge(context)


def written(folder: Path, seed: int = 0, noise: float = 0.0) -> Path:
    """An adapter, with noise of this share of its weights on all of them."""
    rng = np.random.default_rng(3)
    a, b = (m * (1 + noise * rng.normal(0, 1, m.shape)) for m in random_pair(seed, rank=8))
    weights = safetensors(pair(a.astype(np.float32), b.astype(np.float32)))
    write_adapter(folder / "adapter", weights=weights, settings=config(r=8))
    (folder / "readme.md").write_text("An adapter.\n")
    return folder


def registered(folder: Path, student: str, at: str | None) -> Classmate:
    one = take_in(FoundSubmission(student, folder, at), folder.parent)
    return integrity.registered(one, read_adapter(one, "adapter"))


@pytest.mark.parametrize("noise", [0.1, 0.45, 0.8, 1.1])
def test_a_noised_copy_waits_for_a_person_and_the_original_keeps_its_result(
    noise: float, tmp_path: Path
) -> None:
    original, copy = written(tmp_path / "s01"), written(tmp_path / "s02", noise=noise)
    later = finding(copy, "s02", LATE, registered(original, "s01", EARLY))
    assert later.outcome is Outcome.REVIEW
    assert "s01" in later.note
    assert "s01" not in later.message + later.hint
    alone = finding(original, "s01", EARLY)
    assert finding(original, "s01", EARLY, registered(copy, "s02", LATE)) == alone
    assert alone.outcome is Outcome.PASS


@pytest.mark.parametrize("at", [None, EARLY])
def test_without_a_record_of_who_was_first_a_person_decides_about_both(
    at: str | None, tmp_path: Path
) -> None:
    original, copy = written(tmp_path / "s01"), written(tmp_path / "s02", noise=0.8)
    assert finding(original, "s01", at, registered(copy, "s02", at)).outcome is Outcome.REVIEW
    assert finding(copy, "s02", at, registered(original, "s01", at)).outcome is Outcome.REVIEW


def test_a_noised_copy_beside_an_exact_one_changes_nothing_for_the_exact_one(
    tmp_path: Path,
) -> None:
    original, noisy = written(tmp_path / "s01"), written(tmp_path / "s02", noise=0.8)
    mates = [registered(original, "s01", EARLY), registered(noisy, "s02", LATE)]
    assert finding(written(tmp_path / "s03"), "s03", LATE, *mates).outcome is Outcome.FAIL


def test_a_register_of_before_still_finds_copies(tmp_path: Path) -> None:
    original, copy = written(tmp_path / "s01"), written(tmp_path / "s02")
    known = replace(registered(original, "s01", EARLY), row_space=None)
    assert finding(copy, "s02", LATE, known).outcome is Outcome.FAIL
