"""The page of a training file: it loads nothing, runs nothing, and says what it draws."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.file_reports import file_report, finding

from grader.report.dataset_page import dataset_html, histogram
from grader.report.dataset_text import Numbers, gather, percentile
from grader.training_data.read.examples import Example, Kind

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e{{ 7 * 7 }}'\"><img src=x onerror=alert(1)>"


def example(*texts: str, line: int = 1, role: object = "assistant") -> Example:
    """A chat of the user and the assistant in turns, whose last message has this role."""
    turns = [("user", "assistant")[i % 2] for i in range(len(texts) - 1)]
    messages = [{"role": r, "content": t} for r, t in zip([*turns, role], texts, strict=True)]
    return Example(line, b"", Kind.CHAT, {"messages": messages})


def numbers(*examples: Example) -> Numbers:
    return gather(examples, lambda e: sum(len(text) for _, text in e.texts))


@pytest.fixture(scope="module")
def many() -> Numbers:
    long = [example("word " * 900, f"an essay{i:04}", line=i) for i in range(2)]
    return numbers(
        *[example("word " * (i % 50 + 1), f"answer {i % 7}", line=i) for i in range(400)], *long
    )


def test_numbers_say_what_the_examples_are_like() -> None:
    found = numbers(
        example("abc", "yes"), example("abcd", "yes"), example("a", "b", "c", "no", line=3)
    )
    assert found.examples == 3
    assert found.tokens == {6: 1, 7: 1, 5: 1}
    assert found.prompts == {3: 1, 4: 1, len("a\nb\nc"): 1}
    assert found.answers == {3: 2, 2: 1}
    assert found.messages == {2: 2, 4: 1}
    assert found.roles == {"user": 4, "assistant": 4}
    assert (found.frequent, found.different) == ((("yes", 2),), 2)


def test_roles_that_are_none_are_counted_together() -> None:
    roles = numbers(example("a", "b", role="bot"), example("a", "b", role=["x"])).roles
    assert roles == {"user": 2, "other": 2}


def test_long_answers_that_begin_alike_are_told_apart() -> None:
    found = numbers(*[example("q", "same " * 100 + end) for end in ("a", "b", "b")])
    assert found.different == 2
    assert [count for _, count in found.frequent] == [2]


def test_tokens_may_be_counted_of_a_sample() -> None:
    some = [example("a", "b", line=i) for i in range(10)]
    found = gather(some, lambda e: 3, every=4)
    assert (found.tokens, found.examples) == ({3: 3}, 10)


@given(st.lists(st.integers(0, 10_000), min_size=1), st.floats(0, 1))
def test_a_percentile_is_a_length_that_so_many_do_not_exceed(
    lengths: list[int], share: float
) -> None:
    found = percentile(Counter(lengths), share)
    assert found in lengths
    assert sum(length <= found for length in lengths) >= share * len(lengths)


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=60))
@settings(max_examples=15, deadline=None)
def test_any_lengths_can_be_drawn_and_are_said_in_words(lengths: list[int]) -> None:
    chart = histogram(Counter(lengths), "tokens", "tokens")
    assert re.match(rf'<svg viewBox="[\d. ]+" role="img" aria-label="[^"]*{len(lengths)} ', chart)
    assert chart == histogram(Counter(lengths), "tokens", "tokens")


def test_a_few_giants_share_a_bar_instead_of_flattening_the_rest(many: Numbers) -> None:
    chart = histogram(many.prompts, "prompts", "characters")
    assert "2 longer, up to 4,500" in chart


def test_the_page_shows_faults_distributions_and_answers(many: Numbers) -> None:
    found = [finding("JSL204", line, f"role {line} is odd") for line in range(1, 9)]
    page = dataset_html(file_report(*found, finding("JSL602", 5)), many)
    assert page.count("<svg viewBox") == 2
    assert "402 examples with 2 messages." in page
    assert "400 examples with 8 characters in the answer, 2 examples with 12" in page
    assert "JSL204, 8 places" in page
    assert "role 3 is odd" in page
    assert "role 4 is odd" not in page
    assert "… and 5 more." in page
    assert "answer 3" in page
    assert "USD 0.92" in page


def test_a_file_without_examples_has_a_page_as_well() -> None:
    page = dataset_html(
        file_report(finding("JSL002"), kind=None, examples=0, tokens=None, cost=None), numbers()
    )
    assert "JSL002" in page
    assert "<svg viewBox" not in page


class _Parsed(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_nothing_in_a_file_acts_on_its_page() -> None:
    hostile = numbers(*[example(HOSTILE * i, HOSTILE, line=i, role=HOSTILE) for i in range(1, 5)])
    found = finding("JSL204", 1, HOSTILE, path=HOSTILE, pointer=HOSTILE)
    report = file_report(found, path=HOSTILE, kind_reason=HOSTILE, notes=(HOSTILE,))
    page = dataset_html(report, hostile)
    assert "\x1b" not in page
    assert "\u202e" not in page
    for tag, attributes in _Parsed(page).tags:
        assert tag not in ("script", "img", "link", "iframe")
        assert not {name for name in attributes if name.startswith("on") or name == "src"}
        assert not (attributes.get("href") or "#").startswith(("http", "javascript"))
