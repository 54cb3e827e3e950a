"""A program that sees hidden questions cannot carry them to its student through the feedback page.

Each channel below writes a secret into something that a run influences. Whatever the secret, the
page is one of a few: what differs between them are outcomes, points and shares in tens of percent.
"""

from __future__ import annotations

import builtins
import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from support import predictions
from support.classes import SCRIPTS, write_student
from support.dspy_runs import (
    PAIRS,
    STEPS,
    enhanced,
    judged,
    original,
    passage,
    perturbed,
    question,
    reference,
    results,
    scores,
    word_matching,
)
from support.script_runs import ASKED, LOADED, inference, training
from support.transcripts import chat_line

from grader.assignment.rubric import score, status, total
from grader.checks.api.context import Context
from grader.checks.api.registry import Check, check_of, in_order, run_check
from grader.core.nouns import Assignment, Evidence, Finding, Outcome
from grader.core.result import Result
from grader.course import grade
from grader.intake.find import submission_at
from grader.intake.submission import take_in
from grader.report.feedback import feedback_html
from grader.topics import get_topic

Secret = int
Channel = Callable[[Secret], Mapping[str, Evidence]]
BITS = 6
_SEES_QUESTIONS = frozenset({"answers", "metric_scores", "predictions", "inference_run"})


def _bit(secret: Secret, n: int) -> int:
    return secret >> (n % BITS) & 1


def _edited(evidence: Evidence, rows: str, **fields: object) -> Evidence:
    """With these fields in every row of the payload."""
    changed = [{**row, **fields} for row in evidence.payload[rows]]
    return replace(evidence, payload={**evidence.payload, rows: changed})


_ERRORS = [name for name in dir(builtins) if name.endswith("Error")]


def _error(secret: Secret) -> str:
    name = _ERRORS[secret % len(_ERRORS)]
    return f"{name}: Secret{secret} {question(secret)} {reference(secret)}"


def _kinds(secret: Secret) -> Mapping[str, Evidence]:
    """A metric whose scores tell: each kind of answer has its own."""

    def metric(case) -> float:
        return judged(case) if _bit(secret, sum(case.kind.encode())) else 0.01 * secret

    return {"dspy_metric": scores(metric)}


def _adapter(after: Evidence) -> Mapping[str, Evidence]:
    """What all runs show of an adapter that answers like this: its script makes another like it."""
    texts = {row["question"]: row["text"] for row in after.payload["answers"]}
    printed = inference(*(texts[question] for question in ASKED))
    return {"after": after, "lora_made": after, "lora_inference": printed}


CHANNELS: dict[str, Channel] = {
    "names of errors": lambda s: {
        "dspy_enhanced": _edited(enhanced(text=None), "answers", error=_error(s), text="")
    },
    "which questions fail": lambda s: {
        "dspy_enhanced": enhanced(text=lambda n: reference(n) if _bit(s, n) else None)
    },
    "which answers are right": lambda s: {
        "dspy_enhanced": enhanced(text=lambda n: reference(n) if _bit(s, n) else "no")
    },
    "how many answers are right": lambda s: {"dspy_enhanced": enhanced(right=s % 21)},
    "lengths of answers": lambda s: {"dspy_enhanced": enhanced(text="x" * (s + 1))},
    "counts of requests": lambda s: {"dspy_enhanced": enhanced(calls=lambda n: n % 3 + s % 8)},
    "replies that cannot be read": lambda s: {
        "dspy_enhanced": enhanced(failures=lambda n: _bit(s, n), calls=2)
    },
    "counts of tokens": lambda s: {
        "dspy_enhanced": _edited(enhanced(), "answers", input_tokens=s, output_tokens=3 * s)
    },
    "what the prompts hold": lambda s: {
        "dspy_enhanced": enhanced(
            context=lambda n: passage(n) if _bit(s, n) else "",
            outputs=lambda n: STEPS if _bit(s, n + 1) else STEPS[1:],
        )
    },
    "what the model said": lambda s: {
        "dspy_enhanced": enhanced(said=lambda n: reference(n) if _bit(s, n) else "other")
    },
    "changed answers": lambda s: {"dspy_perturbed": perturbed(s % 11)},
    "added pairs": lambda s: {
        "dspy_enhanced": enhanced(
            pairs=[
                (f"What is {s} of {n}?", _error(s)) if _bit(s, n) else PAIRS[n] for n in range(5)
            ],
            right_pairs=s % 6,
        )
    },
    "the number of added pairs": lambda s: {"dspy_enhanced": enhanced(pairs=PAIRS[: s % 6])},
    "a fault": lambda s: {
        "dspy_enhanced": replace(e := enhanced(), payload={**e.payload, "fault": _error(s)})
    },
    "scores of a metric": _kinds,
    "errors of a metric": lambda s: {
        "dspy_metric": _edited(scores(lambda case: None), "cases", error=_error(s))
    },
    "what an inference prints": lambda s: {
        "lora_inference": inference(*(f"answer {n}" if _bit(s, n) else "no" for n in range(10)))
    },
    "how an inference ends": lambda s: {
        "lora_inference": inference(verdict="exit", exit_code=s + 1, stderr=_error(s))
    },
    "which files an inference opens": lambda s: {
        "lora_inference": inference(
            opened={**LOADED, **{f"data/{n}.jsonl": s for n in range(6) if _bit(s, n)}}
        )
    },
    "what an inference takes": lambda s: {
        "lora_inference": replace(
            inference(), cost={"cpu_seconds": s, "peak_memory_bytes": s * 2.0**20}
        )
    },
    "an adapter's right answers": lambda s: _adapter(predictions.evidence(s)),
    "an adapter's texts": lambda s: {"after": predictions.evidence(20, wrong="x " * s)},
    "an adapter's log-likelihoods": lambda s: {"after": predictions.evidence(20, loglik_wrong=-s)},
    "a tuned model's right answers": lambda s: {"domain_after": predictions.evidence(s)},
    "a tuned model's texts": lambda s: {"domain_after": predictions.evidence(20, wrong="x " * s)},
    "an adapter's time and memory": lambda s: {
        "after": replace(
            predictions.evidence(90),
            cost={"generate_seconds": 0.1 + s, "generated_tokens": 300, "peak_memory_mib": 9 * s},
        )
    },
}
"""By what is influenced: from the secret to the evidence that the run leaves."""

_PUBLIC = "lora_training"  # it sees no hidden question; checks read it beside those that do
HONEST: Mapping[str, Evidence] = {
    "before": predictions.evidence(5),
    "after": predictions.evidence(90),
    "domain_before": predictions.evidence(5),
    "domain_after": predictions.evidence(90),
    "dspy_original": original(),
    "dspy_enhanced": enhanced(context=passage, outputs=STEPS),
    "dspy_perturbed": perturbed(9),
    "dspy_metric": scores(judged),
    "dspy_metric_original": scores(word_matching),
    "lora_made": predictions.evidence(90),
    "lora_inference": inference(),
    _PUBLIC: training(),
}


CAPITALS = "".join(
    chat_line(e.question, e.answer)
    for e in get_topic("educational-qa").public("train")
    if e.kind == "capital"
)


class Grader:
    """Grades one submission under evidence of hidden runs."""

    def __init__(self, work: Path) -> None:
        self.assignment: Assignment = grade.load("llm-methods")
        home = write_student(work / "class" / "s01", 1)
        for name in SCRIPTS:
            (home / name).write_text('"""Filler."""\n')
        (home / "dspy_enhanced.py").write_text('"""Filler."""\n')
        (home / "dspy_report.md").write_text("Filler.")
        (home / "openai_domain_finetune.py").write_text('"""Filler."""\n')
        (home / "openai_train.jsonl").write_text(CAPITALS)
        (home / "dspy_results.json").write_text(results())
        found = submission_at(home)
        self.submission = take_in(found, work / "taken", self.assignment.deliverables)
        hidden = {
            spec.id
            for spec in self.assignment.evidence
            if spec.kind in _SEES_QUESTIONS
            and spec.settings.keys().isdisjoint({"questions_from", "test_set"})  # the student's own
        }
        assert hidden == set(HONEST) - {_PUBLIC}
        self._order = in_order(self.assignment.refs, self.assignment)
        self.checks: list[Check] = [c for c in self._order if hidden & set(c.evidence_ids)]
        self._honest: dict[str, Finding] = {}
        context = Context(self.assignment, self.submission, HONEST)
        for check in self._order:
            self._honest[check.ref] = run_check(check, context, self._honest, {})
        looked_at = (Outcome.PASS, Outcome.FAIL)
        assert all(self._honest[check.ref].outcome in looked_at for check in self.checks)

    def findings(self, evidence: Mapping[str, Evidence]) -> dict[str, Finding]:
        """What all checks find: those that read other evidence find the same as ever."""
        context = Context(self.assignment, self.submission, {**HONEST, **evidence})
        found = dict(self._honest)
        for check in self.checks:
            blocked = any(found[ref] is not self._honest[ref] for ref in check.needs)
            if blocked or evidence.keys() & set(check.evidence_ids):
                found[check.ref] = run_check(check, context, found, {})
        return found

    def page(self, evidence: Mapping[str, Evidence]) -> str:
        """The student's page."""
        found = self.findings(evidence)
        findings = tuple(found[ref] for ref in self.assignment.refs)
        points = score(self.assignment, findings)
        result = Result(
            assignment_id=self.assignment.id,
            assignment_version=self.assignment.version,
            student="s01",
            digest=self.submission.digest,
            submitted_at=None,
            status=status(points, findings),
            total=total(self.assignment, points),
            scores=points,
            findings=findings,
            provenance={},
        )
        return feedback_html(self.assignment, result)


@pytest.fixture(scope="module")
def grader(tmp_path_factory: pytest.TempPathFactory) -> Grader:
    return Grader(tmp_path_factory.mktemp("hidden-bits"))


@pytest.mark.live(sample=3)
@pytest.mark.parametrize("channel", CHANNELS)
def test_a_secret_reaches_the_page_with_a_few_bits_at_most(grader: Grader, channel: str) -> None:
    secrets = random.Random(channel).sample(range(1, 2**BITS), 24)
    evidence = {s: CHANNELS[channel](s) for s in secrets}
    assert len({str(e) for e in evidence.values()}) >= 5  # it does carry the secret
    pages = {grader.page(e) for e in evidence.values()}
    assert math.log2(len(pages)) <= 4
    for page in pages:
        assert "Secret" not in page
        assert reference(7) not in page


# Most texts of a check, where they are more than one for each outcome: what it leaves to points.
MOST_TEXTS = {
    "ADP030": 11 + 2,  # tens of percent; it did not end
    "ADP031": 3,
    "DSP001": 4,  # all, most, some, none
    "DSP002": 2 * 11,  # tens of percent; whether it is more than chance
    "DSP003": 5,
    "DSP005": 3,
    "DSP010": 4,  # which programs
    "EVL001": 2 * 11 + 3,
    "EVL004": 4,
    "EVL020": 2 * 11 + 3,
}


def test_texts_of_hidden_checks_are_few_whatever_the_runs_did(grader: Grader) -> None:
    """A check that is new and says more fails here."""
    draw = random.Random(11)
    texts: defaultdict[str, set[tuple[object, ...]]] = defaultdict(set)
    for _ in range(100):
        evidence: dict[str, Evidence] = {}
        for channel in draw.sample(sorted(CHANNELS), 6):
            evidence |= CHANNELS[channel](draw.randrange(1, 2**BITS))
        found = grader.findings(evidence)
        for check in grader.checks:
            finding = found[check.ref]
            assert finding.outcome is not Outcome.ERROR, finding
            if finding.outcome is not Outcome.SKIP:  # says what the check before it says
                texts[check.ref].add((finding.message, finding.hint, finding.location))
    for ref, some in texts.items():
        assert len(some) <= MOST_TEXTS.get(ref, 2), (ref, some)


def test_staff_and_self_checks_see_all_of_it(grader: Grader) -> None:
    """What the student does not read at grading stands in the note, and in `finegrade check`."""
    evidence = {**HONEST, **CHANNELS["names of errors"](33)}
    check = check_of("DSP001", grader.assignment)
    context = Context(grader.assignment, grader.submission, evidence)
    graded = check.judge(context)
    assert graded.message == (
        "It answered none of the questions; at others it ended in an error or gave no text."
    )
    assert "20 times it ended in" in graded.note
    assert "Secret33" in graded.note
    own = check.judge(replace(context, hidden=False))
    assert own.message == graded.note
    assert own.note == ""
    assert own.measures == graded.measures == {"answered_share": 0.0, "n": 20}
