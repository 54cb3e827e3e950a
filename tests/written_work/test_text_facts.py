"""Passages, aspects, copies and what else is said of a text; the labelled documents."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import ROOT, SOLUTION
from support.written_work import text as written
from support.written_work import unread

from grader.assignment.load import load_assignment
from grader.checks.api import all as _all_checks  # noqa: F401  (registers every check)
from grader.checks.api.context import Context
from grader.checks.api.registry import in_order, run_check
from grader.checks.views.written_work.comparison_words import COMPARISON
from grader.checks.views.written_work.measured import Measured
from grader.checks.views.written_work.overlap import RUN_WORDS, Source, Sources
from grader.checks.views.written_work.passages import Form, Kind, passages
from grader.checks.views.written_work.text_facts import (
    MAX_CHARACTERS,
    MAX_NUMBERS,
    TextFacts,
    facts_of,
)
from grader.core.nouns import CheckInstance, Evidence, Finding, Outcome, Visibility
from grader.intake.find import submission_at
from grader.intake.submission import take_in

sys.path.insert(0, str(ROOT / "scripts"))

from measure_facts import KINDS, Count, Document, documents, table

HANDOUT = "Calculate the approximate cost of fine-tuning with your dataset, and when it pays."
GIVEN = Sources([Source("handout", HANDOUT)])


def facts(text: str, form: Form = Form.MARKDOWN) -> TextFacts:
    """The facts of a text of which nothing was measured."""
    return facts_of(text, form, COMPARISON, Measured.of({}), GIVEN)


@pytest.fixture(scope="module")
def measured() -> list[Document]:
    return list(documents())


AT_LEAST = {  # on all documents: precision, recall
    "aspects": (0.92, 0.93),
    "numbers found": (0.99, 0.97),
    "verdicts": (0.95, 0.93),
    "claims": (0.95, 0.95),
}


@pytest.mark.parametrize("kind", KINDS)
def test_facts_of_the_labelled_documents_are_found(measured: list[Document], kind: str) -> None:
    rows = {(author, half): count for author, half, k, _, count in table(measured) if k == kind}
    precision, recall = AT_LEAST[kind]
    everything: Count = rows["both", "both"]
    assert everything.precision >= precision
    assert everything.recall >= recall
    for half in ("development", "held out"):
        assert rows["both", half].precision >= 0.9
        assert rows["both", half].recall >= 0.9


def test_there_are_labelled_documents_of_every_format(measured: list[Document]) -> None:
    assert len(measured) == 64
    assert {d.author for d in measured} == {"a", "b"}
    assert sum(d.is_held_out for d in measured) == 32


@given(st.text(alphabet='ab1.,;:|-#*`$% \n"()', max_size=300), st.sampled_from(Form))
def test_passages_are_in_order_and_stand_where_they_say(text: str, form: Form) -> None:
    found = passages(text, form)
    assert all(text[p.start : p.end] == p.text for p in found)
    assert all(a.start <= b.start for a, b in pairwise(found))
    facts(text, form)  # whatever it is, it has facts


def test_a_document_is_read_in_the_form_that_its_reader_gives() -> None:
    markdown = passages(
        "# Costs\n\nOne line\nand the next.\n\n- an item\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        Form.MARKDOWN,
    )
    assert [p.kind for p in markdown] == [Kind.HEADING, Kind.PARAGRAPH, Kind.ITEM, Kind.TABLE]
    assert markdown[1].headings == ("# Costs",)
    word = passages("Costs\nIt was cheap.\nIt was quick.", Form.LINES)
    assert [p.kind for p in word] == [Kind.HEADING, Kind.PARAGRAPH, Kind.PARAGRAPH]
    page = "A line that is wrapped at its width\nand goes on.\n7\n\nA new one starts here, too."
    pdf = passages(page, Form.WRAPPED)
    assert [p.kind for p in pdf] == [Kind.PARAGRAPH, Kind.MARGIN, Kind.PARAGRAPH]


def spoken(text: str) -> set[str]:
    return {aspect.id for aspect in facts(text).aspects if aspect.passages}


@pytest.mark.parametrize(
    ("heading", "aspect"),
    [
        ("Development time and effort required", "time"),
        ("Data preparation differences", "data"),
        ("Performance on identical test questions", "performance"),
        ("Resource requirements (compute, API costs)", "resources"),
        ("Flexibility for adaptation to new domains", "domains"),
        ("Practical considerations for deployment", "deployment"),
    ],
)
def test_a_heading_speaks_for_what_stands_below_it(heading: str, aspect: str) -> None:
    text = f"# DSPy and LoRA\n\n## {heading}\n\nHere they differ very much.\n"
    assert spoken(text) == {aspect}
    assert spoken(f"# DSPy and LoRA\n\n## {heading}\n\nTODO\n") == set()


def test_without_headings_the_words_decide() -> None:
    text = "I spent two evenings on DSPy and a weekend on LoRA, mostly debugging."
    assert spoken(text) == {"time"}
    assert spoken(f"{text} The service cost two cents, LoRA needs a GPU.") == {"time", "resources"}
    assert spoken("Sourdough takes two evenings and a weekend, mostly waiting.") == set()


def test_copied_passages_speak_of_nothing_and_do_not_count() -> None:
    found = facts(f"# DSPy and LoRA\n\n## Costs\n\n{HANDOUT}\n")
    assert not any(aspect.passages for aspect in found.aspects)
    (copy,) = found.given
    assert (copy.source, copy.words) == ("handout", 14)
    assert found.length.words == 4
    assert found.length.copied_words == 13  # fine-tuning is one word of a text


words = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=60).map(" ".join)


@given(words, words)
def test_copies_are_the_same_words_in_both_texts(text: str, source: str) -> None:
    for copy in Sources([Source("s", source)]).copies(text):
        here, there = text[copy.start : copy.end], source[copy.source_start : copy.source_end]
        assert here.split() == there.split()
        assert len(here.split()) == copy.words >= RUN_WORDS


@given(words)
def test_a_whole_text_is_found_in_itself(text: str) -> None:
    found = Sources([Source("s", text)]).copies(f"First. {text}. Last.")
    assert sum(copy.words for copy in found) == (len(text.split()) if found else 0)
    assert bool(found) == (len(text.split()) >= RUN_WORDS)


def test_tables_and_figures_that_are_referred_to_are_there_or_not() -> None:
    text = "Table 1 shows it, Figure 2 too.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n![](plot.png)\n"
    found = {r.text: r.shown for r in facts(text).references}
    assert found == {"Table 1": True, "Figure 2": False}
    assert facts("See Figure 1 here.", Form.LINES).references[0].shown is None


def test_readability_counts_words_and_sentences() -> None:
    easy = facts("We ran it. It was good.").readability
    assert easy is not None
    assert (easy.words_per_sentence, easy.long_words, easy.lix) == (3, 0, 3)
    assert facts("# Only a title").readability is None


def test_a_long_text_is_cut_and_says_so() -> None:
    found = facts("LoRA is good. " * (MAX_CHARACTERS // 10))
    assert "were read" in found.notes[0]
    assert facts("LoRA is good.").notes == ()
    many = facts("1 " * (MAX_NUMBERS + 1))
    assert len(many.numbers) == MAX_NUMBERS
    assert many.notes


def finding(code: str, home: Path, evidence: Evidence) -> Finding:
    """What a check says of an analysis that was read so."""
    (home / "s01").mkdir(exist_ok=True)
    (home / "s01" / "comparative_analysis.md").write_text("Not read here.\n")
    found = submission_at(home / "s01")
    use = CheckInstance(code, bindings={"text": ("analysis_text",)})
    assignment = load_assignment("llm-methods")
    assignment = replace(assignment, checks=(*assignment.checks, use))
    submission = take_in(found, home / "work", assignment.deliverables)
    context = Context(assignment, submission, {"analysis_text": evidence})
    findings: dict[str, Finding] = {}
    for check in in_order([code], assignment):
        findings[check.ref] = run_check(check, context, findings, {})
    return findings[code]


def test_the_solution_speaks_of_all_aspects_in_its_own_words(tmp_path: Path) -> None:
    path = SOLUTION / "comparative_analysis.md"
    solution = written("comparative_analysis.md", path.read_text(encoding="utf-8"))
    aspects = finding("DOC201", tmp_path, solution)
    assert (aspects.outcome, aspects.measures["aspects"]) == (Outcome.PASS, 6)
    assert finding("DOC203", tmp_path, solution).outcome is Outcome.PASS


def test_a_person_looks_where_an_aspect_is_missing_or_the_kit_was_submitted(tmp_path: Path) -> None:
    kit = ROOT / "starter" / "llm-methods" / "comparative_analysis.md"
    template = written("comparative_analysis.md", kit.read_text(encoding="utf-8"))
    assert finding("DOC203", tmp_path, template).outcome is Outcome.REVIEW
    found = finding("DOC201", tmp_path, written("a.md", "DSPy and LoRA.\n\n# Costs\n\nLow ones."))
    assert (found.outcome, found.visibility) == (Outcome.REVIEW, Visibility.INSTRUCTOR)
    assert "Development time and effort" in found.message


def test_a_number_that_does_not_follow_is_shown_to_a_person(tmp_path: Path) -> None:
    (tmp_path / "s01").mkdir()
    shutil.copy(SOLUTION / "cost_analysis.json", tmp_path / "s01")
    text = "DSPy and OpenAI.\n\n# Costs\n\nThe job cost {} USD."
    right = finding("DOC202", tmp_path, written("a.md", text.format("0.0143")))
    assert (right.outcome, right.measures["agree"]) == (Outcome.PASS, 1)
    wrong = finding("DOC202", tmp_path, written("a.md", text.format("0.143")))
    assert (wrong.outcome, wrong.measures["differ"]) == (Outcome.REVIEW, 1)
    assert "0.143 seems to be openai.training_usd, measured as 0.01432" in wrong.message


def test_an_unreadable_document_has_no_facts(tmp_path: Path) -> None:
    broken = unread("comparative_analysis.pdf", "DOC103")
    for code in ("DOC201", "DOC202", "DOC203"):
        assert finding(code, tmp_path, broken).outcome is Outcome.SKIP
