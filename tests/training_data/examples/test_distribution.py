"""Dominant answers, refusals, odd lengths and rare classes are found where they are."""

from __future__ import annotations

import pytest
from support.examples_read import (
    JsonObject,
    chat,
    completion,
    faults,
    lines_of,
    preference,
    qa,
    words,
)

from grader.training_data.rules.rule import Fault


def labels(**counts: int) -> list[JsonObject]:
    """Examples with these answers, each so often."""
    answers = [answer for answer, count in counts.items() for _ in range(count)]
    return [qa(words(i), answer) for i, answer in enumerate(answers)]


def only(code: str, values: list[JsonObject]) -> Fault:
    [found] = [fault for fault in faults(values) if fault.code == code]
    assert found.line is None
    return found


def test_a_dominant_answer_is_named_with_its_share() -> None:
    found = only("JSL606", labels(Yes=10, yes=2, no=4, maybe=4))
    assert '12 of 20 examples (60%) have the same answer "yes"' in found.message


@pytest.mark.parametrize("values", [labels(yes=11, no=5, maybe=4), labels(yes=9)])
def test_a_smaller_share_or_a_small_file_is_none(values: list[JsonObject]) -> None:
    assert lines_of("JSL606", values) == []


def test_a_dominant_answer_is_found_in_any_order() -> None:
    values = [qa(words(i), "yes" if i % 3 else f"answer {i}") for i in range(40)]
    assert "26 of 40" in only("JSL606", values).message


def test_no_answer_at_all_does_not_dominate() -> None:
    assert lines_of("JSL606", [completion(words(i), "") for i in range(30)]) == []


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I\u2019m sorry, but I can\u2019t do that.",
    "Sorry, I cannot say.",
    "I apologize, but I am not able to share it.",
    "As an AI language model, I cannot have opinions.",
    "I can't assist with this request.",
    "Unfortunately, I'm unable to answer.",
]


def test_refusals_that_dominate_are_counted() -> None:
    values = [qa(words(i), REFUSALS[i % len(REFUSALS)] + f" {i}") for i in range(14)]
    values += [qa(words(20 + i), words(i, 3)) for i in range(9)]
    assert "14 of 23 examples (61%)" in only("JSL607", values).message
    assert lines_of("JSL607", [*values, qa(words(99), "Yes."), qa(words(98), "No.")]) == []


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry to hear that.",
        "I can't believe how many there are: seven.",
        "I cannot but agree.",
        "Unfortunately, it rained.",
        "Sorry, that is wrong: the answer is 7.",
        "I'm sorry, I can see that it is broken.",
    ],
)
def test_ordinary_answers_are_no_refusals(answer: str) -> None:
    values = [qa(words(i), f"{answer} {words(i, 3)}") for i in range(24)]
    assert lines_of("JSL607", values) == []


def test_prompts_of_a_letter_or_two_are_named() -> None:
    values = [qa(words(i), words(i, 2)) for i in range(20)]
    values += [qa(" a ", "b"), qa("a b", "c"), qa("2+2", "4"), qa("\u4f60\u597d", "hi")]
    assert lines_of("JSL608", values) == [21, 22]


def test_short_prompts_that_are_the_task_are_none() -> None:
    values = [qa(chr(ord("a") + i), f"letter {i}") for i in range(26)]
    assert lines_of("JSL608", values) == []


def test_an_empty_prompt_and_an_image_are_not_short() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/1.png"}}
    seen = chat("?", "a frog")
    seen["messages"][0]["content"] = [picture, {"type": "text", "text": "?"}]
    assert lines_of("JSL608", [completion("", "text"), seen]) == []


def test_an_example_far_longer_than_the_rest_is_named_with_numbers() -> None:
    values = [qa(words(i), "yes") for i in range(30)]
    values[9] = qa(words(9, 600), "no")
    [found] = [fault for fault in faults(values) if fault.code == "JSL608"]
    assert found.line == 10
    assert "half of the examples have at most" in found.message


def test_long_examples_among_long_ones_and_few_examples_are_none() -> None:
    assert lines_of("JSL608", [qa(words(i, 100 + 15 * i), "yes") for i in range(40)]) == []
    assert (
        lines_of("JSL608", [*(qa("a question?", "a") for _ in range(9)), qa("q" * 9999, "a")]) == []
    )


def test_short_and_long_ones_come_in_the_order_of_lines() -> None:
    values = [qa(words(i), "yes") for i in range(30)]
    values[4], values[9], values[20] = qa("a", "b"), qa(words(9, 600), "no"), qa("c", "d")
    assert lines_of("JSL608", values) == [5, 10, 21]


def test_rare_classes_are_listed_with_their_counts() -> None:
    found = only("JSL609", labels(cat=30, dog=29, newt=2))
    assert '"cat" 30, "dog" 29, "newt" 2' in found.message
    many = only("JSL609", labels(a=60, b=60, c=50, d=40, e=30, f=20, g=10, h=5))
    assert '"a" 60, "b" 60, "c" 50, …, "f" 20, "g" 10, "h" 5' in many.message


@pytest.mark.parametrize(
    "values",
    [
        labels(cat=40, dog=4),  # few examples
        labels(cat=50, dog=5),  # just ten times
        labels(cat=60),  # one class
        [qa(words(i), words(i % 60, 2) if i % 2 else "cat") for i in range(200)],  # no classes
        [qa(words(i), words(0, 20) if i else words(1, 20)) for i in range(60)],  # sentences
        [preference(words(i), f"answer {i}", "no") for i in range(60)],
    ],
)
def test_what_is_balanced_or_no_classification_is_none(values: list[JsonObject]) -> None:
    assert lines_of("JSL609", values) == []
