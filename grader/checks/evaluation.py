"""EVL: what the adapter does to the answers, on questions that the student has not seen.

EVL020 and EVL021 ask the same of the model that a fine-tuning job of the student's made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from grader.checks.api.context import Context, EvidenceRole, Verdict, failed, passed, skipped
from grader.checks.api.registry import check
from grader.checks.views.comparison_claims import (
    COMPARISON,
    ComparisonClaim,
    ComparisonError,
    claims_of,
)
from grader.checks.views.gain import (
    GAIN_MEASURES,
    GainWords,
    correct,
    gain_beside_guessing,
    stated,
)
from grader.core.constants import CLAIM_TOLERANCE, HIDDEN_MIN_QUESTIONS, METRICS_MAX_BYTES
from grader.core.errors import FileRefused
from grader.core.metrics import bleu, chance_apart, exact_match, mean, rouge_l, token_f1
from grader.core.nouns import Severity
from grader.core.payloads import Answers, Prediction, Predictions, read
from grader.core.strict_json import StrictJsonError, loads
from grader.core.text import counted
from grader.intake.submission import read_file
from grader.topics import get_topic
from grader.training_data.rules.rule import quoted

BEFORE: Final = EvidenceRole("before", Predictions)
AFTER: Final = EvidenceRole("after", Predictions)


@check(
    "EVL001",
    evidence=(BEFORE, AFTER),
    measures=("chance", *GAIN_MEASURES),
)
def improves_on_hidden_questions(ctx: Context) -> Verdict:
    """The adapter answers more hidden questions than the base and than guessing.

    Why: Fine-tuning is worth its cost only when the tuned model answers what it was not trained
    on. The gain counts from the higher of two references: the bare base, and always giving the
    most frequent public answer to that kind of question. It is real when the lower end of its
    95 % interval (paired bootstrap over the questions) is above zero.

    Fix: Compare your before and after scores on the validation set. If both are near zero, look
    at the learning rate and the number of steps, and that prompts use the chat template. If
    training answers are right and others wrong, you have overfitted: more examples, fewer epochs.
    If the answers have the right form and the wrong content, check that questions and answers in
    your data belong together.
    """
    before, after = ctx.read(BEFORE).answers, ctx.read(AFTER).answers
    words = GainWords("with the adapter", "without it", "the bare base")
    return gain_beside_guessing(before, after, words, _advice(after))


def _advice(answers: Sequence[Prediction], whose: str = "The adapter's") -> str:
    """The most likely reason for no gain, by the answers' form alone."""
    known = {answer.reference for answer in answers}
    right_form = mean([float(answer.text in known) for answer in answers])
    longer = mean([len(answer.text.split()) for answer in answers]) > 3 * mean(
        [len(answer.reference.split()) for answer in answers]
    )
    if right_form > 0.5:
        return (
            f"{whose} answers have the right form and the wrong content. Check that each answer "
            "in your training data belongs to its question, and that you did not train too long "
            "on too few examples."
        )
    if longer:
        return (
            f"{whose} answers are much longer than the expected ones: it has learned little, or "
            "another answer format. Raise the learning rate or the number of steps, and train on "
            "answers as short as those of the public data, in the base's chat template."
        )
    return (
        f"{whose} answers have neither the right form nor the right content. A learning rate that "
        "is too high destroys the base, one that is too low changes nothing: try a few values."
    )


@check(
    "EVL002",
    evidence=(BEFORE, AFTER),
    measures=tuple(
        f"{name}_{when}"
        for name in ("token_f1", "bleu", "rouge_l", "loglik")
        for when in ("before", "after")
    ),
)
def text_measures(ctx: Context) -> Verdict:
    """The adapter makes the right answers more likely.

    Why: Exact match sees only right or wrong. Token F1, BLEU and ROUGE-L show near misses, and
    the mean log-likelihood of the right answers shows learning before any answer turns right. An
    adapter that lowers it does harm. They carry no points of their own: each can be raised by
    form alone, without knowing more.

    Fix: Lower the learning rate if the log-likelihood fell. F1 well above exact match means that
    answers are longer or shorter than the public ones.
    """
    functions = {"token_f1": token_f1, "bleu": bleu, "rouge_l": rouge_l}
    measures: dict[str, float] = {}
    for when, role in (("before", BEFORE), ("after", AFTER)):
        answers = ctx.read(role).answers
        for name, function in functions.items():
            values = [function(answer.text, answer.reference) for answer in answers]
            measures[f"{name}_{when}"] = mean(values)
        measures[f"loglik_{when}"] = mean([answer.loglik for answer in answers])
    exact = (
        f"Token F1 {measures['token_f1_before']:.2f} to {measures['token_f1_after']:.2f}, "
        f"BLEU {measures['bleu_before']:.2f} to {measures['bleu_after']:.2f}, "
        f"ROUGE-L {measures['rouge_l_before']:.2f} to {measures['rouge_l_after']:.2f}, "
        f"log-likelihood {measures['loglik_before']:.2f} to {measures['loglik_after']:.2f} "
        "a token."
    )
    if measures["loglik_after"] > measures["loglik_before"]:
        text = "The right answers are more likely with the adapter."
        return passed(text, exact=exact, measures=measures)
    text = "The right answers are no more likely with the adapter."
    hint = "Check the learning rate, and that prompts in training use the base's chat template."
    return failed(text, hint, exact=exact, measures=measures)


@check(
    "EVL003",
    evidence=(BEFORE, AFTER),
    measures=(
        "tokens_per_second",
        "reference_tokens_per_second",
        "peak_memory_mib",
        "reference_peak_memory_mib",
    ),
)
def speed_and_memory(ctx: Context) -> Verdict:
    """Speed and memory of the adapter are known beside the bare base's.

    Why: An adapter costs a little at every token. Times vary between machines and moments, so
    they stand beside a reference run on the same machine and never enter a score.

    Fix: Nothing to mend. A smaller rank or fewer target modules make an adapter cheaper.
    """
    measures: dict[str, float] = {}
    for role, prefix in ((AFTER, ""), (BEFORE, "reference_")):
        cost = ctx.seen(role).cost
        speed = cost["generated_tokens"] / max(cost["generate_seconds"], 1e-9)
        measures[f"{prefix}tokens_per_second"] = round(speed, 1)
        measures[f"{prefix}peak_memory_mib"] = round(cost["peak_memory_mib"], 1)
    return passed("Measured beside a run of the bare base on the same machine.", measures=measures)


@check(
    "EVL004",
    deliverables=("metrics",),
    needs=("LAY030",),
    evidence=(BEFORE, AFTER),
    measures=("claimed_before", "claimed_after", "tolerance"),
)
def claims_agree(ctx: Context) -> Verdict:
    """The metrics that the student reports agree with the grader's.

    Why: A reported number that cannot be reproduced misleads its readers, its author first. The
    public test set and the hidden questions differ, so honest numbers may differ by what chance
    allows, and a little more.

    Fix: Report exact match, as shares from 0 to 1, in metrics.json under "before" and "after",
    each {"exact_match": …}, measured on the public test set after loading the saved adapter.
    """
    fix = (
        'Write your numbers into metrics.json, as {"before": {"exact_match": 0.0}, '
        '"after": {"exact_match": 0.9}}.'
    )
    try:
        path = ctx.place("metrics")
    except FileRefused as error:
        return failed(error.message, error.hint)
    if path is None:
        return failed("There is no metrics.json.", fix)
    try:
        claimed = loads(
            read_file(ctx.submission, path, METRICS_MAX_BYTES), max_bytes=METRICS_MAX_BYTES
        )
        claims = {when: float(claimed[when]["exact_match"]) for when in ("before", "after")}
    except (StrictJsonError, FileRefused) as error:
        return failed(f"{path} cannot be read: {error}", fix, path=path)
    except (KeyError, TypeError, ValueError):
        return failed(f"{path} does not hold the two exact match shares.", fix, path=path)
    if not all(0 <= share <= 1 for share in claims.values()):
        return failed(f"{path} reports shares outside 0 to 1.", fix, path=path)
    measures: dict[str, float] = {f"claimed_{when}": claims[when] for when in claims}
    measures["tolerance"] = CLAIM_TOLERANCE
    public = len(get_topic(ctx.assignment.topic).public("test"))
    off = {}
    for when, role in (("before", BEFORE), ("after", AFTER)):
        claim, right = claims[when], correct(ctx.read(role).answers)
        ours = mean(right)
        if abs(claim - ours) > CLAIM_TOLERANCE + chance_apart(claim, public, ours, len(right)):
            off[when] = f"{when}: {claim:.0%} reported, {ours:.0%} measured"
    if off:
        return failed(
            f"The reported exact match {' and '.join(off)} training is further from the measured "
            "one than chance allows.",
            "Evaluate the saved adapter again and report that in metrics.json.",
            path=path,
            measures=measures,
            exact=f"Exact match {'; '.join(off.values())}; more apart than chance allows.",
        )
    return passed("The reported exact match agrees with the measured one.", measures=measures)


_LORA: Final = {"lora_base": "before", "lora_adapter": "after"}  # evidence, by approach


@check(
    "EVL005",
    deliverables=(COMPARISON,),
    measures=("claims", "compared", "differ"),
    severity=Severity.WARNING,
)
def comparison_agrees(ctx: Context) -> Verdict:
    """The numbers of the comparison agree with the grader's

    Why: An analysis stands on its numbers. comparison.json says how each approach did on the public
    test set; the grader asks your programs and your adapter its own questions. Honest numbers may
    differ by what chance allows, and a little more. Models of the service that only your machine
    has are not compared.

    Fix: Run `finegrade simulate -- python compare.py` again with the programs and the adapter that
    you submit, and submit the comparison.json that it writes.
    """
    hint = "Run compare.py again, and submit the comparison.json that it writes."
    try:
        claims = claims_of(ctx)
    except ComparisonError as error:
        return failed(f"comparison.json {error}.", hint)
    if claims is None:
        return skipped("No comparison.json was submitted; it is voluntary.")
    measured = {name: _measured(ctx, name, claim) for name, claim in claims.items()}
    compared = {name: right for name, right in measured.items() if right}
    off = {}
    for name, right in compared.items():
        claim, ours = claims[name], mean(right)
        luck = chance_apart(claim.exact_match, claim.n, ours, len(right))
        if abs(claim.exact_match - ours) > CLAIM_TOLERANCE + luck:
            off[name] = f"{name}: {claim.exact_match:.0%} reported, {ours:.0%} measured"
    measures = {"claims": len(claims), "compared": len(compared), "differ": len(off)}
    if not compared:
        return skipped("None of its numbers was measured here.")
    if off:
        return failed(
            f"The reported exact match of {', '.join(off)} is further from the measured one than "
            "chance allows.",
            hint,
            measures=measures,
            exact=f"Exact match {'; '.join(off.values())}; more apart than chance allows.",
        )
    text = f"The exact match of {counted(len(compared), 'approach', 'approaches')} agrees with"
    return passed(f"{text} the measured one.", measures=measures)


def _measured(ctx: Context, name: str, claim: ComparisonClaim) -> list[float]:
    """Which of the grader's questions the same thing answered rightly; none if it was not asked."""
    if name in _LORA:
        found = ctx.evidence.get(_LORA[name])
        return correct(read(found, Predictions).answers) if found else []
    run = next((ctx.evidence[id] for id in _runs(ctx, name, claim.model)), None)
    return correct(read(run, Answers).answers) if run else []


def _runs(ctx: Context, name: str, model: str) -> Iterator[str]:
    """The ids of collected runs of a DSPy program on the grader's questions with this model."""
    for spec in ctx.assignment.evidence:
        same = spec.id.startswith(name) and spec.settings.get("model") == model
        if same and spec.id in ctx.evidence:
            yield spec.id


DOMAIN_BEFORE: Final = EvidenceRole("domain_before", Predictions)
DOMAIN_AFTER: Final = EvidenceRole("domain_after", Predictions)
TEST_BEFORE: Final = EvidenceRole("test_before", Predictions)
TEST_AFTER: Final = EvidenceRole("test_after", Predictions)
_TUNED: Final = GainWords("with the tuned model", "with the base", "the base")
_LISTED: Final = 3  # wrong answers that are shown


@check(
    "EVL020",
    evidence=(DOMAIN_BEFORE, DOMAIN_AFTER),
    measures=("chance", *GAIN_MEASURES, "share_low95"),
)
def tuned_model_answers_its_domain(ctx: Context) -> Verdict:
    """The tuned model answers more hidden questions of its domain than the base and than guessing

    Why: A workflow is worth what its model can do. The grader asks the model that your job made,
    and its base, questions on what your training data is about and of which it holds none. What
    counts is the share of what the better of base and guessing leaves open (`share_low95`, at the
    lower end of the 95 % interval): domains differ in how much can be guessed.

    Fix: Look at your own test set first: before and after, with the wrong answers beside the
    expected ones. Right answers in the training data, several kinds of question, short answers and
    enough epochs (three to five for twenty pairs) bring most.
    """
    before, after = ctx.read(DOMAIN_BEFORE).answers, ctx.read(DOMAIN_AFTER).answers
    right_in = partial(stated, topic=ctx.assignment.topic)
    found = gain_beside_guessing(
        before, after, _TUNED, _advice(after, "The tuned model's"), right_in
    )
    measures = dict(found.measures or {})
    open_share = 1 - max(mean(right_in(before)), float(measures["chance"] or 0.0))
    low = float(measures["delta_low95"] or 0.0)
    measures["share_low95"] = round(low / open_share, 4) if open_share > 0 else 0.0
    return replace(found, measures=measures)


@check(
    "EVL021",
    needs=("API020",),
    evidence=(TEST_BEFORE, TEST_AFTER),
    measures=("chance", *GAIN_MEASURES),
)
def tuned_model_answers_the_test_set(ctx: Context) -> Verdict:
    """The tuned model answers more of your own test set than the base and than guessing

    Why: The test set shows whether the model learned what you meant to teach. Guessing is always
    giving the most frequent answer of your training data. A gain is real when the lower end of its
    95 % interval (paired bootstrap over the questions) is above zero.

    Fix: Read the wrong answers. If their form is not that of the expected ones, the training data
    has another form than the test set; if they are wrong in content, look for wrong training
    answers, and train for more epochs.
    """
    before, after = ctx.read(TEST_BEFORE).answers, ctx.read(TEST_AFTER).answers
    if len(after) < HIDDEN_MIN_QUESTIONS:
        return failed(
            f"The test set asks {counted(len(after), 'question')} that can be asked; at least "
            f"{HIDDEN_MIN_QUESTIONS} are needed to show a gain.",
            f"Write {HIDDEN_MIN_QUESTIONS} different short questions or more, with their answers.",
        )
    found = gain_beside_guessing(before, after, _TUNED, "Read the wrong answers, then the data.")
    # The student wrote these questions, so that everything may be said.
    return replace(found, message=f"{found.exact}{_wrong(after)}", exact="")


def _wrong(answers: Sequence[Prediction]) -> str:
    """The first wrong answers with what was expected, "" where all are right."""
    wrong = [one for one in answers if not exact_match(one.text, one.reference)]
    shown = "; ".join(
        f"{quoted(one.question)}: {quoted(one.text)}, expected {quoted(one.reference)}"
        for one in wrong[:_LISTED]
    )
    return f" {len(wrong)} wrong, the first: {shown}." if wrong else ""
