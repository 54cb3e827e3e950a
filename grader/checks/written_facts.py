"""DOC2xx: facts of a written comparison, for whoever judges it; no marks hang on them.

What a text says to each aspect, which of its numbers were measured so, and what it shares with the
handout and the kit. The facts themselves are `written_facts(context)`, with their places. They are
the staff's: to a student a doubt of ours would read like a fault, and what numbers were held
against was measured on hidden questions. A self-check shows them, where nothing is hidden.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Final

from grader.assignment.given import given_files
from grader.assignment.rubric_text import RUBRIC_NAME, rubric_markdown
from grader.checks.api.context import Context, EvidenceRole, Verdict, needs_review, passed, skipped
from grader.checks.api.registry import check, titles_of
from grader.checks.views.comparison_claims import ComparisonError
from grader.checks.views.comparison_claims import claims_of as comparison_of
from grader.checks.views.cost_recount import claims_of
from grader.checks.views.gain import correct
from grader.checks.views.program_models import counted_runs
from grader.checks.views.reported_results import WorkflowResultsError, results_of
from grader.checks.views.transcript import transcript
from grader.checks.views.written_work import measured as against
from grader.checks.views.written_work.comparison_words import COMPARISON
from grader.checks.views.written_work.measured import Measured
from grader.checks.views.written_work.overlap import Source, Sources
from grader.checks.views.written_work.passages import form_of
from grader.checks.views.written_work.text_facts import TextFacts, facts_of
from grader.core.constants import CLAIM_TOLERANCE
from grader.core.errors import FileRefused
from grader.core.metrics import mean
from grader.core.nouns import Assignment, Severity, Visibility
from grader.core.payloads import Answer, Answers, Prediction, Predictions, WrittenWork, read
from grader.core.text import clean, counted
from grader.costs.break_even import Alternative, break_even, query_cost
from grader.costs.claims import ClaimsError, CostClaims

TEXT: Final = EvidenceRole("text", WrittenWork)
_WORKFLOW: Final = "openai_ok"
_DSPY: Final = (("dspy.before", "dspy_original"), ("dspy.after", "dspy_enhanced"))
_LORA: Final = (("lora.before", "before"), ("lora.after", "after"))
_MUCH_COPIED: Final = 0.2  # of the words; headings and a quoted sentence stay below it
_QUOTED: Final = 5
_UNREAD: Final = "Not looked at, because the document cannot be read."


def written_facts(context: Context) -> TextFacts | None:
    """The facts of the document in the role `text`; None where it cannot be read."""
    document = context.read(TEXT)
    if document.fault is not None:
        return None
    return facts_of(
        document.text,
        form_of(document.path),
        COMPARISON,
        measured_of(context, _claims(context)),
        given_texts(context.assignment),
    )


def _claims(context: Context) -> CostClaims | None:
    with suppress(ClaimsError, FileRefused, LookupError):
        return claims_of(context)
    return None


def measured_of(context: Context, claims: CostClaims | None) -> Measured:
    """What is known of the three approaches from the evidence there is; no file is read.

    Scores are the grader's own on hidden questions, so a student's may be CLAIM_TOLERANCE away;
    those of the workflow are what its run or comparison.json says. Prices follow from the tokens
    and prices in cost_analysis.json, the `claims`. Times, memory and speed of the student's machine
    were not measured here.
    """
    values: dict[str, float] = {}
    slack: dict[str, float] = {}
    scored: list[tuple[str, Sequence[Answer | Prediction]]]
    scored = [*_programs(context), *_adapters(context)]
    for path, answers in scored:
        if answers:
            values[path] = mean(correct(answers))
            slack[path] = CLAIM_TOLERANCE
    values.update(_workflow(context))
    for path, claimed in _compared(context):
        # On the public test set; the results of the workflow, on the student's own, are true, too.
        slack[path] = abs(claimed - values.get(path, claimed))
        values.setdefault(path, claimed)
    values.update(() if claims is None else _costs(claims))
    values.update(_adapter(context))
    return Measured(values, slack)


def _programs(context: Context) -> Iterator[tuple[str, Sequence[Answer]]]:
    """The answers of the DSPy programs, on the model that counts where both ran."""
    found = {
        path: read(context.evidence[id], Answers) for path, id in _DSPY if id in context.evidence
    }
    if len(found) == len(_DSPY):
        counted = counted_runs(*found.values())
        found = dict(zip(found, (counted.original, counted.enhanced), strict=True))
    for path, run in found.items():
        yield path, run.answers


def _adapters(context: Context) -> Iterator[tuple[str, Sequence[Prediction]]]:
    for path, id in _LORA:
        if id in context.evidence:
            yield path, read(context.evidence[id], Predictions).answers


def _workflow(context: Context) -> Iterator[tuple[str, float]]:
    if _WORKFLOW in context.evidence:
        with suppress(WorkflowResultsError):
            results = results_of(transcript(context.evidence[_WORKFLOW]))
            yield "openai.before", results.before
            yield "openai.after", results.after


def _compared(context: Context) -> Iterator[tuple[str, float]]:
    """What comparison.json says of the service's models, which are asked nowhere else."""
    with suppress(ComparisonError, KeyError):
        claims = comparison_of(context) or {}
        for path, name in (("openai.before", "openai_base"), ("openai.after", "openai_tuned")):
            if name in claims:
                yield path, claims[name].exact_match


def _costs(claims: CostClaims) -> Iterator[tuple[str, float]]:
    training = claims.training.billed_tokens * claims.train_per_m / 1e6
    tuned = query_cost(claims.tuned.usage, claims.tuned_rates)
    base = query_cost(claims.base.usage, claims.base_rates)
    yield "openai.training_usd", training
    yield "openai.usd_per_query", tuned
    yield "openai.base_usd_per_query", base
    fixed = training + claims.other_fixed_usd
    pays = break_even(Alternative("tuned", fixed, tuned), Alternative("base", 0, base))
    if pays.first is not None:
        yield "openai.break_even_queries", pays.first


def _adapter(context: Context) -> Iterator[tuple[str, float]]:
    with suppress(FileRefused, KeyError):
        folder = context.submission.place("adapter")
        weights = [
            file.size
            for file in context.submission.files
            if folder and file.path.startswith(folder) and file.path.endswith(".safetensors")
        ]
        if weights:
            yield "lora.adapter_kib", sum(weights) / 1024


def given_texts(assignment: Assignment) -> Sources:
    """The texts of the kit, which every student had, with the examples in its rubric."""
    return _given(assignment.id, _rubric(assignment), (".md",))


def given_work(assignment: Assignment) -> Sources:
    """These texts, and the programs of the kit."""
    return _given(assignment.id, _rubric(assignment), (".md", ".py"))


def _rubric(assignment: Assignment) -> str:
    return rubric_markdown(assignment, titles_of(assignment))


@lru_cache(maxsize=4)
def _given(assignment: str, rubric: str, endings: tuple[str, ...]) -> Sources:
    files = [
        Source(path.name, path.read_text(encoding="utf-8"))
        for path in given_files(assignment)
        if path.suffix in endings
    ]
    return Sources([*files, Source(RUBRIC_NAME, rubric)])


@check(
    "DOC201",
    evidence=(TEXT,),
    measures=("aspects", "missing", "passages"),
    severity=Severity.NOTE,
    visibility=Visibility.INSTRUCTOR,
)
def every_aspect_is_spoken_of(context: Context) -> Verdict:
    """The comparison speaks of every aspect

    Why: The assignment names what has to be compared. What nothing is said about, nobody can see
    that you understood.

    Fix: Give each aspect a paragraph of its own under a heading that names it, and say in it how
    the approaches differ.
    """
    facts = written_facts(context)
    if facts is None:
        return skipped(_UNREAD)
    missing = [aspect.title for aspect in facts.aspects if not aspect.passages]
    found = [aspect for aspect in facts.aspects if aspect.passages]
    measures = {
        "aspects": len(found),
        "missing": len(missing),
        "passages": sum(len(aspect.passages) for aspect in found),
    }
    text = f"Passages were found on {len(found)} of {len(facts.aspects)} aspects."
    if not missing:
        return passed(text, measures=measures, note=" ".join(facts.notes))
    return needs_review(
        f"{text} None was found on: {'; '.join(missing)}. A person looks at it.",
        "Say how the approaches differ in this, under a heading that names it.",
        measures=measures,
        note=" ".join(facts.notes),
    )


@check(
    "DOC202",
    evidence=(TEXT,),
    measures=("numbers", "agree", "differ"),
    severity=Severity.NOTE,
    visibility=Visibility.INSTRUCTOR,
)
def numbers_were_measured_so(context: Context) -> Verdict:
    """The numbers of the comparison are those that were measured

    Why: A reader trusts a number more than a sentence. One that was mistyped, or that stands with
    another approach, turns a comparison around.

    Fix: Copy numbers from the files that your programs wrote, with the unit and the approach that
    they belong to, and read each once again beside its file.
    """
    facts = written_facts(context)
    if facts is None:
        return skipped(_UNREAD)
    agree = facts.with_verdict(against.Verdict.AGREES)
    differ = facts.with_verdict(against.Verdict.DIFFERS)
    measures = {"numbers": len(facts.numbers), "agree": len(agree), "differ": len(differ)}
    agrees = "agrees" if len(agree) == 1 else "agree"
    text = f"{counted(len(agree), 'number')} of the text {agrees} with what was measured"
    if not differ:
        return passed(f"{text}.", measures=measures)
    shown = "; ".join(
        f"{clean(number.text)} seems to be {number.claims}, measured as {number.fact:.4g}"
        for number in differ[:_QUOTED]
    )
    more = f"; and {len(differ) - _QUOTED} more" if len(differ) > _QUOTED else ""
    return needs_review(
        f"{text}; {len(differ)} may differ: {shown}{more}. A person looks there.",
        "Compare these numbers with the files that your programs wrote.",
        measures=measures,
    )


@check(
    "DOC203",
    evidence=(TEXT,),
    measures=("words", "copied_words", "words_per_sentence", "lix", "tables"),
    severity=Severity.NOTE,
    visibility=Visibility.INSTRUCTOR,
)
def text_is_the_students_own(context: Context) -> Verdict:
    """The comparison is written in the student's own words

    Why: What stands in the kit already says nothing of what you found out.

    Fix: Delete what you took over from the kit or the handout, and say it in your own words where
    it matters.
    """
    facts = written_facts(context)
    if facts is None:
        return skipped(_UNREAD)
    length, easy = facts.length, facts.readability
    measures = {
        "words": length.words,
        "copied_words": length.copied_words,
        "words_per_sentence": round(easy.words_per_sentence, 1) if easy else None,
        "lix": round(easy.lix, 1) if easy else None,
        "tables": facts.tables,
    }
    everything = length.words + length.copied_words
    text = f"{counted(length.words, 'word')} of its own, {length.copied_words} of the kit's."
    if length.copied_words <= _MUCH_COPIED * everything:
        return passed(text, measures=measures)
    names = ", ".join(dict.fromkeys(copy.source for copy in facts.given))
    return needs_review(
        f"{text} A person looks at what was taken over from {names}.",
        "Say it in your own words, or leave it out.",
        measures=measures,
    )
