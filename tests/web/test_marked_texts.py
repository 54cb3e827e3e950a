"""Texts with facts and lines of the kit marked: nothing is lost, nothing is added."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from grader.checks.views.written_work.classmates import SharedPassage
from grader.checks.views.written_work.comparison_words import COMPARISON
from grader.checks.views.written_work.measured import Measured
from grader.checks.views.written_work.overlap import Source, Sources
from grader.checks.views.written_work.passages import Form
from grader.checks.views.written_work.text_facts import facts_of
from grader.core.files import resource
from grader.core.text import clean_lines
from grader.web.texts import marked_pieces, program_pieces, says

TEXT = """# Comparison

## Development time

The prompt took an afternoon of effort, the adapter two evenings.

## Performance

On the same 60 test questions the adapter reached 0.85 and the base 0.13 exact match.
This sentence was taken from the kit and stands in it word for word as here.
"""
KIT = Sources([Source("kit.md", TEXT.splitlines()[-1])])
AT = TEXT.index("The prompt took")
SHARED = SharedPassage(AT, AT + 33, 7, ())
MEASURED = Measured({"lora.before": 0.13, "lora.after": 0.75})


def test_passages_numbers_and_copies_are_marked_where_they_stand() -> None:
    facts = facts_of(TEXT, Form.MARKDOWN, COMPARISON, MEASURED, KIT)
    pieces = marked_pieces(TEXT, facts, [SHARED], "aspect-0")
    assert "".join(piece.text for piece in pieces) == TEXT
    by_kind = {kind: [p for p in pieces if kind in p.kinds] for p in pieces for kind in p.kinds}
    assert [piece.text for piece in by_kind["agrees"]] == ["0.13"]
    assert [piece.text for piece in by_kind["differs"]] == ["0.85"]
    assert by_kind["differs"][0].said == "lora score after was measured as 0.75"
    assert "taken from the kit" in "".join(piece.text for piece in by_kind["copied"])
    assert "14 words as in kit.md" in by_kind["copied"][0].said or by_kind["copied"][0].said
    assert (
        "".join(p.text for p in by_kind["shared"]) == "The prompt took an afternoon of effort"[:33]
    )
    titles = [title for piece in pieces for title, _ in piece.tags]
    assert "Development time and effort" in titles
    anchors = [anchor for piece in pieces for _, anchor in piece.tags if anchor]
    assert len(anchors) == len(set(anchors))


@given(st.text(alphabet="aé .\n\t0123,%\u202e", max_size=300), st.integers(0, 300))
def test_a_cut_text_is_shown_to_its_end(text: str, cut: int) -> None:
    facts = facts_of(text, Form.MARKDOWN, COMPARISON, MEASURED, KIT)
    shown = clean_lines(text[:cut])
    pieces = marked_pieces(shown, facts, [], "a")
    assert "".join(piece.text for piece in pieces) == shown
    assert len(shown) == len(text[:cut])


def test_lines_of_the_kit_are_told_from_the_students_own() -> None:
    kit = (resource("starter", "llm-methods") / "huggingface_lora.py").read_text("utf-8")
    mine = "\nMY_OWN = 'an idea'\n\nprint(MY_OWN)\n"
    pieces = list(program_pieces("llm-methods", kit + mine + kit))
    assert "".join(piece.text for piece in pieces) == kit + mine + kit
    own = "".join(piece.text for piece in pieces if "own" in piece.kinds)
    assert own.split() == mine.split()


def test_an_assignment_without_a_kit_has_only_own_lines() -> None:
    (piece,) = program_pieces("judged", "a = 1\nb = 2\n")
    assert piece.kinds == ("own",)


def test_claims_are_told_in_words() -> None:
    assert says("lora.after", 0.75) == "lora score after was measured as 0.75"
    assert says("lora.after-lora.before", 0.6) == (
        "lora score after-lora score before was measured as 0.6"
    )
    assert says(None, None) == ""
