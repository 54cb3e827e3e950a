"""Numbers in texts: how they are read, what they claim, and the verdict on that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grader.checks.views.written_work.aspects import aspects_of
from grader.checks.views.written_work.comparison_words import COMPARISON
from grader.checks.views.written_work.measured import Measured, Verdict
from grader.checks.views.written_work.number_claims import NumberFact, numbers_of
from grader.checks.views.written_work.number_units import Dimension
from grader.checks.views.written_work.numbers_in_text import (
    Number,
    Shape,
    is_comma_decimal,
    numbers,
)
from grader.checks.views.written_work.passages import Form, passages

MEASURED = Measured.of(
    {
        "dspy": {"before": 0.2, "after": 0.9, "seconds_per_query": 0.8},
        "openai": {
            "before": 0.06,
            "after": 0.84,
            "training_seconds": 41,
            "training_usd": 0.0123,
            "usd_per_query": 0.0002,
            "base_usd_per_query": 0.0001,
            "break_even_queries": 3120,
        },
        "lora": {
            "before": 0.0,
            "after": 0.957,
            "training_seconds": 7.4,
            "peak_mib": 580,
            "tokens_per_second": 512,
            "adapter_kib": 310,
            "trainable_parameters": 73728,
        },
    }
)


def read(text: str) -> Number:
    """The only number of a text."""
    (number,) = numbers(text, is_comma_decimal(text))
    return number


@pytest.mark.parametrize(
    ("text", "value", "dimension"),
    [
        ("0.957 of all", 0.957, Dimension.NONE),
        ("about 96 %", 0.96, Dimension.NONE),
        ("ninety per cent", 0.9, Dimension.NONE),
        ("0,12 and no more", 0.12, Dimension.NONE),
        ("it was .196 there", 0.196, Dimension.NONE),
        ("3,120 queries", 3120, Dimension.NONE),
        ("4 720 requests", 4720, Dimension.NONE),
        ("1.2e-5 USD", 1.2e-5, Dimension.USD),
        ("2 \u00d7 10⁻⁴ USD", 2e-4, Dimension.USD),
        ("16k parameters", 16_000, Dimension.NONE),
        ("1.31 million weights", 1.31e6, Dimension.NONE),
        ("five thousand queries", 5000, Dimension.NONE),
        ("$0.0141 in all", 0.0141, Dimension.USD),
        ("1.23 cents", 0.0123, Dimension.USD),
        ("two minutes", 120, Dimension.SECONDS),
        ("1 min 8 s", 68, Dimension.SECONDS),
        ("840 ms", 0.84, Dimension.SECONDS),
        ("half a minute", 30, Dimension.SECONDS),
        ("1¼ minutes", 75, Dimension.SECONDS),
        ("512 tokens per second", 512, Dimension.TOKENS_PER_SECOND),
        ("86,400 tokens a minute", 1440, Dimension.TOKENS_PER_SECOND),
        ("4.5 GiB", 4.5 * 1024**2, Dimension.KIB),
        ("0,9 Mo", 0.9 * 1024, Dimension.KIB),
        ("7 percentage points", 0.07, Dimension.POINTS),
        ("55 of 60 questions", 55 / 60, Dimension.NONE),
        ("three quarters of them", 0.75, Dimension.NONE),
        ("nine out of ten", 0.9, Dimension.NONE),
        ("one question in four", 0.25, Dimension.NONE),
    ],
)
def test_a_number_is_read_in_its_unit(text: str, value: float, dimension: Dimension) -> None:
    number = read(text)
    assert number.values[0].value == pytest.approx(value)
    assert number.dimension is dimension


def test_a_comma_is_read_both_ways_the_likelier_first() -> None:
    english, german = read("after 1,234 queries"), [*numbers("0,5 und 0,7 und 1,234", True)][2]
    assert [v.value for v in english.values] == [1234, 1.234]
    assert [v.value for v in german.values] == [1.234, 1234]


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("BM25", Shape.NAME),
        ("F1", Shape.NAME),
        ("gpt-4", Shape.NAME),
        ("1.2.3", Shape.NAME),
        ("3-4 hours", Shape.RANGE),
        ("twice as dear", Shape.FACTOR),
        ("5 times as much", Shape.FACTOR),
    ],
)
def test_what_is_no_plain_number_is_told_apart(text: str, shape: Shape) -> None:
    assert read(text).shape is shape


@pytest.mark.parametrize(
    "text", ["one of them", "a third remark", "the second try", "done", "often"]
)
def test_words_that_count_nothing_are_no_numbers(text: str) -> None:
    assert list(numbers(text)) == []


def judged(text: str) -> list[NumberFact]:
    """The numbers of a text that claim something."""
    text = f"DSPy, OpenAI and LoRA were compared.\n\n{text}"
    document = passages(text, Form.MARKDOWN)
    spoken = aspects_of(document, COMPARISON)
    found = list(numbers_of(text, document, COMPARISON, MEASURED, spoken))
    assert all(text[fact.start : fact.end] == fact.text for fact in found)
    return [fact for fact in found if fact.claims]


AGREES, DIFFERS = Verdict.AGREES, Verdict.DIFFERS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LoRA improved from 0.0 to 0.957.", [("lora.before", AGREES), ("lora.after", AGREES)]),
        ("LoRA reached an accuracy of 96 %.", [("lora.after", AGREES)]),
        ("LoRA reached an accuracy of 95 %.", [("lora.after", DIFFERS)]),
        ("The adapter gets nearly all answers right, about 19 of 20.", [("lora.after", AGREES)]),
        ("LoRA gets 4.3 % of the answers wrong.", [("1-lora.after", AGREES)]),
        (
            "LoRA scored 0.84 and OpenAI 0.957.",
            [("lora.after", DIFFERS), ("openai.after", DIFFERS)],
        ),
        ("DSPy improved by 70 points.", [("dspy.after-dspy.before", AGREES)]),
        ("LoRA is 6 points ahead of DSPy.", [("lora.after-dspy.after", AGREES)]),
        ("The job cost 1.2 cents.", [("openai.training_usd", AGREES)]),
        ("The job cost 12 cents.", [("openai.training_usd", DIFFERS)]),
        (
            "A tuned query costs $0.0002, one to the base model $0.0001.",
            [("openai.usd_per_query", AGREES), ("openai.base_usd_per_query", AGREES)],
        ),
        ("1,000 queries to the tuned model cost 20 cents.", [("openai.usd_per_query", AGREES)]),
        ("We break even after 3,120 queries.", [("openai.break_even_queries", AGREES)]),
        (
            "We break even after some three thousand queries.",
            [("openai.break_even_queries", AGREES)],
        ),
        ("Training the adapter took 7.4 seconds.", [("lora.training_seconds", AGREES)]),
        ("DSPy answers in 0.8 s per query.", [("dspy.seconds_per_query", AGREES)]),
        ("LoRA used at its peak 0.57 GiB of memory.", [("lora.peak_mib", AGREES)]),
        ("The adapter file has 310 KiB.", [("lora.adapter_kib", AGREES)]),
        ("LoRA has 74k trainable parameters.", [("lora.trainable_parameters", AGREES)]),
        ("LoRA writes 480 tokens per second.", [("lora.tokens_per_second", DIFFERS)]),
    ],
)
def test_a_claim_is_held_against_what_was_measured(
    text: str, expected: list[tuple[str, Verdict]]
) -> None:
    assert [(fact.claims, fact.verdict) for fact in judged(text)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "I wrote 20 pairs for OpenAI in 2025, with Python 3.11 and rank 8.",
        "The authors of the paper report 0.93 for their adapter.",
        "LoRA took me 9 hours of my weekend.",
        "The price list asks 3 USD per million training tokens of OpenAI.",
    ],
)
def test_other_numbers_claim_nothing(text: str) -> None:
    assert judged(text) == []


def test_a_table_gives_each_cell_its_row_and_column() -> None:
    table = "| | LoRA | DSPy |\n|---|---|---|\n| before | 0.00 | 0.20 |\n| after (%) | 95.7 | 70 |"
    assert [(fact.claims, fact.verdict) for fact in judged(table)] == [
        ("lora.before", AGREES),
        ("dspy.before", AGREES),
        ("lora.after", AGREES),
        ("dspy.after", DIFFERS),
    ]


def test_what_was_not_measured_is_neither_right_nor_wrong() -> None:
    (fact,) = numbers_without("LoRA reached an accuracy of 96 %.")
    assert (fact.claims, fact.fact, fact.verdict) == ("lora.after", None, Verdict.NOTHING)


def numbers_without(text: str) -> Iterator[NumberFact]:
    """The numbers where nothing was measured."""
    document = passages(text := f"DSPy and OpenAI.\n\n{text}", Form.MARKDOWN)
    return numbers_of(text, document, COMPARISON, Measured.of({}), aspects_of(document, COMPARISON))


def test_a_score_on_other_questions_may_be_as_far_off_as_those_are() -> None:
    near = Measured({"lora.after": 0.9}, {"lora.after": 0.1})
    text = "DSPy and LoRA.\n\nLoRA reached an accuracy of 96 %, later of 75 %."
    document = passages(text, Form.MARKDOWN)
    found = numbers_of(text, document, COMPARISON, near, aspects_of(document, COMPARISON))
    assert [fact.verdict for fact in found] == [AGREES, DIFFERS]
